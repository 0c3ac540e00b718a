using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// Waits for queues without a thread for each: one thread of the process waits on the descriptors of all of them, and has nothing to
    /// do, not even a wait, while nobody awaits anything.
    /// </summary>
    internal static unsafe class QueueWaiter
    {
        private const short PollIn = 1;

        /// <summary>Where the system has no descriptor to wait on, one looks again after so long.</summary>
        private const int LookAgainMs = 20;

        private static readonly object Lock = new object();
        private static readonly List<Waiting> Waitings = new List<Waiting>();
        private static Thread thread;
        private static QueueHandle waker;
        private static volatile bool ended;

        /// <summary>
        /// Until the queue may have something to be taken; also when nothing has come after all. To be cancelled by the token, and
        /// ended by <see cref="Release"/>.
        /// </summary>
        internal static Task WaitAsync(QueueHandle queue, CancellationToken token)
        {
            int descriptor;
            int status = Native.gossip_queue_fd(queue.Id, &descriptor);
            if (status == (int)GossipStatus.NotSupported)
            {
                return Task.Delay(LookAgainMs, token);
            }
            Errors.Check(status);
            Start();
            Waiting waiting = new Waiting(queue.Id, descriptor);
            if (token.CanBeCanceled)
            {
                waiting.Registration = token.Register(() => Cancel(waiting, token));
            }
            lock (Lock)
            {
                if (waiting.Task.IsCompleted)
                {
                    return waiting.Task;
                }
                if (!queue.Released)
                {
                    Waitings.Add(waiting);
                    Monitor.Pulse(Lock);
                    Native.gossip_queue_wake(waker.Id);
                    return waiting.Task;
                }
            }
            // It is being freed: its descriptor may be another file's by now. Who waits finds out from the queue itself.
            waiting.Finish();
            return waiting.Task;
        }

        /// <summary>The thread is there. Before anything waits for it, so that a failure leaves nothing behind that would wait for ever.</summary>
        private static void Start()
        {
            lock (Lock)
            {
                if (thread != null)
                {
                    return;
                }
                QueueHandle queue = QueueHandle.New();
                int descriptor;
                int status = Native.gossip_queue_fd(queue.Id, &descriptor);
                if (status != 0)
                {
                    queue.Dispose();
                    throw Errors.Make(status, null);
                }
                waker = queue;
                int wakeDescriptor = descriptor;
                Thread started = new Thread(() => Run(wakeDescriptor)) { IsBackground = true, Name = "cluster-gossip-waits" };
                started.Start();
                thread = started;
            }
        }

        /// <summary>Ends the waits for a queue that is about to be freed: its descriptor's number may soon be another file's.</summary>
        internal static void Release(QueueHandle queue)
        {
            List<Waiting> released = null;
            lock (Lock)
            {
                queue.Released = true;
                for (int index = Waitings.Count - 1; index >= 0; index--)
                {
                    if (Waitings[index].Queue == queue.Id)
                    {
                        (released ?? (released = new List<Waiting>())).Add(Waitings[index]);
                        Waitings.RemoveAt(index);
                    }
                }
            }
            if (released != null)
            {
                Finish(released);
            }
        }

        /// <summary>At exit: the thread must not hold it up.</summary>
        internal static void End()
        {
            ended = true;
            lock (Lock)
            {
                Monitor.Pulse(Lock);
                if (waker != null)
                {
                    Native.gossip_queue_wake(waker.Id);
                }
            }
            if (thread != null)
            {
                // For the same reason as the dispatcher's.
                thread.Join(Constants.ExitMs);
            }
        }

        private static void Cancel(Waiting waiting, CancellationToken token)
        {
            lock (Lock)
            {
                Waitings.Remove(waiting);
            }
            waiting.Cancel(token);
        }

        private static void Run(int wakeDescriptor)
        {
            PollFd[] descriptors = new PollFd[16];
            List<Waiting> polled = new List<Waiting>();
            while (!ended)
            {
                polled.Clear();
                lock (Lock)
                {
                    while (Waitings.Count == 0 && !ended)
                    {
                        Monitor.Wait(Lock);
                    }
                    polled.AddRange(Waitings);
                }
                if (descriptors.Length < polled.Count + 1)
                {
                    descriptors = new PollFd[polled.Count * 2];
                }
                descriptors[0] = new PollFd { Descriptor = wakeDescriptor, Events = PollIn };
                for (int index = 0; index < polled.Count; index++)
                {
                    descriptors[index + 1] = new PollFd { Descriptor = polled[index].Descriptor, Events = PollIn };
                }
                int ready;
                fixed (PollFd* first = descriptors)
                {
                    ready = poll(first, (UIntPtr)(uint)(polled.Count + 1), Constants.SliceMs);
                }
                // Below 0 a signal has come in between: the runtime's collector sends them.
                if (ready > 0)
                {
                    HandOver(descriptors, polled);
                }
            }
        }

        private static void HandOver(PollFd[] descriptors, List<Waiting> polled)
        {
            if (descriptors[0].Found != 0)
            {
                // Takes the wake-up, so that the next wait waits again.
                IntPtr nothing;
                Native.gossip_queue_take(waker.Id, (UIntPtr)1, 0, &nothing);
            }
            List<Waiting> ready = new List<Waiting>();
            lock (Lock)
            {
                for (int index = 0; index < polled.Count; index++)
                {
                    // Also where the descriptor was closed meanwhile: who waits finds out from the queue itself.
                    if (descriptors[index + 1].Found != 0 && Waitings.Remove(polled[index]))
                    {
                        ready.Add(polled[index]);
                    }
                }
            }
            Finish(ready);
        }

        private static void Finish(List<Waiting> ready)
        {
            foreach (Waiting waiting in ready)
            {
                waiting.Finish();
            }
        }

        // nfds_t is an unsigned long on Linux, which has the width of a pointer.
        [DllImport("libc", ExactSpelling = true)]
        private static extern int poll(PollFd* descriptors, UIntPtr count, int timeoutMs);

        [StructLayout(LayoutKind.Sequential)]
        private struct PollFd
        {
            internal int Descriptor;
            internal short Events;
            internal short Found;
        }

        private sealed class Waiting
        {
            internal readonly ulong Queue;
            internal readonly int Descriptor;
            internal CancellationTokenRegistration Registration;

            // What awaits it must not run on the thread that finishes it, which has others to serve.
            private readonly TaskCompletionSource<bool> source =
                new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);

            internal Waiting(ulong queue, int descriptor)
            {
                Queue = queue;
                Descriptor = descriptor;
            }

            internal Task Task
            {
                get { return source.Task; }
            }

            internal void Finish()
            {
                if (source.TrySetResult(true))
                {
                    Registration.Dispose();
                }
            }

            internal void Cancel(CancellationToken token)
            {
                source.TrySetCanceled(token);
            }
        }
    }
}
