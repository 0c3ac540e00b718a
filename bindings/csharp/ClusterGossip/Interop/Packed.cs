using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// Reads the packed form of events, entries and members (<c>docs/events.md</c>): records of a head with numbers, little-endian, and
    /// of texts. Fields are only ever appended to the head, so the texts are looked for where the record says that they begin.
    /// </summary>
    internal sealed unsafe class Packed
    {
        private const int SizeAt = 0, HeadAt = 4, KindAt = 8, StatusAt = 12, TagAt = 16, ConflatedAt = 40, SeqAt = 48, GenerationAt = 56;
        private const int AgeAt = 64, NumberAt = 72, CodeAt = 80, ValueKindAt = 84, MemberLengthAt = 88, KeyLengthAt = 92;
        private const int TypeUrlLengthAt = 96, ValueLengthAt = 100, TextLengthAt = 104, PlainOffsetAt = 108, HeadLength = 112;

        private static readonly byte[] NoBytes = new byte[0];

        [ThreadStatic]
        private static Packed current;

        // In a batch most records have the type, and many the member, of the one before: their strings are shared.
        private string lastMember = string.Empty;
        private string lastTypeUrl = string.Empty;

        // The record being read: where its texts and its value begin.
        private byte* member, key, typeUrl, value, text;
        private int memberLength, keyLength, typeUrlLength, valueLength, textLength;

        private static Packed Current
        {
            get { return current ?? (current = new Packed()); }
        }

        /// <summary>Reads a list of entries and frees it.</summary>
        internal static List<Entry> Entries(IntPtr list)
        {
            try
            {
                UIntPtr length;
                byte* at = Native.gossip_entries_packed(list, &length);
                byte* end = at + (ulong)length;
                Packed reader = Current;
                List<Entry> found = new List<Entry>(1);
                for (; at < end; at += reader.Step(at, end))
                {
                    found.Add(reader.Entry(at, end));
                }
                return found;
            }
            finally
            {
                Native.gossip_entries_free(list);
            }
        }

        /// <summary>Reads a list of members and frees it.</summary>
        internal static List<Member> Members(IntPtr list)
        {
            try
            {
                UIntPtr length;
                byte* at = Native.gossip_members_packed(list, &length);
                byte* end = at + (ulong)length;
                Packed reader = Current;
                List<Member> found = new List<Member>();
                for (; at < end; at += reader.Step(at, end))
                {
                    reader.Locate(at, end);
                    found.Add(reader.Member(at));
                }
                return found;
            }
            finally
            {
                Native.gossip_members_free(list);
            }
        }

        /// <summary>Reads a batch of events and frees it.</summary>
        internal static List<Change> Changes(IntPtr batch)
        {
            try
            {
                UIntPtr length;
                byte* at = Native.gossip_events_packed(batch, &length);
                byte* end = at + (ulong)length;
                Packed reader = Current;
                List<Change> found = new List<Change>(Constants.Batch);
                for (; at < end; at += reader.Step(at, end))
                {
                    found.Add(reader.Change(at, end));
                }
                return found;
            }
            finally
            {
                Native.gossip_events_free(batch);
            }
        }

        /// <summary>The bytes that a call has handed out, which are freed.</summary>
        internal static byte[] Bytes(IntPtr bytes)
        {
            try
            {
                UIntPtr length;
                byte* data = Native.gossip_bytes_data(bytes, &length);
                return Copy(data, checked((int)(ulong)length));
            }
            finally
            {
                Native.gossip_bytes_free(bytes);
            }
        }

        private Entry Entry(byte* record, byte* end)
        {
            Locate(record, end);
            return new Entry(
                MemberId(),
                Utf8.String(key, keyLength),
                Value(record),
                U64(record + SeqAt),
                U64(record + GenerationAt),
                Milliseconds((long)U64(record + AgeAt)),
                (MemberStatus)(int)U32(record + StatusAt));
        }

        private Change Change(byte* record, byte* end)
        {
            Locate(record, end);
            Kind kind = (Kind)U32(record + KindAt);
            bool aboutMember = (kind & Kind.Members) != 0;
            return new Change(
                kind,
                MemberId(),
                Utf8.String(key, keyLength),
                // In a change about a member the bytes of the value are its tags.
                aboutMember ? new StoredValue(ValueKind.None, string.Empty, NoBytes, 0, 0) : Value(record),
                U64(record + SeqAt),
                U64(record + GenerationAt),
                Milliseconds((long)U64(record + AgeAt)),
                (MemberStatus)(int)U32(record + StatusAt),
                U64(record + ConflatedAt),
                (int)U32(record + CodeAt),
                aboutMember ? string.Empty : Utf8.String(text, textLength),
                aboutMember ? Member(record) : null,
                U64(record + TagAt));
        }

        private Member Member(byte* record)
        {
            Dictionary<string, string> tags = new Dictionary<string, string>(StringComparer.Ordinal);
            if (valueLength != 0)
            {
                foreach (string line in Utf8.String(value, valueLength).Split('\n'))
                {
                    int sign = line.IndexOf('=');
                    if (sign >= 0)
                    {
                        tags[line.Substring(0, sign)] = line.Substring(sign + 1);
                    }
                }
            }
            long microseconds = (long)U64(record + NumberAt);
            return new Member(
                MemberId(),
                U64(record + GenerationAt),
                Utf8.String(text, textLength),
                (MemberStatus)(int)U32(record + StatusAt),
                U32(record + CodeAt) == 1,
                Milliseconds((long)U64(record + AgeAt)),
                microseconds < 0 ? (TimeSpan?)null : TimeSpan.FromTicks(microseconds * (TimeSpan.TicksPerMillisecond / 1000)),
                tags);
        }

        private StoredValue Value(byte* record)
        {
            ValueKind kind = (ValueKind)U32(record + ValueKindAt);
            lastTypeUrl = Shared(lastTypeUrl, typeUrl, typeUrlLength);
            return new StoredValue(
                kind, lastTypeUrl, Copy(value, valueLength), (long)U64(record + NumberAt), (int)U32(record + PlainOffsetAt));
        }

        private string MemberId()
        {
            return lastMember = Shared(lastMember, member, memberLength);
        }

        /// <summary>Finds the texts of a record, and makes sure that they are inside of it: this reads memory by pointers.</summary>
        private void Locate(byte* record, byte* end)
        {
            long room = end - record;
            long size = room < HeadLength ? 0 : U32(record + SizeAt);
            long head = size == 0 ? 0 : U32(record + HeadAt);
            if (size > room || head < HeadLength || head > size)
            {
                throw new InvalidOperationException("a packed record of the library is not well-formed");
            }
            long rest = size - head;
            memberLength = Length(record + MemberLengthAt, ref rest);
            keyLength = Length(record + KeyLengthAt, ref rest);
            typeUrlLength = Length(record + TypeUrlLengthAt, ref rest);
            valueLength = Length(record + ValueLengthAt, ref rest);
            textLength = Length(record + TextLengthAt, ref rest);
            member = record + head;
            key = member + memberLength;
            typeUrl = key + keyLength;
            value = typeUrl + typeUrlLength;
            text = value + valueLength;
        }

        private long Step(byte* record, byte* end)
        {
            // Locate() has checked it.
            return U32(record + SizeAt);
        }

        private static int Length(byte* field, ref long rest)
        {
            long length = U32(field);
            rest -= length;
            if (rest < 0)
            {
                throw new InvalidOperationException("a packed record of the library is not well-formed");
            }
            return (int)length;
        }

        /// <summary>The text as a string; the last one, if it is the same.</summary>
        private static string Shared(string last, byte* text, int length)
        {
            if (last.Length != length)
            {
                return Utf8.String(text, length);
            }
            for (int index = 0; index < length; index++)
            {
                // Outside of ASCII a byte is not a character, so no comparison is tried.
                if (last[index] != text[index] || text[index] >= 128)
                {
                    return Utf8.String(text, length);
                }
            }
            return last;
        }

        private static byte[] Copy(byte* data, int length)
        {
            if (length == 0)
            {
                return NoBytes;
            }
            byte[] copy = new byte[length];
            Marshal.Copy((IntPtr)data, copy, 0, length);
            return copy;
        }

        private static TimeSpan Milliseconds(long count)
        {
            return TimeSpan.FromTicks(count * TimeSpan.TicksPerMillisecond);
        }

        private static uint U32(byte* at)
        {
            return BitConverter.IsLittleEndian ? *(uint*)at : (uint)(at[0] | (at[1] << 8) | (at[2] << 16) | (at[3] << 24));
        }

        private static ulong U64(byte* at)
        {
            return BitConverter.IsLittleEndian ? *(ulong*)at : U32(at) | ((ulong)U32(at + 4) << 32);
        }
    }
}
