using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// Changes in the order in which they come, made by <see cref="Node.Changes(ChangeFilter, CancellationToken)"/>: to be enumerated,
    /// taken in batches, or awaited.
    /// </summary>
    /// <remarks>
    /// <para>
    /// Enumerating waits, also for ever. <see cref="Dispose"/> from another thread and the close of the node end it, the latter after
    /// the last change; the token throws <see cref="OperationCanceledException"/>. To leave the loop and enumerate again goes on
    /// where it was left.
    /// </para>
    /// <para>
    /// Nothing is lost while nobody reads: changes of one key are drawn together and counted
    /// (<see cref="Change.Conflated"/>), so that what waits is never larger than the state. One thread at a time may read, any other
    /// gets a <see cref="GossipException"/> with <see cref="GossipStatus.Busy"/>.
    /// </para>
    /// </remarks>
    public sealed partial class Changes : IEnumerable<Change>, IDisposable
    {
        // Held, so that the node is not collected, and with it closed, under an enumeration.
        private readonly Node node;
        private readonly CancellationToken token;
        private readonly QueueHandle queue;

        // The batch taken last, and how much of it was handed out. The next is taken only when nothing of it is left.
        private IReadOnlyList<Change> batch = new Change[0];
        private int given;

        private int reading;
        private volatile bool ended;
        private volatile bool disposed;

        internal Changes(Node node, ulong nodeId, ChangeFilter filter, CancellationToken token)
        {
            this.node = node;
            this.token = token;
            queue = QueueHandle.New();
            try
            {
                filter.Subscribe(nodeId, queue.Id, 0);
            }
            catch
            {
                queue.Dispose();
                throw;
            }
        }

        /// <summary>The node that they are of.</summary>
        public Node Node
        {
            get { return node; }
        }

        /// <summary>Whether nothing more will come, because the node was closed or this was disposed of.</summary>
        public bool Ended
        {
            get { return ended && (disposed || IsEmpty); }
        }

        /// <summary>What has come, after waiting for it, for ever if need be.</summary>
        /// <returns>The changes; none if nothing will come any more.</returns>
        /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
        public IReadOnlyList<Change> Take()
        {
            return Take(Timeout.InfiniteTimeSpan);
        }

        /// <summary>What has come, after waiting for it for a while.</summary>
        /// <param name="timeout">For how long; zero does not wait, <see cref="Timeout.InfiniteTimeSpan"/> waits for ever.</param>
        /// <returns>The changes; none if nothing came in time, or nothing will come any more.</returns>
        /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
        public IReadOnlyList<Change> Take(TimeSpan timeout)
        {
            Enter();
            try
            {
                Deadline deadline = new Deadline(timeout);
                while (IsEmpty && !ended)
                {
                    token.ThrowIfCancellationRequested();
                    int slice = deadline.Slice;
                    if (!Fill(slice) && slice == 0)
                    {
                        break;
                    }
                }
                return Drain();
            }
            finally
            {
                Leave();
            }
        }

        /// <summary>What has come, once something has. No thread waits for it.</summary>
        /// <param name="cancellationToken">Ends the wait, and nothing else.</param>
        /// <returns>The changes; none if nothing will come any more.</returns>
        /// <exception cref="OperationCanceledException">A token was cancelled.</exception>
        public async Task<IReadOnlyList<Change>> TakeAsync(CancellationToken cancellationToken = default(CancellationToken))
        {
            Enter();
            try
            {
                await WaitAsync(cancellationToken).ConfigureAwait(false);
                return Drain();
            }
            finally
            {
                Leave();
            }
        }

        /// <summary>The changes one after the other.</summary>
        /// <returns>An enumerator that waits.</returns>
        public IEnumerator<Change> GetEnumerator()
        {
            while (true)
            {
                Change next;
                Enter();
                try
                {
                    while (IsEmpty)
                    {
                        if (ended)
                        {
                            yield break;
                        }
                        token.ThrowIfCancellationRequested();
                        Fill(Constants.SliceMs);
                    }
                    next = batch[given++];
                }
                finally
                {
                    Leave();
                }
                yield return next;
            }
        }

        IEnumerator IEnumerable.GetEnumerator()
        {
            return GetEnumerator();
        }

        /// <summary>Ends the subscription, and an enumeration in another thread. What was not read yet is dropped.</summary>
        public void Dispose()
        {
            disposed = true;
            ended = true;
            QueueWaiter.Release(queue);
            queue.Dispose();
        }

        private bool IsEmpty
        {
            get { return given == batch.Count; }
        }

        /// <summary>Until there is something to be had without waiting, or the end is reached.</summary>
        internal async Task WaitAsync(CancellationToken cancellationToken)
        {
            if (token.CanBeCanceled && cancellationToken.CanBeCanceled)
            {
                using (CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(token, cancellationToken))
                {
                    try
                    {
                        await WaitForAsync(both.Token).ConfigureAwait(false);
                    }
                    catch (OperationCanceledException)
                    {
                        // With the token that the caller knows.
                        cancellationToken.ThrowIfCancellationRequested();
                        token.ThrowIfCancellationRequested();
                        throw;
                    }
                }
                return;
            }
            await WaitForAsync(token.CanBeCanceled ? token : cancellationToken).ConfigureAwait(false);
        }

        /// <summary>Forgets what was not read, for who only wants to know that something has happened.</summary>
        internal void Drop()
        {
            given = batch.Count;
        }

        private async Task WaitForAsync(CancellationToken cancellationToken)
        {
            while (IsEmpty && !ended)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (!Fill(0))
                {
                    try
                    {
                        await QueueWaiter.WaitAsync(queue, cancellationToken).ConfigureAwait(false);
                    }
                    catch (ObjectDisposedException)
                    {
                        // Disposed of by another thread.
                        ended = true;
                    }
                }
            }
        }

        /// <summary>Takes a batch; false if there was none.</summary>
        private bool Fill(int timeoutMs)
        {
            List<Change> changes;
            try
            {
                changes = Batches.Take(queue, timeoutMs);
            }
            catch (ObjectDisposedException)
            {
                ended = true;
                return true;
            }
            if (changes == null)
            {
                return false;
            }
            int last = changes.Count - 1;
            if (last >= 0 && changes[last].Kind == Kind.Closed)
            {
                // The only subscription has ended with it, so it is the last that there will be.
                changes.RemoveAt(last);
                ended = true;
            }
            batch = changes;
            given = 0;
            return true;
        }

        private IReadOnlyList<Change> Drain()
        {
            IReadOnlyList<Change> all = given == 0 ? batch : batch.Skip(given).ToArray();
            batch = new Change[0];
            given = 0;
            return all;
        }

        private void Enter()
        {
            if (Interlocked.Exchange(ref reading, 1) != 0)
            {
                throw Errors.Make(GossipStatus.Busy, "another thread or task is reading these changes");
            }
            if (disposed)
            {
                Drop();
            }
        }

        private void Leave()
        {
            Interlocked.Exchange(ref reading, 0);
        }
    }
}
