using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>Errors: the library's table, the exceptions of calls, use after Dispose, and what becomes of a wrong library.</summary>
    public sealed class ErrorTests : Fixture
    {
        public void TableOfStatuses()
        {
            IReadOnlyList<StatusInfo> table = GossipLibrary.Statuses;
            Check.True(table.Count > 20, "there are many");
            Check.Equal(Enum.GetValues(typeof(GossipStatus)).Cast<int>().OrderBy(each => each), table.Select(row => (int)row.Status).OrderBy(each => each));
            foreach (StatusInfo row in table)
            {
                // GOSSIP_ERR_NOT_FOUND is NotFound here.
                string name = row.Name.Replace("GOSSIP_ERR_", "").Replace("GOSSIP_", "").Replace("_", "");
                Check.Equal(row.Status.ToString().ToUpperInvariant(), name);
                Check.True(row.Text.EndsWith("."), "it is a sentence");
            }
            Check.True(table.Single(row => row.Status == GossipStatus.Timeout).CanRetry, "a time-out may be tried again");
            Check.True(!table.Single(row => row.Status == GossipStatus.InvalidKey).CanRetry, "a wrong key may not");
        }

        public void ErrorsOfCalls()
        {
            Node node = Open();
            GossipKeyException reserved = Check.Throws<GossipKeyException>(() => node.Set("cluster:topology", "x"));
            Check.Equal("GOSSIP_ERR_RESERVED_KEY", reserved.Name);
            Check.Contains("cluster:", reserved.Message);
            Check.Contains("GOSSIP_ERR_RESERVED_KEY", reserved.Message);
            foreach (string key in new[] { "", new string('k', 256), new string('ü', 5000), "half \ud800" })
            {
                Check.Equal(GossipStatus.InvalidKey, Check.Throws<GossipKeyException>(() => node.Set(key, "x")).Status);
                Check.Equal(GossipStatus.InvalidKey, Check.Throws<GossipKeyException>(() => node.Get(key)).Status);
            }
            Check.Throws<GossipNotFoundException>(() => node.Delete("never there"));
            Check.True(Check.Throws<GossipTimeoutException>(() => node.WaitForMembers(2, TimeSpan.FromMilliseconds(50))).CanRetry, "again");
            Check.Throws<GossipTimeoutException>(() => node.WaitForMembers(2, TimeSpan.Zero));
            Check.Equal(GossipStatus.UnknownSetting, Check.Throws<GossipSettingException>(() => node.Setting("no_such")).Status);
            Check.Equal(GossipStatus.NotLive, Check.Throws<GossipSettingException>(() => node.Reconfigure("bind", "127.0.0.1:1")).Status);
            Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.Get("mem\0ber", "key")).Status);
            Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.Set("key", "half \ud800")).Status);
            Check.Equal(GossipStatus.InvalidArgument, Check.Throws<GossipException>(() => node.Set("key", new Message("t\0x", new byte[0]))).Status);
        }

        public void LongArgumentsAreRefusedByTheLibrary()
        {
            Node node = Open();
            Check.Throws<GossipException>(() => node.Get(new string('m', 4096), "key"));
            Check.Throws<GossipException>(() => node.Set("key", new Message(new string('t', 300), new byte[0])));
        }

        public void ArgumentsThatAreNone()
        {
            Node node = Open();
            Action[] calls =
            {
                () => node.Set(null, "x"), () => node.Set("k", (string)null), () => node.Set("k", (byte[])null), () => node.Set("k", (Message)null),
                () => node.Get(null), () => node.Get(null, "k"), () => node.GetOwn(null), () => node.Delete(null), () => node.Entries(null),
                () => node.Setting(null), () => node.Reconfigure(null, "x"), () => node.Subscribe(null), () => node.Subscribe(null, change => { }),
                () => node.LogTo(null), () => new Node(null), () => Node.FromText(null), () => new ActorSystem(null), () => new Message(null, new byte[0]),
            };
            foreach (Action call in calls)
            {
                Check.Throws<ArgumentNullException>(call);
            }
            foreach (TimeSpan ttl in new[] { TimeSpan.Zero, TimeSpan.FromTicks(-1) })
            {
                Check.Throws<ArgumentOutOfRangeException>(() => node.Set("k", 1, ttl));
            }
            Check.Throws<ArgumentOutOfRangeException>(() => node.WaitForMembers(-1));
            Check.Equal(0, node.Entries("k").Count);
        }

        public void ValueOverTheLimitIsRefusedWithBothNumbers()
        {
            Node node = Open(new NodeSettings { ["max_value_size"] = 1000 });
            GossipLimitException error = Check.Throws<GossipLimitException>(() => node.Set("large", new byte[1001]));
            string digits = error.Message.Replace(",", "").Replace("_", "");
            Check.Contains("1001", digits);
            Check.Contains("1000", digits);
            Check.True(node.GetOwn("large") == null, "nothing was set");
        }

        public void PortThatIsTaken()
        {
            Node node = Open();
            Check.Equal(
                GossipStatus.Bind, Check.Throws<GossipAddressException>(() => Open(new NodeSettings { ["bind"] = node.Address })).Status);
        }

        public void UseAfterDispose()
        {
            Node node = Open();
            node.Dispose();
            Action[] uses =
            {
                () => node.Set("k", 1), () => node.Set("k", new Message("t/x", new byte[0])), () => node.Get("k"), () => node.Get("m", "k"),
                () => node.GetOwn("k"), () => node.Entries(), () => node.Delete("k"), () => node.Members(), () => node.Self.ToString(),
                () => node.State.ToString(), () => node.WaitForMembers(1), () => node.WaitSynced(), () => node.Describe(), () => node.Snapshot(),
                () => node.SnapshotJson(), () => node.Offsets(), () => node.Metrics(), () => node.MetricsText(), () => node.Setting("cluster"),
                () => node.Reconfigure("tags", "a=b"), () => node.Leave(), () => node.Subscribe(change => { }), () => node.Changes(),
                () => node.WaitSyncedAsync().GetAwaiter().GetResult(), () => node.LeaveAsync().GetAwaiter().GetResult(),
            };
            foreach (Action use in uses)
            {
                ObjectDisposedException error = Check.Throws<ObjectDisposedException>(use);
                Check.Equal(GossipStatus.Closed, ((GossipException)error.InnerException).Status);
            }
            node.Dispose();
            node.Kill();
            Check.True(node.IsDisposed, "it is disposed of");
        }

        public void MissingLibraryIsNamed()
        {
            string text = new Child("open", Environment("/no/such/library.so")).End();
            Check.Contains("GossipLibraryException", text);
            Check.Contains("/no/such/library.so", text);
            Check.Contains("CLUSTER_GOSSIP_LIBRARY", text);
        }

        public void LibraryOfAnotherAbiVersionIsRefusedWithBothNumbers()
        {
            string text = new Child("open", Environment(Compile("unsigned gossip_abi_version(void) { return 77; }\n"))).End();
            Check.Contains("GossipLibraryException", text);
            Check.Contains("77", text);
            Check.Contains("ABI version 1", text);
        }

        public void LibraryOfSomethingElseIsRefused()
        {
            string path = Compile("int something_else(void) { return 1; }\n");
            string text = new Child("load", Environment(""), path).End();
            Check.Contains("GossipLibraryException", text);
            Check.Contains("is not a Cluster Gossip library", text);
        }

        public void FileThatIsNoLibraryIsRefusedAlsoWhereTheSystemHasOne()
        {
            string folder = Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "other");
            Directory.CreateDirectory(folder);
            foreach (string name in new[] { "libcluster_gossip.so", "libcluster_gossip.so.1" })
            {
                File.Copy(System.Environment.GetEnvironmentVariable("CLUSTER_GOSSIP_LIBRARY"), Path.Combine(folder, name), true);
            }
            string wrong = Path.Combine(folder, "wrong.so");
            File.WriteAllText(wrong, "this is a text");
            Dictionary<string, string> environment = Environment(wrong);
            environment["LD_LIBRARY_PATH"] = folder;
            string text = new Child("open", environment).End();
            Directory.Delete(folder, true);
            Check.Contains("GossipLibraryException", text);
            Check.Contains("wrong.so", text);
        }

        public void PathGivenToLoadComesBeforeTheEnvironment()
        {
            string path = System.Environment.GetEnvironmentVariable("CLUSTER_GOSSIP_LIBRARY");
            string text = new Child("load", Environment("/no/such/library.so"), path, "/another.so").End();
            Check.Contains("loaded " + GossipLibrary.Version, text);
            Check.Contains("is loaded already", text);
        }

        public void LibraryBesideTheProgramIsFound()
        {
            string path = System.Environment.GetEnvironmentVariable("CLUSTER_GOSSIP_LIBRARY");
            string beside = Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "libcluster_gossip.so.1");
            File.Copy(path, beside, true);
            try
            {
                Check.Contains("loaded " + GossipLibrary.Version, new Child("open", Environment("")).End());
            }
            finally
            {
                File.Delete(beside);
            }
        }

        public void LibraryOfTheSystemIsFoundByItsVersionedName()
        {
            string folder = Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "installed");
            Directory.CreateDirectory(folder);
            File.Copy(System.Environment.GetEnvironmentVariable("CLUSTER_GOSSIP_LIBRARY"), Path.Combine(folder, "libcluster_gossip.so.1"), true);
            Dictionary<string, string> environment = Environment("");
            environment["LD_LIBRARY_PATH"] = folder;
            Check.Contains("loaded " + GossipLibrary.Version, new Child("open", environment).End());
            Directory.Delete(folder, true);
        }

        private static Dictionary<string, string> Environment(string library)
        {
            return new Dictionary<string, string> { { "CLUSTER_GOSSIP_LIBRARY", library } };
        }

        /// <summary>A library of another kind.</summary>
        private static string Compile(string source)
        {
            string folder = AppDomain.CurrentDomain.BaseDirectory;
            string file = Path.Combine(folder, "other.c"), library = Path.Combine(folder, "libother.so");
            File.WriteAllText(file, source);
            using (Process compiler = Process.Start("cc", "-shared -fPIC -o \"" + library + "\" \"" + file + "\""))
            {
                compiler.WaitForExit();
                Check.Equal(0, compiler.ExitCode, "cc");
            }
            return library;
        }
    }
}
