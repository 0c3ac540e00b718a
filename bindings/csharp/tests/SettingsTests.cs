using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;

namespace ClusterGossip.Tests
{
    /// <summary>Settings: values as the library reads them, and its table.</summary>
    public sealed class SettingsTests : Fixture
    {
        public void ValuesAsTexts()
        {
            Dictionary<string, object> cases = new Dictionary<string, object>
            {
                { "300ms", "300ms" }, { "", "" }, { "3", 3 }, { "-1", -1L }, { "0.5", 0.5 }, { "on", true }, { "off", false },
                { "1500ms", TimeSpan.FromSeconds(1.5) }, { "86400000ms", TimeSpan.FromDays(1) }, { "2.5ms", TimeSpan.FromTicks(25000) },
                { "10.0.0.1:4711,[::1]:4711", new[] { "10.0.0.1:4711", "[::1]:4711" } },
                { "127.0.0.1:5", new IPEndPoint(IPAddress.Loopback, 5) },
                { "role=web,rack=7", new SortedList<string, object>(new Descending()) { { "role", "web" }, { "rack", 7 } } },
            };
            foreach (KeyValuePair<string, object> each in cases)
            {
                Check.Equal(each.Key, NodeSettings.ToText("x", each.Value));
            }
            Check.Equal("", NodeSettings.ToText("x", new string[0]));
            Check.Equal("a", NodeSettings.ToText("x", new List<string> { "a" }));
        }

        public void ValuesThatHaveNoText()
        {
            foreach (object value in new object[] { new byte[1], new object(), new object[] { null }, new[] { true }, null })
            {
                Check.Contains("setting x", Check.Throws<ArgumentException>(() => NodeSettings.ToText("x", value)).Message);
            }
            Check.Contains("comma", Check.Throws<ArgumentException>(() => NodeSettings.ToText("tags", new[] { "1,b=2" })).Message);
        }

        public void CollectionOfSettings()
        {
            NodeSettings settings = new NodeSettings { { "a", 1 }, { "b", 2 } };
            settings["a"] = 3;
            Check.Equal(new[] { "a=3", "b=2" }, settings.Select(each => each.Key + "=" + each.Value));
            Check.True(settings["c"] == null, "what was not given is null");
        }

        public void Table()
        {
            Dictionary<string, Setting> table = GossipLibrary.Settings.ToDictionary(setting => setting.Name);
            foreach (string name in new[] { "cluster", "id", "bind", "seeds", "tags", "gossip_interval", "gossip_fanout" })
            {
                Check.True(table.ContainsKey(name), name + " is a setting");
            }
            Check.True(table.Values.All(setting => setting.Type.Length != 0 && setting.Text.Length != 0), "each is explained");
            Check.True(table["tags"].IsLive && !table["bind"].IsLive && !table["bind"].IsSecret, "live");
            Check.Equal("300ms", table["gossip_interval"].Default);
            Check.Equal("10ms..1h", table["gossip_interval"].Bounds);
            Check.Equal("ms", table["gossip_interval"].Unit);
        }

        public void SettingsReachTheNode()
        {
            Node node = Open(new NodeSettings
            {
                ["gossip_interval"] = TimeSpan.FromMilliseconds(70),
                ["tags"] = new Dictionary<string, string> { { "role", "web" } },
                ["gossip_fanout"] = null,
            });
            Check.Equal("70ms", node.Setting("gossip_interval"));
            Check.Equal("web", node.Self.Tags["role"]);
            Check.Equal("3", node.Setting("gossip_fanout"));
            node.Reconfigure("gossip_interval", "90ms");
            node.Reconfigure("tags", new Dictionary<string, string> { { "role", "db" } });
            Check.Equal("90ms", node.Setting("gossip_interval"));
            Until("the tags have changed", () => node.Self.Tags["role"] == "db");
        }

        public void SettingsAsText()
        {
            using (Node node = Node.FromText("# a comment\ncluster=text\nbind=127.0.0.1:0\n\ntags=a=b\n"))
            {
                Check.Equal("text", node.Setting("cluster"));
                Check.Equal("b", node.Self.Tags["a"]);
            }
            GossipSettingException error = Check.Throws<GossipSettingException>(() => Node.FromText("cluster=text\nclutser=x\n"));
            Check.Equal(GossipStatus.UnknownSetting, error.Status);
            Check.Contains("2", error.Message);
        }

        public void WrongSettings()
        {
            GossipSettingException unknown = Check.Throws<GossipSettingException>(() => Open(new NodeSettings { ["clutser"] = "x" }));
            Check.Equal(GossipStatus.UnknownSetting, unknown.Status);
            Check.Contains("cluster", unknown.Message);
            Check.Equal(GossipStatus.BadSetting, Check.Throws<GossipSettingException>(() => Open(new NodeSettings { ["gossip_fanout"] = "many" })).Status);
            Check.Equal(
                GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => Open(new NodeSettings { ["cluster"] = "a\0b" })).Status);
        }

        private sealed class Descending : IComparer<string>
        {
            public int Compare(string x, string y)
            {
                return string.CompareOrdinal(y, x);
            }
        }
    }
}
