using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// One thread of the process takes changes from one queue and calls the handlers for them. The thread is the runtime's own: handlers
    /// that were entered from a thread of the library would hang Mono at exit, and end the process with their exceptions.
    /// </summary>
    internal sealed class Dispatcher
    {
        private static readonly object Lock = new object();
        private static Dispatcher instance;

        private readonly QueueHandle queue = QueueHandle.New();
        private readonly ConcurrentDictionary<ulong, Subscription> subscriptions = new ConcurrentDictionary<ulong, Subscription>();
        private readonly Thread thread;
        private long tags;

        private Dispatcher()
        {
            // In the background: it must not keep the process alive. At exit its queue is freed, which ends the take that it waits in.
            thread = new Thread(Run) { IsBackground = true, Name = "cluster-gossip-changes" };
        }

        /// <summary>The process's dispatcher, started when it is first needed.</summary>
        internal static Dispatcher Instance
        {
            get
            {
                lock (Lock)
                {
                    if (instance == null)
                    {
                        instance = new Dispatcher();
                        instance.thread.Start();
                    }
                    return instance;
                }
            }
        }

        /// <summary>Whether this runs inside a handler of any node.</summary>
        internal static bool InHandler
        {
            get
            {
                Dispatcher current = Volatile.Read(ref instance);
                return current != null && current.IsCurrentThread;
            }
        }

        internal bool IsCurrentThread
        {
            get { return Thread.CurrentThread == thread; }
        }

        /// <summary>How many handlers there are, for tests.</summary>
        internal int Count
        {
            get { return subscriptions.Count; }
        }

        /// <summary>At exit: ends the take, and with it the thread. No lock, which a thread that was stopped in its midst could hold.</summary>
        internal static void End()
        {
            Dispatcher current = Volatile.Read(ref instance);
            if (current != null)
            {
                current.queue.Dispose();
                if (!current.IsCurrentThread)
                {
                    // Mono may abort the process if it has to stop a thread that is just coming back from a native call.
                    current.thread.Join(Constants.ExitMs);
                }
            }
        }

        internal Subscription Subscribe(Node node, ulong nodeId, ChangeFilter filter, Action<Change> handler)
        {
            Subscription subscription = new Subscription(this, node, (ulong)Interlocked.Increment(ref tags), handler);
            // Known before the first change can come.
            subscriptions[subscription.Tag] = subscription;
            node.Remember(subscription);
            ulong id;
            try
            {
                id = filter.Subscribe(nodeId, queue.Id, subscription.Tag);
            }
            catch
            {
                subscription.End(false);
                throw;
            }
            subscription.Started(id);
            return subscription;
        }

        internal void Forget(ulong tag)
        {
            Subscription ignored;
            subscriptions.TryRemove(tag, out ignored);
        }

        private void Run()
        {
            try
            {
                while (true)
                {
                    List<Change> changes = Batches.Take(queue, Constants.SliceMs);
                    if (changes != null)
                    {
                        Deliver(changes);
                    }
                }
            }
            catch (ObjectDisposedException)
            {
                // The queue is freed at exit only.
            }
            catch (Exception error)
            {
                // An exception that left the thread would end the process.
                Report("handlers are called no more, the queue cannot be read", error);
            }
        }

        /// <summary>
        /// Tells what nobody else is told. A listener that fails, or an exception that cannot be shown, must not end the thread, and with it the process.
        /// </summary>
        internal static void Report(string text, Exception error)
        {
            try
            {
                Trace.TraceError("Cluster Gossip: " + text + ": " + error);
            }
            catch (Exception)
            {
                // There is nobody left to be told.
            }
        }

        private void Deliver(List<Change> changes)
        {
            foreach (Change change in changes)
            {
                Subscription subscription;
                if (!subscriptions.TryGetValue(change.Tag, out subscription))
                {
                    continue;
                }
                if (change.Kind == Kind.Closed)
                {
                    subscription.End(false);
                }
                else
                {
                    subscription.Call(change);
                }
            }
        }
    }
}
