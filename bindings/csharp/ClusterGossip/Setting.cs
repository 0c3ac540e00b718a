using System;
using System.Collections.Generic;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>One row of the library's table of settings.</summary>
    public sealed class Setting
    {
        private Setting()
        {
        }

        /// <summary>The name, as <see cref="NodeSettings"/> takes it.</summary>
        public string Name { get; private set; }

        /// <summary>How it is written: <c>text</c>, <c>list</c>, <c>integer</c>, <c>duration</c>, <c>size</c> or <c>choice</c>.</summary>
        public string Type { get; private set; }

        /// <summary>What a bare number counts: <c>ms</c>, <c>bytes</c>, or nothing.</summary>
        public string Unit { get; private set; }

        /// <summary>The value when it is not set.</summary>
        public string Default { get; private set; }

        /// <summary>What is allowed: <c>1..100</c>, or the choices, or words.</summary>
        public string Bounds { get; private set; }

        /// <summary>What it is for, in a sentence or two.</summary>
        public string Text { get; private set; }

        /// <summary>Whether <see cref="Node.Reconfigure(string, object)"/> can change it.</summary>
        public bool IsLive { get; private set; }

        /// <summary>Whether its value is never shown.</summary>
        public bool IsSecret { get; private set; }

        internal static unsafe IReadOnlyList<Setting> ReadAll()
        {
            ulong count = (ulong)Native.gossip_setting_count();
            List<Setting> rows = new List<Setting>();
            for (ulong number = 0; number < count; number++)
            {
                UIntPtr index = (UIntPtr)number;
                uint flags = Native.gossip_setting_flags(index);
                rows.Add(new Setting
                {
                    Name = Utf8.FromC(Native.gossip_setting_name(index)),
                    Type = Utf8.FromC(Native.gossip_setting_type(index)),
                    Unit = Utf8.FromC(Native.gossip_setting_unit(index)),
                    Default = Utf8.FromC(Native.gossip_setting_default(index)),
                    Bounds = Utf8.FromC(Native.gossip_setting_bounds(index)),
                    Text = Utf8.FromC(Native.gossip_setting_text(index)),
                    IsLive = (flags & Constants.SettingLive) != 0,
                    IsSecret = (flags & Constants.SettingSecret) != 0,
                });
            }
            return rows.AsReadOnly();
        }
    }
}
