using System;
using System.Threading;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// A handler that is called with changes, made by <see cref="Node.Subscribe(ChangeFilter, Action{Change})"/>. It lives until it is
    /// disposed of or its node is, and keeps the node alive as long.
    /// </summary>
    public sealed class Subscription : IDisposable
    {
        private readonly Dispatcher dispatcher;
        private readonly Node node;

        // Held while the handler runs. The handler's own thread may take it again, so a handler may end its subscription.
        private readonly object running = new object();
        private volatile Action<Change> handler;
        private long nativeId;

        internal Subscription(Dispatcher dispatcher, Node node, ulong tag, Action<Change> handler)
        {
            this.dispatcher = dispatcher;
            this.node = node;
            this.handler = handler;
            Tag = tag;
        }

        /// <summary>The number that its changes carry: <see cref="Change.Tag"/>.</summary>
        public ulong Tag { get; private set; }

        /// <summary>Whether the handler may still be called.</summary>
        public bool IsActive
        {
            get { return handler != null; }
        }

        /// <summary>Ends it, and waits for the handler if it is running. A second call does nothing.</summary>
        /// <remarks>
        /// After it the handler is not running and will not run; called inside a handler it does not wait. Do not hold a lock that the handler
        /// wants: use <see cref="Unsubscribe(bool)"/> without waiting then.
        /// </remarks>
        public void Dispose()
        {
            Unsubscribe(true);
        }

        /// <summary>Ends it. A second call does nothing.</summary>
        /// <param name="wait">
        /// Whether to wait for the handler if it is running; without it, it may be running still, and will not be called again.
        /// </param>
        public void Unsubscribe(bool wait)
        {
            ulong id = (ulong)Interlocked.Exchange(ref nativeId, 0);
            if (id != 0)
            {
                // It is over already where the node was closed meanwhile, so the answer does not matter.
                Native.gossip_unsubscribe(id);
            }
            End(wait);
        }

        /// <summary>The native subscription is there.</summary>
        internal void Started(ulong id)
        {
            Interlocked.Exchange(ref nativeId, (long)id);
            if (!IsActive)
            {
                // Its first handler has ended it, before its id was known.
                Unsubscribe(false);
            }
        }

        internal void End(bool wait)
        {
            handler = null;
            dispatcher.Forget(Tag);
            node.Forget(this);
            if (wait && !dispatcher.IsCurrentThread)
            {
                lock (running)
                {
                    // Only to have waited for who holds it.
                }
            }
        }

        internal void Call(Change change)
        {
            lock (running)
            {
                Action<Change> current = handler;
                if (current == null)
                {
                    return;
                }
                try
                {
                    current(change);
                }
                catch (Exception error)
                {
                    // Whatever it is, the other handlers of the process must go on.
                    node.ReportHandlerFailure(error, change);
                }
            }
        }
    }
}
