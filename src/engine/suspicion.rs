//! From a failed probe to a death: suspicion, which the suspect may refute, and which others confirm.
//!
//! Whoever suspects a member tells everyone, the suspect included, and asks a few others to probe it at once. How long
//! the suspect has depends on what connecting to it has shown (refused, silent, stalled) and on how many others cannot
//! reach it either (Lifeguard's decaying time-out). The one that suspects decides; everyone else waits a while longer, in
//! case that one dies as well.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;
use rand::Rng;

use super::member::claim_rank;
use super::probe::Why;
use super::{Action, Engine, Reached};
use crate::error::Status;
use crate::store::event::{Level, kind};
use crate::store::members::{Cause, MemberStatus};
use crate::time::Time;
use crate::wire::frame::{self, Record};
use crate::wire::probe::Accusation;

/// Those who only heard of a suspicion wait so much longer, and up to as much again.
const BYSTANDER: Duration = Duration::from_secs(1);

/// A death that happened longer ago, of a member that counts as alive here, is verified before it is believed: those who
/// probe it each second would have noticed. It comes from behind a partition.
const OLD_NEWS: Duration = Duration::from_secs(2);

/// So long after a pause packets that have waited in the sockets may still come: what they say may be as old as the pause
/// was long.
const DRAINED: Duration = Duration::from_millis(500);

/// While nothing is known but silence, so often the one that suspects tries a connection again, and tells the suspect: on a
/// lossy way the first ones may have got lost.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// A member heard within this is not dead because of one who is suspected itself.
const HEARD: Duration = Duration::from_secs(10);

/// A member that is suspected here.
#[derive(Debug)]
struct Suspicion {
    incarnation: u64,
    cause: Cause,
    /// This node's own probes found it.
    own: bool,
    since: Time,
    deadline: Time,
    /// When to try a connection next, while the cause is silence.
    look_at: Time,
    confirmed: Vec<u64>,
}

impl Suspicion {
    /// When there is something to do about it.
    fn due(&self) -> Time {
        if self.own && self.cause <= Cause::Silent { self.deadline.min(self.look_at) } else { self.deadline }
    }
}

/// All suspicions.
#[derive(Debug, Default)]
pub struct Suspicions {
    all: HashMap<u64, Suspicion>,
    due: BTreeSet<(Time, u64)>,
    /// When this process was last found not to have been running, and how long that was.
    woke: Time,
    pause: Duration,
}

impl Suspicions {
    /// When to go on.
    pub fn next_timeout(&self) -> Time {
        self.due.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// When this process was last found not to have been running.
    pub fn woke(&self) -> Time {
        self.woke
    }

    fn put(&mut self, nonce: u64, suspicion: Suspicion) {
        self.end(nonce);
        self.due.insert((suspicion.due(), nonce));
        self.all.insert(nonce, suspicion);
    }

    /// The member is not suspected any more.
    pub fn end(&mut self, nonce: u64) {
        if let Some(old) = self.all.remove(&nonce) {
            self.due.remove(&(old.due(), nonce));
        }
    }

    /// Changes a suspicion; gives false if there is none.
    fn change(&mut self, nonce: u64, change: impl FnOnce(&mut Suspicion)) -> bool {
        let Some(suspicion) = self.all.get_mut(&nonce) else { return false };
        self.due.remove(&(suspicion.due(), nonce));
        change(suspicion);
        self.due.insert((suspicion.due(), nonce));
        true
    }

    /// What is said to be of now may be so much older: it has waited in a socket.
    fn waited(&self, now: Time) -> Duration {
        if now.since(self.woke) < DRAINED { self.pause } else { Duration::ZERO }
    }
}

impl Engine {
    /// This node's probe of a member has failed.
    pub(super) fn accuse(&mut self, now: Time, target: u64, cause: Cause) {
        let (me, alone) = (self.me, self.others() <= 1);
        let Some(member) = self.members.get_mut(&target) else { return };
        if !member.is_present() {
            return;
        }
        let incarnation = member.claim.incarnation;
        if member.claim.status == MemberStatus::Suspect {
            let accuser = member.claim.accuser;
            match self.suspicions.all.get_mut(&target) {
                Some(known) if known.own => {
                    let news = cause > known.cause;
                    self.strengthen(now, target, cause);
                    if news {
                        self.tell(now, target);
                    }
                }
                // A host that refuses settles it; else the one that said so first counts the voices.
                _ if cause == Cause::Refused => self.suspect(now, target, cause, true),
                _ => self.confirm_accusation(now, accuser, target, cause),
            }
            return;
        }
        member.claim.accuse(now, MemberStatus::Suspect, cause, me);
        let (id, address) = (member.claim.life.id.clone(), member.claim.address);
        self.counters.suspicions += 1;
        self.log(now, Level::Info, || format!("member {id:?} at {address} is suspected: {}", cause.text()));
        if cause == Cause::Stalled {
            self.warn(now, "stalled", Status::Timeout, || {
                format!(
                    "member {id:?} at {address} accepts TCP connections but answers no UDP packet: its process is stopped or \
                     starved, or UDP is blocked on the way"
                )
            });
        }
        self.suspect(now, target, cause, true);
        self.member_updated(now, target, kind::MEMBER_SUSPECTED);
        self.tell(now, target);
        if self.settings.lifeguard && !alone {
            let body = Accusation { target, incarnation, cause }.encode();
            let mut confirmers = self.choose(self.settings.confirmers + 1, |m| m.claim.status == MemberStatus::Alive);
            confirmers.retain(|nonce| *nonce != target);
            confirmers.truncate(self.settings.confirmers);
            for nonce in confirmers {
                let to = self.members[&nonce].claim.target();
                self.out.frame(to, frame::kind::CONFIRM, &body, &mut self.counters);
            }
        }
    }

    /// Starts the clock of a suspicion.
    fn suspect(&mut self, now: Time, target: u64, cause: Cause, own: bool) {
        let Some(member) = self.members.get(&target) else { return };
        let suspicion = Suspicion {
            incarnation: member.claim.incarnation,
            cause,
            own,
            since: now,
            deadline: Time::NEVER,
            look_at: now,
            confirmed: Vec::new(),
        };
        self.suspicions.put(target, suspicion);
        self.reckon(now, target);
    }

    /// Another has made this member a suspect.
    pub(super) fn suspected_by_other(&mut self, now: Time, target: u64) {
        let Some(cause) = self.members.get(&target).map(|m| m.claim.cause) else { return };
        self.suspect(now, target, cause, false);
    }

    /// Reckons the deadline of a suspicion anew.
    fn reckon(&mut self, now: Time, target: u64) {
        let Some(suspicion) = self.suspicions.all.get(&target) else { return };
        let settings = &self.settings;
        // Larger clusters take longer to carry an accusation and its refutation to all.
        let n = self.others() + 1;
        let larger = ((n as f64).log10() / 2.0).max(1.0);
        let least = settings.suspicion_min.mul_f64(larger);
        let most = settings.suspicion_silent.mul_f64(larger).max(least);
        let wait = match suspicion.cause {
            Cause::Refused | Cause::Replaced => settings.suspicion_refused,
            Cause::Stalled => settings.suspicion_stalled,
            Cause::None | Cause::Silent if !settings.lifeguard => most,
            Cause::None | Cause::Silent => {
                // As many as can be asked, of few members.
                let needed = settings.confirmations.min(n.saturating_sub(2));
                let share = match needed {
                    0 => 1.0,
                    needed => ((suspicion.confirmed.len() + 1) as f64).ln() / ((needed + 1) as f64).ln(),
                };
                least + (most - least).mul_f64(1.0 - share.clamp(0.0, 1.0))
            }
        };
        let later = match suspicion.own {
            true => Duration::ZERO,
            false => BYSTANDER + BYSTANDER.mul_f64(self.rng.random()),
        };
        // A graver cause may make it over already: a timer in the past would look as if this process had been stopped.
        let deadline = (suspicion.since + wait + later).max(now);
        self.suspicions.change(target, |s| s.deadline = deadline);
    }

    /// Suspicions whose time is over, and suspects that are to be looked at once more.
    pub(super) fn suspicion_timeout(&mut self, now: Time) {
        while let Some(&(at, nonce)) = self.suspicions.due.first() {
            if at > now {
                return;
            }
            let Some(suspicion) = self.suspicions.all.get(&nonce) else { return };
            let (own, cause) = (suspicion.own, suspicion.cause);
            if suspicion.deadline > now {
                self.look_again(now, nonce);
            } else if own {
                self.suspicions.end(nonce);
                self.declare_dead(now, nonce, cause);
            } else {
                // Who suspected it has gone silent. This node has only heard of it: it looks for itself first.
                let later = now + self.settings.probe_timeout * 2;
                self.suspicions.change(nonce, |s| s.deadline = later);
                self.ask_accuser(nonce);
                self.probe(now, nonce, Why::Bystander);
            }
        }
    }

    /// Tries a connection to one that has been silent on every way so far, and tells it what is held against it.
    fn look_again(&mut self, now: Time, nonce: u64) {
        self.suspicions.change(nonce, |s| s.look_at = now + LOOK_AGAIN);
        let Some(to) = self.members.get(&nonce).map(|m| m.claim.address) else { return };
        self.actions.push_back(Action::Connect { to, timeout: self.settings.probe_timeout * 2 });
        self.tell_accused(now, nonce, None);
        self.ask_accuser(nonce);
    }

    /// Asks who suspected a member first what it knows by now: this node may have missed that it is only stopped.
    fn ask_accuser(&mut self, nonce: u64) {
        let Some(accuser) = self.members.get(&nonce).map(|m| m.claim.accuser).filter(|by| *by != self.me) else {
            return;
        };
        let Some(to) = self.members.get(&accuser).map(|m| m.claim.target()) else { return };
        self.out.frame(to, frame::kind::WANT_MEMBERS, &nonce.to_le_bytes(), &mut self.counters);
    }

    /// A connection was tried to a suspect: it may say more than silence.
    pub(super) fn suspect_reached(&mut self, now: Time, to: std::net::SocketAddr, reached: Reached) {
        let cause = match reached {
            Reached::Accepted => Cause::Stalled,
            Reached::Refused => Cause::Refused,
            Reached::Silent => return,
        };
        let here = |nonce: &u64| self.members.get(nonce).is_some_and(|m| m.claim.address == to);
        let suspects = self.suspicions.all.iter().filter(|(nonce, s)| s.own && s.cause < cause && here(nonce));
        let mut suspects: Vec<u64> = suspects.map(|(nonce, _)| *nonce).collect();
        suspects.sort_unstable();
        for nonce in suspects {
            self.strengthen(now, nonce, cause);
            self.tell(now, nonce);
        }
    }

    /// A member that others suspect did not answer this node either, for longer than it had to.
    pub(super) fn take_over(&mut self, now: Time, target: u64, cause: Cause) {
        let mine = self.suspicions.change(target, |s| {
            (s.own, s.cause, s.look_at) = (true, stronger(s.cause, cause), now);
        });
        if !mine {
            return;
        }
        self.reckon(now, target);
        // By others' clocks its time is over; but silence once is not enough, where packets get lost.
        let looked = now + self.settings.suspicion_min;
        self.suspicions.change(target, |s| {
            if s.cause <= Cause::Silent {
                s.deadline = s.deadline.max(looked);
            }
        });
        self.suspicion_timeout(now);
    }

    /// A suspicion is of a stronger cause than was known here.
    pub(super) fn strengthen(&mut self, now: Time, target: u64, cause: Cause) {
        self.suspicions.change(target, |s| s.cause = stronger(s.cause, cause));
        if let Some(member) = self.members.get_mut(&target) {
            member.claim.cause = stronger(member.claim.cause, cause);
        }
        self.reckon(now, target);
    }

    /// This node holds a member dead from now on, and says so.
    pub(super) fn declare_dead(&mut self, now: Time, nonce: u64, cause: Cause) {
        let me = self.me;
        let Some(member) = self.members.get_mut(&nonce) else { return };
        member.claim.accuse(now, MemberStatus::Dead, cause, me);
        member.peer = Default::default();
        let (id, address) = (member.claim.life.id.clone(), member.claim.address);
        self.counters.deaths += 1;
        self.log(now, Level::Info, || format!("member {id:?} at {address} is held dead: {}", cause.text()));
        self.member_updated(now, nonce, kind::MEMBER_DEAD);
        self.tell(now, nonce);
        self.call_soon(now, nonce, cause);
    }

    /// Tells the accuser of a member that this node cannot reach it either.
    pub(super) fn confirm_accusation(&mut self, _now: Time, accuser: u64, target: u64, cause: Cause) {
        let Some(incarnation) = self.members.get(&target).map(|m| m.claim.incarnation) else { return };
        let Some(to) = self.members.get(&accuser).map(|m| m.claim.target()) else { return };
        let body = Accusation { target, incarnation, cause }.encode();
        self.out.frame(to, frame::kind::ACCUSE, &body, &mut self.counters);
    }

    /// A member asks whether this node can reach another.
    pub(super) fn handle_confirm(&mut self, now: Time, sender: u64, asked: Accusation) {
        let Some(member) = self.members.get(&asked.target) else { return };
        if asked.target != self.me && member.is_present() && member.claim.incarnation <= asked.incarnation {
            self.probe(now, asked.target, Why::Confirm { accuser: sender });
        }
    }

    /// A member cannot reach one either that this node has accused.
    pub(super) fn handle_accuse(&mut self, now: Time, sender: u64, accusation: Accusation) {
        let is_calm = self.members.get(&sender).is_some_and(|m| m.claim.status == MemberStatus::Alive);
        let Some(suspicion) = self.suspicions.all.get_mut(&accusation.target) else { return };
        if !is_calm || !suspicion.own || suspicion.incarnation != accusation.incarnation {
            return;
        }
        let news = accusation.cause > suspicion.cause;
        if !suspicion.confirmed.contains(&sender) && suspicion.confirmed.len() < 32 {
            suspicion.confirmed.push(sender);
            self.counters.confirmations += 1;
        }
        self.strengthen(now, accusation.target, accusation.cause);
        if news {
            // Those who only heard of it wait as long as it has.
            self.tell(now, accusation.target);
        }
        self.suspicion_timeout(now);
    }

    /// Whether a claim that somebody is suspect or dead is to be passed over for now: its accuser is in trouble itself, or it
    /// is old and comes from behind a partition.
    pub(super) fn doubts(&mut self, now: Time, record: &Record) -> bool {
        if !matches!(record.status, MemberStatus::Suspect | MemberStatus::Dead) {
            return false;
        }
        let Some(member) = self.members.get(&record.nonce) else { return false };
        let waited = self.suspicions.waited(now);
        match member.claim.status {
            MemberStatus::Alive | MemberStatus::Leaving => {}
            // It may have refuted long ago, and what says so waits behind this.
            MemberStatus::Suspect if record.status == MemberStatus::Dead && waited > OLD_NEWS => {}
            _ => return false,
        }
        let accuser = self.members.get(&record.accuser).filter(|_| record.accuser != self.me);
        let troubled = accuser.is_some_and(|a| a.claim.status != MemberStatus::Alive);
        let heard = now.since(member.peer.heard) < HEARD;
        if troubled && (record.status == MemberStatus::Suspect || heard) {
            self.counters.claims_doubted += 1;
            return true;
        }
        // A process may be stopped for long before that makes it dead.
        let stalled = record.status == MemberStatus::Suspect && record.cause == Cause::Stalled;
        let old = if stalled { self.settings.suspicion_stalled } else { OLD_NEWS };
        let age = Duration::from_millis(record.age_ms).saturating_add(waited);
        // Its accuser is held suspect or dead itself, or was so until shortly before it said that: it may have been cut off
        // from all, and what it could not reach then it may not have tried again.
        let was_away = accuser.is_some_and(|a| a.claim.since + OLD_NEWS > now.back(age));
        if age > old || troubled || was_away {
            self.counters.claims_doubted += 1;
            if !self.is_verifying(record.nonce) {
                self.probe(now, record.nonce, Why::Verify(Box::new(record.clone())));
            }
            return true;
        }
        false
    }

    /// The member of whom something old was said did not answer: it is so.
    pub(super) fn believe(&mut self, now: Time, record: &Record) {
        let rank = claim_rank(record.incarnation, record.status);
        if self.members.get(&record.nonce).is_some_and(|m| m.is_present() && rank > m.claim.rank()) {
            self.replace_claim(now, record);
        }
    }

    /// This node was not running for a while: it can accuse nobody of not having answered. Its packets wait in the
    /// socket; refutations may be among them.
    pub(super) fn paused(&mut self, now: Time, pause: Duration) {
        self.counters.pauses += 1;
        self.log(now, Level::Info, || format!("this process was not running for {:.1} s", pause.as_secs_f64()));
        self.probes.void();
        (self.suspicions.woke, self.suspicions.pause) = (now, pause);
        if pause >= self.settings.departed_record {
            self.rejoin(now);
        }
        let mut suspects: Vec<u64> = self.suspicions.all.keys().copied().collect();
        suspects.sort_unstable();
        for nonce in suspects {
            self.suspicions.change(nonce, |s| {
                // Not from the start again: one that is often stopped would never hold anyone dead.
                s.since = (s.since + pause).min(now);
                s.confirmed.clear();
                s.look_at = now;
            });
            self.reckon(now, nonce);
            let drained = now + self.settings.suspicion_min;
            self.suspicions.change(nonce, |s| s.deadline = s.deadline.max(drained));
        }
        if pause >= self.settings.suspicion_min {
            // Others may hold this node dead, and much may have happened: it compares soon and often.
            self.come_back(now);
        }
    }
}

/// What two probes have shown together: a connection that was accepted or refused says more than silence.
fn stronger(a: Cause, b: Cause) -> Cause {
    a.max(b)
}
