using System;
using System.Text;

namespace ClusterGossip.Interop
{
    /// <summary>The value of an entry or change as it was read: turned into an object when it is asked for.</summary>
    internal struct StoredValue
    {
        internal readonly ValueKind Kind;
        internal readonly byte[] Raw;
        internal readonly string TypeUrl;

        // Meaning by kind: BOOL 0 or 1, INT the value, DOUBLE its bits, TEXT its length in bytes.
        private readonly long number;
        private readonly int textAt;

        internal StoredValue(ValueKind kind, string typeUrl, byte[] raw, long number, int textAt)
        {
            Kind = kind;
            TypeUrl = typeUrl;
            Raw = raw;
            this.number = number;
            this.textAt = textAt;
        }

        internal object ToObject()
        {
            switch (Kind)
            {
                case ValueKind.None:
                    return null;
                case ValueKind.Bytes:
                    return Raw;
                case ValueKind.Text:
                    try
                    {
                        return Utf8.Strict.GetString(Raw, textAt, checked((int)number));
                    }
                    catch (DecoderFallbackException)
                    {
                        return new Message(TypeUrl, Raw);
                    }
                case ValueKind.Bool:
                    return number != 0;
                case ValueKind.Int:
                    return number;
                case ValueKind.Double:
                    return BitConverter.Int64BitsToDouble(number);
                default:
                    return new Message(TypeUrl, Raw);
            }
        }

        /// <summary>The value as one of the plain types, as a message, or as a type that was registered for its message.</summary>
        internal static bool TryAs<T>(object value, out T result)
        {
            if (value is T)
            {
                result = (T)value;
                return true;
            }
            Message message = value as Message;
            if (message != null)
            {
                return MessageTypes.TryDecode(message, out result);
            }
            result = default(T);
            return false;
        }

        internal static T As<T>(object value, string key)
        {
            T result;
            if (TryAs(value, out result))
            {
                return result;
            }
            string found = value == null ? "no value" : value is Message ? value.ToString() : "a " + value.GetType().Name;
            throw Errors.Make(GossipStatus.WrongType, "the entry '" + key + "' holds " + found + ", not a " + typeof(T).Name);
        }
    }
}
