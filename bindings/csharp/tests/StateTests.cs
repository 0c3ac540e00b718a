using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace ClusterGossip.Tests
{
    /// <summary>Set and get: every kind of value exactly, keys of every sort, what comes with an entry.</summary>
    public sealed class StateTests : Fixture
    {
        private static readonly byte[] Large = Enumerable.Range(0, 60000).Select(number => (byte)(number * 7)).ToArray();

        internal static readonly object[] Values =
        {
            new byte[0], new byte[] { 0 }, new byte[] { 0, 255, 0, 1 }, Large,
            "", "grüße ✓ 🔑", "with\0zero", new string('ü', 30000),
            true, false,
            0L, 1L, -1L, long.MaxValue, long.MinValue,
            0.0, -0.0, -0.1, 1.0, double.MaxValue, double.Epsilon, double.PositiveInfinity, double.NegativeInfinity, double.NaN,
            new Message("type.example.org/shop.Order", new byte[] { 10, 5, 104, 101, 108, 108, 111 }),
            new Message("type.example.org/shop.Empty", new byte[0]),
        };

        internal static ulong Set(Node node, string key, object value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            if (value is byte[])
            {
                return node.Set(key, (byte[])value, ttl, ifChanged);
            }
            if (value is string)
            {
                return node.Set(key, (string)value, ttl, ifChanged);
            }
            if (value is bool)
            {
                return node.Set(key, (bool)value, ttl, ifChanged);
            }
            if (value is long)
            {
                return node.Set(key, (long)value, ttl, ifChanged);
            }
            if (value is double)
            {
                return node.Set(key, (double)value, ttl, ifChanged);
            }
            return node.Set(key, (Message)value, ttl, ifChanged);
        }

        public void EveryValueIsReadBackExactly()
        {
            Node node = Open();
            foreach (object value in Values)
            {
                Set(node, "key", value);
                Check.Equal(value, node.GetOwn("key").Value, "GetOwn");
                Check.Equal(value, node.Get("key")[node.Id].Value, "Get(key)");
                Check.Equal(value, node.Get(node.Id, "key").Value, "Get(member, key)");
            }
        }

        public void EveryValueReachesTheOtherNode()
        {
            Node[] pair = Pair();
            for (int number = 0; number < Values.Length; number++)
            {
                Set(pair[0], "value:" + number, Values[number]);
            }
            Until("all values are there", () => pair[1].Entries("value:", pair[0].Id).Count == Values.Length);
            for (int number = 0; number < Values.Length; number++)
            {
                Check.Equal(Values[number], pair[1].Get(pair[0].Id, "value:" + number).Value, "value " + number);
            }
        }

        public void ValuesAreReadAsTypes()
        {
            Node node = Open();
            node.Set("text", "a");
            node.Set("int", 5);
            node.Set("float", 0.5f);
            node.Set("unsigned", 7UL);
            node.Set("bytes", new byte[] { 1 });
            Check.Equal("a", node.GetOwn("text").As<string>());
            Check.Equal(5L, node.GetOwn("int").As<long>());
            Check.Equal(0.5, node.GetOwn("float").As<double>());
            Check.Equal(7L, node.GetOwn("unsigned").As<long>());
            Check.Equal(ValueKind.Bytes, node.GetOwn("bytes").ValueKind);
            GossipException wrong = Check.Throws<GossipException>(() => node.GetOwn("text").As<long>());
            Check.Equal(GossipStatus.WrongType, wrong.Status);
            long number;
            Check.True(!node.GetOwn("text").TryAs(out number) && node.GetOwn("int").TryAs(out number) && number == 5, "TryAs");
            Check.Throws<OverflowException>(() => node.Set("unsigned", ulong.MaxValue));
        }

        public void TypeUrlsAndEncodingsAreProtobufs()
        {
            Node node = Open();
            CheckEncoding(node, new byte[] { 1, 2 }, "", "0102");
            CheckEncoding(node, "hi", "google.protobuf.StringValue", "0A026869");
            CheckEncoding(node, true, "google.protobuf.BoolValue", "0801");
            CheckEncoding(node, 300L, "google.protobuf.Int64Value", "08AC02");
            CheckEncoding(node, 1.0, "google.protobuf.DoubleValue", "09000000000000F03F");
        }

        public void KeysOfEverySort()
        {
            foreach (string key in new[] { "k", "Schlüssel 🔑", "zero\0inside", "\0", new string('k', 255), "new\nline=,", new string('ü', 127) })
            {
                Node node = Open(new NodeSettings { ["cluster"] = "apart" });
                node.Set(key, 1);
                node.Set(key, 2);
                Entry entry = node.GetOwn(key);
                Check.Equal(key, entry.Key);
                Check.Equal(2L, entry.Value);
                Check.Equal(2UL, entry.Seq);
                Check.Equal(2L, node.Get(key)[node.Id].Value);
                Check.Equal(new[] { key }, node.Entries().Select(each => each.Key));
                node.Delete(key);
                Check.True(node.GetOwn(key) == null && node.Get(key).Count == 0, "it is deleted");
            }
        }

        public void EntryTellsWhereItIsFrom()
        {
            Node node = Open(new NodeSettings { ["id"] = "writer" });
            Check.Equal(1UL, node.Set("key", "a"));
            Check.Equal(2UL, node.Set("other", "b"));
            Check.Equal(3UL, node.Set("key", "c"));
            Entry entry = node.GetOwn("key");
            Check.Equal("writer", entry.Member);
            Check.Equal(3UL, entry.Seq);
            Check.Equal(MemberStatus.Alive, entry.MemberStatus);
            Check.Equal(node.Self.Generation, entry.Generation);
            Check.True(entry.Generation > 0 && entry.Age >= TimeSpan.Zero, "generation and age");
            Check.Contains("writer key = c", entry.ToString());
        }

        public void WhatIsNotThere()
        {
            Node node = Open();
            Check.Equal(0, node.Get("nothing").Count);
            Check.True(node.GetOwn("nothing") == null, "GetOwn gives null");
            Check.True(node.Get(node.Id, "nothing") == null, "Get gives null");
            Check.True(node.Get("no-such-member", "nothing") == null, "Get gives null for an unknown member");
            Check.Equal(0, node.Entries("nothing").Count);
        }

        public void IfChanged()
        {
            Node node = Open();
            ulong first = node.Set("key", "same");
            Check.Equal(first, node.Set("key", "same", ifChanged: true));
            ulong second = node.Set("key", Encoding.UTF8.GetBytes("same"), ifChanged: true);
            Check.True(second > first, "another type is a change");
            Check.True(node.Set("key", Encoding.UTF8.GetBytes("same")) > second, "without the flag it is one too");
            ulong message = node.Set("m", new Message("t/x", new byte[] { 1 }));
            Check.Equal(message, node.Set("m", new Message("t/x", new byte[] { 1 }), ifChanged: true));
        }

        public void TimeToLive()
        {
            Node[] pair = Pair();
            pair[0].Set("short", 1, TimeSpan.FromMilliseconds(300));
            pair[0].Set("shortest", "x", TimeSpan.FromTicks(1));
            pair[0].Set("message", new Message("t/x", new byte[1]), TimeSpan.FromMilliseconds(300));
            pair[0].Set("long", 3, TimeSpan.FromHours(1));
            Until("the long one is there", () => pair[1].Get(pair[0].Id, "long") != null);
            foreach (string key in new[] { "short", "shortest", "message" })
            {
                Until("it is gone", () => pair.All(node => node.Get(pair[0].Id, key) == null));
            }
            Check.True(pair[1].Get(pair[0].Id, "long") != null, "the long one stays");
        }

        public void Prefix()
        {
            Node node = Open();
            foreach (string key in new[] { "a:1", "a:2", "b:1", "a" })
            {
                node.Set(key, key);
            }
            Check.Equal(new[] { "a:1", "a:2" }, node.Entries("a:").Select(entry => entry.Key).OrderBy(key => key, StringComparer.Ordinal));
            Check.Equal(3, node.Entries("a", node.Id).Count);
            Check.True(node.Entries().Count >= 4, "the empty prefix is for all");
        }

        public void MembersSeeEachOther()
        {
            Node first = Open(new NodeSettings { ["id"] = "first", ["tags"] = new Dictionary<string, string> { { "role", "web" } } });
            Node second = Open(new NodeSettings { ["id"] = "second" }, first);
            second.WaitSynced(Patience);
            first.WaitForMembers(2, Patience);
            Check.Equal(new[] { "first", "second" }, second.Members().Select(member => member.Id));
            Member seen = second.Members().First(member => member.Id == "first");
            Check.Equal(first.Address, seen.Address);
            Check.Equal(MemberStatus.Alive, seen.Status);
            Check.Equal("web", seen.Tags["role"]);
            Check.True(!seen.IsSelf && second.Self.IsSelf && second.Self.Id == "second", "IsSelf");
            Check.True(seen.StatusAge >= TimeSpan.Zero, "StatusAge");
            Until("joined", () => first.State == NodeState.Joined && second.State == NodeState.Joined);
            Until("the round trip is measured", () => second.Members().First(member => member.Id == "first").Rtt > TimeSpan.Zero);
            first.Set("who", "f");
            second.Set("who", "s");
            foreach (Node node in new[] { first, second })
            {
                Until("both read both", () => Check.Same(
                    new[] { "first=f", "second=s" }, node.Get("who").Select(each => each.Key + "=" + each.Value.Value).OrderBy(text => text)));
            }
        }

        public void DepartedMemberIsListedOnRequest()
        {
            Node[] pair = Pair();
            Node stays = pair[0], leaves = pair[1];
            leaves.Set("key", "kept");
            string gone = leaves.Id;
            Until("it is there", () => stays.Get(gone, "key") != null);
            Check.True(leaves.Leave(), "the leave is acknowledged");
            Check.Equal(NodeState.Left, leaves.State);
            Check.Equal(GossipStatus.Left, Check.Throws<GossipException>(() => leaves.Set("key", "too late")).Status);
            Until("it has left", () => StatusOf(stays, gone) == MemberStatus.Left);
            Check.True(stays.Members().All(member => member.Id != gone), "it is no living member");
            Check.True(stays.Get("key").Count == 0 && stays.Get(gone, "key") == null, "its state is not read");
            Entry kept = stays.Get(gone, "key", true);
            Check.Equal("kept", kept.Value);
            Check.Equal(MemberStatus.Left, kept.MemberStatus);
            Check.Equal("kept", stays.Get("key", true)[gone].Value);
            Check.Equal(1, stays.Entries("key", departed: true).Count);
        }

        public void Alone()
        {
            Node node = Open();
            node.WaitSynced(Patience);
            node.WaitForMembers(1, Patience);
            Check.Equal(NodeState.Alone, node.State);
            Check.Equal(new[] { node.Id }, node.Members().Select(member => member.Id));
        }

        public void SeeingIntoANode()
        {
            Node[] pair = Pair();
            Node first = pair[0], second = pair[1];
            first.Set("seen", "value");
            Check.Contains(first.Id, first.Describe());
            Check.Contains(first.Address, first.Describe());
            Check.Contains("seen", Encoding.UTF8.GetString(first.Snapshot()));
            Check.Contains("\"seen\"", first.SnapshotJson());
            // The numbers are the engine's, which is told of a set a moment later.
            Until("the key is counted", () => Check.Same(1.0, first.Metrics()["keys"]));
            Check.Equal(2.0, first.Metrics()["members_present"]);
            Check.Contains("# TYPE", first.MetricsText());
            Until("what the other holds is proven", () =>
            {
                IReadOnlyDictionary<string, ulong> row;
                ulong seq;
                return first.Offsets().TryGetValue(second.Id, out row) && row.TryGetValue(first.Id, out seq) && seq == 1;
            });
        }

        private static void CheckEncoding(Node node, object value, string type, string raw)
        {
            Set(node, "key", value);
            Entry entry = node.GetOwn("key");
            Check.Equal(type, entry.TypeUrl.Split('/').Last());
            Check.Equal(raw, string.Concat(entry.Raw.Select(each => each.ToString("X2", CultureInfo.InvariantCulture))));
        }
    }
}
