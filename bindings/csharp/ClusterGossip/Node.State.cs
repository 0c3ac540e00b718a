using System;
using System.Collections.Generic;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <content>Entries and members.</content>
    public sealed partial class Node
    {
        /// <summary>Publishes an entry of this node's own: plain bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The value, which the others read as their own language's type. It is copied.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipKeyException">The key is none, or reserved.</exception>
        /// <exception cref="GossipLimitException">The value, or the state with it, is too large.</exception>
        /// <exception cref="GossipException">The node has left, is banned, or has failed.</exception>
        public unsafe ulong Set(string key, byte[] value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            NotNull(value);
            // fixed gives NULL for an empty array, which the library takes for the empty value that it is.
            fixed (byte* v = value)
            {
                return SetPlain(key, ValueKind.Bytes, v, value.Length, ttl, ifChanged);
            }
        }

        /// <summary>Publishes an entry of this node's own: a text. Otherwise as for bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The text; zero characters may be in it.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for bytes.</exception>
        public unsafe ulong Set(string key, string value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            NotNull(value);
            int length;
            byte[] text = Scratch.Current.Text(value, out length);
            fixed (byte* v = text)
            {
                return SetPlain(key, ValueKind.Text, v, length, ttl, ifChanged);
            }
        }

        /// <summary>Publishes an entry of this node's own: a boolean. Otherwise as for bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The value.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for bytes.</exception>
        public unsafe ulong Set(string key, bool value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            byte one = value ? (byte)1 : (byte)0;
            return SetPlain(key, ValueKind.Bool, &one, 1, ttl, ifChanged);
        }

        /// <summary>Publishes an entry of this node's own: an integer. Otherwise as for bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The value.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for bytes.</exception>
        public unsafe ulong Set(string key, long value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            return SetPlain(key, ValueKind.Int, (byte*)&value, sizeof(long), ttl, ifChanged);
        }

        /// <summary>
        /// Publishes an entry of this node's own: an integer. Without this form the compiler would make a floating-point number of it.
        /// </summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The value; at most <see cref="long.MaxValue"/>.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="OverflowException">The value does not fit into a signed integer of 64 bits.</exception>
        /// <exception cref="GossipException">As for bytes.</exception>
        public ulong Set(string key, ulong value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            return Set(key, checked((long)value), ttl, ifChanged);
        }

        /// <summary>Publishes an entry of this node's own: a floating-point number. Otherwise as for bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The value; infinities and NaN are values too.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for bytes.</exception>
        public unsafe ulong Set(string key, double value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            return SetPlain(key, ValueKind.Double, (byte*)&value, sizeof(double), ttl, ifChanged);
        }

        /// <summary>Publishes an entry of this node's own: a message of any type. Otherwise as for bytes.</summary>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">Type URL and bytes.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">If type and value are what is there, nothing happens, and the sequence number is the old one.</param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for bytes.</exception>
        public unsafe ulong Set(string key, Message value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            NotNull(value);
            byte[] typeUrl = Utf8.Terminated("the type URL", value.TypeUrl);
            long ttlMs = TtlMs(ttl);
            Scratch scratch = Scratch.Current;
            int keyLength;
            byte[] keyBytes = scratch.Key(key, out keyLength);
            ulong seq;
            int status;
            fixed (byte* k = keyBytes, t = typeUrl, v = value.Value, e = scratch.Error)
            {
                status = Native.gossip_set_with(handle.Id, k, (UIntPtr)(uint)keyLength, t, v, (UIntPtr)(uint)value.Value.Length, ttlMs,
                    ifChanged ? Constants.SetIfChanged : 0, &seq, e, (UIntPtr)(uint)scratch.Error.Length);
            }
            GC.KeepAlive(this);
            CheckWithWords(status);
            return seq;
        }

        /// <summary>The entries of all living members under a key. It never waits for the network.</summary>
        /// <param name="key">The key.</param>
        /// <param name="departed">Also of members that are dead, left or banned, whose state is kept for a while.</param>
        /// <returns>Member id to entry; empty if there is none.</returns>
        /// <exception cref="GossipKeyException">The key is none.</exception>
        public IReadOnlyDictionary<string, Entry> Get(string key, bool departed = false)
        {
            List<Entry> entries = Read(null, key, departed ? Constants.GetDeparted : 0);
            Dictionary<string, Entry> found = new Dictionary<string, Entry>(entries.Count, StringComparer.Ordinal);
            foreach (Entry entry in entries)
            {
                found[entry.Member] = entry;
            }
            return found;
        }

        /// <summary>The entry of one member under a key. It never waits for the network.</summary>
        /// <param name="member">The member's id.</param>
        /// <param name="key">The key.</param>
        /// <param name="departed">Also if the member is dead, left or banned.</param>
        /// <returns>The entry; null if there is none.</returns>
        /// <exception cref="GossipKeyException">The key is none.</exception>
        public Entry Get(string member, string key, bool departed = false)
        {
            if (member == null)
            {
                throw new ArgumentNullException("member");
            }
            List<Entry> entries = Read(member, key, departed ? Constants.GetDeparted : 0);
            return entries.Count == 0 ? null : entries[0];
        }

        /// <summary>This node's own entry under a key.</summary>
        /// <param name="key">The key.</param>
        /// <returns>The entry; null if there is none.</returns>
        /// <exception cref="GossipKeyException">The key is none.</exception>
        public unsafe Entry GetOwn(string key)
        {
            int length;
            byte[] bytes = Scratch.Current.Key(key, out length);
            IntPtr list;
            fixed (byte* k = bytes)
            {
                Check(Native.gossip_get_own(handle.Id, k, (UIntPtr)(uint)length, &list));
            }
            List<Entry> entries = Packed.Entries(list);
            return entries.Count == 0 ? null : entries[0];
        }

        /// <summary>All entries whose key begins so. The library's own, under <c>cluster:</c> keys, only for a prefix that begins so.</summary>
        /// <param name="prefix">How the key begins.</param>
        /// <param name="member">Only of the member with this id; null for all.</param>
        /// <param name="departed">Also of members that are dead, left or banned.</param>
        /// <returns>The entries, ordered by member and key.</returns>
        public IReadOnlyList<Entry> Entries(string prefix = "", string member = null, bool departed = false)
        {
            return Read(member, prefix, Constants.GetPrefix | (departed ? Constants.GetDeparted : 0));
        }

        /// <summary>Deletes this node's own entry under a key.</summary>
        /// <param name="key">The key.</param>
        /// <exception cref="GossipNotFoundException">There is none.</exception>
        /// <exception cref="GossipException">As for <see cref="Set(string, byte[], TimeSpan?, bool)"/>.</exception>
        public unsafe void Delete(string key)
        {
            int length;
            byte[] bytes = Scratch.Current.Key(key, out length);
            fixed (byte* k = bytes)
            {
                Check(Native.gossip_delete(handle.Id, k, (UIntPtr)(uint)length));
            }
        }

        /// <summary>The members that are alive or suspect, this node included, ordered by id.</summary>
        /// <param name="departed">Also those that are dead, left or banned.</param>
        /// <returns>The members.</returns>
        public unsafe IReadOnlyList<Member> Members(bool departed = false)
        {
            IntPtr list;
            Check(Native.gossip_members_get(handle.Id, departed ? Constants.GetDeparted : 0, &list));
            return Packed.Members(list);
        }

        private static void NotNull(object value)
        {
            if (value == null)
            {
                throw new ArgumentNullException("value");
            }
        }

        /// <summary>Whole milliseconds, rounded up: a time to live of 0 would mean none at all.</summary>
        private static long TtlMs(TimeSpan? ttl)
        {
            if (ttl == null)
            {
                return 0;
            }
            if (ttl.Value <= TimeSpan.Zero)
            {
                throw new ArgumentOutOfRangeException("ttl", "a time to live is more than nothing");
            }
            return ((ttl.Value.Ticks - 1) / TimeSpan.TicksPerMillisecond) + 1;
        }

        private unsafe ulong SetPlain(string key, ValueKind kind, byte* value, int length, TimeSpan? ttl, bool ifChanged)
        {
            long ttlMs = TtlMs(ttl);
            Scratch scratch = Scratch.Current;
            int keyLength;
            byte[] keyBytes = scratch.Key(key, out keyLength);
            ulong seq;
            int status;
            fixed (byte* k = keyBytes, e = scratch.Error)
            {
                status = Native.gossip_set_plain(handle.Id, k, (UIntPtr)(uint)keyLength, (int)kind, value, (UIntPtr)(uint)length, ttlMs,
                    ifChanged ? Constants.SetIfChanged : 0, &seq, e, (UIntPtr)(uint)scratch.Error.Length);
            }
            GC.KeepAlive(this);
            CheckWithWords(status);
            return seq;
        }

        private unsafe List<Entry> Read(string member, string key, uint flags)
        {
            Scratch scratch = Scratch.Current;
            int length;
            byte[] keyBytes = scratch.Key(key, out length);
            byte[] memberBytes = member == null ? null : scratch.Member(member);
            IntPtr list;
            fixed (byte* k = keyBytes, m = memberBytes)
            {
                Check(Native.gossip_get(handle.Id, m, k, (UIntPtr)(uint)length, flags, &list));
            }
            return Packed.Entries(list);
        }
    }
}
