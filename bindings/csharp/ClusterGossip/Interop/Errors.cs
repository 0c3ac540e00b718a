using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace ClusterGossip.Interop
{
    /// <summary>Statuses of the library as exceptions.</summary>
    internal static unsafe class Errors
    {
        private static IReadOnlyList<StatusInfo> table;

        /// <summary>The library's own table, read once.</summary>
        internal static IReadOnlyList<StatusInfo> Table
        {
            get
            {
                if (table == null)
                {
                    GossipLibrary.Load();
                    table = Read();
                }
                return table;
            }
        }

        /// <summary>What the library says of a status, also of one that is not in its table.</summary>
        internal static StatusInfo Info(int status)
        {
            return new StatusInfo(
                (GossipStatus)status,
                Utf8.FromC(Native.gossip_status_name(status)),
                Utf8.FromC(Native.gossip_status_text(status)),
                Native.gossip_status_can_retry(status) != 0);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static IReadOnlyList<StatusInfo> Read()
        {
            ulong count = (ulong)Native.gossip_status_count();
            List<StatusInfo> rows = new List<StatusInfo>();
            for (ulong index = 0; index < count; index++)
            {
                rows.Add(Info(Native.gossip_status_at((UIntPtr)index)));
            }
            return rows.AsReadOnly();
        }

        internal static void Check(int status)
        {
            if (status != 0)
            {
                throw Make(status, null);
            }
        }

        internal static Exception Make(GossipStatus status, string message)
        {
            return Make((int)status, message);
        }

        /// <summary>The exception of a status, with the library's own sentence where there is no message.</summary>
        internal static Exception Make(int status, string message)
        {
            StatusInfo info = Info(status);
            string words = string.IsNullOrEmpty(message) ? info.Text : message;
            switch ((GossipStatus)status)
            {
                case GossipStatus.Closed:
                    // What .NET programs expect of an object that was disposed of; the status is in the inner exception.
                    GossipException inner = new GossipException(info, words);
                    return new ObjectDisposedException(inner.Message, inner);
                case GossipStatus.Timeout:
                    return new GossipTimeoutException(info, words);
                case GossipStatus.NotFound:
                    return new GossipNotFoundException(info, words);
                case GossipStatus.InvalidKey:
                case GossipStatus.ReservedKey:
                    return new GossipKeyException(info, words);
                case GossipStatus.UnknownSetting:
                case GossipStatus.BadSetting:
                case GossipStatus.NotLive:
                    return new GossipSettingException(info, words);
                case GossipStatus.ValueTooLarge:
                case GossipStatus.Limit:
                    return new GossipLimitException(info, words);
                case GossipStatus.Bind:
                case GossipStatus.Advertise:
                    return new GossipAddressException(info, words);
                default:
                    return new GossipException(info, words);
            }
        }
    }
}
