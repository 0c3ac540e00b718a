using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>Opening and ending: nothing is left over, in the process and in the cluster.</summary>
    public sealed class LifecycleTests : Fixture
    {
        public void DisposeLeaves()
        {
            Node[] pair = Pair();
            string gone = pair[1].Id;
            pair[1].Dispose();
            pair[1].Dispose();
            Until("it is known to have left", () => StatusOf(pair[0], gone) == MemberStatus.Left);
            Check.Contains("disposed", pair[1].ToString());
        }

        public void UsingDisposesAlsoOnAnException()
        {
            Node[] pair = Pair();
            string gone = pair[1].Id;
            Check.Throws<DivideByZeroException>(() =>
            {
                using (pair[1])
                {
                    throw new DivideByZeroException();
                }
            });
            Until("it is known to have left", () => StatusOf(pair[0], gone) == MemberStatus.Left);
        }

        public void KillIsACrashToTheOthers()
        {
            Node[] pair = Pair();
            string gone = pair[1].Id;
            pair[1].Kill();
            Check.True(pair[1].IsDisposed, "it is disposed of");
            pair[0].Set("after", 1);
            Check.True(StatusOf(pair[0], gone) != MemberStatus.Left, "it has not left");
            pair[1].Dispose();
        }

        public void NodeThatIsCollectedLeaves()
        {
            Node stays = Open();
            string gone = OpenAndForget(ClusterName, stays);
            Until("it is known to have left", () =>
            {
                HandlerTests.Collected(new WeakReference(null));
                return StatusOf(stays, gone) == MemberStatus.Left;
            });
        }

        public void NodeWithHandlersOrChangesIsNotCollected()
        {
            Changes changes = null;
            int called = 0;
            WeakReference handled = null, enumerated = null;
            Thread opener = new Thread(() =>
            {
                Node node = new Node(new NodeSettings { ["cluster"] = ClusterName, ["bind"] = "127.0.0.1:0" });
                node.Changed += (sender, change) => Interlocked.Increment(ref called);
                handled = new WeakReference(node);
                node = new Node(new NodeSettings { ["cluster"] = ClusterName, ["bind"] = "127.0.0.1:0" });
                changes = node.Changes();
                enumerated = new WeakReference(node);
            });
            opener.Start();
            opener.Join();
            for (int attempt = 0; attempt < 5; attempt++)
            {
                Check.True(!HandlerTests.Collected(handled) && !HandlerTests.Collected(enumerated), "they are alive");
            }
            Node first = (Node)handled.Target;
            first.Set("key", 1);
            Until("the handler is called", () => Volatile.Read(ref called) == 1);
            first.Dispose();
            changes.Node.Set("key", 1);
            Check.Equal("key", changes.First().Key);
            changes.Node.Dispose();
            changes.Dispose();
        }

        public void GarbageWhileCallsRun()
        {
            Node[] pair = Pair();
            long called = 0;
            bool stop = false;
            pair[1].Changed += (sender, change) =>
            {
                GC.KeepAlive(new byte[change.Raw.Length + 1000]);
                Interlocked.Increment(ref called);
            };
            Task collector = Task.Run(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    GC.Collect();
                }
            });
            Task reader = Task.Run(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    foreach (Entry entry in pair[1].Entries("key:"))
                    {
                        byte[] value = (byte[])entry.Value;
                        Check.True(value.All(each => each == value[0]), "the value is whole");
                    }
                    pair[1].Members();
                    pair[1].Changes().Dispose();
                }
            });
            try
            {
                for (int number = 1; number <= 5000; number++)
                {
                    pair[0].Set("key:" + (number % 20), Enumerable.Repeat((byte)number, number % 500 + 1).ToArray());
                }
                Until("all came", () => pair[1].Entries("key:", pair[0].Id).Count(entry => entry.Seq > 4980) == 20);
                Until("handlers were called", () => Interlocked.Read(ref called) > 0);
            }
            finally
            {
                Volatile.Write(ref stop, true);
            }
            Check.True(Task.WaitAll(new[] { collector, reader }, Patience), "they end");
        }

        public void DisposeByManyThreadsAtOnce()
        {
            Node node = Open();
            node.Changed += (sender, change) => { };
            Task[] tasks = Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(
                () =>
                {
                    node.Dispose();
                    Check.Throws<ObjectDisposedException>(() => node.Get("key"));
                },
                TaskCreationOptions.LongRunning)).ToArray();
            Check.True(Task.WaitAll(tasks, Patience), "all end");
        }

        public void CallsThatRaceWithDisposeGetAnAnswerOrAnError()
        {
            for (int attempt = 0; attempt < 10; attempt++)
            {
                Node node = Open();
                using (Barrier started = new Barrier(5))
                {
                    ConcurrentQueue<object> wrong = new ConcurrentQueue<object>();
                    Task[] tasks = Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(
                        () =>
                        {
                            started.SignalAndWait(Patience);
                            try
                            {
                                for (int number = 0; number < 10000000; number++)
                                {
                                    node.Set("key", number);
                                    node.Get("key");
                                    node.Members();
                                }
                                wrong.Enqueue("was never closed");
                            }
                            catch (ObjectDisposedException)
                            {
                            }
                            catch (GossipException error) when (error.Status == GossipStatus.Left)
                            {
                            }
                            catch (Exception error)
                            {
                                wrong.Enqueue(error);
                            }
                        },
                        TaskCreationOptions.LongRunning)).ToArray();
                    started.SignalAndWait(Patience);
                    node.Dispose();
                    Check.True(Task.WaitAll(tasks, Patience), "all end");
                    Check.Equal(new object[0], wrong);
                }
            }
        }

        public void AThousandOpensAndClosesLeaveNoThreadsAndDescriptors()
        {
            if (!Directory.Exists("/proc/self/task"))
            {
                throw new SkipException("counts threads and descriptors in /proc, which only Linux has");
            }
            // One node stays open, or the library's own threads would come and go between the counts.
            Open();
            for (int number = 0; number < 10; number++)
            {
                OpenUseClose(number);
            }
            int threads = 0, descriptors = 0;
            Settle(() => true);
            threads = Count("task");
            descriptors = Count("fd");
            for (int number = 0; number < 1000; number++)
            {
                OpenUseClose(number);
            }
            // The runtime's pool keeps a thread or two more or less for a while, which is none of this binding's.
            Settle(() => Count("task") <= threads + 4 && Count("fd") <= descriptors + 2);
        }

        private static int Count(string what)
        {
            return Directory.GetFileSystemEntries("/proc/self/" + what).Length;
        }

        private static void Settle(Func<bool> probe)
        {
            Until("threads and descriptors are as before", () =>
            {
                HandlerTests.Collected(new WeakReference(null));
                return probe();
            });
        }

        private void OpenUseClose(int number)
        {
            using (Node node = new Node(new NodeSettings { ["cluster"] = "apart", ["bind"] = "127.0.0.1:0" }))
            {
                node.Changed += (sender, change) => { };
                using (Changes changes = node.Changes(new ChangeFilter { Initial = true }))
                {
                    node.Set("key", number);
                    changes.TakeAsync().Wait();
                }
                // Left for the collector.
                node.Changes();
            }
        }

        private static string OpenAndForget(string cluster, Node seed)
        {
            string id = null;
            // On a thread of its own, so that no stack keeps it.
            Thread thread = new Thread(() =>
            {
                Node node = new Node(new NodeSettings { ["cluster"] = cluster, ["bind"] = "127.0.0.1:0", ["seeds"] = seed.Address });
                node.WaitForMembers(2, Patience);
                seed.WaitForMembers(2, Patience);
                id = node.Id;
            });
            thread.Start();
            thread.Join();
            return id;
        }
    }
}
