using System;

namespace ClusterGossip
{
    /// <summary>How a node stands to its cluster.</summary>
    public enum NodeState
    {
        /// <summary>The node was opened and has not found anybody yet.</summary>
        Starting = 1,

        /// <summary>The node is in a cluster with others.</summary>
        Joined = 2,

        /// <summary>There are no seeds, or none but the node itself: a cluster of one so far.</summary>
        Alone = 3,

        /// <summary>The node has said that it leaves and waits for acknowledgement.</summary>
        Leaving = 4,

        /// <summary>The node has left: it can be read, and no more written to.</summary>
        Left = 5,

        /// <summary>A member has banned the node.</summary>
        Banned = 6,

        /// <summary>The node's task has died or its id was taken: the change's text says why.</summary>
        Failed = 7,
    }

    /// <summary>What a node holds of a member.</summary>
    public enum MemberStatus
    {
        /// <summary>In a change that is about no member.</summary>
        None = 0,

        /// <summary>The member answers, or nothing is known against it.</summary>
        Alive = 1,

        /// <summary>The member may be gone; others are being asked.</summary>
        Suspect = 2,

        /// <summary>The member was declared gone without having said so. It may come back.</summary>
        Dead = 3,

        /// <summary>The member has said that it is about to leave.</summary>
        Leaving = 4,

        /// <summary>The member has left.</summary>
        Left = 5,

        /// <summary>Another member has banned the member.</summary>
        Banned = 6,
    }

    /// <summary>What a value is.</summary>
    public enum ValueKind
    {
        /// <summary>There is none: the entry was deleted.</summary>
        None = 0,

        /// <summary>Plain bytes: <c>byte[]</c>. The type URL is empty.</summary>
        Bytes = 1,

        /// <summary><c>google.protobuf.StringValue</c>: <c>string</c>.</summary>
        Text = 2,

        /// <summary><c>google.protobuf.BoolValue</c>: <c>bool</c>.</summary>
        Bool = 3,

        /// <summary><c>google.protobuf.Int64Value</c> or another integer wrapper whose number fits: <c>long</c>.</summary>
        Int = 4,

        /// <summary><c>google.protobuf.DoubleValue</c> or <c>FloatValue</c>: <c>double</c>.</summary>
        Double = 5,

        /// <summary>A message of any other type: <see cref="ClusterGossip.Message"/>.</summary>
        Message = 6,
    }

    /// <summary>How grave a log line is.</summary>
    public enum LogLevel
    {
        /// <summary>Not a log line.</summary>
        None = 0,

        /// <summary>Something failed that the host should know of.</summary>
        Error = 1,

        /// <summary>Something is wrong but the node goes on.</summary>
        Warn = 2,

        /// <summary>Opened, joined, left.</summary>
        Info = 3,

        /// <summary>Single decisions of the protocol.</summary>
        Debug = 4,

        /// <summary>Each packet.</summary>
        Trace = 5,
    }

    /// <summary>Kinds of change, one bit each: <c>|</c> makes a mask.</summary>
    [Flags]
    public enum Kind : uint
    {
        /// <summary>No kind.</summary>
        None = 0,

        /// <summary>An entry was set, for the first time or again.</summary>
        EntryChanged = 0x1,

        /// <summary>An entry was deleted, or its time to live is over.</summary>
        EntryDeleted = 0x2,

        /// <summary>A member's entry is beyond this node's limits and not kept here; the change's text says why.</summary>
        EntryRefused = 0x4,

        /// <summary>A member is there; comes before its first entry.</summary>
        MemberJoined = 0x10,

        /// <summary>A member may be gone.</summary>
        MemberSuspected = 0x20,

        /// <summary>A member is alive again, after suspicion or death.</summary>
        MemberAlive = 0x40,

        /// <summary>A member was declared gone without having said so.</summary>
        MemberDead = 0x80,

        /// <summary>A member has left.</summary>
        MemberLeft = 0x100,

        /// <summary>A member was started anew: same id, new generation.</summary>
        MemberRestarted = 0x200,

        /// <summary>A member's tags or address have changed.</summary>
        MemberUpdated = 0x400,

        /// <summary>A member was banned.</summary>
        MemberBanned = 0x800,

        /// <summary>A member is no longer banned.</summary>
        MemberUnbanned = 0x1000,

        /// <summary>A member's state is gone from this node; comes after its last entry.</summary>
        MemberRemoved = 0x2000,

        /// <summary>The node's state: <see cref="Change.State"/>, and why: <see cref="Change.Text"/>.</summary>
        NodeState = 0x10000,

        /// <summary>This node has once been equal to a peer, or is alone without seeds: its view can be trusted.</summary>
        Synced = 0x20000,

        /// <summary>Reserved.</summary>
        Consensus = 0x40000,

        /// <summary>Who is here has changed, and has come to rest: <see cref="Change.Topology"/>.</summary>
        Topology = 0x80000,

        /// <summary>Something is wrong that nobody would notice; the change's text says it in words. Rate-limited.</summary>
        Warning = 0x100000,

        /// <summary>A log line: <see cref="Change.Level"/>, <see cref="Change.Target"/>, <see cref="Change.Text"/>.</summary>
        Log = 0x200000,

        /// <summary>All that existed has come. Comes unasked where <see cref="ChangeFilter.Initial"/> was given.</summary>
        InitialDone = 0x10000000,

        /// <summary>The node was closed. Enumerations end here and do not show it.</summary>
        Closed = 0x20000000,

        /// <summary>Mask: all kinds about entries.</summary>
        Entries = 0x7,

        /// <summary>Mask: all kinds about members.</summary>
        Members = 0x3ff0,

        /// <summary>Mask: all kinds about the node itself.</summary>
        Node = 0xf0000,

        /// <summary>Mask: entries, members and node; neither warnings nor log lines.</summary>
        All = 0xfffff,
    }
}
