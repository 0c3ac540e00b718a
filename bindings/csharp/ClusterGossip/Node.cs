using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>One member of a cluster: publishes its own entries, reads everybody's, is told of changes.</summary>
    /// <remarks>
    /// <para>
    /// Every member may be used from any thread, and inside handlers. On a node that was disposed of, calls throw
    /// <see cref="ObjectDisposedException"/>; other errors of the library are a <see cref="GossipException"/>.
    /// </para>
    /// <para>
    /// To be disposed of, best by <c>using</c>: it leaves the cluster, and closes. A node that is collected, or still open at exit,
    /// tells the others that it leaves, and waits for nothing. A node with handlers, or whose changes are being enumerated, is not collected.
    /// </para>
    /// </remarks>
    public sealed partial class Node : IDisposable
    {
        private readonly NodeHandle handle;
        private readonly ManualResetEventSlim closed = new ManualResetEventSlim();
        private readonly string id;
        private int closing;
        private int closer;

        /// <summary>Opens a node with every setting at its default: a cluster of one, until others join it.</summary>
        /// <exception cref="GossipException">It could not be opened.</exception>
        public Node()
            : this(new NodeSettings())
        {
        }

        /// <summary>
        /// Opens a node: binds its sockets and returns. It waits for nobody; <see cref="WaitSynced"/> does.
        /// </summary>
        /// <param name="settings">The settings, which stay the caller's; null values leave the default.</param>
        /// <exception cref="GossipSettingException">There is no such setting, or its value does not fit it or another one.</exception>
        /// <exception cref="GossipAddressException">The address cannot be bound, or <c>advertise</c> must be set.</exception>
        /// <exception cref="GossipException">It could not be opened.</exception>
        public Node(NodeSettings settings)
            : this(Open(settings))
        {
        }

        private Node(NodeHandle handle)
        {
            this.handle = handle;
            id = Self.Id;
        }

        /// <summary>Opens a node with settings given as text: a line <c>name=value</c> each, <c>#</c> begins a comment.</summary>
        /// <param name="settings">The text.</param>
        /// <returns>The node.</returns>
        /// <exception cref="GossipException">As for the constructor; the message begins with the number of the line.</exception>
        public static Node FromText(string settings)
        {
            if (settings == null)
            {
                throw new ArgumentNullException("settings");
            }
            GossipLibrary.Load();
            return new Node(OpenText(settings));
        }

        // ---- this node

        /// <summary>The node's own member id; also of a node that was disposed of.</summary>
        public string Id
        {
            get { return id; }
        }

        /// <summary>The address that the node tells to others: what they name as a seed.</summary>
        public string Address
        {
            get { return Self.Address; }
        }

        /// <summary>The node's own member record: id, address, tags.</summary>
        public unsafe Member Self
        {
            get
            {
                IntPtr members;
                Check(Native.gossip_self(handle.Id, &members));
                return Packed.Members(members)[0];
            }
        }

        /// <summary>How the node stands to its cluster, as for a readiness probe.</summary>
        public unsafe NodeState State
        {
            get
            {
                int state;
                Check(Native.gossip_state(handle.Id, &state));
                return (NodeState)state;
            }
        }

        /// <summary>Whether the node was disposed of, or is being so.</summary>
        public bool IsDisposed
        {
            get { return Volatile.Read(ref closing) != 0; }
        }

        /// <summary>The value in force of a setting, as text; <c>(secret)</c> for a secret.</summary>
        /// <param name="name">The setting's name.</param>
        /// <returns>The text.</returns>
        /// <exception cref="GossipSettingException">There is no such setting.</exception>
        public unsafe string Setting(string name)
        {
            if (name == null)
            {
                throw new ArgumentNullException("name");
            }
            byte[] text = Utf8.Terminated("a setting's name", name);
            IntPtr bytes;
            fixed (byte* t = text)
            {
                Check(Native.gossip_setting_get(handle.Id, t, &bytes));
            }
            return Encoding.UTF8.GetString(Packed.Bytes(bytes));
        }

        /// <summary>Changes a setting of the open node. On failure it is as before.</summary>
        /// <param name="name">The setting's name.</param>
        /// <param name="value">What <see cref="NodeSettings"/> takes, but not null.</param>
        /// <exception cref="GossipSettingException">It cannot change, there is none by that name, or the value does not fit.</exception>
        public unsafe void Reconfigure(string name, object value)
        {
            if (name == null)
            {
                throw new ArgumentNullException("name");
            }
            byte[] nameBytes = Utf8.Terminated("a setting's name", name);
            byte[] valueBytes = Utf8.Terminated("setting " + name, NodeSettings.ToText(name, value));
            byte[] error = Scratch.Current.Error;
            fixed (byte* n = nameBytes, v = valueBytes, e = error)
            {
                int status = Native.gossip_reconfigure(handle.Id, n, v, e, (UIntPtr)(uint)error.Length);
                GC.KeepAlive(this);
                CheckWithWords(status);
            }
        }

        // ---- seeing into it

        /// <summary>A page of text for people: addresses, seeds and how they answered, members, what was dropped and why.</summary>
        /// <returns>The page; its form may change with any version.</returns>
        public unsafe string Describe()
        {
            IntPtr bytes;
            Check(Native.gossip_describe(handle.Id, &bytes));
            return Encoding.UTF8.GetString(Packed.Bytes(bytes));
        }

        /// <summary>The whole state as a protobuf message <c>cluster.gossip.GossipState</c>, as Proto.Actor encodes it.</summary>
        /// <returns>The message's bytes.</returns>
        public byte[] Snapshot()
        {
            return Snapshot(Constants.FormatProtobuf);
        }

        /// <summary>The whole state as JSON.</summary>
        /// <returns>The text.</returns>
        public string SnapshotJson()
        {
            return Encoding.UTF8.GetString(Snapshot(Constants.FormatJson));
        }

        /// <summary>The committed offsets, target to owner: up to which sequence number this node has proof that others hold what.</summary>
        /// <returns>Member id to member id to sequence number.</returns>
        public unsafe IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Offsets()
        {
            IntPtr bytes;
            Check(Native.gossip_offsets(handle.Id, &bytes));
            return Json.Table(Encoding.UTF8.GetString(Packed.Bytes(bytes)));
        }

        /// <summary>Counters and gauges.</summary>
        /// <returns>Name to number.</returns>
        public IReadOnlyDictionary<string, double> Metrics()
        {
            return Json.Numbers(Encoding.UTF8.GetString(Metrics(Constants.FormatJson)));
        }

        /// <summary>Counters and gauges in the text format of Prometheus.</summary>
        /// <returns>The text.</returns>
        public string MetricsText()
        {
            return Encoding.UTF8.GetString(Metrics(Constants.FormatPrometheus));
        }

        // ---- ending

        /// <summary>
        /// Leaves the cluster, and waits until others have acknowledged it. The node can be read afterwards, but not written to.
        /// </summary>
        /// <param name="timeout">For how long to wait; null for the setting <c>leave_timeout</c>, which is never exceeded.</param>
        /// <returns>False if the leave was said, but not acknowledged by enough in time.</returns>
        public bool Leave(TimeSpan? timeout = null)
        {
            Deadline deadline = new Deadline(timeout);
            while (true)
            {
                int status = Native.gossip_leave(handle.Id, deadline.Slice);
                GC.KeepAlive(this);
                if (status == (int)GossipStatus.Ok)
                {
                    return true;
                }
                if (status != (int)GossipStatus.Timeout)
                {
                    throw Errors.Make(status, null);
                }
                // The library gives up by itself after leave_timeout: then the node has left, acknowledged or not.
                if (State == NodeState.Left || deadline.HasPassed)
                {
                    return false;
                }
            }
        }

        /// <summary>Leaves (waiting at most for the setting <c>leave_timeout</c>), then closes.</summary>
        /// <remarks>
        /// When it returns, none of the node's handlers runs or will run, but for the one that calls it. A second call waits for the
        /// first one, and does nothing else.
        /// </remarks>
        public void Dispose()
        {
            End(true);
        }

        /// <summary><see cref="Dispose"/> without a thread of the caller's that waits.</summary>
        /// <returns>Ends when the node is closed.</returns>
        public Task CloseAsync()
        {
            return Task.Run((Action)Dispose);
        }

        /// <summary>Closes without leaving: a crash, to the others. For tests of what they do then.</summary>
        public void Kill()
        {
            End(false);
        }

        /// <summary>Id and state, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return "node " + id + (IsDisposed ? ", disposed of" : string.Empty);
        }

        private static NodeHandle Open(NodeSettings settings)
        {
            if (settings == null)
            {
                throw new ArgumentNullException("settings");
            }
            GossipLibrary.Load();
            return OpenLoaded(settings);
        }

        // Each in a method of its own: see the remark in GossipLibrary.

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static unsafe NodeHandle OpenText(string settings)
        {
            byte[] text = Utf8.Terminated("the settings", settings);
            byte[] error = Scratch.Current.Error;
            ulong node;
            fixed (byte* t = text, e = error)
            {
                CheckWithWords(Native.gossip_open_text(t, &node, e, (UIntPtr)(uint)error.Length));
            }
            return new NodeHandle(node);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static unsafe NodeHandle OpenLoaded(NodeSettings settings)
        {
            ulong config;
            Errors.Check(Native.gossip_config_new(&config));
            try
            {
                byte[] error = Scratch.Current.Error;
                foreach (KeyValuePair<string, object> setting in settings)
                {
                    if (setting.Value == null)
                    {
                        continue;
                    }
                    byte[] name = Utf8.Terminated("a setting's name", setting.Key);
                    byte[] value = Utf8.Terminated("setting " + setting.Key, NodeSettings.ToText(setting.Key, setting.Value));
                    fixed (byte* n = name, v = value, e = error)
                    {
                        CheckWithWords(Native.gossip_config_set(config, n, v, e, (UIntPtr)(uint)error.Length));
                    }
                }
                ulong node;
                fixed (byte* e = error)
                {
                    CheckWithWords(Native.gossip_open(config, &node, e, (UIntPtr)(uint)error.Length));
                }
                return new NodeHandle(node);
            }
            finally
            {
                Native.gossip_config_free(config);
            }
        }

        private unsafe byte[] Snapshot(int format)
        {
            IntPtr bytes;
            Check(Native.gossip_snapshot(handle.Id, format, &bytes));
            return Packed.Bytes(bytes);
        }

        private unsafe byte[] Metrics(int format)
        {
            IntPtr bytes;
            Check(Native.gossip_metrics(handle.Id, format, &bytes));
            return Packed.Bytes(bytes);
        }

        /// <summary>
        /// After each native call: whoever has no other use for the node must not have it collected, and closed, in the midst of the call.
        /// </summary>
        private void Check(int status)
        {
            GC.KeepAlive(this);
            Errors.Check(status);
        }

        /// <summary>After a call with the thread's buffer for the library's words.</summary>
        private static void CheckWithWords(int status)
        {
            if (status != 0)
            {
                throw Errors.Make(status, Scratch.Current.ErrorText());
            }
        }

        private void End(bool leave)
        {
            if (Interlocked.Exchange(ref closing, 1) != 0)
            {
                // Two must not wait for the first caller: a handler, for whose end that one may be waiting, and itself.
                if (!Dispatcher.InHandler && Volatile.Read(ref closer) != Environment.CurrentManagedThreadId)
                {
                    closed.Wait();
                }
                return;
            }
            Volatile.Write(ref closer, Environment.CurrentManagedThreadId);
            try
            {
                if (leave)
                {
                    Leave();
                }
            }
            catch (GossipException)
            {
                // It has left already, was banned or has failed: all of them are to be closed too.
            }
            catch (ObjectDisposedException)
            {
                // The hook at exit was faster.
            }
            finally
            {
                Native.gossip_close(handle.Id);
                handle.Forget();
                EndSubscriptions();
                closed.Set();
            }
        }
    }
}
