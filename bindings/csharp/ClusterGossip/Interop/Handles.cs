using System;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// Owns a native object by its 64-bit id, which no pointer is wide enough for everywhere. The release comes from Dispose or from the
    /// finalizer; since the library answers a stale id with a status, a call that races with it, or a second release, does no harm.
    /// </summary>
    internal abstract class IdHandle : SafeHandle
    {
        internal readonly ulong Id;

        protected IdHandle(ulong id)
            : base(IntPtr.Zero, true)
        {
            Id = id;
            // SafeHandle wants a pointer to tell open from closed; the id itself stays in its own field.
            SetHandle((IntPtr)1);
        }

        public override bool IsInvalid
        {
            get { return handle == IntPtr.Zero; }
        }
    }

    /// <summary>A node. Released without Dispose it says that it leaves, and waits for nothing: right for a finalizer.</summary>
    internal sealed class NodeHandle : IdHandle
    {
        /// <summary>Nodes that are open, for the notices at exit. The value says nothing.</summary>
        private static readonly ConcurrentDictionary<ulong, bool> Open = new ConcurrentDictionary<ulong, bool>();

        internal NodeHandle(ulong id)
            : base(id)
        {
            Open[id] = true;
        }

        /// <summary>The node was closed by the binding itself: nothing is left to be released.</summary>
        internal void Forget()
        {
            bool ignored;
            Open.TryRemove(Id, out ignored);
            SetHandleAsInvalid();
            GC.SuppressFinalize(this);
        }

        /// <summary>At exit: one notice from each open node, and no waiting.</summary>
        internal static void AbandonAll()
        {
            foreach (ulong id in Open.Keys)
            {
                Abandon(id);
            }
        }

        protected override bool ReleaseHandle()
        {
            bool ignored;
            Open.TryRemove(Id, out ignored);
            Abandon(Id);
            return true;
        }

        private static void Abandon(ulong id)
        {
            Native.gossip_leave_nowait(id);
            Native.gossip_close_nowait(id);
        }
    }

    /// <summary>A queue of events. Freeing it ends its subscriptions, and a take that another thread is in.</summary>
    internal sealed unsafe class QueueHandle : IdHandle
    {
        /// <summary>It is about to be freed: nothing may begin to wait for it. Guarded by the lock of <see cref="QueueWaiter"/>.</summary>
        internal bool Released;

        private QueueHandle(ulong id)
            : base(id)
        {
        }

        internal static QueueHandle New()
        {
            ulong id;
            Errors.Check(Native.gossip_queue_new(UIntPtr.Zero, &id));
            return new QueueHandle(id);
        }

        protected override bool ReleaseHandle()
        {
            Native.gossip_queue_free(Id);
            return true;
        }
    }
}
