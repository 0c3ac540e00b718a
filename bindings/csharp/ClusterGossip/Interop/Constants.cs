namespace ClusterGossip.Interop
{
    /// <summary>
    /// Numbers of <c>cluster_gossip.h</c> that only the binding itself needs. The tests compare them, and the public enumerations,
    /// with the header.
    /// </summary>
    internal static class Constants
    {
        internal const uint AbiVersion = 1;
        internal const int Errbuf = 512;

        internal const uint GetDeparted = 1;
        internal const uint GetPrefix = 2;
        internal const uint SetIfChanged = 1;
        internal const uint SubInitial = 1;
        internal const uint SubNoSelf = 2;
        internal const uint SubPrefix = 4;

        internal const uint SettingLive = 1;
        internal const uint SettingSecret = 2;

        internal const int FormatProtobuf = 1;
        internal const int FormatJson = 2;
        internal const int FormatPrometheus = 3;

        /// <summary>The longest wait inside a native call. A longer one would hold up the exit of the process on Mono.</summary>
        internal const int SliceMs = 100;

        /// <summary>How long the exit of the process may wait for a thread of the binding to end: only a handler that runs can take it up.</summary>
        internal const int ExitMs = 200;

        /// <summary>Changes in a batch: enough to make the calls for it cheap, few enough that none waits long for the others.</summary>
        internal const int Batch = 256;
    }
}
