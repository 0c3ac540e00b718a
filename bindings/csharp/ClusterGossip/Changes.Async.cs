// Not in netstandard2.0, which lacks the types; written out without language support, so that every compiler that has them can read it.
#if NETSTANDARD2_1_OR_GREATER || NET
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    public sealed partial class Changes : IAsyncEnumerable<Change>
    {
        /// <summary>The changes one after the other, for <c>await foreach</c>. No thread waits for them.</summary>
        /// <param name="cancellationToken">Ends the wait with <see cref="OperationCanceledException"/>.</param>
        /// <returns>An enumerator.</returns>
        public IAsyncEnumerator<Change> GetAsyncEnumerator(CancellationToken cancellationToken = default(CancellationToken))
        {
            return new AsyncEnumerator(this, cancellationToken);
        }

        private sealed class AsyncEnumerator : IAsyncEnumerator<Change>
        {
            private readonly Changes changes;
            private readonly CancellationToken cancellationToken;

            internal AsyncEnumerator(Changes changes, CancellationToken cancellationToken)
            {
                this.changes = changes;
                this.cancellationToken = cancellationToken;
            }

            public Change Current { get; private set; }

            public ValueTask<bool> MoveNextAsync()
            {
                changes.Enter();
                if (!changes.IsEmpty)
                {
                    Current = changes.batch[changes.given++];
                    changes.Leave();
                    return new ValueTask<bool>(true);
                }
                return new ValueTask<bool>(MoveNextLaterAsync());
            }

            public ValueTask DisposeAsync()
            {
                // As with the other enumerator, to leave the loop does not end the subscription.
                return default(ValueTask);
            }

            private async Task<bool> MoveNextLaterAsync()
            {
                try
                {
                    await changes.WaitAsync(cancellationToken).ConfigureAwait(false);
                    if (changes.IsEmpty)
                    {
                        return false;
                    }
                    Current = changes.batch[changes.given++];
                    return true;
                }
                finally
                {
                    changes.Leave();
                }
            }
        }
    }

    public sealed partial class Node : IAsyncDisposable
    {
        /// <summary><see cref="CloseAsync"/>, for <c>await using</c>.</summary>
        /// <returns>Ends when the node is closed.</returns>
        public ValueTask DisposeAsync()
        {
            return new ValueTask(CloseAsync());
        }
    }
}
#endif
