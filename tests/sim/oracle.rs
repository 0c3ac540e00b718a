//! What each owner really wrote: the truth that members' views are held against.

use std::time::Duration;

use cluster_gossip::store::entry::Entry;
use cluster_gossip::time::Time;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// A packet may wait so long in the socket of a process that is stopped or slow: its ages stand still meanwhile.
const UNDER_WAY: Duration = Duration::from_secs(45);

/// One write of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    pub seq: u64,
    /// Hash of the value; `None`: deleted.
    pub value: Option<u64>,
    pub at: Time,
    pub expires: Time,
}

/// A life and its writes.
#[derive(Debug, Default)]
pub struct Written {
    pub id: String,
    pub node: usize,
    keys: HashMap<String, Vec<Write>>,
}

/// See the module. Lives are named by their nonces.
#[derive(Default)]
pub struct Oracle {
    lives: HashMap<u64, Written>,
    /// Some members refuse what others may write: what a key was before is gone there.
    pub limits_differ: bool,
}

impl Oracle {
    pub fn born(&mut self, nonce: u64, id: &str, node: usize) {
        self.lives.insert(nonce, Written { id: id.to_owned(), node, keys: HashMap::new() });
    }

    pub fn wrote(&mut self, now: Time, nonce: u64, key: &str, seq: u64, value: Option<&[u8]>, ttl: Option<Duration>) {
        let Some(life) = self.lives.get_mut(&nonce) else { return };
        let expires = ttl.map_or(Time::NEVER, |ttl| now + ttl);
        let write = Write { seq, value: value.map(xxh3_64), at: now, expires };
        match life.keys.get_mut(key) {
            Some(writes) => writes.push(write),
            None => _ = life.keys.insert(key.to_owned(), vec![write]),
        }
    }

    /// The node whose life this is.
    pub fn node(&self, nonce: u64) -> Option<usize> {
        self.lives.get(&nonce).map(|life| life.node)
    }

    /// Whether its owner wrote an entry exactly so, or it has expired.
    pub fn has(&self, entry: &Entry, now: Time) -> Result<(), String> {
        let head = entry.head();
        let (nonce, key, id) = (head.life.nonce, entry.key(), head.life.id.as_str());
        let Some(life) = self.lives.get(&nonce) else {
            return Err(format!("an entry {key:?} of {id}, which never lived"));
        };
        if life.id != id {
            return Err(format!("an entry {key:?} of {id}, whose life is that of {}", life.id));
        }
        let writes = life.keys.get(key).map_or(&[][..], |w| w);
        let value = (!head.deleted).then(|| xxh3_64(entry.value()));
        let written = writes.iter().any(|w| w.seq == head.seq && w.value == value);
        // What has expired, or what a reset has found to be gone, is told with its own number; and an owner's engine
        // makes deletes of its own of what expires. Times to live travel in whole milliseconds. That a key was written again
        // is no reason to tell that it is gone, but where a limit has refused what was written.
        let last = writes.iter().rposition(|w| w.seq <= head.seq);
        let gone = |w: &Write| w.value.is_none() || w.expires <= now + Duration::from_millis(20);
        let over = |i: usize| writes[i..].iter().any(gone) || self.limits_differ && i + 1 < writes.len();
        let expired = head.deleted && last.is_some_and(over);
        if written || expired {
            return Ok(());
        }
        let what = if head.deleted {
            "is gone, though it was neither deleted nor expired"
        } else {
            "has a value that its owner never wrote"
        };
        Err(format!(
            "{key:?} of {id} with number {} {what}: {:?}",
            head.seq,
            writes.iter().rev().take(3).collect::<Vec<_>>()
        ))
    }

    /// Whether an entry that is seen carries its age and the end of its time to live on, as they began at its owner. All
    /// nodes of a world have one clock.
    pub fn timely(&self, entry: &Entry) -> Result<(), String> {
        let head = entry.head();
        let writes = self.lives.get(&head.life.nonce).and_then(|life| life.keys.get(entry.key()));
        let Some(write) = writes.and_then(|w| w.iter().find(|w| w.seq == head.seq)) else { return Ok(()) };
        let off = |a: Time, b: Time| a.since(b).max(b.since(a));
        if off(head.written(), write.at) > UNDER_WAY {
            return Err(format!(
                "{:?} was written {:?} away from when its owner says",
                entry.key(),
                off(head.written(), write.at)
            ));
        }
        if (head.expires == Time::NEVER) != (write.expires == Time::NEVER)
            || off(head.expires, write.expires) > UNDER_WAY
        {
            return Err(format!("{:?} ends at another time than at its owner", entry.key()));
        }
        Ok(())
    }

    /// All keys that a life has ever written.
    pub fn keys(&self, nonce: u64) -> impl Iterator<Item = &str> {
        self.lives.get(&nonce).into_iter().flat_map(|life| life.keys.keys()).map(String::as_str)
    }

    /// The keys that a life has now: what was written last, and neither deleted nor expired.
    pub fn now(&self, nonce: u64, now: Time) -> Vec<(&str, u64)> {
        let Some(life) = self.lives.get(&nonce) else { return Vec::new() };
        let last = life.keys.iter().filter_map(|(key, writes)| Some((key.as_str(), writes.last()?)));
        let mut keys: Vec<_> =
            last.filter(|(_, w)| w.value.is_some() && w.expires > now).map(|(key, w)| (key, w.seq)).collect();
        keys.sort_unstable();
        keys
    }
}
