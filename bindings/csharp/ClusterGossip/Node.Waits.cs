using System;
using System.Threading;
using System.Threading.Tasks;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <content>Waiting, with a thread that waits and without.</content>
    public sealed partial class Node
    {
        /// <summary>Waits until the node knows so many living members, itself included.</summary>
        /// <param name="alive">How many.</param>
        /// <param name="timeout">For how long; null for ever, zero looks once.</param>
        /// <param name="cancellationToken">Ends the wait.</param>
        /// <exception cref="GossipTimeoutException">There were not so many in time.</exception>
        /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
        public void WaitForMembers(int alive, TimeSpan? timeout = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            Wait(MembersThere(alive), timeout, cancellationToken);
        }

        /// <summary>Waits until this node's view can be trusted: it was once equal to a peer's, or it has no seeds.</summary>
        /// <param name="timeout">For how long; null for ever, zero looks once.</param>
        /// <param name="cancellationToken">Ends the wait.</param>
        /// <exception cref="GossipTimeoutException">It was not in time.</exception>
        /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
        public void WaitSynced(TimeSpan? timeout = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            Wait(Synced, timeout, cancellationToken);
        }

        /// <summary><see cref="WaitForMembers"/> without a thread that waits.</summary>
        /// <param name="alive">How many.</param>
        /// <param name="timeout">For how long; null for ever, zero looks once.</param>
        /// <param name="cancellationToken">Ends the wait.</param>
        /// <returns>Ends when there are so many; fails as the other form does.</returns>
        public Task WaitForMembersAsync(int alive, TimeSpan? timeout = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            return WaitAsync(MembersThere(alive), timeout, cancellationToken);
        }

        /// <summary><see cref="WaitSynced"/> without a thread that waits.</summary>
        /// <param name="timeout">For how long; null for ever, zero looks once.</param>
        /// <param name="cancellationToken">Ends the wait.</param>
        /// <returns>Ends when the view can be trusted; fails as the other form does.</returns>
        public Task WaitSyncedAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            return WaitAsync(Synced, timeout, cancellationToken);
        }

        /// <summary><see cref="Leave"/> without a thread that waits.</summary>
        /// <param name="timeout">For how long to wait; null for the setting <c>leave_timeout</c>, which is never exceeded.</param>
        /// <param name="cancellationToken">Ends the wait, not the leave.</param>
        /// <returns>False if the leave was said, but not acknowledged by enough in time.</returns>
        public async Task<bool> LeaveAsync(TimeSpan? timeout = null, CancellationToken cancellationToken = default(CancellationToken))
        {
            cancellationToken.ThrowIfCancellationRequested();
            Check(Native.gossip_leave_nowait(handle.Id));
            bool acknowledged = false;
            try
            {
                await WaitAsync(
                    _ =>
                    {
                        // Asked for first: once it has left, the answer that follows is the last.
                        bool left = State == NodeState.Left;
                        int status = Native.gossip_leave(handle.Id, 0);
                        acknowledged = status == (int)GossipStatus.Ok;
                        return left && status == (int)GossipStatus.Timeout ? (int)GossipStatus.Ok : status;
                    },
                    timeout,
                    cancellationToken).ConfigureAwait(false);
            }
            catch (GossipTimeoutException)
            {
                return false;
            }
            return acknowledged;
        }

        private Func<int, int> MembersThere(int alive)
        {
            if (alive < 0)
            {
                throw new ArgumentOutOfRangeException("alive", "a number of members is not negative");
            }
            return timeoutMs => Native.gossip_wait_for_members(handle.Id, (UIntPtr)(uint)alive, timeoutMs);
        }

        private int Synced(int timeoutMs)
        {
            return Native.gossip_wait_synced(handle.Id, timeoutMs);
        }

        private void Wait(Func<int, int> look, TimeSpan? timeout, CancellationToken cancellationToken)
        {
            Deadline deadline = new Deadline(timeout);
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int status = look(deadline.Slice);
                GC.KeepAlive(this);
                if (status == (int)GossipStatus.Ok)
                {
                    return;
                }
                if (status != (int)GossipStatus.Timeout || deadline.HasPassed)
                {
                    throw Errors.Make(status, null);
                }
            }
        }

        /// <summary>Looks now, and again whenever something has happened that could make a difference.</summary>
        private async Task WaitAsync(Func<int, int> look, TimeSpan? timeout, CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using (Changes changes = Changes(new ChangeFilter { Kinds = Kind.Members | Kind.Node }))
            using (CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
            {
                Deadline deadline = new Deadline(timeout);
                if (!deadline.IsNever)
                {
                    both.CancelAfter(deadline.Left);
                }
                while (true)
                {
                    int status = look(0);
                    if (status == (int)GossipStatus.Ok)
                    {
                        return;
                    }
                    if (status != (int)GossipStatus.Timeout || deadline.HasPassed)
                    {
                        throw Errors.Make(status, null);
                    }
                    try
                    {
                        await changes.WaitAsync(both.Token).ConfigureAwait(false);
                    }
                    catch (OperationCanceledException)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        throw Errors.Make(GossipStatus.Timeout, null);
                    }
                    changes.Drop();
                }
            }
        }
    }
}
