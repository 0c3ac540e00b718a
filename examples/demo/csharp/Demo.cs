// The C# program of the mixed-language demo: says hello, counts, follows the others.
//
// It sets two keys: demo:greeting (a text) once, and demo:counter (an integer) four times a second. Its exit status is 0 if it saw the
// greeting and a changing counter of as many members as --expect says, itself included.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using ClusterGossip;

internal static class Demo
{
    private const string Usage =
        "usage: demo [--language NAME] [--seeds ADDRESSES] [--seconds N] [--print-address FILE] [--expect N]";

    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(0.25);

    private static int Main(string[] arguments)
    {
        Options options;
        try
        {
            options = Options.Parse(arguments);
        }
        catch (FormatException error)
        {
            Console.Error.WriteLine("demo: {0}\n{1}", error.Message, Usage);
            return 2;
        }
        CancellationTokenSource stop = new CancellationTokenSource();
        Signals.OnStop(stop.Cancel);
        try
        {
            return Run(options, stop.Token);
        }
        catch (Exception error) when (error is GossipException || error is GossipLibraryException || error is IOException)
        {
            Console.Error.WriteLine("demo: {0}", error.Message);
            return 1;
        }
        finally
        {
            Signals.End();
        }
    }

    /// <summary>The demo until its time is over or a signal comes; the exit status.</summary>
    private static int Run(Options options, CancellationToken stop)
    {
        NodeSettings settings = new NodeSettings
        {
            ["cluster"] = "demo",
            ["bind"] = "127.0.0.1:0",
            ["tags"] = new Dictionary<string, string> { { "language", options.Language } },
            ["seeds"] = options.Seeds.Length == 0 ? null : options.Seeds,
        };
        Dictionary<string, Seen> seen = new Dictionary<string, Seen>();

        using (Node node = new Node(settings))
        using (Changes changes = node.Changes(new ChangeFilter { Prefix = "demo:", Initial = true }))
        {
            if (options.AddressFile != null)
            {
                WriteAtomically(options.AddressFile, node.Address);
            }
            node.Set("demo:greeting", "Hello from " + options.Language);
            long counter = 0;
            Stopwatch clock = Stopwatch.StartNew();
            TimeSpan tick = TimeSpan.Zero;
            while (!stop.IsCancellationRequested && clock.Elapsed < options.Time)
            {
                if (clock.Elapsed >= tick)
                {
                    counter++;
                    node.Set("demo:counter", counter);
                    tick += Tick;
                }
                TimeSpan left = tick - clock.Elapsed;
                foreach (Change change in changes.Take(left > TimeSpan.Zero ? left : TimeSpan.Zero))
                {
                    Note(seen, change);
                }
            }
        }

        int whole = seen.Values.Count(member => member.Greeting.Length != 0 && member.CounterChanged);
        Console.WriteLine("saw the greeting and the counter of {0} of {1} members", whole, options.Expect);
        return whole >= options.Expect ? 0 : 1;
    }

    /// <summary>Takes a change into account.</summary>
    private static void Note(Dictionary<string, Seen> seen, Change change)
    {
        if (change.Kind != Kind.EntryChanged)
        {
            return;
        }
        Seen member;
        if (!seen.TryGetValue(change.Member, out member))
        {
            seen[change.Member] = member = new Seen();
        }
        string text;
        long number;
        if (change.Key == "demo:greeting" && change.TryAs(out text))
        {
            member.Greeting = text;
        }
        else if (change.Key == "demo:counter" && change.TryAs(out number))
        {
            member.CounterChanged |= member.Counter != null && member.Counter != number;
            member.Counter = number;
        }
    }

    /// <summary>Whoever reads the file finds all of the text or no file.</summary>
    private static void WriteAtomically(string path, string text)
    {
        string temporary = path + "." + Process.GetCurrentProcess().Id + ".tmp";
        File.WriteAllText(temporary, text + "\n");
        File.Delete(path);
        File.Move(temporary, path);
    }

    /// <summary>What was seen of one member.</summary>
    private sealed class Seen
    {
        internal string Greeting = "";
        internal long? Counter;
        internal bool CounterChanged;
    }

    private sealed class Options
    {
        internal string Language = "C#";
        internal string Seeds = "";
        internal TimeSpan Time = TimeSpan.FromSeconds(15);
        internal string AddressFile;
        internal int Expect = 1;

        internal static Options Parse(string[] arguments)
        {
            Options options = new Options();
            for (int index = 0; index < arguments.Length; index += 2)
            {
                if (index + 1 == arguments.Length)
                {
                    throw new FormatException(arguments[index] + " needs a value, or is not known");
                }
                options.Take(arguments[index], arguments[index + 1]);
            }
            return options;
        }

        private void Take(string name, string value)
        {
            switch (name)
            {
                case "--language":
                    Language = value;
                    break;
                case "--seeds":
                    Seeds = value;
                    break;
                case "--seconds":
                    double seconds;
                    if (!double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out seconds) || !(seconds >= 0 && seconds < 1e9))
                    {
                        throw new FormatException("--seconds: '" + value + "' is no number of seconds");
                    }
                    Time = TimeSpan.FromSeconds(seconds);
                    break;
                case "--print-address":
                    AddressFile = value;
                    break;
                case "--expect":
                    if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out Expect))
                    {
                        throw new FormatException("--expect: '" + value + "' is no number");
                    }
                    break;
                default:
                    throw new FormatException(name + " is not known");
            }
        }
    }
}
