using System;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>One change that a subscription was told of. Which properties are filled follows from the kind.</summary>
    public sealed class Change
    {
        private readonly StoredValue stored;
        private object value;

        internal Change(Kind kind, string member, string key, StoredValue stored, ulong seq, ulong generation, TimeSpan age,
            MemberStatus memberStatus, ulong conflated, int code, string text, Member info, ulong tag)
        {
            Kind = kind;
            Member = member;
            Key = key;
            this.stored = stored;
            Seq = seq;
            Generation = generation;
            Age = age;
            MemberStatus = memberStatus;
            Conflated = conflated;
            Code = code;
            Text = text;
            Info = info;
            Tag = tag;
        }

        /// <summary>What has happened. A newer library may have kinds that the enumeration has no name for.</summary>
        public Kind Kind { get; private set; }

        /// <summary>Id of the member it is about; empty where it is about none.</summary>
        public string Member { get; private set; }

        /// <summary>Key of the entry; empty where it is about none.</summary>
        public string Key { get; private set; }

        /// <summary>What the value is; none in changes that are not about an entry, and of a deleted entry.</summary>
        public ValueKind ValueKind
        {
            get { return stored.Kind; }
        }

        /// <summary>
        /// The value: <c>byte[]</c>, <c>string</c>, <c>bool</c>, <c>long</c>, <c>double</c>, <see cref="Message"/>; null if there is none.
        /// </summary>
        public object Value
        {
            get { return value ?? (value = stored.ToObject()); }
        }

        /// <summary>The value's type URL; empty for bytes.</summary>
        public string TypeUrl
        {
            get { return stored.TypeUrl; }
        }

        /// <summary>The value as it travels. To be read only.</summary>
        public byte[] Raw
        {
            get { return stored.Raw; }
        }

        /// <summary>The owner's sequence number of the entry.</summary>
        public ulong Seq { get; private set; }

        /// <summary>The generation of the member.</summary>
        public ulong Generation { get; private set; }

        /// <summary>Of an entry since it was received, of a member since its status changed.</summary>
        public TimeSpan Age { get; private set; }

        /// <summary>The member's status when the change was taken.</summary>
        public MemberStatus MemberStatus { get; private set; }

        /// <summary>
        /// How many changes this one stands for, itself included: who reads slowly gets the last value of each key, and the count.
        /// </summary>
        public ulong Conflated { get; private set; }

        /// <summary>
        /// Of a change of state the state, of a warning a status, of a log line its level, of a change of topology the number of members: see the
        /// properties by those names.
        /// </summary>
        public int Code { get; private set; }

        /// <summary>Of a change of state, a warning, a log line, a refused entry: the words. Else empty.</summary>
        public string Text { get; private set; }

        /// <summary>The member's record, in changes about members; else null.</summary>
        public Member Info { get; private set; }

        /// <summary>Number of the subscription that it came through: <see cref="Subscription.Tag"/>.</summary>
        public ulong Tag { get; private set; }

        /// <summary>The entry, where the change is about one; else null.</summary>
        public Entry Entry
        {
            get { return (Kind & Kind.Entries) == 0 ? null : new Entry(Member, Key, stored, Seq, Generation, Age, MemberStatus); }
        }

        /// <summary>The node's new state, in a change of kind <see cref="Kind.NodeState"/>; else null.</summary>
        public NodeState? State
        {
            get { return Kind == Kind.NodeState ? (NodeState?)Code : null; }
        }

        /// <summary>Who is here, in a change of kind <see cref="Kind.Topology"/>; else null.</summary>
        public Topology Topology
        {
            get { return Kind == Kind.Topology ? new Topology(Code, Text) : null; }
        }

        /// <summary>How grave a log line is; none for other kinds.</summary>
        public LogLevel Level
        {
            get { return Kind == Kind.Log ? (LogLevel)Code : LogLevel.None; }
        }

        /// <summary>Of a log line the part of the library that speaks; else empty.</summary>
        public string Target
        {
            get { return Kind == Kind.Log ? Key : string.Empty; }
        }

        /// <summary>The value as a type: see <see cref="Entry.As{T}"/>.</summary>
        /// <typeparam name="T">The type.</typeparam>
        /// <returns>The value.</returns>
        /// <exception cref="GossipException">It is of another type: <see cref="GossipStatus.WrongType"/>.</exception>
        public T As<T>()
        {
            return StoredValue.As<T>(Value, Key);
        }

        /// <summary>The value as a type, if it is of that type.</summary>
        /// <typeparam name="T">The type.</typeparam>
        /// <param name="result">The value.</param>
        /// <returns>False if it is of another type.</returns>
        public bool TryAs<T>(out T result)
        {
            return StoredValue.TryAs(Value, out result);
        }

        /// <summary>Kind, member, key, value and words, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return (Kind + " " + Member + " " + Key + (Value == null ? string.Empty : " = " + Value) + " " + Text).TrimEnd();
        }
    }
}
