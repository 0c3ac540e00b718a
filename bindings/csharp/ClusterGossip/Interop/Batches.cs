using System;
using System.Collections.Generic;

namespace ClusterGossip.Interop
{
    /// <summary>Taking from a queue.</summary>
    internal static unsafe class Batches
    {
        /// <summary>What has come, after waiting for it for at most so long; null if there is nothing.</summary>
        internal static List<Change> Take(QueueHandle queue, int timeoutMs)
        {
            IntPtr events;
            int status = Native.gossip_queue_take(queue.Id, (UIntPtr)Constants.Batch, timeoutMs, &events);
            if (status == 0)
            {
                return Packed.Changes(events);
            }
            if (status == (int)GossipStatus.Timeout || status == (int)GossipStatus.Interrupted)
            {
                return null;
            }
            throw Errors.Make(status, null);
        }
    }

    /// <summary>The end of a wait, counted by a clock that nobody sets.</summary>
    internal struct Deadline
    {
        private readonly long end;

        /// <summary>Null, or less than nothing, is for ever.</summary>
        internal Deadline(TimeSpan? timeout)
        {
            end = timeout == null || timeout.Value < TimeSpan.Zero || timeout.Value == TimeSpan.MaxValue
                ? long.MaxValue
                : Now + (long)Math.Ceiling(timeout.Value.TotalMilliseconds);
        }

        internal bool IsNever
        {
            get { return end == long.MaxValue; }
        }

        internal bool HasPassed
        {
            get { return !IsNever && Now >= end; }
        }

        /// <summary>What is left of it; a timer takes no more than the milliseconds of an int.</summary>
        internal TimeSpan Left
        {
            get { return TimeSpan.FromMilliseconds(Math.Max(0, Math.Min(int.MaxValue, end - Now))); }
        }

        /// <summary>How long the next native wait may take.</summary>
        internal int Slice
        {
            get { return IsNever ? Constants.SliceMs : (int)Math.Max(0, Math.Min(Constants.SliceMs, end - Now)); }
        }

        private static long Now
        {
            get { return (long)(System.Diagnostics.Stopwatch.GetTimestamp() * (1000.0 / System.Diagnostics.Stopwatch.Frequency)); }
        }
    }
}
