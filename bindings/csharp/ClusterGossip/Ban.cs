namespace ClusterGossip
{
    /// <summary>A ban that stands. Bans of one member by several stand side by side.</summary>
    public sealed class Ban
    {
        internal Ban(string member, string by)
        {
            Member = member;
            By = by;
        }

        /// <summary>Id of the banned member.</summary>
        public string Member { get; private set; }

        /// <summary>Id of the member that has banned it.</summary>
        public string By { get; private set; }

        /// <summary>Both ids, for people.</summary>
        /// <returns>The text.</returns>
        public override string ToString()
        {
            return Member + ", banned by " + By;
        }
    }
}
