using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>Opens nodes of one cluster on the loopback interface, and closes them after the test.</summary>
    public abstract class Fixture : IDisposable
    {
        /// <summary>Only ends what hangs.</summary>
        internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

        private static int clusters;
        private readonly List<Node> nodes = new List<Node>();

        internal readonly string ClusterName =
            "test-" + Process.GetCurrentProcess().Id + "-" + Interlocked.Increment(ref clusters);

        public void Dispose()
        {
            foreach (Node node in nodes)
            {
                node.Dispose();
            }
        }

        internal Node Open(params Node[] seeds)
        {
            return Open(new NodeSettings(), seeds);
        }

        internal Node Open(NodeSettings settings, params Node[] seeds)
        {
            NodeSettings all = new NodeSettings { ["cluster"] = ClusterName, ["bind"] = "127.0.0.1:0" };
            if (seeds.Length != 0)
            {
                all["seeds"] = seeds.Select(seed => seed.Address);
            }
            foreach (KeyValuePair<string, object> setting in settings)
            {
                all[setting.Key] = setting.Value;
            }
            Node node = new Node(all);
            lock (nodes)
            {
                nodes.Add(node);
            }
            return node;
        }

        /// <summary>Two nodes that know each other.</summary>
        internal Node[] Pair()
        {
            Node first = Open();
            Node second = Open(first);
            first.WaitForMembers(2, Patience);
            second.WaitForMembers(2, Patience);
            return new[] { first, second };
        }

        internal static void Until(string what, Func<bool> probe)
        {
            Stopwatch watch = Stopwatch.StartNew();
            while (!probe())
            {
                if (watch.Elapsed > Patience)
                {
                    throw new CheckException("after " + Patience.TotalSeconds + " s still not: " + what);
                }
                Thread.Sleep(10);
            }
        }

        /// <summary>So many changes, however many batches they come in.</summary>
        internal static List<Change> Collect(Changes changes, int count)
        {
            List<Change> found = new List<Change>();
            while (found.Count < count)
            {
                IReadOnlyList<Change> batch = changes.Take(Patience);
                Check.True(batch.Count != 0, "only " + found.Count + " of " + count + " changes came");
                found.AddRange(batch);
            }
            return found;
        }

        internal static void Wait(WaitHandle handle, string what)
        {
            Check.True(handle.WaitOne(Patience), what);
        }

        internal static async Task InTime(Task task)
        {
            if (await Task.WhenAny(task, Task.Delay(Patience)) != task)
            {
                throw new CheckException("the task does not end");
            }
            await task;
        }

        internal static MemberStatus? StatusOf(Node observer, string member)
        {
            Member found = observer.Members(true).FirstOrDefault(each => each.Id == member);
            return found == null ? (MemberStatus?)null : found.Status;
        }

        /// <summary>The root of the repository, from the place of this program in build/csharp.</summary>
        internal static string Root
        {
            get
            {
                DirectoryInfo folder = new DirectoryInfo(AppDomain.CurrentDomain.BaseDirectory);
                while (!File.Exists(Path.Combine(folder.FullName, "include", "cluster_gossip.h")))
                {
                    folder = folder.Parent;
                }
                return folder.FullName;
            }
        }
    }

    /// <summary>A program in a process of its own: this one again, told to run a part of <see cref="Children"/>.</summary>
    internal sealed class Child
    {
        private readonly Process process;
        private readonly StringBuilder errors = new StringBuilder();

        internal Child(string part, IDictionary<string, string> environment, params string[] arguments)
        {
            // The runtime with its options, up to the program itself.
            string[] command = File.ReadAllText("/proc/self/cmdline").Split('\0');
            int program = Array.FindIndex(command, word => word.EndsWith("ClusterGossip.Tests.exe", StringComparison.Ordinal));
            command[program] = Path.GetFullPath(command[program]);
            IEnumerable<string> words = command.Take(program + 1).Skip(1).Concat(new[] { "--child", part }).Concat(arguments);
            ProcessStartInfo start = new ProcessStartInfo(
                Process.GetCurrentProcess().MainModule.FileName, string.Join(" ", words.Select(word => "\"" + word + "\"")))
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            foreach (KeyValuePair<string, string> variable in environment ?? new Dictionary<string, string>())
            {
                start.EnvironmentVariables[variable.Key] = variable.Value;
            }
            process = Process.Start(start);
            process.ErrorDataReceived += (sender, line) =>
            {
                lock (errors)
                {
                    errors.AppendLine(line.Data);
                }
            };
            process.BeginErrorReadLine();
        }

        internal StreamReader Output
        {
            get { return process.StandardOutput; }
        }

        internal int Id
        {
            get { return process.Id; }
        }

        /// <summary>What it printed, after a good end without errors.</summary>
        internal string End()
        {
            string output;
            int status = End(out output);
            Check.True(status == 0 && Errors.Length == 0, "status " + status + " is 0, and no errors: " + output + Errors);
            return output;
        }

        internal int End(out string output)
        {
            Task<string> read = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit((int)Fixture.Patience.TotalMilliseconds))
            {
                process.Kill();
                process.WaitForExit();
                throw new CheckException("the program did not end: " + read.Result + Errors);
            }
            // Once more without a limit: this form waits for the end of the errors too.
            process.WaitForExit();
            output = read.Result;
            return process.ExitCode;
        }

        internal void Kill()
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
            process.WaitForExit();
        }

        private string Errors
        {
            get
            {
                lock (errors)
                {
                    return errors.ToString().Trim();
                }
            }
        }
    }
}
