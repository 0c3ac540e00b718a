using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>Handlers: what they may do, what happens when they fail, when they end.</summary>
    public sealed class HandlerTests : Fixture
    {
        public void HandlerIsCalled()
        {
            Node[] pair = Pair();
            Node writer = pair[0], reader = pair[1];
            ConcurrentQueue<Change> found = new ConcurrentQueue<Change>();
            ConcurrentDictionary<Thread, bool> threads = new ConcurrentDictionary<Thread, bool>();
            Subscription subscription = reader.Subscribe(new ChangeFilter { Prefix = "k", Initial = true, NoSelf = true }, change =>
            {
                found.Enqueue(change);
                threads[Thread.CurrentThread] = true;
            });
            Until("done", () => found.Any(change => change.Kind == Kind.InitialDone));
            writer.Set("k", "red");
            Until("it came", () => found.Any(change => Equals(change.Value, "red")));
            Check.True(found.All(change => change.Tag == subscription.Tag), "the changes carry the tag");
            Check.True(threads.Count == 1 && threads.Keys.Single().IsBackground, "one background thread");
            subscription.Dispose();
            Check.True(!subscription.IsActive, "it has ended");
            subscription.Dispose();
            int count = found.Count;
            using (Changes marker = reader.Changes(new ChangeFilter { Key = "k", NoSelf = true }))
            {
                writer.Set("k", "blue");
                Collect(marker, 1);
            }
            Check.Equal(count, found.Count, "no call after the end");
        }

        public void Events()
        {
            Node first = Open(new NodeSettings { ["log_level"] = "trace" });
            ConcurrentQueue<string> found = new ConcurrentQueue<string>();
            EventHandler<Change> changed = (sender, change) => found.Enqueue("changed " + change.Key + (sender == first));
            first.Changed += changed;
            first.MemberChanged += (sender, change) => found.Enqueue("member " + change.Kind);
            first.StateChanged += (sender, change) => found.Enqueue("state " + change.State);
            first.Logged += (sender, change) => found.Enqueue("log " + (change.Level != LogLevel.None || change.Kind == Kind.Warning));
            first.Set("a", 1);
            Open(first);
            foreach (string wanted in new[] { "changed aTrue", "member MemberJoined", "state Joined", "log True" })
            {
                Until(wanted, () => found.Contains(wanted));
            }
            first.Changed -= changed;
            first.Changed -= changed;
            first.Changed += null;
            // The handlers that stay come after whatever the one that was taken off could still have been told.
            ManualResetEvent passed = new ManualResetEvent(false);
            first.Changed += (sender, change) => passed.Set();
            first.Set("b", 1);
            Wait(passed, "the other handler is called");
            Check.True(!found.Contains("changed bTrue"), "a handler that was taken off is not called");
        }

        public void HandlerMayCallEverything()
        {
            Node[] pair = Pair();
            Node writer = pair[0], reader = pair[1];
            List<object> notes = new List<object>();
            ManualResetEvent done = new ManualResetEvent(false);
            Subscription subscription = null;
            subscription = reader.Subscribe(new ChangeFilter { Key = "question", NoSelf = true }, change =>
            {
                try
                {
                    notes.Add(reader.Set("answer", change.As<long>()));
                    notes.Add(reader.Get("question")[writer.Id].Value);
                    notes.Add(reader.Members().Count);
                    reader.WaitForMembers(2, Patience);
                    reader.WaitForMembersAsync(2).Wait();
                    reader.Subscribe(inner => { }).Dispose();
                    using (Changes changes = reader.Changes(new ChangeFilter { Initial = true }))
                    {
                        notes.Add(changes.First().Kind);
                    }
                    subscription.Dispose();
                    reader.Dispose();
                    notes.Add(reader.IsDisposed);
                }
                catch (Exception error)
                {
                    notes.Add(error);
                }
                finally
                {
                    done.Set();
                }
            });
            writer.Set("question", 42);
            Wait(done, "the handler ends");
            Check.Equal(new object[] { 1UL, 42L, 2, Kind.EntryChanged, true }, notes);
            reader.Dispose();
            Until("it has left", () => StatusOf(writer, reader.Id) == MemberStatus.Left);
        }

        public void ExceptionInAHandlerIsReportedAndEndsNothing()
        {
            Node node = Open();
            ConcurrentQueue<string> reported = new ConcurrentQueue<string>();
            ConcurrentQueue<object> found = new ConcurrentQueue<object>();
            node.HandlerFailed += (sender, failure) =>
                reported.Enqueue(failure.Exception.Message + " at " + failure.Change.Value + (sender == node));
            node.Changed += (sender, change) =>
            {
                found.Enqueue(change.Value);
                throw new InvalidOperationException("my mistake");
            };
            for (long number = 1; number <= 3; number++)
            {
                node.Set("key", number);
                Until("it came", () => found.LastOrDefault() is long && (long)found.LastOrDefault() == number);
            }
            Until("all are reported", () => reported.Count == 3);
            Check.Equal(new[] { "my mistake at 1True", "my mistake at 2True", "my mistake at 3True" }, reported);
            node.Set("still", "works");
        }

        public void ExceptionThatNobodyListensForIsTraced()
        {
            Node node = Open();
            Listener listener = new Listener();
            Trace.Listeners.Add(listener);
            try
            {
                node.Changed += (sender, change) => { throw new InvalidOperationException("my mistake"); };
                node.Set("key", 1);
                Until("it is traced", () => listener.Has("my mistake"));
                node.HandlerFailed += (sender, failure) => { throw new InvalidOperationException("worse mistake"); };
                node.Set("key", 2);
                Until("it is traced too", () => listener.Has("worse mistake"));
            }
            finally
            {
                Trace.Listeners.Remove(listener);
            }
        }

        public void UnsubscribeWaitsForTheHandlerThatRuns()
        {
            Node node = Open();
            foreach (string how in new[] { "unsubscribe", "dispose of the node" })
            {
                ManualResetEvent entered = new ManualResetEvent(false), goOn = new ManualResetEvent(false);
                bool left = false;
                Subscription subscription = node.Subscribe(new ChangeFilter { Key = how }, change =>
                {
                    entered.Set();
                    Wait(goOn, "it may go on");
                    left = true;
                });
                node.Set(how, 1);
                Wait(entered, "the handler is called");
                // This form does not wait.
                node.Subscribe(change => { }).Unsubscribe(false);
                Task ending = Task.Run(() =>
                {
                    if (how == "unsubscribe")
                    {
                        subscription.Dispose();
                    }
                    else
                    {
                        node.Dispose();
                    }
                    Check.True(left, "the handler has ended");
                });
                goOn.Set();
                Check.True(ending.Wait(Patience), "it ends");
            }
        }

        public void UnsubscribeWithoutWaitingReturnsWhileTheHandlerRuns()
        {
            Node node = Open();
            ManualResetEvent entered = new ManualResetEvent(false), goOn = new ManualResetEvent(false);
            Subscription subscription = node.Subscribe(change =>
            {
                entered.Set();
                Wait(goOn, "it may go on");
            });
            node.Set("key", 1);
            Wait(entered, "the handler is called");
            subscription.Unsubscribe(false);
            Check.True(!subscription.IsActive, "it has ended");
            goOn.Set();
        }

        public void NoCallAfterDispose()
        {
            for (int attempt = 0; attempt < 20; attempt++)
            {
                Node node = Open();
                bool disposed = false;
                int late = 0;
                node.Changed += (sender, change) =>
                {
                    if (Volatile.Read(ref disposed))
                    {
                        Interlocked.Increment(ref late);
                    }
                };
                for (int number = 0; number < 200; number++)
                {
                    node.Set("key:" + number, number);
                }
                node.Dispose();
                Volatile.Write(ref disposed, true);
                // Behind whatever the dispatcher still held.
                using (Node fence = Open())
                using (ManualResetEvent passed = new ManualResetEvent(false))
                {
                    fence.Changed += (sender, change) => passed.Set();
                    fence.Set("key", 1);
                    Wait(passed, "the dispatcher goes on");
                }
                Check.Equal(0, late, "calls after Dispose");
            }
        }

        public void DisposeForgetsTheHandlers()
        {
            Node node = Open();
            Subscription[] subscriptions = Enumerable.Range(0, 5).Select(_ => node.Subscribe(change => { })).ToArray();
            node.Dispose();
            Check.True(subscriptions.All(subscription => !subscription.IsActive), "all have ended");
            subscriptions[0].Dispose();
            Check.Throws<ObjectDisposedException>(() => node.Changed += (sender, change) => { });
            node.Changed -= (sender, change) => { };
        }

        public void AFailedSubscribeLeavesNothing()
        {
            Node node = Open();
            WeakReference handler = null;
            // On a thread of its own, so that no stack keeps it.
            Thread thread = new Thread(() => handler = SubscribeInVain(node));
            thread.Start();
            thread.Join();
            Until("the handler is collected", () => Collected(handler));
        }

        public void ListenerThatFailsEndsNothing()
        {
            Node node = Open();
            Failing listener = new Failing();
            Trace.Listeners.Add(listener);
            try
            {
                long called = 0;
                node.Changed += (sender, change) =>
                {
                    Interlocked.Increment(ref called);
                    throw new UnspeakableException();
                };
                node.Set("key", 1);
                Until("it is called", () => Interlocked.Read(ref called) == 1);
                node.HandlerFailed += (sender, failure) => { throw new InvalidOperationException("worse mistake"); };
                node.Set("key", 2);
                Until("the listener is called", () => listener.Called != 0);
                node.Set("key", 3);
                Until("handlers go on", () => Interlocked.Read(ref called) == 3);
            }
            finally
            {
                Trace.Listeners.Remove(listener);
            }
        }

        public void HandlerThatTakesItselfOffInItsFirstCall()
        {
            Node node = Open();
            for (int attempt = 0; attempt < 200; attempt++)
            {
                int called = 0;
                ManualResetEventSlim first = new ManualResetEventSlim();
                EventHandler<Change> handler = null;
                handler = (sender, change) =>
                {
                    called++;
                    node.Changed -= handler;
                    first.Set();
                };
                // Changes come already while it is being put on.
                Task writer = Task.Run(() =>
                {
                    for (int number = 0; number < 20; number++)
                    {
                        node.Set("key:" + number, attempt);
                    }
                });
                node.Changed += handler;
                writer.Wait();
                node.Set("last", attempt);
                Wait(first.WaitHandle, "it is called");
                ManualResetEventSlim passed = new ManualResetEventSlim();
                using (node.Subscribe(change => passed.Set()))
                {
                    int before = called;
                    node.Set("after", attempt);
                    Wait(passed.WaitHandle, "the other handler is called");
                    Check.Equal(before, called, "calls after it was taken off");
                }
            }
        }

        public void ManyNodesOneThread()
        {
            ConcurrentDictionary<string, ulong> found = new ConcurrentDictionary<string, ulong>();
            ConcurrentDictionary<int, bool> threads = new ConcurrentDictionary<int, bool>();
            for (int number = 0; number < 5; number++)
            {
                Node node = Open(new NodeSettings { ["cluster"] = "apart-" + number });
                node.Changed += (sender, change) =>
                {
                    found.AddOrUpdate(change.Key, change.Conflated, (key, sum) => sum + change.Conflated);
                    threads[Thread.CurrentThread.ManagedThreadId] = true;
                };
                for (int set = 0; set < 100; set++)
                {
                    node.Set("key:" + number, set);
                }
            }
            Until("all came", () => found.Count == 5 && found.Values.All(sum => sum == 100));
            Check.Equal(1, threads.Count);
        }

        public void AMillionChangesAreDelivered()
        {
            const long Sets = 1000000;
            Node node = Open();
            long seen = 0;
            Dictionary<string, ulong> last = new Dictionary<string, ulong>();
            bool order = true;
            node.Changed += (sender, change) =>
            {
                ulong before;
                order &= !last.TryGetValue(change.Key, out before) || change.Seq > before;
                last[change.Key] = change.Seq;
                Interlocked.Add(ref seen, (long)change.Conflated);
            };
            string[] keys = Enumerable.Range(0, 1000).Select(number => "key:" + number).ToArray();
            for (int number = 0; number < Sets; number++)
            {
                node.Set(keys[number % 1000], number);
            }
            Until("all came", () => Interlocked.Read(ref seen) == Sets);
            Check.True(order, "the order of each key holds");
        }

        public void LogLinesGoToATraceSource()
        {
            Node node = Open(new NodeSettings { ["log_level"] = "trace" });
            Listener listener = new Listener();
            TraceSource source = new TraceSource("test", SourceLevels.All);
            source.Listeners.Clear();
            source.Listeners.Add(listener);
            Subscription subscription = node.LogTo(source);
            Open(node);
            node.WaitForMembers(2, Patience);
            Until("a line came", () => listener.Has(": "));
            subscription.Dispose();
        }

        private static WeakReference SubscribeInVain(Node node)
        {
            object captured = new object();
            Action<Change> handler = change => captured.ToString();
            Check.Throws<GossipException>(() => node.Subscribe(new ChangeFilter { Kinds = (Kind)0x40000000 }, handler));
            Check.Throws<GossipKeyException>(() => node.Subscribe(new ChangeFilter { Key = new string('k', 256) }, handler));
            return new WeakReference(captured);
        }

        internal static bool Collected(WeakReference reference)
        {
            // Mono's collector takes what looks like a pointer on a stack for one: a few more frames wash it away.
            Thread thread = new Thread(() => GC.Collect());
            thread.Start();
            thread.Join();
            GC.WaitForPendingFinalizers();
            return !reference.IsAlive;
        }

        /// <summary>An exception that cannot even be shown.</summary>
        private sealed class UnspeakableException : Exception
        {
            public override string ToString()
            {
                throw new InvalidOperationException("no words");
            }
        }

        private sealed class Failing : TraceListener
        {
            private int called;

            internal int Called
            {
                get { return Volatile.Read(ref called); }
            }

            public override void Write(string message)
            {
                Interlocked.Increment(ref called);
                throw new InvalidOperationException("the listener fails");
            }

            public override void WriteLine(string message)
            {
                Write(message);
            }
        }

        private sealed class Listener : TraceListener
        {
            private readonly ConcurrentQueue<string> lines = new ConcurrentQueue<string>();

            public override void Write(string message)
            {
                lines.Enqueue(message ?? "");
            }

            public override void WriteLine(string message)
            {
                lines.Enqueue(message ?? "");
            }

            internal bool Has(string part)
            {
                return lines.Any(line => line.Contains(part));
            }
        }
    }
}
