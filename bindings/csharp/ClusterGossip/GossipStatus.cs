namespace ClusterGossip
{
    /// <summary>How a call ended: the numbers of the C header. <see cref="GossipLibrary.Statuses"/> has names and sentences.</summary>
    public enum GossipStatus
    {
        /// <summary>The call succeeded.</summary>
        Ok = 0,

        /// <summary>An argument is out of range, or is not Unicode, or contains a zero byte where none may be.</summary>
        InvalidArgument = -1,

        /// <summary>The native object was never there.</summary>
        InvalidHandle = -2,

        /// <summary>The object was disposed of before or during the call. Thrown as <see cref="System.ObjectDisposedException"/>.</summary>
        Closed = -3,

        /// <summary>What was waited for did not happen in time.</summary>
        Timeout = -4,

        /// <summary>There is nothing by that name.</summary>
        NotFound = -5,

        /// <summary>No setting has that name.</summary>
        UnknownSetting = -6,

        /// <summary>The value does not fit the setting, or contradicts another setting.</summary>
        BadSetting = -7,

        /// <summary>The setting cannot change once the node is open.</summary>
        NotLive = -8,

        /// <summary>Keys that begin with <c>cluster:</c> are the library's own.</summary>
        ReservedKey = -9,

        /// <summary>A key is 1 to 255 bytes of UTF-8.</summary>
        InvalidKey = -10,

        /// <summary>The value is larger than the setting <c>max_value_size</c>.</summary>
        ValueTooLarge = -11,

        /// <summary>The node's state would exceed <c>max_keys_per_member</c> or <c>max_state_size_per_member</c>.</summary>
        Limit = -12,

        /// <summary>Another thread is taking from these changes.</summary>
        Busy = -13,

        /// <summary>A call would wait for itself.</summary>
        WouldDeadlock = -14,

        /// <summary>The object belongs to the process that this one was forked from.</summary>
        Forked = -15,

        /// <summary>The address could not be bound.</summary>
        Bind = -16,

        /// <summary>No address could be chosen for others to reach this node at; set <c>advertise</c>.</summary>
        Advertise = -17,

        /// <summary>A later process has taken over this node's member id.</summary>
        IdTaken = -18,

        /// <summary>The node has left the cluster.</summary>
        Left = -19,

        /// <summary>The node is banned from the cluster.</summary>
        Banned = -20,

        /// <summary>The value is of another type than was asked for.</summary>
        WrongType = -21,

        /// <summary>This platform or build cannot do that.</summary>
        NotSupported = -22,

        /// <summary>Memory, threads or file descriptors are used up.</summary>
        NoResources = -23,

        /// <summary>A bug in the library was caught before it could harm the program; please report it.</summary>
        Panic = -24,

        /// <summary>The node's task has died; dispose of the node and open a new one.</summary>
        Failed = -25,

        /// <summary>A wait was ended from outside.</summary>
        Interrupted = -26,
    }

    /// <summary>One row of the library's table of statuses.</summary>
    public sealed class StatusInfo
    {
        internal StatusInfo(GossipStatus status, string name, string text, bool canRetry)
        {
            Status = status;
            Name = name;
            Text = text;
            CanRetry = canRetry;
        }

        /// <summary>The number.</summary>
        public GossipStatus Status { get; private set; }

        /// <summary>The name in the C header, such as <c>GOSSIP_ERR_TIMEOUT</c>.</summary>
        public string Name { get; private set; }

        /// <summary>What it means, as a sentence.</summary>
        public string Text { get; private set; }

        /// <summary>Whether the same call may succeed later without the caller changing anything.</summary>
        public bool CanRetry { get; private set; }
    }
}
