using System;
using System.Collections.Generic;
using System.Text;

namespace ClusterGossip.Interop
{
    /// <summary>Reads the encoding of protobuf messages. What is not well-formed is a FormatException.</summary>
    internal sealed class ProtoReader
    {
        private const int Varint = 0, Fixed64 = 1, LengthDelimited = 2, Fixed32 = 5;

        private readonly byte[] bytes;
        private readonly int end;
        private int at;
        private int wireType;

        internal ProtoReader(byte[] bytes)
            : this(bytes, 0, bytes.Length)
        {
        }

        private ProtoReader(byte[] bytes, int start, int end)
        {
            this.bytes = bytes;
            at = start;
            this.end = end;
        }

        /// <summary>The number of the next field, whose value is to be read next; 0 at the end.</summary>
        internal int Next()
        {
            if (at == end)
            {
                return 0;
            }
            ulong tag = ReadVarint();
            wireType = (int)(tag & 7);
            ulong field = tag >> 3;
            if (field == 0 || field > 536870911)
            {
                throw Wrong();
            }
            return (int)field;
        }

        internal long Int64()
        {
            Want(Varint);
            return unchecked((long)ReadVarint());
        }

        internal string Text()
        {
            int start = Delimited();
            try
            {
                return Utf8.Strict.GetString(bytes, start, at - start);
            }
            catch (DecoderFallbackException)
            {
                throw Wrong();
            }
        }

        internal ProtoReader Message()
        {
            int start = Delimited();
            return new ProtoReader(bytes, start, at);
        }

        /// <summary>Passes over a field that a newer version has added.</summary>
        internal void Skip()
        {
            switch (wireType)
            {
                case Varint:
                    ReadVarint();
                    break;
                case Fixed64:
                    Advance(8);
                    break;
                case LengthDelimited:
                    Delimited();
                    break;
                case Fixed32:
                    Advance(4);
                    break;
                default:
                    throw Wrong();
            }
        }

        /// <summary>Where a text or message begins; it ends where the reader then is.</summary>
        private int Delimited()
        {
            Want(LengthDelimited);
            ulong length = ReadVarint();
            int start = at;
            Advance(length);
            return start;
        }

        private void Advance(ulong length)
        {
            if (length > (ulong)(end - at))
            {
                throw Wrong();
            }
            at += (int)length;
        }

        private ulong ReadVarint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 70; shift += 7)
            {
                if (at == end)
                {
                    throw Wrong();
                }
                byte next = bytes[at++];
                if (shift < 64)
                {
                    value |= (ulong)(next & 127) << shift;
                }
                if (next < 128)
                {
                    return value;
                }
            }
            throw Wrong();
        }

        private void Want(int type)
        {
            if (wireType != type)
            {
                throw Wrong();
            }
        }

        private FormatException Wrong()
        {
            return new FormatException("not a well-formed message at byte " + at);
        }
    }

    /// <summary>Writes the encoding of protobuf messages; default values are left out, as proto3 has it.</summary>
    internal sealed class ProtoWriter
    {
        private readonly List<byte> bytes = new List<byte>();

        internal byte[] ToArray()
        {
            return bytes.ToArray();
        }

        internal void Int64(int field, long value)
        {
            if (value != 0)
            {
                WriteVarint((ulong)field << 3);
                WriteVarint(unchecked((ulong)value));
            }
        }

        internal void Text(int field, string value)
        {
            if (value.Length != 0)
            {
                Delimited(field, Utf8.Strict.GetBytes(value));
            }
        }

        /// <summary>Written also when it is empty: that it is there says something.</summary>
        internal void Message(int field, ProtoWriter value)
        {
            Delimited(field, value.ToArray());
        }

        private void Delimited(int field, byte[] value)
        {
            WriteVarint(((ulong)field << 3) | 2);
            WriteVarint((ulong)value.Length);
            bytes.AddRange(value);
        }

        private void WriteVarint(ulong value)
        {
            while (value >= 128)
            {
                bytes.Add((byte)(value | 128));
                value >>= 7;
            }
            bytes.Add((byte)value);
        }
    }
}
