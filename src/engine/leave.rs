//! Leaving: said to some members until enough of them have acknowledged it; gossip tells the rest.

use std::time::Duration;

use hashbrown::HashSet;

use super::Engine;
use crate::error::Status;
use crate::store::NodeState;
use crate::store::event::{Level, kind};
use crate::store::members::MemberStatus;
use crate::store::own::key;
use crate::time::Time;
use crate::wire::frame::Row;

/// The type of an entry that says all by being there.
const EMPTY: &str = "type.googleapis.com/google.protobuf.Empty";

/// How often those that have not acknowledged are told again, or others instead.
const REPEAT: Duration = Duration::from_millis(100);

/// Leaving under way.
#[derive(Debug)]
pub struct Leaving {
    /// Given up then.
    until: Time,
    repeat_at: Time,
    needed: usize,
    acknowledged: HashSet<u64>,
}

impl Leaving {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.repeat_at.min(self.until)
    }
}

impl Engine {
    /// Starts leaving; the end shows in [`crate::store::Store::leave_result`] and in the node's state. Once is enough.
    pub fn leave(&mut self, now: Time) {
        use NodeState::*;
        if !matches!(self.store.state(), Starting | Joined | Alone | Banned) {
            return;
        }
        self.expire(now);
        // For those who read the state as Proto.Actor has it; for members it is the claim that counts.
        if let Err(error) = self.store.set_reserved(now, key::LEFT, EMPTY, &[], false) {
            self.log(now, Level::Debug, || format!("{} is not published: {error}", key::LEFT));
        }
        self.store.refuse_writes(Some(Status::Left));
        self.drain_own(now);
        self.store.set_state(now, Leaving, "leave was called");
        let me = &mut self.members.get_mut(&self.me).expect("this node is always among its members").claim;
        me.status = MemberStatus::Left;
        me.since = now;
        me.incarnation += 1;
        let settings = self.settings.clone();
        self.leaving = Some(self::Leaving {
            until: now + settings.leave_timeout,
            repeat_at: now,
            // A majority of few is enough: one of them may be dead without anyone knowing it yet.
            needed: settings.leave_acks.min(self.others().div_ceil(2)),
            acknowledged: HashSet::new(),
        });
        self.member_updated(now, self.me, kind::MEMBER_LEFT);
        self.tell(now, self.me);
        self.leave_timeout(now);
        self.out.flush(&mut self.counters);
    }

    /// Repeats the notice, or ends.
    pub(super) fn leave_timeout(&mut self, now: Time) {
        let others = self.others();
        let Some(leaving) = &mut self.leaving else { return };
        // Others may leave at the same time: who is no longer there needs not be told.
        leaving.needed = leaving.needed.min(others);
        let enough = leaving.acknowledged.len() >= leaving.needed;
        if enough || leaving.until <= now {
            self.leaving = None;
            self.store.set_state(
                now,
                NodeState::Left,
                if enough {
                    "enough members have acknowledged it"
                } else {
                    "too few members have acknowledged it in time"
                },
            );
            self.store.set_leave_result(enough);
            self.tick_at = None;
            return;
        }
        if leaving.repeat_at > now {
            return;
        }
        leaving.repeat_at = now + REPEAT;
        let known = leaving.acknowledged.clone();
        let more = leaving.needed - known.len();
        for nonce in self.choose(more, |m| !known.contains(&m.claim.life.nonce)) {
            if let Some(target) = self.members.get(&nonce).map(|m| m.claim.target()) {
                self.send_records(now, target, &[self.me]);
            }
        }
    }

    /// A peer has stated what it knows of this node: perhaps that it has left.
    pub(super) fn note_left(&mut self, now: Time, sender: u64, row: &Row) {
        if let Some(leaving) = &mut self.leaving
            && row.nonce == self.me
            && row.status == MemberStatus::Left
        {
            leaving.acknowledged.insert(sender);
            if leaving.acknowledged.len() >= leaving.needed {
                self.leave_timeout(now);
            }
        }
    }
}
