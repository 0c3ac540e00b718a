using System;
using System.Collections.Generic;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>
    /// What a member tells of itself under <see cref="GossipKeys.Heartbeat"/>: the message <c>cluster.MemberHeartbeat</c> of Proto.Actor.
    /// </summary>
    /// <remarks>
    /// A plain type, not one that protoc has generated: a program that uses Proto.Actor too has those already, and a process must not
    /// register the same message twice. Not safe for several threads at once.
    /// </remarks>
    public sealed class MemberHeartbeat
    {
        /// <summary>The type URL of the message.</summary>
        public const string TypeUrl = "type.googleapis.com/cluster.MemberHeartbeat";

        private const int ActorStatisticsField = 1;

        /// <summary>A heartbeat without statistics.</summary>
        public MemberHeartbeat()
        {
            ActorStatistics = new ActorStatistics();
        }

        /// <summary>The host's statistics; never null.</summary>
        public ActorStatistics ActorStatistics { get; private set; }

        /// <summary>Reads the message.</summary>
        /// <param name="bytes">The message as protobuf encodes it.</param>
        /// <returns>The heartbeat.</returns>
        /// <exception cref="FormatException">The bytes are no such message.</exception>
        public static MemberHeartbeat Parse(byte[] bytes)
        {
            MemberHeartbeat heartbeat = new MemberHeartbeat();
            ProtoReader reader = new ProtoReader(bytes);
            int field;
            while ((field = reader.Next()) != 0)
            {
                // A field that comes twice is merged, as protobuf wants it.
                if (field == ActorStatisticsField)
                {
                    heartbeat.ActorStatistics.MergeFrom(reader.Message());
                }
                else
                {
                    reader.Skip();
                }
            }
            return heartbeat;
        }

        /// <summary>Writes the message.</summary>
        /// <returns>The message as protobuf encodes it.</returns>
        public byte[] ToByteArray()
        {
            ProtoWriter writer = new ProtoWriter();
            writer.Message(ActorStatisticsField, ActorStatistics.Write());
            return writer.ToArray();
        }
    }

    /// <summary>The statistics in a <see cref="MemberHeartbeat"/>.</summary>
    public sealed class ActorStatistics
    {
        private const int ActorCountField = 1;
        private const int MapKeyField = 1;
        private const int MapValueField = 2;

        /// <summary>No statistics.</summary>
        public ActorStatistics()
        {
            ActorCount = new SortedDictionary<string, long>(StringComparer.Ordinal);
        }

        /// <summary>Numbers by name: of the actors of each kind, or whatever the host counts.</summary>
        public IDictionary<string, long> ActorCount { get; private set; }

        internal void MergeFrom(ProtoReader reader)
        {
            int field;
            while ((field = reader.Next()) != 0)
            {
                if (field != ActorCountField)
                {
                    reader.Skip();
                    continue;
                }
                ProtoReader pair = reader.Message();
                string name = string.Empty;
                long count = 0;
                while ((field = pair.Next()) != 0)
                {
                    if (field == MapKeyField)
                    {
                        name = pair.Text();
                    }
                    else if (field == MapValueField)
                    {
                        count = pair.Int64();
                    }
                    else
                    {
                        pair.Skip();
                    }
                }
                ActorCount[name] = count;
            }
        }

        internal ProtoWriter Write()
        {
            ProtoWriter writer = new ProtoWriter();
            foreach (KeyValuePair<string, long> pair in ActorCount)
            {
                ProtoWriter entry = new ProtoWriter();
                entry.Text(MapKeyField, pair.Key);
                entry.Int64(MapValueField, pair.Value);
                writer.Message(ActorCountField, entry);
            }
            return writer;
        }
    }
}
