namespace ClusterGossip
{
    /// <summary>Who is here, told when it has changed and has stayed the same for a second.</summary>
    public sealed class Topology
    {
        internal Topology(int members, string hash)
        {
            Members = members;
            Hash = hash;
        }

        /// <summary>How many members, this node included.</summary>
        public int Members { get; private set; }

        /// <summary>16 hex digits, the same at every member that sees the same members.</summary>
        public string Hash { get; private set; }

        /// <summary>Number and hash, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return Members + " members, " + Hash;
        }
    }
}
