//! This node's own entries: the writer's side.
//!
//! `set` and `delete` never wait for the engine. They take the next sequence number, put the entry where readers see
//! it, tell the subscriptions and note the key as dirty; the engine drains dirty keys into its log when it is woken.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use super::Store;
use super::entry::{Entry, EntryHead, LifeRef, Origin};
use crate::error::{Error, Result, Status, shown};
use crate::time::Time;

/// Keys that begin so are the library's own.
pub const RESERVED_PREFIX: &str = "cluster:";

/// Keys of the library's own, as Proto.Actor names them.
pub mod key {
    /// Hash of who is here, as `cluster.ClusterTopology`.
    pub const TOPOLOGY: &str = "cluster:topology";
    /// The host's statistics, as `cluster.MemberHeartbeat`.
    pub const HEARTBEAT: &str = "cluster:heartbeat";
    /// The member has said that it leaves.
    pub const LEFT: &str = "cluster:left";
    /// Whom the member has banned, as `cluster_gossip.Bans`.
    pub const BANNED: &str = "cluster:banned";

    /// All of them.
    pub const ALL: [&str; 4] = [TOPOLOGY, HEARTBEAT, LEFT, BANNED];
}

/// The largest value under a key of the library's own: none needs more, and it fits a message whatever `max_value_size` is.
pub const RESERVED_VALUE: usize = 512 << 10;

/// Whether a key is one of those that the library writes: they take none of the host's share.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_PREFIX) && key::ALL.contains(&key)
}

/// Whether readers and subscribers are meant to see a key of the library's own: only if they ask for such, by name or by a
/// prefix.
pub fn is_asked_for(key: &[u8], asked: Option<&[u8]>) -> bool {
    let reserved = RESERVED_PREFIX.as_bytes();
    !key.starts_with(reserved) || asked.is_some_and(|asked| asked.starts_with(reserved))
}

/// The longest key, in bytes.
pub const MAX_KEY: usize = 255;

/// The longest type URL, in bytes.
pub const MAX_TYPE_URL: usize = 255;

/// The writer's state, under one lock: sequence numbers are taken and entries put in place in the same order.
pub(super) struct Own {
    pub(super) life: LifeRef,
    seq: u64,
    /// Keys of the host's that are not deleted, and the bytes of their entries.
    keys: usize,
    bytes: usize,
    /// Keys written since the engine last drained them, once each, in the order of their first such write. The entry is
    /// the one of that first write: all before its number is drained.
    dirty: VecDeque<Entry>,
    /// Why writing is refused now.
    refused: Option<Status>,
}

impl Own {
    pub(super) fn new(life: LifeRef) -> Mutex<Own> {
        Mutex::new(Own { life, seq: 0, keys: 0, bytes: 0, dirty: VecDeque::new(), refused: None })
    }
}

/// What a write does to a key.
enum Write<'a> {
    Set { type_url: &'a str, value: &'a [u8], ttl: Option<Duration>, if_changed: bool },
    Delete,
}

/// The version of the key that the engine's log has while `entry` is the newest.
fn in_log(entry: &Entry) -> u64 {
    if entry.is_drained() { entry.seq() } else { entry.head().replaces() }
}

/// Checks a key: 1 to 255 bytes.
pub fn check_key(key: &str) -> Result<()> {
    match key.len() {
        1..=MAX_KEY => Ok(()),
        0 => Err(Error::new(Status::InvalidKey, "the key is empty; a key is 1 to 255 bytes of UTF-8")),
        n => Err(Error::new(Status::InvalidKey, format!("the key has {n} bytes; a key is 1 to 255 bytes of UTF-8"))),
    }
}

fn check_user_key(key: &str) -> Result<()> {
    check_key(key)?;
    if key.starts_with(RESERVED_PREFIX) {
        return Err(Error::new(
            Status::ReservedKey,
            format!(
                "{} begins with {RESERVED_PREFIX:?}, which is kept for the library; choose another key",
                shown(key)
            ),
        ));
    }
    Ok(())
}

impl Store {
    /// Sets an own entry and gives its sequence number. Never waits for the engine or the network.
    ///
    /// With `if_changed` nothing happens, and the present number is given, if the key has this type and value already
    /// and neither has a time to live.
    pub fn set(
        &self,
        now: Time,
        key: &str,
        type_url: &str,
        value: &[u8],
        ttl: Option<Duration>,
        if_changed: bool,
    ) -> Result<u64> {
        check_user_key(key)?;
        self.write(now, key, Write::Set { type_url, value, ttl, if_changed })
    }

    /// Sets an entry under a key of the library's own; unless `anew`, only if it differs.
    pub fn set_reserved(&self, now: Time, key: &str, type_url: &str, value: &[u8], anew: bool) -> Result<u64> {
        check_key(key)?;
        self.write(now, key, Write::Set { type_url, value, ttl: None, if_changed: !anew })
    }

    /// Deletes an entry under a key of the library's own; nothing happens if there is none.
    pub fn delete_reserved(&self, now: Time, key: &str) -> Result<()> {
        check_key(key)?;
        match self.write(now, key, Write::Delete) {
            Err(error) if error.status() != Status::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes an own entry: leaves a tombstone with the next sequence number, which is given.
    pub fn delete(&self, now: Time, key: &str) -> Result<u64> {
        check_user_key(key)?;
        self.write(now, key, Write::Delete)
    }

    fn write(&self, now: Time, key: &str, write: Write<'_>) -> Result<u64> {
        let settings = self.settings();
        let reserved = is_reserved(key);
        if let Write::Set { type_url, value, ttl, .. } = write {
            let (max, what) = if reserved {
                (RESERVED_VALUE, "the most for a key of the library's own")
            } else {
                (settings.max_value_size, "max_value_size")
            };
            if value.len() > max {
                return Err(Error::new(
                    Status::ValueTooLarge,
                    format!("the value of {} has {} bytes; {what} is {max}", shown(key), value.len()),
                ));
            }
            if type_url.len() > MAX_TYPE_URL || type_url.contains('\0') {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!(
                        "the type URL of {} has {} bytes or a NUL; at most {MAX_TYPE_URL} bytes",
                        shown(key),
                        type_url.len()
                    ),
                ));
            }
            if ttl == Some(Duration::ZERO) {
                return Err(Error::new(Status::InvalidArgument, format!("the time to live of {} is zero", shown(key))));
            }
        }

        let mut own = self.own.lock();
        if let Some(status) = own.refused
            // What the library says itself goes on while this node is banned: two that ban each other could never agree
            // else, and a ban for a heartbeat that does not come would never end.
            && !(status == Status::Banned && reserved)
        {
            return Err(status.into());
        }
        let old = self.shards.get(key, own.life.nonce);
        let live = old.as_ref().filter(|e| !e.head().deleted);
        let (type_url, value, expires, deleted) = match write {
            Write::Set { type_url, value, ttl, if_changed } => {
                if let Some(e) = live
                    && if_changed
                    && ttl.is_none()
                    && e.head().expires == Time::NEVER
                    && e.type_url() == type_url
                    && e.value() == value
                {
                    return Ok(e.seq());
                }
                (type_url, value, ttl.map_or(Time::NEVER, |ttl| now + ttl), false)
            }
            Write::Delete if live.is_some_and(|e| e.is_visible(now)) => ("", &[][..], Time::NEVER, true),
            Write::Delete => {
                return Err(Error::new(Status::NotFound, format!("this node has no entry {} to delete", shown(key))));
            }
        };

        let new_size = if deleted { 0 } else { key.len() + value.len() + type_url.len() };
        let (keys, bytes) = if reserved {
            (own.keys, own.bytes)
        } else {
            let keys = own.keys - usize::from(live.is_some()) + usize::from(!deleted);
            (keys, own.bytes - live.map_or(0, Entry::size) + new_size)
        };
        if !deleted && keys > own.keys && keys > settings.max_keys_per_member {
            return Err(Error::new(
                Status::Limit,
                format!(
                    "{} would be key {keys} of this node; max_keys_per_member is {}",
                    shown(key),
                    settings.max_keys_per_member
                ),
            ));
        }
        if !deleted && bytes > own.bytes && bytes > settings.max_state_size_per_member {
            return Err(Error::new(
                Status::Limit,
                format!(
                    "with {} the state of this node would have {bytes} bytes; max_state_size_per_member is {}",
                    shown(key),
                    settings.max_state_size_per_member
                ),
            ));
        }

        own.seq += 1;
        own.keys = keys;
        own.bytes = bytes;
        let seq = own.seq;
        let head = EntryHead {
            life: own.life.clone(),
            type_url: self.types.intern(type_url),
            seq,
            received: now,
            expires,
            key_len: key.len() as u8,
            deleted,
            drained: AtomicBool::new(false),
            origin: Origin::own(old.as_ref().map_or(0, in_log)),
        };
        let entry = Entry::new(head, key, value);
        self.shards.put(entry.clone());
        let newly_dirty = old.is_none_or(|e| e.is_drained());
        self.hub.entry_changed(&entry, now);
        if newly_dirty {
            own.dirty.push_back(entry);
        }
        drop(own);
        if newly_dirty {
            self.waker.wake_engine();
        }
        Ok(seq)
    }

    /// Deletes an own entry whose time to live is over, if it is still the version `seq`.
    pub fn expire_own(&self, now: Time, expired: &Entry) {
        let mut own = self.own.lock();
        let key = expired.key();
        match self.shards.get(key, own.life.nonce) {
            Some(e) if e.same(expired) => {}
            _ => return,
        }
        own.seq += 1;
        own.keys -= 1;
        own.bytes -= expired.size();
        let head = EntryHead {
            life: own.life.clone(),
            type_url: self.types.intern(""),
            seq: own.seq,
            received: now,
            expires: Time::NEVER,
            key_len: key.len() as u8,
            deleted: true,
            drained: AtomicBool::new(false),
            origin: Origin::own(in_log(expired)),
        };
        let tombstone = Entry::new(head, key, &[]);
        self.shards.put(tombstone.clone());
        self.hub.entry_changed(&tombstone, now);
        let newly_dirty = expired.is_drained();
        if newly_dirty {
            own.dirty.push_back(tombstone);
        }
        drop(own);
        if newly_dirty {
            // What found the end, a packet perhaps, need not be what drains next.
            self.waker.wake_engine();
        }
    }

    /// Hands up to `max` dirty entries to the engine, and gives the number up to which nothing is left behind: the
    /// latest version of every own key that was last written at or below it has been handed over.
    pub fn drain_own(&self, max: usize, mut take: impl FnMut(Entry)) -> u64 {
        let mut own = self.own.lock();
        for _ in 0..max {
            let Some(first) = own.dirty.pop_front() else { break };
            if let Some(entry) = self.shards.get(first.key(), own.life.nonce) {
                entry.set_drained();
                take(entry);
            }
        }
        own.dirty.front().map_or(own.seq, |e| e.seq() - 1)
    }

    /// Whether own entries wait to be drained.
    pub fn is_dirty(&self) -> bool {
        !self.own.lock().dirty.is_empty()
    }

    /// Keys of the host's that are not deleted, and their bytes.
    pub fn own_size(&self) -> (usize, usize) {
        let own = self.own.lock();
        (own.keys, own.bytes)
    }

    /// How many keys of the library's own a life has, and their bytes.
    pub fn reserved_size(&self, nonce: u64) -> (usize, usize) {
        let found = key::ALL.iter().filter_map(|key| self.shards.get(key, nonce)).filter(|e| !e.head().deleted);
        found.fold((0, 0), |(keys, bytes), entry| (keys + 1, bytes + entry.size()))
    }

    /// From now on writes are refused with `status`, or allowed again.
    pub fn refuse_writes(&self, status: Option<Status>) {
        self.own.lock().refused = status;
    }

    /// Gives this node's entries to a new life of it: before it was heard by anyone, its generation had to be raised.
    /// The engine must drop its own log; every entry is dirty again afterwards.
    pub fn rebase(&self, life: &LifeRef) {
        let mut own = self.own.lock();
        let mut entries = Vec::new();
        self.shards.each_shard(|shard| {
            entries.extend(shard.filter(|e| e.head().life.nonce == own.life.nonce).cloned());
        });
        entries.sort_by_key(Entry::seq);
        own.dirty.clear();
        for old in entries {
            let h = old.head();
            let head = EntryHead {
                life: life.clone(),
                type_url: h.type_url.clone(),
                drained: AtomicBool::new(false),
                origin: Origin::own(0),
                ..*h
            };
            let entry = Entry::new(head, old.key(), old.value());
            self.shards.put(entry.clone());
            own.dirty.push_back(entry);
        }
        own.life = life.clone();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::settings::Settings;
    use crate::store::Waker;
    use crate::store::entry::{Life, MemberId};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Waker for Wakes {
        fn wake_engine(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn progress(&self) {}
    }

    #[test]
    fn the_engine_is_woken_for_the_tombstone_of_what_has_expired() {
        let wakes = Arc::new(Wakes::default());
        let life = LifeRef::new(Life { id: MemberId::new("me").unwrap(), generation: 1, nonce: 1 });
        let store = Store::new(1, life, Arc::new(Settings::default()), wakes.clone());
        let start = Time::from_micros(1 << 40);
        let ttl = Duration::from_secs(1);
        store.set(start, "k", "", b"v", Some(ttl), false).unwrap();
        let mut drained = Vec::new();
        assert_eq!(store.drain_own(10, |entry| drained.push(entry)), 1);
        let before = wakes.0.load(Ordering::Relaxed);
        store.expire_own(start + ttl, &drained[0]);
        assert!(store.is_dirty());
        assert_eq!(wakes.0.load(Ordering::Relaxed), before + 1);
        // It is there no more: there is nothing to drain.
        store.expire_own(start + ttl, &drained[0]);
        assert_eq!(wakes.0.load(Ordering::Relaxed), before + 1);
    }
}
