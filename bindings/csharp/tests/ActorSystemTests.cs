using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>The names of Proto.Actor, and messages of known types.</summary>
    public sealed class ActorSystemTests : Fixture
    {
        public async Task HeartbeatsAreReadUnderTheNamesOfProtoActor()
        {
            Node first = Open(new NodeSettings { ["heartbeat_interval"] = "50ms" });
            Node second = Open(new NodeSettings { ["heartbeat_interval"] = "50ms" }, first);
            Seed seed = new Seed(new ActorSystem(first));
            Check.Equal(0, (await seed.Statistics()).Count);
            Node[] pair = { first, second };
            for (int number = 0; number < 2; number++)
            {
                pair[number].SetStatistic("user", number + 1);
                pair[number].SetStatistic("größe", long.MinValue);
            }
            List<string> expected = pair.SelectMany((node, number) => new[] { node.Id + " größe " + long.MinValue, node.Id + " user " + (number + 1) })
                .OrderBy(line => line, StringComparer.Ordinal).ToList();
            List<string> found = null;
            Until("both are read", () => (found = seed.Statistics().Result).Count == 4);
            Check.Equal(expected, found.OrderBy(line => line, StringComparer.Ordinal));
            second.DeleteStatistic("user");
            Until("it is deleted", () => seed.Statistics().Result.Count == 3);
            second.Kill();
            Until("the dead are left out", () => seed.Statistics().Result.Count == 2);
        }

        public async Task MessagesOfTheUsersAreReadByType()
        {
            Node[] pair = Pair();
            for (int number = 0; number < 2; number++)
            {
                MemberHeartbeat heartbeat = new MemberHeartbeat();
                heartbeat.ActorStatistics.ActorCount["user"] = number + 1;
                new ActorSystem(pair[number]).Cluster().Gossip.SetKey("my:heartbeat", heartbeat);
            }
            Until("both are there", () => pair[0].Get("my:heartbeat").Count == 2);
            IReadOnlyDictionary<string, MemberHeartbeat> found = await new ActorSystem(pair[0]).Cluster().Gossip.GetState<MemberHeartbeat>("my:heartbeat");
            for (int number = 0; number < 2; number++)
            {
                Check.Equal(number + 1L, found[pair[number].Id].ActorStatistics.ActorCount["user"]);
            }
        }

        public async Task WhatIsOfAnotherTypeIsLeftOut()
        {
            Node node = Open();
            Gossip gossip = new ActorSystem(node).Cluster().Gossip;
            node.Set("key", "a text");
            Check.Equal(0, (await gossip.GetState<MemberHeartbeat>("key")).Count);
            Check.Equal("a text", (await gossip.GetState<string>("key"))[node.Id]);
            Check.Equal(0, (await gossip.GetState<long>("key")).Count);
            gossip.SetKey("key", new Message(MemberHeartbeat.TypeUrl, new byte[] { 255 }));
            Check.Equal(0, (await gossip.GetState<MemberHeartbeat>("key")).Count);
            Check.Equal(MemberHeartbeat.TypeUrl, (await gossip.GetState<Message>("key"))[node.Id].TypeUrl);
            Check.Throws<NotSupportedException>(() => gossip.GetState<Uri>("key"));
            Check.Throws<NotSupportedException>(() => gossip.SetKey("key", new Uri("http://example.org")));
        }

        public void HeartbeatIsEncodedAsProtobufDoes()
        {
            MemberHeartbeat heartbeat = new MemberHeartbeat();
            Check.Equal(new byte[] { 10, 0 }, heartbeat.ToByteArray());
            heartbeat.ActorStatistics.ActorCount["a"] = 300;
            byte[] expected = { 10, 8, 10, 6, 10, 1, (byte)'a', 16, 0xac, 2 };
            Check.Equal(expected, heartbeat.ToByteArray());
            // An unknown field of each wire type, and the statistics in two parts.
            byte[] unknown = { 16, 5, 25, 1, 2, 3, 4, 5, 6, 7, 8, 34, 2, 1, 1, 45, 1, 2, 3, 4 };
            byte[] more = { 10, 6, 10, 4, 10, 0, 16, 1 };
            MemberHeartbeat read = MemberHeartbeat.Parse(unknown.Concat(expected).Concat(more).ToArray());
            Check.Equal(new[] { "=1", "a=300" }, read.ActorStatistics.ActorCount.Select(each => each.Key + "=" + each.Value));
            Check.Equal(0, MemberHeartbeat.Parse(new byte[0]).ActorStatistics.ActorCount.Count);
        }

        public void MalformedHeartbeatsAreRefused()
        {
            byte[][] wrong =
            {
                new byte[] { 10 }, new byte[] { 10, 5, 1 }, new byte[] { 8, 1 }, new byte[] { 0 }, new byte[] { 11 }, new byte[] { 128 },
                new byte[] { 10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 }, Enumerable.Repeat((byte)255, 11).ToArray(),
                new byte[] { 10, 5, 10, 3, 10, 1, 255 }, new byte[] { 10, 4, 10, 2, 18, 0 },
            };
            foreach (byte[] bytes in wrong)
            {
                Check.Throws<FormatException>(() => MemberHeartbeat.Parse(bytes));
            }
            // None of all cuts and changes of a valid one does anything else than be read or be refused.
            MemberHeartbeat heartbeat = new MemberHeartbeat();
            heartbeat.ActorStatistics.ActorCount["name"] = -1;
            byte[] valid = heartbeat.ToByteArray();
            for (int position = 0; position < valid.Length; position++)
            {
                for (int value = 0; value < 256; value++)
                {
                    byte[] changed = valid.Take(position + 1 + (value % 2 == 0 ? 0 : valid.Length)).ToArray();
                    changed[position] = (byte)value;
                    try
                    {
                        MemberHeartbeat.Parse(changed);
                    }
                    catch (FormatException)
                    {
                    }
                }
            }
        }

        public void TypesOfTheUsers()
        {
            MessageTypes.Register("type.example.org/shop.Order", order => new[] { order.Number }, bytes =>
            {
                if (bytes.Length != 1)
                {
                    throw new FormatException("an order is one byte");
                }
                return new Order { Number = bytes[0] };
            });
            Node node = Open();
            node.Set("order", MessageTypes.ToMessage(new Order { Number = 5 }));
            Check.Equal("type.example.org/shop.Order", node.GetOwn("order").TypeUrl);
            Check.Equal((byte)5, node.GetOwn("order").As<Order>().Number);
            node.Set("order", new Message("elsewhere/shop.Order", new byte[] { 6 }));
            Check.Equal((byte)6, node.GetOwn("order").As<Order>().Number);
            node.Set("order", new Message("elsewhere/shop.Order", new byte[2]));
            Check.Equal(GossipStatus.WrongType, Check.Throws<GossipException>(() => node.GetOwn("order").As<Order>()).Status);
        }

        public void Messages()
        {
            Message message = new Message("a/b.C", new byte[] { 1, 2 });
            Check.Equal("b.C", message.TypeName);
            Check.True(message.Equals(new Message("a/b.C", new byte[] { 1, 2 })), "equal");
            Check.Equal(message.GetHashCode(), new Message("a/b.C", new byte[] { 1, 2 }).GetHashCode());
            Check.True(!message.Equals(new Message("a/b.C", new byte[] { 1, 3 })), "not equal");
            Check.True(!message.Equals(new Message("a/b.D", new byte[] { 1, 2 })), "not equal");
            Check.True(!message.Equals(null) && !message.Equals("a"), "not equal to others");
        }

        private sealed class Order
        {
            internal byte Number;
        }
    }

    /// <summary>The piece of code that the project's first document shows, in a class as users have it.</summary>
    internal sealed class Seed
    {
        internal Seed(ActorSystem system)
        {
            System = system;
        }

        private ActorSystem System { get; set; }

        /// <summary>Word by word.</summary>
        internal async Task<List<string>> Statistics()
        {
            //get the heartbeat entry in the gossip state
            var memberHeartbeats = await System.Cluster().Gossip.GetState<MemberHeartbeat>(GossipKeys.Heartbeat);

            //create a list with tuple (MemberId, Kind, Count)
            var stats = (from x in memberHeartbeats
                let memberId = x.Key
                from y in x.Value.ActorStatistics.ActorCount
                select (MemberId: memberId, Kind: y.Key, Count: y.Value))
                .ToList();

            return stats.Select(stat => stat.MemberId + " " + stat.Kind + " " + stat.Count).ToList();
        }
    }
}
