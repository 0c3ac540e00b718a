using System;
using System.Collections.Generic;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace ClusterGossip.Protobuf
{
    /// <summary>Messages of Google.Protobuf as values of entries.</summary>
    /// <remarks>
    /// They travel as a <c>google.protobuf.Any</c>: with the type URL <c>type.googleapis.com/</c> and the full name of the message, as
    /// Proto.Actor writes it. What is read is recognized by what follows the last slash.
    /// </remarks>
    public static class ProtobufExtensions
    {
        private const string TypeUrlPrefix = "type.googleapis.com/";

        /// <summary>Publishes an entry of the node's own: a message.</summary>
        /// <param name="node">The node.</param>
        /// <param name="key">1 to 255 bytes of UTF-8, not beginning with <c>cluster:</c>.</param>
        /// <param name="value">The message.</param>
        /// <param name="ttl">Readers stop seeing the entry after so long; null: it stays.</param>
        /// <param name="ifChanged">
        /// If type and bytes are what is there, nothing happens. The bytes of one message can differ where it has maps, whose order is open.
        /// </param>
        /// <returns>The sequence number that the entry has now.</returns>
        /// <exception cref="GossipException">As for <see cref="Node.Set(string, Message, TimeSpan?, bool)"/>.</exception>
        public static ulong Set(this Node node, string key, IMessage value, TimeSpan? ttl = null, bool ifChanged = false)
        {
            return node.Set(key, ToGossip(value), ttl, ifChanged);
        }

        /// <summary>What all living members have under a key, as messages.</summary>
        /// <typeparam name="T">The message.</typeparam>
        /// <param name="node">The node.</param>
        /// <param name="key">The key.</param>
        /// <returns>Member id to message. A member that has something else under the key is left out.</returns>
        /// <exception cref="GossipKeyException">The key is none.</exception>
        public static IReadOnlyDictionary<string, T> GetMessages<T>(this Node node, string key)
            where T : class, IMessage<T>, new()
        {
            Dictionary<string, T> found = new Dictionary<string, T>(StringComparer.Ordinal);
            foreach (KeyValuePair<string, Entry> each in node.Get(key))
            {
                T message;
                if (each.Value.TryUnpack(out message))
                {
                    found[each.Key] = message;
                }
            }
            return found;
        }

        /// <summary>The value of an entry as a message, if it is one of that type.</summary>
        /// <typeparam name="T">The message.</typeparam>
        /// <param name="entry">The entry.</param>
        /// <param name="message">The message.</param>
        /// <returns>False if the value is of another type, or its bytes are no such message.</returns>
        public static bool TryUnpack<T>(this Entry entry, out T message)
            where T : class, IMessage<T>, new()
        {
            return TryUnpack(entry.TypeUrl, entry.Raw, out message);
        }

        /// <summary>The value of a change as a message, if it is one of that type.</summary>
        /// <typeparam name="T">The message.</typeparam>
        /// <param name="change">The change.</param>
        /// <param name="message">The message.</param>
        /// <returns>False if there is no value, it is of another type, or its bytes are no such message.</returns>
        public static bool TryUnpack<T>(this Change change, out T message)
            where T : class, IMessage<T>, new()
        {
            return TryUnpack(change.TypeUrl, change.Raw, out message);
        }

        /// <summary>A message of Google.Protobuf as one that <see cref="Node.Set(string, Message, TimeSpan?, bool)"/> takes.</summary>
        /// <param name="message">The message.</param>
        /// <returns>Its type URL and bytes.</returns>
        public static Message ToGossip(this IMessage message)
        {
            if (message == null)
            {
                throw new ArgumentNullException(nameof(message));
            }
            return new Message(TypeUrlPrefix + message.Descriptor.FullName, message.ToByteArray());
        }

        /// <summary>
        /// Makes a message known to <see cref="MessageTypes"/>, so that <see cref="Entry.As{T}"/> and
        /// <see cref="Gossip.GetState{T}"/> read it.
        /// </summary>
        /// <typeparam name="T">The message.</typeparam>
        public static void Register<T>()
            where T : class, IMessage<T>, new()
        {
            MessageTypes.Register<T>(TypeUrlPrefix + new T().Descriptor.FullName, message => message.ToByteArray(), bytes =>
            {
                try
                {
                    return Parse<T>(bytes);
                }
                catch (InvalidProtocolBufferException error)
                {
                    throw new FormatException(error.Message, error);
                }
            });
        }

        private static bool TryUnpack<T>(string typeUrl, byte[] bytes, out T message)
            where T : class, IMessage<T>, new()
        {
            message = null;
            MessageDescriptor descriptor = new T().Descriptor;
            if (typeUrl.Substring(typeUrl.LastIndexOf('/') + 1) != descriptor.FullName)
            {
                return false;
            }
            try
            {
                message = Parse<T>(bytes);
                return true;
            }
            catch (InvalidProtocolBufferException)
            {
                return false;
            }
        }

        private static T Parse<T>(byte[] bytes)
            where T : class, IMessage<T>, new()
        {
            T message = new T();
            message.MergeFrom(bytes);
            return message;
        }
    }
}
