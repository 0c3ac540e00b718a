using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <content>Handlers and enumerations of changes.</content>
    public sealed partial class Node
    {
        private readonly List<Subscription> subscriptions = new List<Subscription>();
        private readonly List<EventSubscription> events = new List<EventSubscription>();

        /// <summary>An entry of any member was set, was deleted, or was refused: <see cref="Kind.Entries"/>.</summary>
        /// <remarks>
        /// As all events here: the sender is the node; handlers are called as <see cref="Subscribe(ChangeFilter, Action{Change})"/> tells; to take
        /// one off does not wait for it.
        /// </remarks>
        public event EventHandler<Change> Changed
        {
            add { AddHandler(value, Kind.Entries); }
            remove { RemoveHandler(value, Kind.Entries); }
        }

        /// <summary>A member came, went, or changed: <see cref="Kind.Members"/>.</summary>
        public event EventHandler<Change> MemberChanged
        {
            add { AddHandler(value, Kind.Members); }
            remove { RemoveHandler(value, Kind.Members); }
        }

        /// <summary>The node's own state changed, or it is synced: <see cref="Kind.Node"/>.</summary>
        public event EventHandler<Change> StateChanged
        {
            add { AddHandler(value, Kind.Node); }
            remove { RemoveHandler(value, Kind.Node); }
        }

        /// <summary>A log line or a warning. What there is to be told of, the setting <c>log_level</c> decides.</summary>
        public event EventHandler<Change> Logged
        {
            add { AddHandler(value, Kind.Log | Kind.Warning); }
            remove { RemoveHandler(value, Kind.Log | Kind.Warning); }
        }

        /// <summary>
        /// A handler of this node has thrown an exception, which has ended nothing. Without a handler here it goes to
        /// <see cref="Trace.TraceError(string)"/>.
        /// </summary>
        public event EventHandler<HandlerFailedEventArgs> HandlerFailed;

        /// <summary>Has a handler called with each change of an entry, until the subscription ends.</summary>
        /// <param name="handler">As for the other form.</param>
        /// <returns>The subscription.</returns>
        public Subscription Subscribe(Action<Change> handler)
        {
            return Subscribe(new ChangeFilter(), handler);
        }

        /// <summary>Has a handler called with each change that the filter lets through, until the subscription or the node ends.</summary>
        /// <remarks>
        /// Handlers of all nodes of the process run one at a time, on one background thread of the binding. They may call
        /// anything, also end their subscription and dispose of the node; but a task that they wait for must not itself depend on
        /// another handler. An exception in one is told by <see cref="HandlerFailed"/> and ends nothing. One that takes long delays the
        /// others, but loses nothing: changes of one key are drawn together and counted meanwhile.
        /// </remarks>
        /// <param name="filter">Which changes. It is read once, here.</param>
        /// <param name="handler">What is called.</param>
        /// <returns>The subscription.</returns>
        /// <exception cref="GossipException">The filter is not valid.</exception>
        public Subscription Subscribe(ChangeFilter filter, Action<Change> handler)
        {
            if (filter == null)
            {
                throw new ArgumentNullException("filter");
            }
            if (handler == null)
            {
                throw new ArgumentNullException("handler");
            }
            return Dispatcher.Instance.Subscribe(this, handle.Id, filter, handler);
        }

        /// <summary>Changes to be enumerated, taken or awaited, from this call on.</summary>
        /// <param name="filter">Which changes; null for every change of an entry. It is read once, here.</param>
        /// <param name="cancellationToken">Ends every wait for them with <see cref="OperationCanceledException"/>.</param>
        /// <returns>The changes: to be disposed of.</returns>
        /// <exception cref="GossipException">The filter is not valid.</exception>
        public Changes Changes(ChangeFilter filter = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            return new Changes(this, handle.Id, filter ?? new ChangeFilter(), cancellationToken);
        }

        /// <summary>Hands the library's log lines and warnings of this node to a trace source.</summary>
        /// <remarks>What there is to hand over the setting <c>log_level</c> decides, what is shown the source's switch.</remarks>
        /// <param name="source">Where they go. The id of each event is the level's number.</param>
        /// <returns>The subscription, which ends it.</returns>
        public Subscription LogTo(TraceSource source)
        {
            if (source == null)
            {
                throw new ArgumentNullException("source");
            }
            return Subscribe(new ChangeFilter { Kinds = Kind.Log | Kind.Warning }, change =>
            {
                if (change.Kind == Kind.Warning)
                {
                    source.TraceEvent(TraceEventType.Warning, (int)LogLevel.Warn, "{0}", change.Text);
                }
                else
                {
                    source.TraceEvent(EventType(change.Level), (int)change.Level, "{0}: {1}", change.Target, change.Text);
                }
            });
        }

        internal void ReportHandlerFailure(Exception error, Change change)
        {
            EventHandler<HandlerFailedEventArgs> report = HandlerFailed;
            if (report != null)
            {
                try
                {
                    report(this, new HandlerFailedEventArgs(error, change));
                    return;
                }
                catch (Exception worse)
                {
                    Dispatcher.Report("a handler of HandlerFailed has failed itself", worse);
                }
            }
            Dispatcher.Report("a handler has failed at the change '" + change + "'", error);
        }

        internal void Remember(Subscription subscription)
        {
            lock (subscriptions)
            {
                subscriptions.Add(subscription);
            }
        }

        internal void Forget(Subscription subscription)
        {
            lock (subscriptions)
            {
                subscriptions.Remove(subscription);
            }
        }

        private static TraceEventType EventType(LogLevel level)
        {
            switch (level)
            {
                case LogLevel.Error:
                    return TraceEventType.Error;
                case LogLevel.Warn:
                    return TraceEventType.Warning;
                case LogLevel.Info:
                    return TraceEventType.Information;
                default:
                    return TraceEventType.Verbose;
            }
        }

        private void AddHandler(EventHandler<Change> handler, Kind kinds)
        {
            if (handler == null)
            {
                return;
            }
            // Known before the first call, in which the handler may already take itself off.
            EventSubscription added = new EventSubscription { Handler = handler, Kinds = kinds };
            lock (subscriptions)
            {
                events.Add(added);
            }
            Subscription subscription;
            try
            {
                subscription = Subscribe(new ChangeFilter { Kinds = kinds }, change => handler(this, change));
            }
            catch
            {
                lock (subscriptions)
                {
                    events.Remove(added);
                }
                throw;
            }
            bool removed;
            lock (subscriptions)
            {
                added.Subscription = subscription;
                removed = !events.Contains(added);
            }
            if (removed)
            {
                subscription.Unsubscribe(false);
            }
        }

        private void RemoveHandler(EventHandler<Change> handler, Kind kinds)
        {
            Subscription removed = null;
            lock (subscriptions)
            {
                int index = events.FindLastIndex(each => each.Kinds == kinds && each.Handler == handler);
                if (index >= 0)
                {
                    removed = events[index].Subscription;
                    events.RemoveAt(index);
                }
            }
            if (removed != null)
            {
                removed.Unsubscribe(false);
            }
        }

        private void EndSubscriptions()
        {
            Subscription[] all;
            lock (subscriptions)
            {
                all = subscriptions.ToArray();
                events.Clear();
            }
            foreach (Subscription subscription in all)
            {
                subscription.End(true);
            }
        }

        /// <summary>What <c>+=</c> has made, to be found again by <c>-=</c>.</summary>
        private sealed class EventSubscription
        {
            internal EventHandler<Change> Handler;
            internal Kind Kinds;
            internal Subscription Subscription;
        }
    }
}
