using System;
using System.Text;

namespace ClusterGossip.Interop
{
    /// <summary>Texts on their way to C and back.</summary>
    internal static unsafe class Utf8
    {
        /// <summary>Refuses what has no UTF-8 (half a surrogate pair) and what is none.</summary>
        internal static readonly UTF8Encoding Strict = new UTF8Encoding(false, true);

        private const int ShortText = 64;

        /// <summary>A text that C takes up to its NUL; null stays null.</summary>
        internal static byte[] Terminated(string what, string text)
        {
            if (text == null)
            {
                return null;
            }
            if (text.IndexOf('\0') >= 0)
            {
                throw Errors.Make(GossipStatus.InvalidArgument, what + " contains a zero byte");
            }
            try
            {
                byte[] bytes = new byte[Strict.GetByteCount(text) + 1];
                Strict.GetBytes(text, 0, text.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException)
            {
                throw Errors.Make(GossipStatus.InvalidArgument, what + " is not valid Unicode");
            }
        }

        /// <summary>A static text of the library; null if it is NULL.</summary>
        internal static string FromC(byte* text)
        {
            if (text == null)
            {
                return null;
            }
            int length = 0;
            while (text[length] != 0)
            {
                length++;
            }
            return String(text, length);
        }

        internal static string String(byte* text, int length)
        {
            if (length == 0)
            {
                return string.Empty;
            }
            if (length <= ShortText)
            {
                // Keys and ids are short and mostly ASCII: several times faster than the general way on Mono.
                char* characters = stackalloc char[ShortText];
                int index = 0;
                while (index < length && text[index] < 128)
                {
                    characters[index] = (char)text[index];
                    index++;
                }
                if (index == length)
                {
                    return new string(characters, 0, length);
                }
            }
            return Encoding.UTF8.GetString(text, length);
        }
    }

    /// <summary>Buffers of a thread for one native call: allocating them for each would cost more than the call.</summary>
    internal sealed class Scratch
    {
        [ThreadStatic]
        private static Scratch current;

        /// <summary>For the library's words about an error.</summary>
        internal readonly byte[] Error = new byte[Constants.Errbuf];

        // 255 bytes is the most that a key or id may have; what does not fit goes into an array of its own, to be refused by the library.
        private readonly byte[] key = new byte[1024];
        private readonly byte[] text = new byte[4096];

        internal static Scratch Current
        {
            get { return current ?? (current = new Scratch()); }
        }

        /// <summary>The bytes of a key, at the beginning of the array.</summary>
        internal byte[] Key(string key, out int length)
        {
            if (key == null)
            {
                throw new ArgumentNullException("key");
            }
            return Encode(key, this.key, GossipStatus.InvalidKey, "the key", out length);
        }

        /// <summary>The bytes of a text value, at the beginning of the array.</summary>
        internal byte[] Text(string value, out int length)
        {
            return Encode(value, text, GossipStatus.InvalidArgument, "the text", out length);
        }

        /// <summary>A member id with its NUL, in the buffer of texts.</summary>
        internal byte[] Member(string member)
        {
            if (member.IndexOf('\0') >= 0)
            {
                throw Errors.Make(GossipStatus.InvalidArgument, "the member's id contains a zero byte");
            }
            int length;
            byte[] bytes = Encode(member, text, GossipStatus.InvalidArgument, "the member's id", out length);
            if (length < bytes.Length)
            {
                bytes[length] = 0;
                return bytes;
            }
            byte[] longer = new byte[length + 1];
            Buffer.BlockCopy(bytes, 0, longer, 0, length);
            return longer;
        }

        /// <summary>The library's words after a call that failed.</summary>
        internal string ErrorText()
        {
            int end = Array.IndexOf(Error, (byte)0);
            return Encoding.UTF8.GetString(Error, 0, end < 0 ? Error.Length : end);
        }

        private static byte[] Encode(string text, byte[] buffer, GossipStatus status, string what, out int length)
        {
            try
            {
                byte[] bytes = text.Length * 3 <= buffer.Length ? buffer : new byte[Math.Max(1, Utf8.Strict.GetByteCount(text))];
                length = Utf8.Strict.GetBytes(text, 0, text.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException)
            {
                throw Errors.Make(status, what + " is not valid Unicode");
            }
        }
    }
}
