//! Counters of the engine. Plain numbers: the engine is driven by one at a time.

/// Kinds of frame that are counted apart; 0 takes what is unknown.
pub const FRAME_KINDS: usize = 24;

/// Kinds that have a name; what is sent of others counts as `other`.
const FRAME_NAMES: &[(u8, &str, &str, &str)] = &[
    (0, "frames_sent_other", "frame_bytes_sent_other", "frames_received_other"),
    (1, "frames_sent_join", "frame_bytes_sent_join", "frames_received_join"),
    (2, "frames_sent_challenge", "frame_bytes_sent_challenge", "frames_received_challenge"),
    (3, "frames_sent_members", "frame_bytes_sent_members", "frames_received_members"),
    (4, "frames_sent_want_members", "frame_bytes_sent_want_members", "frames_received_want_members"),
    (5, "frames_sent_statement", "frame_bytes_sent_statement", "frames_received_statement"),
    (6, "frames_sent_segment", "frame_bytes_sent_segment", "frames_received_segment"),
    (7, "frames_sent_not_me", "frame_bytes_sent_not_me", "frames_received_not_me"),
    (8, "frames_sent_rumor", "frame_bytes_sent_rumor", "frames_received_rumor"),
    (9, "frames_sent_ping", "frame_bytes_sent_ping", "frames_received_ping"),
    (10, "frames_sent_ack", "frame_bytes_sent_ack", "frames_received_ack"),
    (11, "frames_sent_ping_for", "frame_bytes_sent_ping_for", "frames_received_ping_for"),
    (12, "frames_sent_nack", "frame_bytes_sent_nack", "frames_received_nack"),
    (13, "frames_sent_confirm", "frame_bytes_sent_confirm", "frames_received_confirm"),
    (14, "frames_sent_accuse", "frame_bytes_sent_accuse", "frames_received_accuse"),
    (15, "frames_sent_claims", "frame_bytes_sent_claims", "frames_received_claims"),
    (16, "frames_sent_announcement", "frame_bytes_sent_announcement", "frames_received_announcement"),
    (17, "frames_sent_compressed", "frame_bytes_sent_compressed", "frames_received_compressed"),
    (18, "frames_sent_busy", "frame_bytes_sent_busy", "frames_received_busy"),
    (19, "frames_sent_buckets", "frame_bytes_sent_buckets", "frames_received_buckets"),
    (20, "frames_sent_content", "frame_bytes_sent_content", "frames_received_content"),
    (21, "frames_sent_content_rows", "frame_bytes_sent_content_rows", "frames_received_content_rows"),
    (22, "frames_sent_padding", "frame_bytes_sent_padding", "frames_received_padding"),
    (23, "frames_sent_coming", "frame_bytes_sent_coming", "frames_received_coming"),
];

/// One figure: its name, what it says, whether it can fall, its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, without prefix.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// It can fall: not a counter.
    pub gauge: bool,
    /// Its value.
    pub value: u64,
}

macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// What the engine counts, from its start.
        #[derive(Clone, Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)*
            /// Frames sent, by kind.
            pub frames_sent: [u64; FRAME_KINDS],
            /// Bytes of bodies of frames sent, by kind.
            pub frame_bytes_sent: [u64; FRAME_KINDS],
            /// Frames received, by kind.
            pub frames_received: [u64; FRAME_KINDS],
        }

        impl Counters {
            /// All of them.
            pub fn metrics(&self) -> Vec<Metric> {
                let counter = |name, help, value| Metric { name, help, gauge: false, value };
                let mut all = vec![$(counter(stringify!($name), $help, self.$name),)*];
                for &(kind, sent, bytes, received) in FRAME_NAMES {
                    let i = usize::from(kind);
                    all.push(counter(sent, "Frames of this kind sent", self.frames_sent[i]));
                    all.push(counter(bytes, "Bytes of bodies of frames of this kind sent", self.frame_bytes_sent[i]));
                    all.push(counter(received, "Frames of this kind received", self.frames_received[i]));
                }
                all
            }
        }
    };
}

counters! {
    datagrams_sent: "Datagrams sent",
    datagram_bytes_sent: "UDP payload sent, in bytes",
    datagrams_received: "Datagrams received",
    datagram_bytes_received: "UDP payload received, in bytes",
    messages_sent: "Messages sent on streams",
    message_bytes_sent: "TCP payload sent, in bytes",
    messages_received: "Messages received on streams",
    message_bytes_received: "TCP payload received, in bytes",
    sends_failed: "Datagrams and messages that could not be sent",
    dropped_malformed: "Packets dropped: not decodable",
    dropped_checksum: "Packets dropped: changed on the way",
    dropped_version: "Packets dropped: of an unknown version of the wire format",
    dropped_cluster: "Packets dropped: of another cluster",
    dropped_sealed: "Packets dropped: sealed, but this node has no keys",
    dropped_unknown_sender: "Packets dropped: from no known member",
    dropped_not_me: "Packets dropped: meant for another life at this address",
    dropped_own: "Packets dropped: sent by this node itself",
    dropped_queue_full: "Packets not sent: the queue was full",
    dropped_not_member: "Packets dropped: this node has left or failed",
    answers_withheld: "Packets of unproven addresses not answered: the answer would have been larger than the packet",
    joins_received: "Requests to join received",
    joins_accepted: "Requests to join accepted",
    members_refused: "Members not taken in: max_members",
    exchanges_started: "Statements sent that ask for a reply",
    exchanges_equal: "Exchanges that found no difference",
    exchanges_different: "Exchanges that found a difference",
    segments_sent: "Segments of entries sent",
    segments_received: "Segments of entries received",
    segments_useless: "Segments received that brought nothing new",
    segments_unknown_owner: "Segments dropped: their owner is not known yet",
    entries_applied: "Entries of other members taken in",
    entries_known: "Entries received that were known already",
    entries_refused: "Entries received that were over a limit",
    entries_expired: "Entries whose time to live ended",
    commits: "Offsets committed: proofs that a member holds more than was known",
    commit_retreats: "Offsets taken back: a member said that it holds less than was known",
    equal_proofs: "Proofs by equal fingerprints that a member holds all that this node holds",
    tombstone_collections: "Times that tombstones were collected",
    contents_compared: "Comparisons by content that a peer has answered",
    content_differences: "Owners whose entries differed from those at a peer that held the same numbers of them",
    uploads_refused: "Members told to ask another one, for as many were being sent to as may be",
    resets_received: "Segments received that belong to a reset",
    gaps_asked: "Owners of whose entries a peer was asked for what no rumor had brought",
    rumors_started: "Rumors of own entries sent",
    rumors_repeated: "Rumors sent again to a member that had not acknowledged, or asked after",
    rumor_arcs_taken_over: "Arcs served without the member that had not acknowledged twice",
    rumors_held_back: "Rumors held back for their rate: told later, or at the gossip interval",
    connects_accepted: "Connections tried to a silent member that were accepted: its process is there, and does not answer",
    connects_refused: "Connections tried to a silent member that were refused: its host is there, its process is not",
    connects_silent: "Connections tried to a silent member that were not answered",
    probes_sent: "Probes sent, those on behalf of others included",
    probes_indirect: "Probes asked of others, for want of a direct answer",
    probes_failed: "Probes that failed: no answer on any way",
    unreachables: "Answers of the network that nobody can be reached at an address",
    suspicions: "Members suspected by this node's own probes",
    confirmations: "Suspicions of this node that another member confirmed",
    deaths: "Members that this node itself has declared dead",
    claims_told: "Rumors of claims about members that were sent or passed on",
    claims_doubted: "Claims passed over: their accuser was suspected itself, or they were old and had to be verified",
    claims_implausible: "Claims dropped: their incarnation is beyond what refutations can have made it",
    pauses: "Times that this process was found not to have been running",
    refutations: "Claims about this node itself that it refuted",
}
