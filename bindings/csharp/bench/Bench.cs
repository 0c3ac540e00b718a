// What the C# binding costs over the bare native call, and how many changes a second it reads.
//
//     mono build/csharp/bench.exe [--json FILE] [--quick]
//
// On .NET Core the native library must be beside the program: the peer is outside of the binding, which finds it for itself only.
//
// Prints for each mark what this binding does and, as the peer, the bare call through P/Invoke with nothing made of its result. The JSON is a
// list of {mark, ours, peer, ratio}; times are nanoseconds, rates are changes a second, the ratio is ours / peer. Each figure is the best of several
// rounds, since all that disturbs a round makes it slower.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using ClusterGossip;

internal static class Bench
{
    private const int Members = 8;
    private static readonly byte[] Value = Enumerable.Repeat((byte)'x', 64).ToArray();
    private static readonly List<string> Rows = new List<string>();
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static int Main(string[] arguments)
    {
        bool quick = arguments.Contains("--quick");
        int json = Array.IndexOf(arguments, "--json");
        int calls = quick ? 5000 : 200000, keys = quick ? 5000 : 100000;

        Console.WriteLine("{0,-48}{1,12}{2,12}{3,8}", "mark", "ours", "peer", "ratio");
        NodeSettings settings = new NodeSettings { ["cluster"] = "bench", ["bind"] = "127.0.0.1:0" };
        using (Node node = new Node(settings))
        {
            settings["seeds"] = node.Address;
            Node[] others = Enumerable.Range(1, Members - 1).Select(_ => new Node(settings)).ToArray();
            node.WaitForMembers(Members, Patience);
            foreach (Node each in others.Concat(new[] { node }))
            {
                each.Set("bench", Value);
            }
            Stopwatch watch = Stopwatch.StartNew();
            while (node.Get("bench").Count < Members)
            {
                if (watch.Elapsed > Patience)
                {
                    throw new TimeoutException("the members' entries did not come");
                }
                Thread.Sleep(10);
            }
            Calls(node, others[0].Id, calls);
            // Not in the way of the next figures.
            Task.WaitAll(others.Select(each => each.CloseAsync()).ToArray());
        }
        settings["seeds"] = null;
        using (Node node = new Node(settings))
        {
            Events(node, keys);
        }
        if (json >= 0)
        {
            File.WriteAllText(arguments[json + 1], "[\n" + string.Join(",\n", Rows.Select(row => "  {" + row + "}")) + "\n]\n");
        }
        return 0;
    }

    private static void Calls(Node node, string member, int count)
    {
        Bare bare = new Bare(node, member, Value);
        Add("get, one member's, ns", Best(() => node.Get(member, "bench"), count), Best(bare.GetOne, count));
        Add("get, one member's, and its bytes, ns", Best(() => GC.KeepAlive(node.Get(member, "bench").Value), count), Best(bare.GetOne, count));
        Add("get, own, ns", Best(() => node.GetOwn("bench"), count), Best(bare.GetOwn, count));
        Add("get, all of " + Members + " members, ns", Best(() => node.Get("bench"), count / 4), Best(bare.GetAll, count / 4));
        Add("set of 64 bytes, ns", Best(() => node.Set("bench", Value), count), Best(bare.Set, count));
        Add("set of an integer, ns", Best(() => node.Set("bench", 5L), count), Best(bare.Set, count));
    }

    private static void Events(Node node, int keys)
    {
        string[] names = Enumerable.Range(0, keys).Select(number => "event:" + number).ToArray();
        Bare bare = new Bare(node, node.Id, Value);
        Func<double> taken = () =>
        {
            using (Changes changes = node.Changes(new ChangeFilter { Prefix = "event:" }))
            {
                Fill(node, names);
                int seen = 0;
                Stopwatch watch = Stopwatch.StartNew();
                while (seen < keys)
                {
                    seen += changes.Take(Patience).Count;
                }
                return keys / watch.Elapsed.TotalSeconds;
            }
        };
        Func<double> enumerated = () =>
        {
            using (Changes changes = node.Changes(new ChangeFilter { Prefix = "event:" }))
            {
                Fill(node, names);
                Stopwatch watch = Stopwatch.StartNew();
                changes.Take(keys).Count();
                return keys / watch.Elapsed.TotalSeconds;
            }
        };
        Func<double> handled = () =>
        {
            // The entries that exist, as fast as the dispatcher delivers them.
            int seen = 0;
            using (ManualResetEventSlim all = new ManualResetEventSlim())
            {
                Stopwatch watch = Stopwatch.StartNew();
                using (node.Subscribe(new ChangeFilter { Prefix = "event:", Initial = true }, change =>
                {
                    if (++seen == keys)
                    {
                        all.Set();
                    }
                }))
                {
                    all.Wait();
                    return keys / watch.Elapsed.TotalSeconds;
                }
            }
        };
        double peer = BestRate(() => bare.Events(keys, () => Fill(node, names)));
        Add("changes a second, taken, 64 bytes each", BestRate(taken), peer);
        Add("changes a second, enumerated", BestRate(enumerated), peer);
        Add("changes a second, to a handler", BestRate(handled), peer);
    }

    private static void Fill(Node node, string[] names)
    {
        foreach (string name in names)
        {
            node.Set(name, Value);
        }
    }

    /// <summary>Nanoseconds of one call; the loop around it and the delegate are part of both sides.</summary>
    private static double Best(Action work, int calls)
    {
        double best = double.MaxValue;
        for (int round = 0; round < 7; round++)
        {
            Stopwatch watch = Stopwatch.StartNew();
            for (int call = 0; call < calls; call++)
            {
                work();
            }
            best = Math.Min(best, watch.Elapsed.TotalMilliseconds * 1e6 / calls);
        }
        return best;
    }

    private static double BestRate(Func<double> work)
    {
        return Enumerable.Range(0, 5).Max(_ => work());
    }

    private static void Add(string mark, double ours, double peer)
    {
        Console.WriteLine(string.Format(CultureInfo.InvariantCulture, "{0,-48}{1,12:N0}{2,12:N0}{3,8:F2}", mark, ours, peer, ours / peer));
        Rows.Add(string.Format(
            CultureInfo.InvariantCulture, "\"mark\": \"{0}\", \"ours\": {1:F1}, \"peer\": {2:F1}, \"ratio\": {3:F3}", mark, ours, peer, ours / peer));
    }
}
