using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>What runs in processes of its own: see <see cref="Child"/>.</summary>
    internal static class Children
    {
        private static readonly TimeSpan Patience = Fixture.Patience;

        // Not collected before the end of the process.
        private static readonly List<object> Kept = new List<object>();

        internal static int Run(string part, string[] arguments)
        {
            switch (part)
            {
                case "exit":
                    return Exit(arguments[0], arguments[1], arguments[2], arguments[3]);
                case "victim":
                    Busy(arguments[0], arguments[1], arguments[2]);
                    Console.WriteLine("up");
                    Thread.Sleep(Timeout.Infinite);
                    return 0;
                case "open":
                    Report(() => new Node().Dispose());
                    return 0;
                case "load":
                    Report(() => GossipLibrary.Load(arguments[0]));
                    Report(() => GossipLibrary.Load(arguments.Last()));
                    return 0;
                default:
                    Console.Error.WriteLine("no such part: " + part);
                    return 2;
            }
        }

        private static void Report(Action action)
        {
            try
            {
                action();
                Console.WriteLine("loaded " + GossipLibrary.Version);
            }
            catch (Exception error)
            {
                Console.WriteLine(error.GetType().Name + ": " + error.Message);
            }
        }

        /// <summary>A node of a cluster whose handlers are called without pause, since the other node writes without pause.</summary>
        /// <remarks>
        /// It is the other one that writes: a thread of this process that is in native calls without pause makes Mono itself abort at one exit
        /// in fifty, with whatever library.
        /// </remarks>
        private static Node Busy(string cluster, string id, string seed)
        {
            Node node = new Node(new NodeSettings { ["cluster"] = cluster, ["id"] = id, ["bind"] = "127.0.0.1:0", ["seeds"] = seed });
            node.WaitForMembers(2, Patience);
            node.Set("key:own", 1);
            int calls = 0;
            ManualResetEventSlim called = new ManualResetEventSlim();
            node.Subscribe(new ChangeFilter { Kinds = Kind.All, NoSelf = true }, change =>
            {
                if (++calls == 10)
                {
                    called.Set();
                }
            });
            if (!called.Wait(Patience))
            {
                throw new CheckException("no handler is called");
            }
            return node;
        }

        private static int Exit(string how, string cluster, string id, string seed)
        {
            Node node = Busy(cluster, id, seed);
            switch (how)
            {
                case "return":
                    return 0;
                case "exit":
                    Environment.Exit(0);
                    return 1;
                case "in-handler":
                    ManualResetEventSlim never = new ManualResetEventSlim();
                    node.Changed += (sender, change) => Environment.Exit(0);
                    never.Wait();
                    return 1;
                case "enumerating":
                    Thread reader = new Thread(() => node.Changes(new ChangeFilter { Key = "never" }).ToList()) { IsBackground = true };
                    reader.Start();
                    return 0;
                case "awaiting":
                    Kept.Add(node.WaitForMembersAsync(99));
                    Kept.Add(node.Changes(new ChangeFilter { Key = "never" }).TakeAsync());
                    return 0;
                case "collected":
                    Kept.Add(node.Changes());
                    node = null;
                    GC.Collect();
                    return 0;
                default:
                    return 3;
            }
        }
    }
}
