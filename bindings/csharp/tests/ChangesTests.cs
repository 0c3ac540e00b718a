using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>Changes that are enumerated, taken and awaited: order, counts, filters, ends, cancellation.</summary>
    public sealed class ChangesTests : Fixture
    {
        public void Enumerate()
        {
            Node[] pair = Pair();
            Node writer = pair[0], reader = pair[1];
            Changes changes = reader.Changes(new ChangeFilter { Key = "colour" });
            writer.Set("colour", "red");
            writer.Set("other", "not asked for");
            Change change = changes.First();
            Check.Equal(Kind.EntryChanged, change.Kind);
            Check.Equal(writer.Id, change.Member);
            Check.Equal("colour", change.Key);
            Check.Equal("red", change.As<string>());
            Check.Equal(reader.Get(writer.Id, "colour").Seq, change.Entry.Seq);
            Check.Contains("red", change.ToString());
            writer.Delete("colour");
            change = changes.First();
            Check.Equal(Kind.EntryDeleted, change.Kind);
            Check.True(change.Value == null && change.ValueKind == ValueKind.None, "a deleted entry has no value");
            changes.Dispose();
            Check.True(!changes.Any() && changes.Ended, "it has ended");
        }

        public void InitialThenDoneThenWhatComes()
        {
            Node node = Open();
            for (int number = 0; number < 1000; number++)
            {
                node.Set("key:" + number, number);
            }
            using (Changes changes = node.Changes(new ChangeFilter { Prefix = "key:", Initial = true }))
            {
                node.Set("key:0", "later");
                List<Change> found = changes.TakeWhile(change => change.Kind != Kind.InitialDone).ToList();
                Check.Equal(1000, found.Count);
                Check.Equal(1000, found.Select(change => change.Key).Distinct().Count());
                // The set that came in between is among what was initial, or comes after it, but is not lost.
                if (!Equals(found.Single(change => change.Key == "key:0").Value, "later"))
                {
                    Check.Equal("later", changes.First().Value);
                }
            }
        }

        public void Filters()
        {
            Node[] pair = Pair();
            Node writer = pair[0], reader = pair[1];
            Changes byMember = reader.Changes(new ChangeFilter { Member = writer.Id });
            Changes notSelf = reader.Changes(new ChangeFilter { Prefix = "k", NoSelf = true });
            Changes deleted = reader.Changes(new ChangeFilter { Kinds = Kind.EntryDeleted, Prefix = "k" });
            Changes all = reader.Changes(new ChangeFilter { Prefix = "" });
            reader.Set("k1", "own");
            writer.Set("k2", "other's");
            Until("it is there", () => reader.Get(writer.Id, "k2") != null);
            writer.Delete("k2");
            Check.Equal(writer.Id, Collect(byMember, 1)[0].Member);
            Check.Equal(writer.Id, Collect(notSelf, 1)[0].Member);
            Check.Equal("k2", Collect(deleted, 1)[0].Key);
            Check.True(all.Any(), "the empty prefix is for all");
            Check.Throws<ArgumentException>(() => reader.Changes(new ChangeFilter { Key = "a", Prefix = "b" }));
            Check.Throws<GossipException>(() => reader.Changes(new ChangeFilter { Kinds = (Kind)0x40000000 }));
            Check.Throws<GossipKeyException>(() => reader.Changes(new ChangeFilter { Key = new string('k', 256) }));
        }

        public void MembersAndStates()
        {
            Node first = Open();
            Changes changes = first.Changes(new ChangeFilter { Kinds = Kind.Members | Kind.Node, NoSelf = true });
            Node second = Open(new NodeSettings { ["id"] = "second", ["tags"] = "a=b" }, first);
            Change joined = changes.First(change => change.Kind == Kind.MemberJoined);
            Check.Equal("second", joined.Member);
            Check.Equal(second.Address, joined.Info.Address);
            Check.Equal("b", joined.Info.Tags["a"]);
            Check.True(joined.Entry == null && joined.Value == null && joined.Text == "", "it is about no entry");
            second.Reconfigure("tags", new Dictionary<string, string> { { "a", "c" } });
            Check.Equal("c", changes.First(change => change.Kind == Kind.MemberUpdated).Info.Tags["a"]);
            second.Dispose();
            Check.Equal("second", changes.First(change => change.Kind == Kind.MemberLeft).Member);
            Changes states = first.Changes(new ChangeFilter { Kinds = Kind.NodeState });
            first.Leave();
            Change left = states.First(change => change.State == NodeState.Left);
            Check.True(left.Level == LogLevel.None && left.Target == "", "it is no log line");
        }

        public void TakeWithoutWaitingAndInTime()
        {
            Node node = Open();
            Changes changes = node.Changes();
            Check.Equal(0, changes.Take(TimeSpan.Zero).Count);
            Check.Equal(0, changes.Take(TimeSpan.FromMilliseconds(50)).Count);
            Check.True(!changes.Ended, "it goes on");
            node.Set("key", 1);
            Check.Equal(1L, changes.Take().Single().Value);
        }

        public void AMillionConflatedChangesSumUp()
        {
            const int Sets = 1000000;
            Node node = Open();
            using (Changes changes = node.Changes(new ChangeFilter { Prefix = "key:" }))
            {
                string[] keys = Enumerable.Range(0, 100).Select(number => "key:" + number).ToArray();
                for (int number = 0; number < Sets; number++)
                {
                    node.Set(keys[number % 100], number);
                }
                List<Change> found = Collect(changes, 100);
                // Nobody read meanwhile: one mark for each key, with the last value.
                Check.Equal(0, changes.Take(TimeSpan.Zero).Count);
                Check.Equal(100, found.Count);
                Check.Equal((ulong)Sets, (ulong)found.Sum(change => (long)change.Conflated));
                foreach (Change change in found)
                {
                    Check.Equal((long)(Sets - 100 + int.Parse(change.Key.Substring(4))), change.Value, change.Key);
                }
            }
        }

        public void AMillionChangesAreReadWhileTheyAreWritten()
        {
            const long Sets = 1000000;
            Node node = Open();
            using (Changes changes = node.Changes(new ChangeFilter { Prefix = "key:" }))
            {
                Task writer = Task.Run(() =>
                {
                    string[] keys = Enumerable.Range(0, 1000).Select(number => "key:" + number).ToArray();
                    for (int number = 0; number < Sets; number++)
                    {
                        node.Set(keys[number % 1000], number);
                    }
                });
                Dictionary<string, ulong> last = new Dictionary<string, ulong>();
                long seen = 0;
                foreach (Change change in changes)
                {
                    ulong before;
                    Check.True(!last.TryGetValue(change.Key, out before) || change.Seq > before, "the order of each key holds");
                    last[change.Key] = change.Seq;
                    seen += (long)change.Conflated;
                    if (seen >= Sets)
                    {
                        break;
                    }
                }
                writer.Wait();
                Check.Equal(Sets, seen);
                Check.Equal(0, changes.Take(TimeSpan.Zero).Count);
            }
        }

        public void CloseOfTheNodeEndsTheEnumerationAfterTheLastChange()
        {
            Node node = Open();
            Changes changes = node.Changes();
            node.Set("last", 1);
            node.Dispose();
            Check.Equal(1, changes.Count(change => change.Key == "last"));
            Check.True(changes.Ended && !changes.Any(), "it has ended");
        }

        public void DisposeInAnotherThreadEndsTheEnumeration()
        {
            Node node = Open();
            Changes ofFeed = node.Changes(), ofNode = node.Changes();
            Task<int> first = Task.Run(() => ofFeed.Count());
            Task<int> second = Task.Run(() => ofNode.Count());
            ofFeed.Dispose();
            Check.True(first.Wait(Patience) && first.Result == 0, "the first ends");
            Check.True(!second.IsCompleted, "the second goes on");
            node.Dispose();
            Check.True(second.Wait(Patience) && second.Result == 0, "the second ends");
            Check.True(ofNode.Ended, "it knows");
        }

        public void WhatWasNotReadIsDroppedByDispose()
        {
            Node node = Open();
            Changes changes = node.Changes();
            node.Set("a", 1);
            node.Set("b", 2);
            Check.Equal(1L, changes.First().Value);
            changes.Dispose();
            Check.True(!changes.Any() && changes.Ended, "nothing more comes");
        }

        public void CancellationEndsAnEnumerationAndATake()
        {
            Node node = Open();
            foreach (bool take in new[] { false, true })
            {
                using (CancellationTokenSource source = new CancellationTokenSource())
                using (Changes changes = node.Changes(null, source.Token))
                {
                    Task reading = Task.Run(() =>
                    {
                        if (take)
                        {
                            changes.Take();
                        }
                        else
                        {
                            changes.Count();
                        }
                    });
                    source.Cancel();
                    AggregateException error = Check.Throws<AggregateException>(() => reading.Wait(Patience));
                    Check.True(error.InnerException is OperationCanceledException, "it was cancelled: " + error);
                    Check.Throws<OperationCanceledException>(() => changes.Take());
                }
            }
        }

        public void TwoReadersAtOnceAreRefused()
        {
            Node node = Open();
            using (Changes changes = node.Changes())
            {
                Task<IReadOnlyList<Change>> first = changes.TakeAsync();
                GossipException error = Check.Throws<GossipException>(() => changes.Take());
                Check.Equal(GossipStatus.Busy, error.Status);
                node.Set("key", 1);
                Check.True(first.Wait(Patience) && first.Result.Single().Key == "key", "the first one goes on");
            }
        }

        // ---- awaiting

        public async Task AwaitChanges()
        {
            Node[] pair = Pair();
            using (Changes changes = pair[1].Changes(new ChangeFilter { Prefix = "k" }))
            {
                for (int number = 0; number < 20; number++)
                {
                    Task<IReadOnlyList<Change>> taking = changes.TakeAsync();
                    Check.True(!taking.IsCompleted, "nothing is there yet");
                    pair[0].Set("k", number);
                    await InTime(taking);
                    Check.Equal((long)number, taking.Result.Single().Value);
                }
            }
        }

        public async Task ManyTasksAwaitWithoutAThreadEach()
        {
            Node node = Open();
            Changes[] feeds = Enumerable.Range(0, 200).Select(number => node.Changes(new ChangeFilter { Key = "key:" + number })).ToArray();
            Task<IReadOnlyList<Change>>[] tasks = feeds.Select(feed => feed.TakeAsync()).ToArray();
            Check.True(tasks.All(task => !task.IsCompleted), "all wait");
            for (int number = 0; number < feeds.Length; number++)
            {
                node.Set("key:" + number, number);
            }
            await InTime(Task.WhenAll(tasks));
            for (int number = 0; number < feeds.Length; number++)
            {
                Check.Equal((long)number, tasks[number].Result.Single().Value);
                feeds[number].Dispose();
            }
        }

        public async Task CancelAnAwaitAndGoOn()
        {
            Node node = Open();
            using (Changes changes = node.Changes())
            {
                for (int attempt = 0; attempt < 3; attempt++)
                {
                    using (CancellationTokenSource source = new CancellationTokenSource())
                    {
                        Task<IReadOnlyList<Change>> waiting = changes.TakeAsync(source.Token);
                        source.Cancel();
                        OperationCanceledException error = await Cancelled(waiting);
                        Check.True(error.CancellationToken == source.Token, "it names the token");
                    }
                }
                node.Set("key", "after the cancel");
                Check.Equal("after the cancel", (await changes.TakeAsync()).Single().Value);
            }
            using (CancellationTokenSource outer = new CancellationTokenSource())
            using (CancellationTokenSource inner = new CancellationTokenSource())
            using (Changes changes = node.Changes(null, outer.Token))
            {
                Task<IReadOnlyList<Change>> waiting = changes.TakeAsync(inner.Token);
                outer.Cancel();
                Check.True((await Cancelled(waiting)).CancellationToken == outer.Token, "it names the token");
            }
        }

        public async Task DisposeAndCloseEndAnAwait()
        {
            Node node = Open();
            Changes ofFeed = node.Changes(), ofNode = node.Changes();
            Task<IReadOnlyList<Change>> first = ofFeed.TakeAsync(), second = ofNode.TakeAsync();
            ofFeed.Dispose();
            await InTime(first);
            Check.Equal(0, first.Result.Count);
            await InTime(node.CloseAsync());
            await InTime(second);
            Check.True(second.Result.Count == 0 && ofNode.Ended, "the close ends it");
        }

        public async Task AwaitsThatRaceWithDisposeEnd()
        {
            Node node = Open();
            for (int attempt = 0; attempt < 500; attempt++)
            {
                Changes changes = node.Changes();
                using (Barrier both = new Barrier(2))
                {
                    Task<IReadOnlyList<Change>> taking = Task.Run(() =>
                    {
                        both.SignalAndWait(Patience);
                        return changes.TakeAsync();
                    });
                    both.SignalAndWait(Patience);
                    changes.Dispose();
                    // Whose descriptor may get the number of the one that was closed.
                    using (node.Changes())
                    {
                        await InTime(taking);
                    }
                    Check.Equal(0, taking.Result.Count);
                }
            }
        }

        public async Task AwaitNodes()
        {
            Node first = Open();
            Node second = Open(first);
            await InTime(second.WaitSyncedAsync());
            await InTime(Task.WhenAll(first.WaitForMembersAsync(2), second.WaitForMembersAsync(2)));
            await Check.ThrowsAsync<GossipTimeoutException>(first.WaitForMembersAsync(3, TimeSpan.FromMilliseconds(50)));
            await Check.ThrowsAsync<GossipTimeoutException>(first.WaitForMembersAsync(3, TimeSpan.Zero));
            using (CancellationTokenSource source = new CancellationTokenSource())
            {
                Task waiting = first.WaitForMembersAsync(3, null, source.Token);
                source.Cancel();
                await Cancelled(waiting);
                await Cancelled(first.WaitForMembersAsync(2, null, source.Token));
                Check.Throws<OperationCanceledException>(() => first.WaitForMembers(3, null, source.Token));
            }
            Task three = first.WaitForMembersAsync(3);
            Node third = Open(first);
            await InTime(three);
            // Who does not know it yet cannot acknowledge that it leaves.
            await InTime(Task.WhenAll(second.WaitForMembersAsync(3), third.WaitForMembersAsync(3)));
            Check.True(await third.LeaveAsync(), "the leave is acknowledged");
            Check.Equal(NodeState.Left, third.State);
            Check.True(await third.LeaveAsync(), "to leave again does no harm");
        }

        public async Task CloseEndsAWait()
        {
            Node node = Open();
            Task waiting = node.WaitForMembersAsync(5);
            Task<ObjectDisposedException> blocking = Task.Run(
                () => Check.Throws<ObjectDisposedException>(() => node.WaitForMembers(5)));
            await InTime(node.CloseAsync());
            await Check.ThrowsAsync<ObjectDisposedException>(waiting);
            await InTime(blocking);
        }

#if NETSTANDARD2_1_OR_GREATER || NET
        public async Task AwaitForEach()
        {
            // As the compiler of a newer C# writes it: this source is for one that does not know the statement.
            Node node = Open();
            Changes changes = node.Changes(new ChangeFilter { Prefix = "key:" });
            Task writer = Task.Run(() =>
            {
                for (int number = 0; number < 5000; number++)
                {
                    node.Set("key:" + number, number);
                }
                node.Dispose();
            });
            ulong seen = 0;
            IAsyncEnumerator<Change> enumerator = changes.GetAsyncEnumerator();
            try
            {
                while (await enumerator.MoveNextAsync().AsTask())
                {
                    seen += enumerator.Current.Conflated;
                }
            }
            finally
            {
                await enumerator.DisposeAsync().AsTask();
            }
            await InTime(writer);
            Check.Equal(5000UL, seen);
            Node other = Open();
            using (CancellationTokenSource source = new CancellationTokenSource())
            {
                Task<bool> next = other.Changes().GetAsyncEnumerator(source.Token).MoveNextAsync().AsTask();
                source.Cancel();
                await Cancelled(next);
            }
            await other.DisposeAsync().AsTask();
            Check.True(other.IsDisposed, "it is closed");
        }
#endif

        private static async Task<OperationCanceledException> Cancelled(Task task)
        {
            try
            {
                await InTime(task);
            }
            catch (OperationCanceledException error)
            {
                return error;
            }
            throw new CheckException("it was not cancelled");
        }
    }
}
