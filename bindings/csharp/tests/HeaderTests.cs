using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;

namespace ClusterGossip.Tests
{
    /// <summary>The binding against include/cluster_gossip.h: every declaration has the header's types, every number is the header's.</summary>
    public sealed class HeaderTests
    {
        private static readonly string Header =
            Regex.Replace(File.ReadAllText(Path.Combine(Fixture.Root, "include", "cluster_gossip.h")), @"/\*.*?\*/", "", RegexOptions.Singleline);

        private static readonly string Code = Regex.Replace(Header, @"//[^\n]*", "");

        public void DeclarationsAreTheHeaders()
        {
            Dictionary<string, string> functions = Functions();
            Check.True(functions.Count > 80, "the header was read: " + functions.Count);
            MethodInfo[] declared = Internal("Native").GetMethods(BindingFlags.Static | BindingFlags.NonPublic)
                .Where(method => (method.Attributes & MethodAttributes.PinvokeImpl) != 0).ToArray();
            Check.True(declared.Length > 40, "the declarations were found: " + declared.Length);
            foreach (MethodInfo method in declared)
            {
                string found = Spell(method.ReturnType) + " " + method.Name + "(" +
                    string.Join(", ", method.GetParameters().Select(parameter => Spell(parameter.ParameterType))) + ")";
                Check.True(functions.ContainsKey(method.Name), method.Name + " is in the header");
                Check.Equal(functions[method.Name], found);
            }
        }

        public void NumbersAreTheHeaders()
        {
            Dictionary<string, long> defines = Defines();
            Dictionary<string, string> constants = new Dictionary<string, string>
            {
                { "AbiVersion", "GOSSIP_ABI_VERSION" }, { "Errbuf", "GOSSIP_ERRBUF" }, { "GetDeparted", "GOSSIP_GET_DEPARTED" },
                { "GetPrefix", "GOSSIP_GET_PREFIX" }, { "SetIfChanged", "GOSSIP_SET_IF_CHANGED" }, { "SubInitial", "GOSSIP_SUB_INITIAL" },
                { "SubNoSelf", "GOSSIP_SUB_NO_SELF" }, { "SubPrefix", "GOSSIP_SUB_PREFIX" }, { "SettingLive", "GOSSIP_SETTING_LIVE" },
                { "SettingSecret", "GOSSIP_SETTING_SECRET" }, { "FormatProtobuf", "GOSSIP_FORMAT_PROTOBUF" }, { "FormatJson", "GOSSIP_FORMAT_JSON" },
                { "FormatPrometheus", "GOSSIP_FORMAT_PROMETHEUS" },
            };
            foreach (KeyValuePair<string, string> pair in constants)
            {
                object value = Internal("Constants").GetField(pair.Key, BindingFlags.Static | BindingFlags.NonPublic).GetRawConstantValue();
                Check.Equal(defines[pair.Value], Convert.ToInt64(value), pair.Key);
            }
        }

        public void EnumerationsAreTheHeaders()
        {
            Compare(typeof(GossipStatus), "GOSSIP_ERR_", "Ok");
            Compare(typeof(NodeState), "GOSSIP_STATE_");
            Compare(typeof(MemberStatus), "GOSSIP_MEMBER_", "None");
            Compare(typeof(ValueKind), "GOSSIP_VALUE_");
            Compare(typeof(LogLevel), "GOSSIP_LOG_", "None");
            Compare(typeof(Kind), "GOSSIP_EVENT_", "None", "Entries", "Members", "Node", "All");
            Dictionary<string, long> defines = Defines();
            foreach (Kind mask in new[] { Kind.Entries, Kind.Members, Kind.Node, Kind.All })
            {
                Check.Equal(defines["GOSSIP_EVENTS_" + mask.ToString().ToUpperInvariant()], (long)mask, mask.ToString());
            }
        }

        public void LibraryIsOfThatVersion()
        {
            Check.Equal((int)Defines()["GOSSIP_ABI_VERSION"], GossipLibrary.AbiVersion);
            Check.True(Regex.IsMatch(GossipLibrary.Version, @"^\d+\.\d+\.\d+"), GossipLibrary.Version);
        }

        private static void Compare(Type type, string prefix, params string[] own)
        {
            Dictionary<string, long> found = Enum.GetNames(type).Where(name => !own.Contains(name)).ToDictionary(
                name => name.ToUpperInvariant(), name => Convert.ToInt64(Enum.Parse(type, name)));
            Dictionary<string, long> expected = Defines().Where(define => define.Key.StartsWith(prefix)).ToDictionary(
                define => define.Key.Substring(prefix.Length).Replace("_", ""), define => define.Value);
            Check.True(expected.Count > 3, prefix + " was found");
            Check.Equal(
                expected.Select(each => each.Key + "=" + each.Value).OrderBy(each => each),
                found.Select(each => each.Key + "=" + each.Value).OrderBy(each => each),
                type.Name);
        }

        private static Type Internal(string name)
        {
            return typeof(Node).Assembly.GetType("ClusterGossip.Interop." + name, true);
        }

        private static Dictionary<string, long> Defines()
        {
            Dictionary<string, long> found = new Dictionary<string, long>();
            foreach (Match match in Regex.Matches(Code, @"^#define (GOSSIP_\w+) (-?\w+)[ ]*$", RegexOptions.Multiline))
            {
                string text = match.Groups[2].Value.TrimEnd('u');
                long value;
                if (text.StartsWith("0x"))
                {
                    found[match.Groups[1].Value] = Convert.ToInt64(text.Substring(2), 16);
                }
                else if (long.TryParse(text, out value))
                {
                    found[match.Groups[1].Value] = value;
                }
            }
            return found;
        }

        /// <summary>Name to declaration, spelled as <see cref="Spell"/> does it.</summary>
        private static Dictionary<string, string> Functions()
        {
            string text = Regex.Replace(Code, @"^\s*#.*$", "", RegexOptions.Multiline);
            text = Regex.Replace(text, @"typedef\b[^;{]*(\{[^}]*\})?[^;]*;", "");
            Dictionary<string, string> found = new Dictionary<string, string>();
            foreach (string declaration in text.Replace("{", ";").Replace("}", ";").Split(';'))
            {
                Match match = Regex.Match(declaration, @"([\w\s*]+?)\b(gossip_\w+)\s*\((.*)\)\s*$", RegexOptions.Singleline);
                if (match.Success)
                {
                    string[] parameters = match.Groups[3].Value.Trim() == "void"
                        ? new string[0]
                        : match.Groups[3].Value.Split(',').Select(parameter => Translate(Regex.Replace(parameter, @"\w+\s*$", ""))).ToArray();
                    found[match.Groups[2].Value] =
                        Translate(match.Groups[1].Value) + " " + match.Groups[2].Value + "(" + string.Join(", ", parameters) + ")";
                }
            }
            return found;
        }

        /// <summary>A type of C in C#.</summary>
        private static string Translate(string type)
        {
            type = Regex.Replace(Regex.Replace(type, @"\b(const|struct)\b", ""), @"\s+", "");
            int stars = type.Count(c => c == '*');
            string name = type.TrimEnd('*');
            switch (name)
            {
                case "void":
                    return stars == 0 ? "Void" : "Byte*";
                case "char":
                case "uint8_t":
                    return "Byte*";
                case "size_t":
                    name = "UIntPtr";
                    break;
                case "int32_t":
                case "gossip_status":
                    name = "Int32";
                    break;
                case "uint32_t":
                    name = "UInt32";
                    break;
                case "int64_t":
                    name = "Int64";
                    break;
                case "uint64_t":
                case "gossip_config":
                case "gossip_node":
                case "gossip_queue":
                case "gossip_sub":
                    name = "UInt64";
                    break;
                default:
                    // A pointer to something opaque is a number here, and an out-parameter for one points to that.
                    name = "IntPtr";
                    stars--;
                    break;
            }
            return name + new string('*', Math.Max(0, stars));
        }

        private static string Spell(Type type)
        {
            return type.Name;
        }
    }
}
