using System;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>Which changes a subscription is about; as made, every change of an entry.</summary>
    public sealed class ChangeFilter
    {
        /// <summary>Every change of an entry.</summary>
        public ChangeFilter()
        {
            Kinds = Kind.Entries;
        }

        /// <summary>A mask of kinds; default: <see cref="Kind.Entries"/>.</summary>
        public Kind Kinds { get; set; }

        /// <summary>
        /// Only entries with this key; not together with <see cref="Prefix"/>. Keys beginning <c>cluster:</c> (<see cref="GossipKeys"/>) are the
        /// library's own, and are told only if one of the two begins so.
        /// </summary>
        public string Key { get; set; }

        /// <summary>Only entries whose key begins so.</summary>
        public string Prefix { get; set; }

        /// <summary>Only what is about the member with this id.</summary>
        public string Member { get; set; }

        /// <summary>
        /// What exists comes first, as joined members and changed entries, then <see cref="Kind.InitialDone"/>; without gap or duplicate.
        /// </summary>
        public bool Initial { get; set; }

        /// <summary>Nothing about this node's own entries and membership.</summary>
        public bool NoSelf { get; set; }

        /// <summary>Subscribes a queue to these changes of a node; the id of the native subscription.</summary>
        internal unsafe ulong Subscribe(ulong node, ulong queue, ulong tag)
        {
            if (Key != null && Prefix != null)
            {
                throw new ArgumentException("either a key or a prefix, not both");
            }
            uint flags = (Initial ? Constants.SubInitial : 0) | (NoSelf ? Constants.SubNoSelf : 0) | (Prefix != null ? Constants.SubPrefix : 0);
            Scratch scratch = Scratch.Current;
            int length = 0;
            byte[] key = Key == null && Prefix == null ? null : scratch.Key(Key ?? Prefix, out length);
            byte[] member = Member == null ? null : scratch.Member(Member);
            ulong subscription;
            // Never an empty array, so that the pointer to an empty prefix is not NULL, which would mean any key.
            fixed (byte* k = key, m = member)
            {
                Errors.Check(Native.gossip_subscribe_queue(node, (uint)Kinds, m, k, (UIntPtr)length, flags, queue, tag, &subscription));
            }
            return subscription;
        }
    }
}
