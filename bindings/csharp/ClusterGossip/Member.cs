using System;
using System.Collections.Generic;

namespace ClusterGossip
{
    /// <summary>One member of the cluster, as this node saw it when it was read. It does not change.</summary>
    public sealed class Member
    {
        internal Member(string id, ulong generation, string address, MemberStatus status, bool isSelf, TimeSpan statusAge, TimeSpan? rtt,
            IReadOnlyDictionary<string, string> tags)
        {
            Id = id;
            Generation = generation;
            Address = address;
            Status = status;
            IsSelf = isSelf;
            StatusAge = statusAge;
            Rtt = rtt;
            Tags = tags;
        }

        /// <summary>The member's id.</summary>
        public string Id { get; private set; }

        /// <summary>The member's generation: a later start of the same id has a higher one.</summary>
        public ulong Generation { get; private set; }

        /// <summary>Where it is reached: <c>10.0.0.7:4711</c>, <c>[::1]:4711</c>.</summary>
        public string Address { get; private set; }

        /// <summary>What this node held of it.</summary>
        public MemberStatus Status { get; private set; }

        /// <summary>Whether it is the node itself that was asked.</summary>
        public bool IsSelf { get; private set; }

        /// <summary>For how long it had had its status.</summary>
        public TimeSpan StatusAge { get; private set; }

        /// <summary>The smoothed round-trip time; null if none was measured.</summary>
        public TimeSpan? Rtt { get; private set; }

        /// <summary>The member's tags.</summary>
        public IReadOnlyDictionary<string, string> Tags { get; private set; }

        /// <summary>Id, address and status, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return Id + " at " + Address + ": " + Status;
        }
    }
}
