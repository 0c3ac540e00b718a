using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using System.Text;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// Settings for a node, by name: <c>new NodeSettings { ["cluster"] = "shop", ["seeds"] = new[] { "10.0.0.1:4711" } }</c>.
    /// </summary>
    /// <remarks>
    /// They are passed through to the library, so a setting of a newer library needs no newer binding;
    /// <see cref="GossipLibrary.Settings"/> lists them. A value is a string as the library reads it, or: a bool (<c>on</c>,
    /// <c>off</c>); a number, in the setting's own unit; a <see cref="TimeSpan"/>; an <see cref="IPEndPoint"/>; a sequence of those (<c>a,b</c>); a
    /// dictionary (<c>name=value,name=value</c>); or null, which leaves the default. Not safe for several threads at once.
    /// </remarks>
    public sealed class NodeSettings : IEnumerable<KeyValuePair<string, object>>
    {
        private readonly List<string> names = new List<string>();
        private readonly Dictionary<string, object> values = new Dictionary<string, object>(StringComparer.Ordinal);

        /// <summary>The value of a setting; null if it was not given.</summary>
        /// <param name="name">The setting's name.</param>
        public object this[string name]
        {
            get
            {
                object value;
                return values.TryGetValue(name, out value) ? value : null;
            }

            set
            {
                if (!values.ContainsKey(name))
                {
                    names.Add(name);
                }
                values[name] = value;
            }
        }

        /// <summary>Gives a setting a value, as the collection initializer <c>{ { "cluster", "shop" } }</c> does.</summary>
        /// <param name="name">The setting's name.</param>
        /// <param name="value">Its value.</param>
        public void Add(string name, object value)
        {
            this[name] = value;
        }

        /// <summary>The settings in the order in which they were given.</summary>
        /// <returns>Names and values.</returns>
        public IEnumerator<KeyValuePair<string, object>> GetEnumerator()
        {
            foreach (string name in names)
            {
                yield return new KeyValuePair<string, object>(name, values[name]);
            }
        }

        IEnumerator IEnumerable.GetEnumerator()
        {
            return GetEnumerator();
        }

        /// <summary>A setting's value as the library reads it: <c>{ "a", "b" }</c> becomes <c>a,b</c>, 1.5 s <c>1500ms</c>.</summary>
        /// <param name="name">The setting's name, for the message of an exception.</param>
        /// <param name="value">The value.</param>
        /// <returns>The text.</returns>
        /// <exception cref="ArgumentException">There is no text for a value of that type, or an item contains a comma.</exception>
        public static string ToText(string name, object value)
        {
            string scalar = Scalar(value);
            if (scalar != null)
            {
                return scalar;
            }
            IDictionary dictionary = value as IDictionary;
            if (dictionary != null)
            {
                List<string> pairs = new List<string>();
                foreach (DictionaryEntry pair in dictionary)
                {
                    pairs.Add(ItemText(name, pair.Key) + "=" + ItemText(name, pair.Value));
                }
                return string.Join(",", pairs);
            }
            IEnumerable items = value as IEnumerable;
            if (items != null && !(value is byte[]))
            {
                List<string> texts = new List<string>();
                foreach (object item in items)
                {
                    texts.Add(ItemText(name, item));
                }
                return string.Join(",", texts);
            }
            throw new ArgumentException("setting " + name + ": " + (value == null ? "null" : "a " + value.GetType()) + " cannot be written as text");
        }

        private static string Scalar(object value)
        {
            if (value is string)
            {
                return (string)value;
            }
            if (value is bool)
            {
                return (bool)value ? "on" : "off";
            }
            if (value is TimeSpan)
            {
                // Exactly: what is finer than the library can do it shall refuse, not get rounded.
                return ((decimal)((TimeSpan)value).Ticks / TimeSpan.TicksPerMillisecond).ToString("0.####", CultureInfo.InvariantCulture) + "ms";
            }
            if (value is float || value is double)
            {
                return ((IFormattable)value).ToString("R", CultureInfo.InvariantCulture);
            }
            if (value is sbyte || value is byte || value is short || value is ushort || value is int || value is uint || value is long
                || value is ulong || value is decimal)
            {
                return ((IFormattable)value).ToString(null, CultureInfo.InvariantCulture);
            }
            return value is IPEndPoint ? value.ToString() : null;
        }

        private static string ItemText(string name, object item)
        {
            string text = item is bool ? null : Scalar(item);
            if (text == null)
            {
                throw new ArgumentException(
                    "setting " + name + ": " + (item == null ? "null" : "a " + item.GetType()) + " cannot be an item of a list");
            }
            if (text.IndexOf(',') >= 0)
            {
                // It would silently become two items.
                throw new ArgumentException("setting " + name + ": '" + text + "' contains a comma, which separates items");
            }
            return text;
        }
    }
}
