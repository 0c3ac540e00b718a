//! The settings table: one row a setting. Setting, reading, listing, the documentation page and the tests walk it.

use std::ffi::CStr;
use std::time::Duration;

use super::parse::{self, Parsed};
use super::settings::Settings;
use crate::store::event::Level;

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// Items with commas between them.
    List,
    /// A whole number.
    Integer,
    /// A number with a unit: ms, s, m, h; without one it counts milliseconds.
    Duration,
    /// A number of bytes, or with a unit: KiB, MiB, GiB, kB, MB, GB.
    Size,
    /// One of the words of the bounds.
    Choice,
}

impl Type {
    /// The type's name.
    pub fn name(self) -> &'static CStr {
        match self {
            Type::Text => c"text",
            Type::List => c"list",
            Type::Integer => c"integer",
            Type::Duration => c"duration",
            Type::Size => c"size",
            Type::Choice => c"choice",
        }
    }
}

/// Reads and writes one field of [`Settings`].
#[derive(Clone, Copy)]
pub(super) enum Access {
    Integer(fn(&mut Settings) -> &mut usize),
    Size(fn(&mut Settings) -> &mut usize),
    Duration(fn(&mut Settings) -> &mut Duration),
    Choice(fn(&Settings) -> &'static str, fn(&mut Settings, &str) -> bool),
    Text(fn(&Settings) -> String, fn(&mut Settings, &str) -> Parsed<()>),
    List(fn(&Settings) -> String, fn(&mut Settings, &str) -> Parsed<()>),
}

/// One setting.
pub struct Row {
    /// Its name.
    pub name: &'static CStr,
    /// What a bare number counts; empty where there is none.
    pub unit: &'static CStr,
    /// Its value when it was not set.
    pub default: &'static CStr,
    /// Numbers: "least..most"; choices: the words, with spaces between them; else in words, or empty.
    pub bounds: &'static CStr,
    /// What it is for, what zero means, what raising and lowering costs.
    pub text: &'static CStr,
    /// It may change while the node is open.
    pub live: bool,
    /// Its value is never shown.
    pub secret: bool,
    pub(super) access: Access,
}

impl Row {
    /// How it is written.
    pub fn kind(&self) -> Type {
        match self.access {
            Access::Integer(_) => Type::Integer,
            Access::Size(_) => Type::Size,
            Access::Duration(_) => Type::Duration,
            Access::Choice(..) => Type::Choice,
            Access::Text(..) => Type::Text,
            Access::List(..) => Type::List,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or("")
    }

    pub(super) fn bounds(&self) -> &'static str {
        self.bounds.to_str().unwrap_or("")
    }

    /// Its value, secret or not.
    pub(super) fn read(&self, settings: &Settings) -> String {
        // The accessors of numbers give places to write to; reading through a copy costs little and is rare.
        match self.access {
            Access::Integer(field) => field(&mut settings.clone()).to_string(),
            Access::Size(field) => parse::show_size(*field(&mut settings.clone()) as u64),
            Access::Duration(field) => parse::show_duration(*field(&mut settings.clone())),
            Access::Choice(get, _) => get(settings).into(),
            Access::Text(get, _) | Access::List(get, _) => get(settings),
        }
    }

    /// Sets it; on failure the settings are as before.
    pub(super) fn write(&self, settings: &mut Settings, value: &str) -> Parsed<()> {
        match self.access {
            Access::Integer(field) => {
                let bare = |text: &str| text.parse::<u64>().ok();
                *field(settings) = self.within(value, "a whole number", bare)?;
            }
            Access::Size(field) => {
                *field(settings) = self.within(value, "a size (as 1400, 64KiB, 16MiB, 10MB)", parse::size)?;
            }
            Access::Duration(field) => {
                let what = "a duration (as 300ms, 1.5s, 10m, 2h; a bare number counts milliseconds)";
                let millis = |text: &str| u64::try_from(parse::duration(text)?.as_millis()).ok();
                *field(settings) = Duration::from_millis(self.within(value, what, millis)?);
            }
            Access::Choice(_, set) => {
                if !set(settings, &value.trim().to_ascii_lowercase()) {
                    return Err(format!("is none of: {}", self.bounds()));
                }
            }
            Access::Text(_, set) | Access::List(_, set) => set(settings, value)?,
        }
        Ok(())
    }

    /// The number that `value` says, if it lies within the bounds; `read` reads it and the bounds.
    fn within<T: TryFrom<u64>>(&self, value: &str, what: &str, read: impl Fn(&str) -> Option<u64>) -> Parsed<T> {
        let bounds = self.bounds();
        let (least, most) = bounds.split_once("..").unwrap_or((bounds, bounds));
        let number = read(value.trim()).ok_or_else(|| format!("is not {what} of {least} to {most}"))?;
        let inside = read(least).is_none_or(|least| number >= least) && read(most).is_none_or(|most| number <= most);
        T::try_from(number).ok().filter(|_| inside).ok_or_else(|| format!("is not within {least} to {most}"))
    }
}

/// The row of a setting.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name() == name)
}

/// The name most like `name`, if one is like it.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let near: String = name.chars().map(|c| if c == '-' || c == '.' { '_' } else { c.to_ascii_lowercase() }).collect();
    if near.len() > 64 {
        return None;
    }
    let (distance, found) = ROWS.iter().map(|row| (distance(&near, row.name()), row.name())).min()?;
    (distance <= (near.len() / 3).max(1)).then_some(found)
}

/// Insertions, deletions and replacements between the two.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

const LEVELS: [(&str, Option<Level>); 6] = [
    ("off", None),
    ("error", Some(Level::Error)),
    ("warn", Some(Level::Warn)),
    ("info", Some(Level::Info)),
    ("debug", Some(Level::Debug)),
    ("trace", Some(Level::Trace)),
];

const fn row(name: &'static CStr, access: Access) -> Row {
    Row { name, unit: c"", default: c"", bounds: c"", text: c"", live: false, secret: false, access }
}

/// Every setting. New ones are appended; a name, once released, keeps its meaning.
pub static ROWS: &[Row] = &[
    Row {
        default: c"default",
        bounds: c"1 to 64 bytes",
        text: c"Name of the cluster. Nodes of different names do not talk to each other, even where they share seeds; a node that hears from another cluster warns of it.",
        ..row(
            c"cluster",
            Access::Text(
                |s| s.cluster.clone(),
                |s, v| match parse::name(v, 64)? {
                    name if name.is_empty() => Err("is empty".into()),
                    name => {
                        s.cluster = name;
                        Ok(())
                    }
                },
            ),
        )
    },
    Row {
        bounds: c"0 to 255 bytes",
        text: c"This node's member id, which no other node of the cluster may have at the same time. Empty: 32 random hex digits, new at each start. A fixed id lets others see a restart as the same member; of two running nodes with one id the later stays and the other ends with GOSSIP_ERR_ID_TAKEN.",
        ..row(
            c"id",
            Access::Text(
                |s| s.id.clone(),
                |s, v| {
                    s.id = parse::name(v, 255)?;
                    Ok(())
                },
            ),
        )
    },
    Row {
        bounds: c"600 bytes in all",
        live: true,
        text: c"Tags that all members see, as name=value,name=value: a role, a zone, a port. Names are 1 to 64 of A-Z a-z 0-9 _ . - and values up to 255 bytes without a comma or control character. Empty: none. They travel with each news of this member, so large tags cost traffic; what changes often belongs into the state.",
        ..row(
            c"tags",
            Access::List(
                |s| parse::show_tags(&s.tags),
                |s, v| {
                    s.tags = parse::tags(v)?;
                    Ok(())
                },
            ),
        )
    },
    Row {
        bounds: c"IP, IP:port, [IPv6]:port or :port",
        text: c"Address to listen at, UDP and TCP, as :4711, 0.0.0.0:4711, [::]:4711 or 10.0.0.7:0. Port 0, or none: one that the system chooses. Empty: every address of this machine, with a port that the system chooses; nodes that others are to find as seeds need a fixed port.",
        ..row(
            c"bind",
            Access::Text(
                |s| s.bind.clone(),
                |s, v| {
                    s.bind = parse::bind(v)?;
                    Ok(())
                },
            ),
        )
    },
    Row {
        bounds: c"host, host:port or [IPv6]:port",
        text: c"Address that others are told to reach this node at; needed behind address translation or port mapping. Without a port: the bound one. Empty: the bound address, or, when listening at every address, the one from which the first seed is reached; if this machine loses that one, another is chosen in the same way.",
        ..row(
            c"advertise",
            Access::Text(
                |s| s.advertise.clone(),
                |s, v| {
                    s.advertise = parse::advertise(v)?;
                    Ok(())
                },
            ),
        )
    },
    Row {
        bounds: c"up to 64 of host:port or [IPv6]:port",
        live: true,
        text: c"Where to find the cluster. One running seed is enough to join; a DNS name stands for all its addresses and is looked up again and again. Empty: the node is a cluster of one until another joins it. Naming this node itself does no harm, so that all nodes may have the same list.",
        ..row(
            c"seeds",
            Access::List(
                |s| s.seeds.join(","),
                |s, v| {
                    s.seeds = parse::seeds(v)?;
                    Ok(())
                },
            ),
        )
    },
    Row {
        unit: c"bytes",
        default: c"1400",
        bounds: c"508..65507",
        text: c"Largest UDP payload that this node sends. Above what the network carries whole (1400 is safe on Ethernet, also through tunnels) datagrams are cut into fragments, and the loss of one loses all; lower values cost more packets.",
        ..row(c"max_packet", Access::Size(|s| &mut s.max_packet))
    },
    Row {
        unit: c"ms",
        default: c"300ms",
        bounds: c"10ms..1h",
        live: true,
        text: c"How often state is exchanged with random members while something is new. Lower: news spreads faster, for more packets; higher: fewer packets and slower news.",
        ..row(c"gossip_interval", Access::Duration(|s| &mut s.gossip_interval))
    },
    Row {
        default: c"3",
        bounds: c"1..100",
        live: true,
        text: c"How many random members are gossiped with at each gossip interval while differences are found, or always with rumors=off; else one is enough. Higher: fewer intervals until all members know, for more packets that tell what is known already.",
        ..row(c"gossip_fanout", Access::Integer(|s| &mut s.gossip_fanout))
    },
    Row {
        default: c"50",
        bounds: c"1..10000",
        live: true,
        text: c"How many members' states one exchange carries at most; the rest follows in the next. Lower: smaller bursts, and a newcomer catches up more slowly.",
        ..row(c"gossip_max_send", Access::Integer(|s| &mut s.gossip_max_send))
    },
    Row {
        unit: c"ms",
        default: c"50ms",
        bounds: c"0ms..10s",
        live: true,
        text: c"How old a change must be before the gossip interval offers it, so that it is not sent to members to whom it is already under way. 0: offered at once. Never longer than gossip_interval, whatever it is set to.",
        ..row(c"gossip_settle", Access::Duration(|s| &mut s.gossip_settle))
    },
    Row {
        default: c"on",
        bounds: c"on off",
        live: true,
        text: c"Whether fresh entries are sent at once, down a tree of all members, before the gossip interval makes certain. off: the gossip interval alone, with gossip_fanout members each time: fewer packets under constant change, and hundreds of milliseconds instead of a few.",
        ..row(
            c"rumors",
            Access::Choice(
                |s| if s.rumors { "on" } else { "off" },
                |s, v| {
                    let known = matches!(v, "on" | "off");
                    s.rumors = if known { v == "on" } else { s.rumors };
                    known
                },
            ),
        )
    },
    Row {
        unit: c"ms",
        default: c"1s",
        bounds: c"100ms..1h",
        live: true,
        text: c"How often this node probes its next member on the hash ring: so often is every member probed, whatever their number. The probe also compares knowledge, which finds whatever was lost. Lower: crashes are seen sooner, for more idle traffic (about 90 bytes a probe and its answer).",
        ..row(c"probe_interval", Access::Duration(|s| &mut s.probe_interval))
    },
    Row {
        unit: c"ms",
        default: c"5s",
        bounds: c"100ms..24h",
        live: true,
        text: c"How often this node probes one more member, in random order: it finds the dead whose predecessors on the ring are dead or unwell as well. Lower: surer, for more idle traffic.",
        ..row(c"probe_random_interval", Access::Duration(|s| &mut s.probe_random_interval))
    },
    Row {
        unit: c"ms",
        default: c"500ms",
        bounds: c"50ms..1m",
        live: true,
        text: c"When a probe has failed. Within it, after 4 round trips (200 to 400 ms, at most four fifths of this), others are asked to probe as well and a TCP connection is tried. Must not be more than probe_interval. Lower: crashes are seen sooner, and slow networks cause more suspicion.",
        ..row(c"probe_timeout", Access::Duration(|s| &mut s.probe_timeout))
    },
    Row {
        default: c"3",
        bounds: c"0..16",
        live: true,
        text: c"How many other members are asked to probe one that does not answer directly. 0: none. Higher: lost packets cause less suspicion, for more packets while a member does not answer.",
        ..row(c"indirect_probes", Access::Integer(|s| &mut s.indirect_probes))
    },
    Row {
        default: c"on",
        bounds: c"on off",
        live: true,
        text: c"Whether the refinements of Lifeguard are used: a node that is slow itself probes more slowly and accuses later, and a suspicion ends the sooner the more others confirm it. off: plain SWIM with fixed times, for comparison.",
        ..row(
            c"lifeguard",
            Access::Choice(
                |s| if s.lifeguard { "on" } else { "off" },
                |s, v| {
                    let known = matches!(v, "on" | "off");
                    s.lifeguard = if known { v == "on" } else { s.lifeguard };
                    known
                },
            ),
        )
    },
    Row {
        default: c"8",
        bounds: c"0..64",
        live: true,
        text: c"How many points this node may count against its own health. With each its probes come later and wait longer by their whole length. Higher: fewer false alarms from an overloaded node, which in turn sees crashes later.",
        ..row(c"health_max", Access::Integer(|s| &mut s.health_max))
    },
    Row {
        default: c"5",
        bounds: c"0..32",
        live: true,
        text: c"How many members are asked at once to probe one that is suspected. 0: none, and suspicion_silent always passes whole. Higher: surer and sooner, for more packets at each suspicion.",
        ..row(c"confirmers", Access::Integer(|s| &mut s.confirmers))
    },
    Row {
        default: c"3",
        bounds: c"1..32",
        live: true,
        text: c"How many members must confirm a suspicion for it to end after suspicion_min; with fewer it lasts longer, up to suspicion_silent. Of few members, as many as there are to ask. Higher: fewer false alarms, and crashes are seen later.",
        ..row(c"confirmations", Access::Integer(|s| &mut s.confirmations))
    },
    Row {
        unit: c"ms",
        default: c"400ms",
        bounds: c"0ms..10m",
        live: true,
        text: c"How long a member is suspected whose host refuses connections, which is how a killed process shows, before it is held dead. Lower: killed processes are seen sooner; where a firewall refuses TCP, a member has only this long to object.",
        ..row(c"suspicion_refused", Access::Duration(|s| &mut s.suspicion_refused))
    },
    Row {
        unit: c"ms",
        default: c"1s",
        bounds: c"10ms..10m",
        live: true,
        text: c"How long a member is suspected that does not answer at all, nor its host, if enough others confirm it. From 100 members on it grows with the logarithm of their number. Lower: crashed hosts are seen sooner, and short failures of the network become deaths.",
        ..row(c"suspicion_min", Access::Duration(|s| &mut s.suspicion_min))
    },
    Row {
        unit: c"ms",
        default: c"4s",
        bounds: c"10ms..1h",
        live: true,
        text: c"The same if nobody confirms it. Must not be less than suspicion_min.",
        ..row(c"suspicion_silent", Access::Duration(|s| &mut s.suspicion_silent))
    },
    Row {
        unit: c"ms",
        default: c"15s",
        bounds: c"10ms..24h",
        live: true,
        text: c"How long a member is suspected that does not answer while its host accepts connections for it: the process is stopped, throttled or swapping. Until then it can come back without having been held dead. Lower: hanging processes are given up sooner.",
        ..row(c"suspicion_stalled", Access::Duration(|s| &mut s.suspicion_stalled))
    },
    Row {
        unit: c"ms",
        default: c"10s",
        bounds: c"100ms..24h",
        live: true,
        text: c"How often one of the members that are held dead is told so, in case that it lives behind a partition that has healed. Lower: heals sooner, for more packets into the void.",
        ..row(c"dead_probe_interval", Access::Duration(|s| &mut s.dead_probe_interval))
    },
    Row {
        unit: c"ms",
        default: c"10s",
        bounds: c"10ms..24h",
        live: true,
        text: c"How often the host's statistics are published under cluster:heartbeat at most, when they have changed; with heartbeat_expiration so often in any case. Lower: fresher, for more traffic from each member to all.",
        ..row(c"heartbeat_interval", Access::Duration(|s| &mut s.heartbeat_interval))
    },
    Row {
        unit: c"ms",
        default: c"0ms",
        bounds: c"0ms..24h",
        live: true,
        text: c"A member whose heartbeat has not come for so long is banned until it comes again. 0: never, for whether a member is there is found out by probes. As in Proto.Actor; give it to all members alike, at several times heartbeat_interval.",
        ..row(c"heartbeat_expiration", Access::Duration(|s| &mut s.heartbeat_expiration))
    },
    Row {
        default: c"50",
        bounds: c"0..1000000",
        live: true,
        text: c"In a cluster of up to so many members this node publishes a hash of who is here under cluster:topology, a second after the last change and up to 10 ms later for each member, so that not all do it at once. In a larger cluster it takes that key back. 0: never. Every member sends it to every other at each change, so it does not suit large clusters; GOSSIP_EVENT_TOPOLOGY tells the host at any size.",
        ..row(c"topology_members", Access::Integer(|s| &mut s.topology_members))
    },
    Row {
        unit: c"ms",
        default: c"50ms",
        bounds: c"10ms..1m",
        text: c"Pause before a seed that has not answered is tried again; it grows by 1.6 each time, up to join_retry_max. Lower: joins sooner where seeds start at the same time, for more packets to absent seeds.",
        ..row(c"join_retry", Access::Duration(|s| &mut s.join_retry))
    },
    Row {
        unit: c"ms",
        default: c"5s",
        bounds: c"10ms..1h",
        text: c"Longest pause between two tries of a seed that has not answered yet. Must not be less than join_retry.",
        ..row(c"join_retry_max", Access::Duration(|s| &mut s.join_retry_max))
    },
    Row {
        unit: c"ms",
        default: c"30s",
        bounds: c"100ms..24h",
        live: true,
        text: c"How often seeds are looked up and contacted again once the node has joined, which heals a cluster that was split. Lower: heals sooner, for more look-ups.",
        ..row(c"seed_interval", Access::Duration(|s| &mut s.seed_interval))
    },
    Row {
        unit: c"ms",
        default: c"1s",
        bounds: c"0ms..10m",
        live: true,
        text: c"How long a leaving node waits for others to acknowledge before it has left all the same. 0: the notice is sent once and not waited for; members that miss it take the node for dead.",
        ..row(c"leave_timeout", Access::Duration(|s| &mut s.leave_timeout))
    },
    Row {
        default: c"3",
        bounds: c"0..100",
        live: true,
        text: c"How many members must acknowledge that this node leaves; where fewer than twice as many are there, half of them. 0: none. Higher: surer that all learn of it, for a longer wait.",
        ..row(c"leave_acks", Access::Integer(|s| &mut s.leave_acks))
    },
    Row {
        default: c"16384",
        bounds: c"1..1000000",
        live: true,
        text: c"How many members this node keeps in mind, itself included; further ones are refused, counted and warned of. It bounds memory against a faulty or hostile peer.",
        ..row(c"max_members", Access::Integer(|s| &mut s.max_members))
    },
    Row {
        default: c"1000000",
        bounds: c"1..100000000",
        live: true,
        text: c"How many keys a member may have, deleted ones included until they are collected. set refuses a further own key with GOSSIP_ERR_LIMIT; another member's is not kept here, and GOSSIP_EVENT_ENTRY_REFUSED tells of it.",
        ..row(c"max_keys_per_member", Access::Integer(|s| &mut s.max_keys_per_member))
    },
    Row {
        unit: c"bytes",
        default: c"256MiB",
        bounds: c"1KiB..64GiB",
        live: true,
        text: c"How large a member's state may be: its keys, values and type URLs together. set refuses what goes beyond with GOSSIP_ERR_LIMIT; another member's entry is not kept here, and GOSSIP_EVENT_ENTRY_REFUSED tells of it.",
        ..row(c"max_state_size_per_member", Access::Size(|s| &mut s.max_state_size_per_member))
    },
    Row {
        unit: c"bytes",
        default: c"16MiB",
        bounds: c"1..256MiB",
        live: true,
        text: c"How large one value may be. set refuses a larger one with GOSSIP_ERR_VALUE_TOO_LARGE; another member's is not kept here, and GOSSIP_EVENT_ENTRY_REFUSED tells of it. Large values take long to reach all and are sent whole at each change. Must not exceed max_state_size_per_member.",
        ..row(c"max_value_size", Access::Size(|s| &mut s.max_value_size))
    },
    Row {
        unit: c"ms",
        default: c"1h",
        bounds: c"10ms..720h",
        text: c"How long a deleted key is remembered as deleted. A member that was away for longer gets the whole state of the key's owner anew. Higher: more memory where many keys come and go.",
        ..row(c"tombstone_grace", Access::Duration(|s| &mut s.tombstone_grace))
    },
    Row {
        unit: c"ms",
        default: c"10m",
        bounds: c"10ms..720h",
        text: c"How long the state of a dead or left member is kept, for GOSSIP_GET_DEPARTED and for its return after a false alarm. Higher: more memory where members come and go.",
        ..row(c"departed_grace", Access::Duration(|s| &mut s.departed_grace))
    },
    Row {
        unit: c"ms",
        default: c"24h",
        bounds: c"10ms..8760h",
        text: c"How long it is remembered that a member has departed, so that a late packet does not bring it back. Must not be less than departed_grace.",
        ..row(c"departed_record", Access::Duration(|s| &mut s.departed_record))
    },
    Row {
        default: c"warn",
        bounds: c"off error warn info debug trace",
        live: true,
        text: c"Which log lines are made, for subscriptions with GOSSIP_EVENT_LOG: those of this level and worse. Nothing is ever printed. debug and trace cost time for each packet.",
        ..row(
            c"log_level",
            Access::Choice(
                |s| LEVELS.iter().find(|(_, level)| *level == s.log_level).map_or("off", |(word, _)| word),
                |s, v| match LEVELS.iter().find(|(word, _)| *word == v) {
                    Some((_, level)) => {
                        s.log_level = *level;
                        true
                    }
                    None => false,
                },
            ),
        )
    },
    Row {
        default: c"2",
        bounds: c"1..64",
        text: c"How many threads serve the nodes of this process. All nodes share them; the setting of the first that is open counts. More than 2 helps only with hundreds of nodes in one process.",
        ..row(c"worker_threads", Access::Integer(|s| &mut s.worker_threads))
    },
    Row {
        unit: c"ms",
        default: c"10m",
        bounds: c"1s..8760h",
        live: true,
        text: c"How often all that this node holds is compared by content with what others hold, in slices of about 16 MiB with one member each; the numbers are compared all the time. A difference, which a fault of memory or of a program can make, is counted, logged and mended from the entries' owner. Lower: found sooner, for time spent on hashing the whole state so often.",
        ..row(c"content_interval", Access::Duration(|s| &mut s.content_interval))
    },
];
