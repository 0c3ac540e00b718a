using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// A node under the names of Proto.Actor, so that code written for its gossip reads the same:
    /// <c>await System.Cluster().Gossip.GetState&lt;MemberHeartbeat&gt;(GossipKeys.Heartbeat)</c>.
    /// </summary>
    /// <remarks>There are no actors in it. It does not own the node, which is to be disposed of by who has opened it.</remarks>
    public sealed class ActorSystem
    {
        private readonly Cluster cluster;

        /// <summary>Around an open node.</summary>
        /// <param name="node">The node.</param>
        public ActorSystem(Node node)
        {
            if (node == null)
            {
                throw new ArgumentNullException("node");
            }
            cluster = new Cluster(this, node);
        }

        /// <summary>The cluster that the node is a member of.</summary>
        /// <returns>Always the same.</returns>
        public Cluster Cluster()
        {
            return cluster;
        }
    }

    /// <summary>The cluster, as the node of an <see cref="ActorSystem"/> sees it.</summary>
    public sealed class Cluster
    {
        internal Cluster(ActorSystem system, Node node)
        {
            System = system;
            Node = node;
            Gossip = new Gossip(node);
        }

        /// <summary>What this belongs to.</summary>
        public ActorSystem System { get; private set; }

        /// <summary>The node, with everything that there is besides the gossip.</summary>
        public Node Node { get; private set; }

        /// <summary>The state of the members.</summary>
        public Gossip Gossip { get; private set; }
    }

    /// <summary>The state of the members, under the names of Proto.Actor.</summary>
    public sealed class Gossip
    {
        private readonly Node node;

        internal Gossip(Node node)
        {
            this.node = node;
        }

        /// <summary>What all living members have under a key.</summary>
        /// <typeparam name="T">
        /// A plain type (<c>byte[]</c>, <c>string</c>, <c>bool</c>, <c>long</c>, <c>double</c>, <see cref="Message"/>) or one known to
        /// <see cref="MessageTypes"/>, such as <see cref="MemberHeartbeat"/>.
        /// </typeparam>
        /// <param name="key">The key: one of <see cref="GossipKeys"/> or a user's.</param>
        /// <returns>
        /// Member id to value; it is there at once. A member that has something else under the key is left out: it must not spoil the
        /// others' values.
        /// </returns>
        /// <exception cref="NotSupportedException">The type is not known.</exception>
        public Task<IReadOnlyDictionary<string, T>> GetState<T>(string key)
        {
            if (!MessageTypes.CanRead(typeof(T)))
            {
                throw new NotSupportedException(typeof(T) + " is no known type of message: see MessageTypes.Register");
            }
            Dictionary<string, T> found = new Dictionary<string, T>(StringComparer.Ordinal);
            foreach (KeyValuePair<string, Entry> each in node.Get(key))
            {
                T value;
                if (each.Value.TryAs(out value))
                {
                    found[each.Key] = value;
                }
            }
            return Task.FromResult<IReadOnlyDictionary<string, T>>(found);
        }

        /// <summary>Publishes an entry of this member's own.</summary>
        /// <param name="key">A user's key.</param>
        /// <param name="value">Type URL and bytes, as in a <c>google.protobuf.Any</c>.</param>
        /// <exception cref="GossipException">As for <see cref="Node.Set(string, Message, TimeSpan?, bool)"/>.</exception>
        public void SetKey(string key, Message value)
        {
            node.Set(key, value);
        }

        /// <summary>Publishes an entry of this member's own.</summary>
        /// <typeparam name="T">A type known to <see cref="MessageTypes"/>.</typeparam>
        /// <param name="key">A user's key.</param>
        /// <param name="value">The value.</param>
        /// <exception cref="NotSupportedException">The type is not known.</exception>
        /// <exception cref="GossipException">As for <see cref="Node.Set(string, Message, TimeSpan?, bool)"/>.</exception>
        public void SetKey<T>(string key, T value)
        {
            node.Set(key, MessageTypes.ToMessage(value));
        }
    }

    /// <summary>The well-known keys, which the library itself writes.</summary>
    public static class GossipKeys
    {
        /// <summary>A hash of who is here; <see cref="Kind.Topology"/> tells of it.</summary>
        public const string Topology = "cluster:topology";

        /// <summary>The host's statistics: <see cref="MemberHeartbeat"/>, which <see cref="Node.SetStatistic"/> fills.</summary>
        public const string Heartbeat = "cluster:heartbeat";

        /// <summary>Written by a member that leaves.</summary>
        public const string Left = "cluster:left";

        /// <summary>The bans that this member has set or lifted; <see cref="Node.GetBans"/> reads them.</summary>
        public const string Banned = "cluster:banned";
    }
}
