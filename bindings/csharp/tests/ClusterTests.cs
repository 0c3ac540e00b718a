using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;

namespace ClusterGossip.Tests
{
    /// <summary>Bans, statistics, topology, and what a crash looks like.</summary>
    public sealed class ClusterTests : Fixture
    {
        public void ABanHidesAMemberUntilAnybodyLiftsIt()
        {
            Node[] pair = Pair();
            Node first = pair[0];
            Node second = pair[1];
            using (Changes changes = first.Changes(new ChangeFilter { Kinds = Kind.MemberBanned | Kind.MemberUnbanned }))
            {
                second.Set("key", "seen");
                Until("it is seen", () => first.Get(second.Id, "key") != null);
                Check.Equal(0, first.GetBans().Count);
                first.Ban(second.Id);
                first.Ban(second.Id);
                Check.Equal(new[] { second.Id + ", banned by " + first.Id }, first.GetBans().Select(ban => ban.ToString()));
                Check.Equal(MemberStatus.Banned, StatusOf(first, second.Id));
                Check.True(first.Get(second.Id, "key") == null && first.Get(second.Id, "key", true) != null, "its entries are hidden");
                // Taken before the ban is lifted: both in one take would be drawn together to the last.
                Check.Equal(new[] { Kind.MemberBanned + second.Id }, Collect(changes, 1).Select(change => change.Kind + change.Member));
                Until("the banned one knows it", () => second.State == NodeState.Banned);
                Check.Equal(GossipStatus.Banned, Check.Throws<GossipException>(() => second.Set("key", "no")).Status);
                second.Ban("ölig \"quoted\"");
                Until("both are known", () => Pairs(first) == second.Id + ":" + first.Id + " ölig \"quoted\":" + second.Id);
                second.Unban(second.Id);
                first.Unban("ölig \"quoted\"");
                Until("they are lifted", () => Pairs(first).Length == 0 && Pairs(second).Length == 0);
                Until("it may write again", () => second.State == NodeState.Joined);
                Check.True(first.Get(second.Id, "key") != null, "its entries are back");
                Check.Equal(new[] { Kind.MemberUnbanned + second.Id }, Collect(changes, 1).Select(change => change.Kind + change.Member));
            }
        }

        public void MisuseOfBansAndStatistics()
        {
            Node node = Open(new NodeSettings { ["id"] = "own" });
            GossipException own = Check.Throws<GossipException>(() => node.Ban("own"));
            Check.Equal(GossipStatus.InvalidArgument, own.Status);
            Check.Contains("itself", own.Message);
            node.Unban("nobody");
            node.DeleteStatistic("none");
            foreach (string wrong in new[] { "", "a\0b", new string('n', 256), "\ud800" })
            {
                Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.Ban(wrong)).Status);
                Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.SetStatistic(wrong, 1)).Status);
                Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.DeleteStatistic(wrong)).Status);
            }
            Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.Unban("a\0b")).Status);
            Check.Throws<ArgumentNullException>(() => node.Ban(null));
            Check.Throws<ArgumentNullException>(() => node.Unban(null));
            Check.Throws<ArgumentNullException>(() => node.SetStatistic(null, 1));
            Check.Throws<ArgumentNullException>(() => node.DeleteStatistic(null));
            for (int index = 0; index < 1024; index++)
            {
                node.SetStatistic(index.ToString(), index);
            }
            Check.Contains("1024", Check.Throws<GossipLimitException>(() => node.SetStatistic("one more", 1)).Message);
            node.DeleteStatistic("5");
            node.SetStatistic("one more", 1);
            node.Kill();
            Check.Throws<ObjectDisposedException>(() => node.Ban("x"));
            Check.Throws<ObjectDisposedException>(() => node.Unban("x"));
            Check.Throws<ObjectDisposedException>(() => node.GetBans());
            Check.Throws<ObjectDisposedException>(() => node.SetStatistic("n", 1));
            Check.Throws<ObjectDisposedException>(() => node.DeleteStatistic("n"));
        }

        public void TopologyIsToldWhenItHasComeToRest()
        {
            Node first = Open();
            using (Changes changes = first.Changes(new ChangeFilter { Kinds = Kind.Topology | Kind.MemberDead | Kind.MemberLeft }))
            {
                Node second = Open(first);
                using (Changes others = second.Changes(new ChangeFilter { Kinds = Kind.Topology }))
                {
                    List<string> dead = new List<string>();
                    Topology two = Told(changes, 2, dead);
                    Check.Equal(two.Hash, Told(others, 2, dead).Hash);
                    Check.Equal(0, dead.Count);
                    second.Kill();
                    Check.True(Told(changes, 1, dead).Hash != two.Hash, "the hash changes");
                    Check.Equal(new[] { Kind.MemberDead + second.Id }, dead);
                    Check.Equal(MemberStatus.Dead, StatusOf(first, second.Id));
                }
            }
        }

        public void KeysOfTheLibraryAreGivenByNameOnly()
        {
            Node node = Open();
            node.Set("own", 1);
            node.Ban("x");
            node.SetStatistic("n", 1);
            Until("the heartbeat is there", () => node.GetOwn(GossipKeys.Heartbeat) != null);
            Check.Equal(new[] { "own" }, node.Entries().Select(entry => entry.Key));
            List<string> library = node.Entries("cluster:").Select(entry => entry.Key).ToList();
            Check.True(library.Contains(GossipKeys.Banned) && library.Contains(GossipKeys.Heartbeat), string.Join(" ", library));
        }

        private static string Pairs(Node node)
        {
            return string.Join(" ", node.GetBans().Select(ban => ban.Member + ":" + ban.By).OrderBy(pair => pair, StringComparer.Ordinal));
        }

        /// <summary>The next change of topology to so many members; what else comes goes to a list.</summary>
        private static Topology Told(Changes changes, int members, List<string> others)
        {
            while (true)
            {
                Topology found = null;
                foreach (Change change in Collect(changes, 1))
                {
                    if (change.Topology == null)
                    {
                        others.Add(change.Kind + change.Member);
                        continue;
                    }
                    Check.True(Regex.IsMatch(change.Topology.Hash, "^[0-9a-f]{16}$"), change.Topology.ToString());
                    Check.True(change.Member.Length == 0 && change.Entry == null && change.State == null, "it is about no member and no entry");
                    found = change.Topology.Members == members ? change.Topology : found;
                }
                if (found != null)
                {
                    return found;
                }
            }
        }
    }
}
