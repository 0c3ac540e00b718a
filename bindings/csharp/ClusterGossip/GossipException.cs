using System;

namespace ClusterGossip
{
    /// <summary>A call was answered with an error.</summary>
    /// <remarks>
    /// The classes derived from it stand for those statuses that a program handles apart. After
    /// <see cref="Node.Dispose()"/>, calls throw <see cref="ObjectDisposedException"/> instead, whose inner exception is a
    /// <see cref="GossipException"/> with <see cref="GossipStatus.Closed"/>.
    /// </remarks>
    public class GossipException : Exception
    {
        private readonly StatusInfo info;

        internal GossipException(StatusInfo info, string message)
            : base(message + " (" + info.Name + ")")
        {
            this.info = info;
        }

        /// <summary>The status as a number; a newer library may have statuses that the enumeration has no name for.</summary>
        public GossipStatus Status
        {
            get { return info.Status; }
        }

        /// <summary>The name of the status in the C header, such as <c>GOSSIP_ERR_TIMEOUT</c>.</summary>
        public string Name
        {
            get { return info.Name; }
        }

        /// <summary>Whether the same call may succeed later without the caller changing anything.</summary>
        public bool CanRetry
        {
            get { return info.CanRetry; }
        }
    }

    /// <summary>What was waited for did not happen in time.</summary>
    public sealed class GossipTimeoutException : GossipException
    {
        internal GossipTimeoutException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>There is nothing by that name: an entry to be deleted, for example.</summary>
    public sealed class GossipNotFoundException : GossipException
    {
        internal GossipNotFoundException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>A key that is not 1 to 255 bytes of UTF-8, or that begins with <c>cluster:</c>, which is reserved.</summary>
    public sealed class GossipKeyException : GossipException
    {
        internal GossipKeyException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>A setting that does not exist, a value that does not fit it, or one that an open node cannot change.</summary>
    public sealed class GossipSettingException : GossipException
    {
        internal GossipSettingException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>A value, or the state as a whole, would exceed a limit among the settings. The message has both numbers.</summary>
    public sealed class GossipLimitException : GossipException
    {
        internal GossipLimitException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>The address could not be bound, or none could be chosen for others to reach this node at.</summary>
    public sealed class GossipAddressException : GossipException
    {
        internal GossipAddressException(StatusInfo info, string message)
            : base(info, message)
        {
        }
    }

    /// <summary>The native library was not found, is not one, or is of another ABI version.</summary>
    public sealed class GossipLibraryException : DllNotFoundException
    {
        internal GossipLibraryException(string message, Exception inner)
            : base(message, inner)
        {
        }
    }
}
