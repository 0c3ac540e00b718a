using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <content>Bans, and the host's statistics.</content>
    public sealed partial class Node
    {
        /// <summary>Bans a member, in all of its lives, until any member lifts it.</summary>
        /// <remarks>
        /// Every member heeds it as soon as it hears of it: the banned member's entries are hidden, and it cannot set any
        /// (<see cref="GossipStatus.Banned"/>). A ban outlives the member that has set it. It keeps out faulty members, not hostile ones.
        /// </remarks>
        /// <param name="member">The member's id.</param>
        /// <exception cref="GossipException">It is no member id, or this node's own: <see cref="GossipStatus.InvalidArgument"/>.</exception>
        public unsafe void Ban(string member)
        {
            byte[] error = Scratch.Current.Error;
            fixed (byte* m = Named("member", "the member's id", member), e = error)
            {
                int status = Native.gossip_ban(handle.Id, m, e, (UIntPtr)(uint)error.Length);
                GC.KeepAlive(this);
                CheckWithWords(status);
            }
        }

        /// <summary>Lifts every ban of a member, whoever has set it. Nothing happens if it is not banned.</summary>
        /// <param name="member">The member's id.</param>
        /// <exception cref="GossipException">As for <see cref="Ban"/>.</exception>
        public unsafe void Unban(string member)
        {
            byte[] error = Scratch.Current.Error;
            fixed (byte* m = Named("member", "the member's id", member), e = error)
            {
                int status = Native.gossip_unban(handle.Id, m, e, (UIntPtr)(uint)error.Length);
                GC.KeepAlive(this);
                CheckWithWords(status);
            }
        }

        /// <summary>The bans that stand, as this node knows them.</summary>
        /// <returns>Ordered by the banned member, then by who has banned it.</returns>
        public unsafe IReadOnlyList<Ban> GetBans()
        {
            IntPtr bytes;
            Check(Native.gossip_bans(handle.Id, &bytes));
            return Json.Objects(Encoding.UTF8.GetString(Packed.Bytes(bytes))).Select(ban => new Ban(ban["id"], ban["by"])).ToList();
        }

        /// <summary>
        /// Sets one of this host's statistics, which all members read as a <see cref="MemberHeartbeat"/> under
        /// <see cref="GossipKeys.Heartbeat"/>. Published when they change, at most once in the setting <c>heartbeat_interval</c>.
        /// </summary>
        /// <param name="name">1 to 255 bytes of UTF-8; at most 1,024 names.</param>
        /// <param name="value">The number.</param>
        /// <exception cref="GossipLimitException">There are too many.</exception>
        /// <exception cref="GossipException">The name is none.</exception>
        public unsafe void SetStatistic(string name, long value)
        {
            byte[] error = Scratch.Current.Error;
            fixed (byte* n = Named("name", "the statistic's name", name), e = error)
            {
                int status = Native.gossip_statistic_set(handle.Id, n, value, e, (UIntPtr)(uint)error.Length);
                GC.KeepAlive(this);
                CheckWithWords(status);
            }
        }

        /// <summary>Takes one of this host's statistics out. Nothing happens if there is none of that name.</summary>
        /// <param name="name">Its name.</param>
        /// <exception cref="GossipException">The name is none.</exception>
        public unsafe void DeleteStatistic(string name)
        {
            byte[] error = Scratch.Current.Error;
            fixed (byte* n = Named("name", "the statistic's name", name), e = error)
            {
                int status = Native.gossip_statistic_delete(handle.Id, n, e, (UIntPtr)(uint)error.Length);
                GC.KeepAlive(this);
                CheckWithWords(status);
            }
        }

        private static byte[] Named(string parameter, string what, string text)
        {
            if (text == null)
            {
                throw new ArgumentNullException(parameter);
            }
            return Utf8.Terminated(what, text);
        }
    }
}
