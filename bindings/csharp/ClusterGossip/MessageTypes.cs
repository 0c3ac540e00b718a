using System;
using System.Collections.Generic;

namespace ClusterGossip
{
    /// <summary>
    /// The types of messages that <see cref="Entry.As{T}"/> and <see cref="Gossip.GetState{T}"/> can read: those of the binding
    /// (<see cref="MemberHeartbeat"/>), and what a program registers.
    /// </summary>
    public static class MessageTypes
    {
        private static readonly object Lock = new object();

        // Replaced as a whole, so that readers need no lock.
        private static volatile Dictionary<Type, Codec> codecs = new Dictionary<Type, Codec>
        {
            { typeof(MemberHeartbeat), Codec.Of(MemberHeartbeat.TypeUrl, heartbeat => heartbeat.ToByteArray(), MemberHeartbeat.Parse) },
        };

        /// <summary>Makes a type known, or known otherwise.</summary>
        /// <typeparam name="T">The type.</typeparam>
        /// <param name="typeUrl">
        /// The type URL that it is written with, such as <c>type.googleapis.com/shop.Order</c>; what is read is recognized by what follows the last slash.
        /// </param>
        /// <param name="encode">Gives its bytes.</param>
        /// <param name="decode">
        /// Makes it from bytes; for bytes that are none of it, it throws <see cref="FormatException"/>.
        /// </param>
        public static void Register<T>(string typeUrl, Func<T, byte[]> encode, Func<byte[], T> decode)
        {
            if (typeUrl == null)
            {
                throw new ArgumentNullException("typeUrl");
            }
            if (encode == null)
            {
                throw new ArgumentNullException("encode");
            }
            if (decode == null)
            {
                throw new ArgumentNullException("decode");
            }
            lock (Lock)
            {
                codecs = new Dictionary<Type, Codec>(codecs) { [typeof(T)] = Codec.Of(typeUrl, encode, decode) };
            }
        }

        /// <summary>An object of a known type as a message, which <see cref="Node.Set(string, Message, TimeSpan?, bool)"/> takes.</summary>
        /// <typeparam name="T">The type.</typeparam>
        /// <param name="value">The object.</param>
        /// <returns>Its type URL and bytes.</returns>
        /// <exception cref="NotSupportedException">The type is not known.</exception>
        public static Message ToMessage<T>(T value)
        {
            Codec codec;
            if (!codecs.TryGetValue(typeof(T), out codec))
            {
                throw new NotSupportedException(typeof(T) + " is no known type of message: see MessageTypes.Register");
            }
            return new Message(codec.TypeUrl, ((Func<T, byte[]>)codec.Encode)(value));
        }

        /// <summary>Whether entries can be read as that type: a plain one, or one of a message that is known.</summary>
        internal static bool CanRead(Type type)
        {
            return type == typeof(byte[]) || type == typeof(string) || type == typeof(bool) || type == typeof(long) || type == typeof(double)
                || type == typeof(Message) || type == typeof(object) || codecs.ContainsKey(type);
        }

        /// <summary>False if the message is of another type, or its bytes are none of it.</summary>
        internal static bool TryDecode<T>(Message message, out T value)
        {
            value = default(T);
            Codec codec;
            if (!codecs.TryGetValue(typeof(T), out codec) || codec.TypeName != message.TypeName)
            {
                return false;
            }
            try
            {
                value = ((Func<byte[], T>)codec.Decode)(message.Value);
                return true;
            }
            catch (FormatException)
            {
                return false;
            }
        }

        private sealed class Codec
        {
            internal string TypeUrl;
            internal string TypeName;
            internal Delegate Encode;
            internal Delegate Decode;

            internal static Codec Of<T>(string typeUrl, Func<T, byte[]> encode, Func<byte[], T> decode)
            {
                return new Codec
                {
                    TypeUrl = typeUrl,
                    TypeName = typeUrl.Substring(typeUrl.LastIndexOf('/') + 1),
                    Encode = encode,
                    Decode = decode,
                };
            }
        }
    }
}
