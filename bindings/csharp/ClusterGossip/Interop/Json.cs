using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// Reads the JSON that the library writes: objects of numbers and texts, of which offsets, metrics and bans consist. .NET Standard 2.0 has
    /// no reader of its own, and a package for this would be a dependency of every user.
    /// </summary>
    internal sealed class Json
    {
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        /// <summary>An object of numbers.</summary>
        internal static Dictionary<string, double> Numbers(string text)
        {
            Json reader = new Json(text);
            Dictionary<string, double> found = new Dictionary<string, double>(StringComparer.Ordinal);
            reader.Object(name => found[name] = double.Parse(reader.Number(), NumberStyles.Float, CultureInfo.InvariantCulture));
            reader.End();
            return found;
        }

        /// <summary>An object of objects of whole numbers.</summary>
        internal static Dictionary<string, IReadOnlyDictionary<string, ulong>> Table(string text)
        {
            Json reader = new Json(text);
            Dictionary<string, IReadOnlyDictionary<string, ulong>> found =
                new Dictionary<string, IReadOnlyDictionary<string, ulong>>(StringComparer.Ordinal);
            reader.Object(outer =>
            {
                Dictionary<string, ulong> row = new Dictionary<string, ulong>(StringComparer.Ordinal);
                reader.Object(inner => row[inner] = ulong.Parse(reader.Number(), NumberStyles.None, CultureInfo.InvariantCulture));
                found[outer] = row;
            });
            reader.End();
            return found;
        }

        /// <summary>A list of objects of texts.</summary>
        internal static List<Dictionary<string, string>> Objects(string text)
        {
            Json reader = new Json(text);
            List<Dictionary<string, string>> found = new List<Dictionary<string, string>>();
            reader.Array(() =>
            {
                Dictionary<string, string> row = new Dictionary<string, string>(StringComparer.Ordinal);
                reader.Object(name => row[name] = reader.Text());
                found.Add(row);
            });
            reader.End();
            return found;
        }

        private void Array(Action readValue)
        {
            Expect('[');
            if (Next() == ']')
            {
                at++;
                return;
            }
            while (true)
            {
                readValue();
                if (Next() == ']')
                {
                    at++;
                    return;
                }
                Expect(',');
            }
        }

        private void Object(Action<string> readValue)
        {
            Expect('{');
            if (Next() == '}')
            {
                at++;
                return;
            }
            while (true)
            {
                string name = Text();
                Expect(':');
                readValue(name);
                if (Next() == '}')
                {
                    at++;
                    return;
                }
                Expect(',');
            }
        }

        private string Text()
        {
            Expect('"');
            StringBuilder found = new StringBuilder();
            while (true)
            {
                char c = Take();
                if (c == '"')
                {
                    return found.ToString();
                }
                found.Append(c == '\\' ? Escaped() : c);
            }
        }

        private char Escaped()
        {
            char c = Take();
            switch (c)
            {
                case 'b':
                    return '\b';
                case 'f':
                    return '\f';
                case 'n':
                    return '\n';
                case 'r':
                    return '\r';
                case 't':
                    return '\t';
                case 'u':
                    if (at + 4 > text.Length)
                    {
                        throw Wrong();
                    }
                    at += 4;
                    return (char)int.Parse(text.Substring(at - 4, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                default:
                    return c;
            }
        }

        private string Number()
        {
            Next();
            int start = at;
            while (at < text.Length && (char.IsLetterOrDigit(text[at]) || "+-.".IndexOf(text[at]) >= 0))
            {
                at++;
            }
            return text.Substring(start, at - start);
        }

        /// <summary>The next character that is not white space, which stays.</summary>
        private char Next()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at]))
            {
                at++;
            }
            if (at == text.Length)
            {
                throw Wrong();
            }
            return text[at];
        }

        private char Take()
        {
            if (at == text.Length)
            {
                throw Wrong();
            }
            return text[at++];
        }

        private void Expect(char wanted)
        {
            if (Next() != wanted)
            {
                throw Wrong();
            }
            at++;
        }

        private void End()
        {
            if (text.Substring(at).Trim().Length != 0)
            {
                throw Wrong();
            }
        }

        private FormatException Wrong()
        {
            return new FormatException("JSON of the library cannot be read at character " + at);
        }
    }
}
