using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

namespace ClusterGossip.Tests
{
    /// <summary>Runs tests/scenario.txt, which the tests of every binding run; its header explains the steps.</summary>
    public sealed class ScenarioTests : IDisposable
    {
        private readonly Dictionary<string, Node> nodes = new Dictionary<string, Node>();
        private readonly Dictionary<string, string> addresses = new Dictionary<string, string>();
        private readonly Dictionary<string, Changes> feeds = new Dictionary<string, Changes>();
        private readonly Dictionary<string, List<Change>> waiting = new Dictionary<string, List<Change>>();

        public void Dispose()
        {
            foreach (Node node in nodes.Values)
            {
                node.Dispose();
            }
        }

        public void Scenario()
        {
            int steps = 0;
            int number = 0;
            foreach (string line in File.ReadLines(Path.Combine(Fixture.Root, "tests", "scenario.txt")))
            {
                number++;
                if (line.Length == 0 || line[0] == '#')
                {
                    continue;
                }
                try
                {
                    Run(line.Split(' '));
                }
                catch (Exception error)
                {
                    throw new CheckException("scenario.txt, line " + number + ": " + line + ": " + error);
                }
                steps++;
            }
            Check.True(steps > 50, "the scenario was read");
        }

        private void Run(string[] words)
        {
            string[] rest = words.Skip(2).ToArray();
            Node node;
            nodes.TryGetValue(words[1], out node);
            switch (words[0])
            {
                case "open":
                    OpenNode(words[1], rest);
                    break;
                case "wait_members":
                    node.WaitForMembers(int.Parse(rest[0], CultureInfo.InvariantCulture), Fixture.Patience);
                    break;
                case "synced":
                    node.WaitSynced(Fixture.Patience);
                    break;
                case "state":
                    Fixture.Until(rest[0], () => node.State.ToString().ToLowerInvariant() == rest[0]);
                    break;
                case "member":
                    Fixture.Until(rest[1], () => Fixture.StatusOf(node, Decode(rest[0])).ToString().ToLowerInvariant() == rest[1]);
                    break;
                case "subscribe":
                    Subscribe(node, rest);
                    break;
                case "set":
                    StateTests.Set(node, rest[0] == "-" ? "" : Decode(rest[0]), ValueOf(rest[1], rest[2]));
                    break;
                case "set_same":
                    ulong before = node.GetOwn(Decode(rest[0])).Seq;
                    Check.Equal(before, StateTests.Set(node, Decode(rest[0]), ValueOf(rest[1], rest[2]), ifChanged: true));
                    Check.Equal(before, node.GetOwn(Decode(rest[0])).Seq);
                    break;
                case "set_ttl":
                    TimeSpan ttl = TimeSpan.FromMilliseconds(int.Parse(rest[3], CultureInfo.InvariantCulture));
                    StateTests.Set(node, Decode(rest[0]), ValueOf(rest[1], rest[2]), ttl);
                    break;
                case "delete":
                    node.Delete(Decode(rest[0]));
                    break;
                case "get":
                    object expected = ValueOf(rest[2], rest[3]);
                    Fixture.Until("it reads that", () =>
                    {
                        Entry entry = Read(node, rest[0], rest[1]);
                        return entry != null && Check.Same(expected, entry.Value);
                    });
                    break;
                case "gone":
                    Fixture.Until("it reads nothing", () => Read(node, rest[0], rest[1]) == null);
                    break;
                case "count":
                    Fixture.Until("so many", () => node.Get(Decode(rest[0])).Count == int.Parse(rest[1], CultureInfo.InvariantCulture));
                    break;
                case "event":
                    WaitForEvent(words[1], rest);
                    break;
                case "unsubscribe":
                    feeds[words[1]].Dispose();
                    break;
                case "reconfigure":
                    node.Reconfigure(rest[0], Text(rest[1]));
                    break;
                case "ban":
                    node.Ban(OrEmpty(rest[0]));
                    break;
                case "unban":
                    node.Unban(OrEmpty(rest[0]));
                    break;
                case "bans":
                    string bans = string.Join(" ", rest.OrderBy(ban => ban, StringComparer.Ordinal));
                    Fixture.Until(bans, () => bans == string.Join(" ",
                        node.GetBans().Select(ban => ban.Member + ":" + ban.By).OrderBy(ban => ban, StringComparer.Ordinal)));
                    break;
                case "statistic":
                    if (rest[1] == "-")
                    {
                        node.DeleteStatistic(OrEmpty(rest[0]));
                    }
                    else
                    {
                        node.SetStatistic(OrEmpty(rest[0]), long.Parse(rest[1], CultureInfo.InvariantCulture));
                    }
                    break;
                case "heartbeat":
                    Fixture.Until("it reads that statistic", () => Statistic(node, Decode(rest[0]), Decode(rest[1])) == rest[2]);
                    break;
                case "leave":
                    node.Leave();
                    break;
                case "kill":
                    node.Kill();
                    break;
                case "close":
                    node.Dispose();
                    break;
                case "fails":
                    Fails(words[1], rest);
                    break;
                default:
                    throw new CheckException("no such step: " + words[0]);
            }
        }

        private void OpenNode(string name, string[] settings)
        {
            NodeSettings values = new NodeSettings();
            foreach (string setting in settings)
            {
                int sign = setting.IndexOf('=');
                values[setting.Substring(0, sign)] = Text(setting.Substring(sign + 1));
            }
            Node node = new Node(values);
            nodes[name] = node;
            addresses[name] = node.Address;
        }

        private void Subscribe(Node node, string[] words)
        {
            Dictionary<string, Kind> kinds = new Dictionary<string, Kind>
            {
                { "entries", Kind.Entries }, { "members", Kind.Members }, { "node", Kind.Node }, { "all", Kind.All },
            };
            string[] flags = words[4] == "-" ? new string[0] : words[4].Split(',');
            Check.True(flags.All(flag => new[] { "initial", "no_self", "prefix" }.Contains(flag)), "the flags are known");
            ChangeFilter filter = new ChangeFilter
            {
                Kinds = kinds[words[1]],
                Member = words[2] == "-" ? null : Decode(words[2]),
                Initial = flags.Contains("initial"),
                NoSelf = flags.Contains("no_self"),
            };
            if (words[3] != "-" && flags.Contains("prefix"))
            {
                filter.Prefix = Decode(words[3]);
            }
            else if (words[3] != "-")
            {
                filter.Key = Decode(words[3]);
            }
            feeds[words[0]] = node.Changes(filter);
            waiting[words[0]] = new List<Change>();
        }

        private void WaitForEvent(string feed, string[] words)
        {
            Stopwatch watch = Stopwatch.StartNew();
            while (watch.Elapsed < Fixture.Patience)
            {
                foreach (Change change in feeds[feed].Take(TimeSpan.FromSeconds(waiting[feed].Count == 0 ? 1 : 0)))
                {
                    waiting[feed].Add(change);
                }
                if (waiting[feed].Count == 0 && feeds[feed].Ended)
                {
                    // How an enumeration shows that the node was closed.
                    Check.Equal("closed", words[0], "after the end of the subscription");
                    return;
                }
                while (waiting[feed].Count != 0)
                {
                    Change change = waiting[feed][0];
                    waiting[feed].RemoveAt(0);
                    if (Fits(change, words))
                    {
                        return;
                    }
                }
            }
            throw new CheckException("the event does not come");
        }

        private static bool Fits(Change change, string[] words)
        {
            if (change.Kind == Kind.Topology && words[0] == "topology")
            {
                Check.True(Regex.IsMatch(change.Topology.Hash, "^[0-9a-f]{16}$"), "a hash: " + change.Topology.Hash);
                return change.Topology.Members == int.Parse(words[1], CultureInfo.InvariantCulture);
            }
            return change.Kind.ToString().ToLowerInvariant() == words[0].Replace("_", "")
                && (words.Length < 2 || change.Member == Decode(words[1]))
                && (words.Length < 3 || change.Key == Decode(words[2]))
                && (words.Length < 5 || Check.Same(ValueOf(words[3], words[4]), change.Value));
        }

        private void Fails(string status, string[] step)
        {
            try
            {
                Run(step);
            }
            catch (GossipException error)
            {
                Check.Equal(status, error.Name, "status");
                return;
            }
            catch (ObjectDisposedException error)
            {
                Check.Equal(status, ((GossipException)error.InnerException).Name, "status");
                return;
            }
            throw new CheckException("it did not fail");
        }

        /// <summary>A statistic in a member's heartbeat: "-" if it is not in it; null if there is no heartbeat.</summary>
        private static string Statistic(Node node, string member, string name)
        {
            MemberHeartbeat heartbeat;
            long value;
            if (!new ActorSystem(node).Cluster().Gossip.GetState<MemberHeartbeat>(GossipKeys.Heartbeat).Result.TryGetValue(member, out heartbeat))
            {
                return null;
            }
            return heartbeat.ActorStatistics.ActorCount.TryGetValue(name, out value) ? value.ToString(CultureInfo.InvariantCulture) : "-";
        }

        private static string OrEmpty(string word)
        {
            return word == "-" ? "" : Decode(word);
        }

        private static Entry Read(Node node, string member, string key)
        {
            return member == "own" ? node.GetOwn(Decode(key)) : node.Get(Decode(member), Decode(key));
        }

        /// <summary>A setting's value: @a is the address of node a.</summary>
        private string Text(string word)
        {
            return Regex.Replace(Decode(word), @"@(\w+)", match => addresses[match.Groups[1].Value]);
        }

        /// <summary>%XX is a byte.</summary>
        internal static string Decode(string word)
        {
            List<byte> bytes = new List<byte>();
            for (int index = 0; index < word.Length; index++)
            {
                if (word[index] == '%')
                {
                    bytes.Add(byte.Parse(word.Substring(index + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                    index += 2;
                }
                else
                {
                    bytes.Add((byte)word[index]);
                }
            }
            return Encoding.UTF8.GetString(bytes.ToArray());
        }

        private static byte[] Hex(string word)
        {
            return word == "-"
                ? new byte[0]
                : Enumerable.Range(0, word.Length / 2).Select(index => Convert.ToByte(word.Substring(index * 2, 2), 16)).ToArray();
        }

        private static object ValueOf(string kind, string word)
        {
            switch (kind)
            {
                case "bytes":
                    return Hex(word);
                case "text":
                    return word == "-" ? "" : Decode(word);
                case "bool":
                    return word == "true";
                case "int":
                    return long.Parse(word, CultureInfo.InvariantCulture);
                case "double":
                    return double.Parse(word, CultureInfo.InvariantCulture);
                default:
                    Check.True(kind.StartsWith("message:"), "the kind is known: " + kind);
                    return new Message(kind.Substring("message:".Length), Hex(word));
            }
        }
    }
}
