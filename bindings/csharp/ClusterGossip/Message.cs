using System;

namespace ClusterGossip
{
    /// <summary>A value of a type that C# has no counterpart for: a <c>google.protobuf.Any</c>, which is a type URL and bytes.</summary>
    public sealed class Message : IEquatable<Message>
    {
        /// <summary>A message of that type.</summary>
        /// <param name="typeUrl">Such as <c>type.googleapis.com/shop.Order</c>; at most 255 bytes. Empty would mean plain bytes.</param>
        /// <param name="value">The message as protobuf encodes it. It is not copied: leave it as it is.</param>
        public Message(string typeUrl, byte[] value)
        {
            if (typeUrl == null)
            {
                throw new ArgumentNullException("typeUrl");
            }
            if (value == null)
            {
                throw new ArgumentNullException("value");
            }
            TypeUrl = typeUrl;
            Value = value;
        }

        /// <summary>Names the type, after its last slash.</summary>
        public string TypeUrl { get; private set; }

        /// <summary>The message as protobuf encodes it: to be read only.</summary>
        public byte[] Value { get; private set; }

        /// <summary>The full name of the type: what follows the last slash of the type URL.</summary>
        public string TypeName
        {
            get { return TypeUrl.Substring(TypeUrl.LastIndexOf('/') + 1); }
        }

        /// <summary>Whether type URL and bytes are equal.</summary>
        /// <param name="other">Another message.</param>
        /// <returns>True if they are.</returns>
        public bool Equals(Message other)
        {
            if (other == null || other.TypeUrl != TypeUrl || other.Value.Length != Value.Length)
            {
                return false;
            }
            for (int index = 0; index < Value.Length; index++)
            {
                if (Value[index] != other.Value[index])
                {
                    return false;
                }
            }
            return true;
        }

        /// <inheritdoc />
        public override bool Equals(object obj)
        {
            return Equals(obj as Message);
        }

        /// <inheritdoc />
        public override int GetHashCode()
        {
            int hash = StringComparer.Ordinal.GetHashCode(TypeUrl);
            foreach (byte each in Value)
            {
                hash = unchecked((hash * 31) + each);
            }
            return hash;
        }

        /// <summary>Type and length, for people.</summary>
        /// <returns>Such as <c>type.googleapis.com/shop.Order (12 bytes)</c>.</returns>
        public override string ToString()
        {
            return TypeUrl + " (" + Value.Length + " bytes)";
        }
    }
}
