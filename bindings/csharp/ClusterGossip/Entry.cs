using System;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>One entry, as it was when it was read. It does not change.</summary>
    public sealed class Entry
    {
        private readonly StoredValue stored;
        private object value;

        internal Entry(string member, string key, StoredValue stored, ulong seq, ulong generation, TimeSpan age, MemberStatus memberStatus)
        {
            Member = member;
            Key = key;
            this.stored = stored;
            Seq = seq;
            Generation = generation;
            Age = age;
            MemberStatus = memberStatus;
        }

        /// <summary>Id of the member that owns it.</summary>
        public string Member { get; private set; }

        /// <summary>The key.</summary>
        public string Key { get; private set; }

        /// <summary>What the value is.</summary>
        public ValueKind ValueKind
        {
            get { return stored.Kind; }
        }

        /// <summary>The value: <c>byte[]</c>, <c>string</c>, <c>bool</c>, <c>long</c>, <c>double</c> or <see cref="Message"/>.</summary>
        public object Value
        {
            // Two threads may both make it; either one is right.
            get { return value ?? (value = stored.ToObject()); }
        }

        /// <summary>The value's type URL; empty for bytes.</summary>
        public string TypeUrl
        {
            get { return stored.TypeUrl; }
        }

        /// <summary>The value as it travels: of a text or a number its protobuf encoding. To be read only.</summary>
        public byte[] Raw
        {
            get { return stored.Raw; }
        }

        /// <summary>The owner's sequence number, counting from 1 in each life of it, higher with each of its sets and deletes.</summary>
        public ulong Seq { get; private set; }

        /// <summary>The generation of the owner: a later start of the same id has a higher one.</summary>
        public ulong Generation { get; private set; }

        /// <summary>How long ago this node received it, or set it, when it was read.</summary>
        public TimeSpan Age { get; private set; }

        /// <summary>The owner's status when it was read.</summary>
        public MemberStatus MemberStatus { get; private set; }

        /// <summary>The value as a type: one of those of <see cref="Value"/>, or one known to <see cref="MessageTypes"/>.</summary>
        /// <typeparam name="T">The type.</typeparam>
        /// <returns>The value.</returns>
        /// <exception cref="GossipException">It is of another type: <see cref="GossipStatus.WrongType"/>.</exception>
        public T As<T>()
        {
            return StoredValue.As<T>(Value, Key);
        }

        /// <summary>The value as a type, if it is of that type.</summary>
        /// <typeparam name="T">The type: as for <see cref="As{T}"/>.</typeparam>
        /// <param name="result">The value.</param>
        /// <returns>False if it is of another type.</returns>
        public bool TryAs<T>(out T result)
        {
            return StoredValue.TryAs(Value, out result);
        }

        /// <summary>Member, key and value, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return Member + " " + Key + " = " + Value;
        }
    }
}
