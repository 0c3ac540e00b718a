using System;

namespace ClusterGossip
{
    /// <summary>An exception in a handler: see <see cref="Node.HandlerFailed"/>.</summary>
    public sealed class HandlerFailedEventArgs : EventArgs
    {
        internal HandlerFailedEventArgs(Exception exception, Change change)
        {
            Exception = exception;
            Change = change;
        }

        /// <summary>What the handler has thrown.</summary>
        public Exception Exception { get; private set; }

        /// <summary>The change that it was called with.</summary>
        public Change Change { get; private set; }
    }
}
