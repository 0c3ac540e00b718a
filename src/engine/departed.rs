//! Members that are gone: how their state goes, and what is remembered of them so that nothing brings them back.

use super::Engine;
use super::member::{Claim, Member};
use crate::store::NodeState;
use crate::store::event::kind;
use crate::store::members::{Cause, MemberStatus};
use crate::store::own::key;
use crate::time::Time;

/// A life that is gone: no more than that is remembered.
#[derive(Clone, Debug)]
pub struct Departed {
    /// The last record of it.
    pub claim: Claim,
    /// The highest number of its entries that was known.
    pub known: u64,
}

/// Former members that one that was away for very long tries to join through.
const REJOIN_WAYS: usize = 16;

impl Engine {
    /// A later life of its id has come: the former one goes at once, with its entries. Gives whether it was here.
    pub(super) fn supersede(&mut self, now: Time, nonce: u64) -> bool {
        let store = self.store.clone();
        self.inherit_bans(now, nonce);
        let Some(mut member) = self.take_member(now, nonce) else { return false };
        self.forget_at_peers(&[nonce]);
        let known = member.clear(&store);
        self.bans_changed(now);
        // Not "left", which would be final: if it is the later one after all, it refutes.
        member.claim.accuse(now, MemberStatus::Dead, Cause::Replaced, self.me);
        self.remember_departed(member.claim, known);
        true
    }

    /// A later life of its id has come and gone unseen: the former one is gone as well. Else it would stay here, where
    /// others do not take it back.
    pub(super) fn end_former(&mut self, now: Time, nonce: u64) {
        let view = self.members.get(&nonce).map(|m| m.claim.view(None, false));
        if self.supersede(now, nonce)
            && let Some(mut view) = view
        {
            view.status = MemberStatus::Dead;
            self.store.member_changed(kind::MEMBER_REMOVED, &view, now);
        }
    }

    pub(super) fn take_member(&mut self, now: Time, nonce: u64) -> Option<Member> {
        let member = self.members.get_mut(&nonce)?;
        member.claim.status = MemberStatus::Left;
        self.refresh_terms(nonce);
        self.refresh_presence(now, nonce);
        let member = self.members.remove(&nonce)?;
        self.suspicions.end(nonce);
        self.changes.forget(member.position);
        if let Some(at) = member.log.noted_expiry {
            self.expiries.remove(&(at, nonce));
        }
        self.store.members.remove(nonce);
        self.bans.nothing_seen(member.claim.life.id.as_str());
        Some(member)
    }

    /// What peers hold of lives that are gone is of no interest. `gone` is in order.
    pub(super) fn forget_at_peers(&mut self, gone: &[u64]) {
        let stays = |nonce: &u64| gone.binary_search(nonce).is_err();
        for member in self.members.values_mut() {
            let Some(talk) = member.peer.talked() else { continue };
            talk.committed.retain(|nonce| stays(&nonce));
            talk.in_flight.retain(|nonce, _| stays(nonce));
            talk.resets.retain(|nonce, _| stays(nonce));
        }
    }

    /// Remembers a life that is gone, and that its entries were known up to the number `known`.
    pub(super) fn remember_departed(&mut self, claim: Claim, known: u64) {
        let nonce = claim.life.nonce;
        let known = known.max(self.departed.get(&nonce).map_or(0, |former| former.known));
        if self.later_life(&claim).is_none() {
            self.departed_ids.insert(claim.life.id.clone(), nonce);
        }
        self.departed_order.insert((claim.since, nonce));
        let since = claim.since;
        if let Some(former) = self.departed.insert(nonce, Departed { claim, known })
            && former.claim.since != since
        {
            self.departed_order.remove(&(former.claim.since, nonce));
        }
        self.refresh_dead(nonce);
        let max = 2 * self.members.len() + 1024;
        while self.departed.len() > max {
            let Some(&(_, oldest)) = self.departed_order.first() else { break };
            self.forget(oldest);
        }
    }

    /// Remembers a departed life no more.
    pub(super) fn forget(&mut self, nonce: u64) {
        let Some(Departed { claim, .. }) = self.departed.remove(&nonce) else { return };
        self.departed_order.remove(&(claim.since, nonce));
        self.refresh_dead(nonce);
        if self.departed_ids.get(claim.life.id.as_str()) == Some(&nonce) {
            self.departed_ids.remove(claim.life.id.as_str());
        }
    }

    /// Ends the grace of members that have been gone long enough, and the memory of those gone very long.
    pub(super) fn forget_departed(&mut self, now: Time) {
        let grace = self.settings.departed_grace;
        self.end_grace(now, |m| m.claim.since + grace <= now);
        let record = self.settings.departed_record;
        while let Some(&(since, nonce)) = self.departed_order.first() {
            if since + record > now {
                break;
            }
            self.forget(nonce);
        }
    }

    /// Whether there is room for one more member: only those that are here count. The one that is gone for longest makes room.
    pub(super) fn make_room(&mut self, now: Time) -> bool {
        let max = self.settings.max_members;
        if self.members.len() < max {
            return true;
        }
        if self.others() + 1 >= max {
            return false;
        }
        let gone = self.members.iter().filter(|(nonce, m)| **nonce != self.me && !m.is_present());
        let Some((_, longest)) = gone.map(|(nonce, m)| (m.claim.since, *nonce)).min() else { return false };
        self.end_grace(now, |m| m.claim.life.nonce == longest);
        true
    }

    /// Ends the grace of departed members for which `ends` holds: their state goes, that they were is remembered.
    pub(super) fn end_grace(&mut self, now: Time, ends: impl Fn(&Member) -> bool) {
        if self.members.len() == self.ring.len() {
            return; // nobody has departed: most of the time, and this is asked for each newcomer
        }
        let store = self.store.clone();
        let gone = |m: &Member| !m.is_present() && ends(m);
        let mut over: Vec<u64> =
            self.members.iter().filter(|(n, m)| **n != self.me && gone(m)).map(|(n, _)| *n).collect();
        over.sort_unstable();
        let mut banned = false;
        if !over.is_empty() {
            self.forget_at_peers(&over);
        }
        for nonce in over {
            let Some(status) = self.members.get(&nonce).map(|m| m.claim.status) else { continue };
            let Some(mut member) = self.take_member(now, nonce) else { continue };
            member.claim.status = status;
            banned |= self.store.entry(key::BANNED, nonce).is_some();
            let known = member.clear(&store);
            let view = member.claim.view(None, false);
            self.remember_departed(member.claim, known);
            self.store.member_changed(kind::MEMBER_REMOVED, &view, now);
        }
        if banned {
            self.bans_changed(now);
        }
    }

    /// This node was away for longer than anyone remembers who has departed: what it knows of others may have been
    /// forgotten by all, and must not be brought back. It forgets it too, and joins anew.
    pub(super) fn rejoin(&mut self, now: Time) {
        let store = self.store.clone();
        let mut others: Vec<u64> = self.members.keys().copied().filter(|nonce| *nonce != self.me).collect();
        others.sort_unstable();
        self.forget_at_peers(&others);
        let mut ways = Vec::new();
        for nonce in others {
            let Some(view) = self.view(nonce) else { continue };
            let Some(mut member) = self.take_member(now, nonce) else { continue };
            member.clear(&store);
            if view.status.is_present() {
                ways.push(view.address);
            }
            self.store.member_changed(kind::MEMBER_REMOVED, &view, now);
        }
        self.departed.clear();
        self.departed_ids.clear();
        self.departed_order.clear();
        self.forget_bans(now);
        self.healing.clear();
        self.bans_changed(now);
        if self.store.state() == NodeState::Joined {
            self.store.set_state(now, NodeState::Starting, "this node was away for very long, and joins anew");
        }
        // Those it knew are as good as seeds.
        for address in ways.into_iter().take(REJOIN_WAYS) {
            self.send_join(now, address);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::Identity;
    use super::*;
    use crate::config::settings::Settings;
    use crate::store::entry::MemberId;
    use crate::store::{Store, Waker};
    use crate::wire::frame::Record;

    struct NoWaker;

    impl Waker for NoWaker {
        fn wake_engine(&self) {}
        fn progress(&self) {}
    }

    pub fn engine(settings: Settings) -> Engine {
        let settings = Arc::new(settings);
        let id = MemberId::new("me").expect("an id");
        let address = ([127, 0, 0, 1], 4000).into();
        let identity = Identity { id, generation: 1, nonce: 1, address, rng_seed: 1 };
        let store = Arc::new(Store::new(0, identity.life(), settings.clone(), Arc::new(NoWaker)));
        Engine::new(settings, identity, store, Time::from_micros(1 << 50))
    }

    pub fn record(nonce: u64, incarnation: u64, status: MemberStatus) -> Record {
        Record {
            id: format!("m{nonce}"),
            generation: 1,
            nonce,
            incarnation,
            status,
            age_ms: 0,
            address: ([127, 0, 0, 1], nonce as u16).into(),
            versions: (1, 1),
            tags: Default::default(),
            cause: Cause::None,
            accuser: 0,
        }
    }

    #[test]
    fn one_that_comes_back_and_goes_again_is_remembered_once() {
        let mut engine = engine(Settings { departed_grace: Duration::from_secs(1), ..Settings::default() });
        let mut now = Time::from_micros(1 << 50);
        for round in 1..20 {
            engine.merge(now, 3, record(2, round, MemberStatus::Alive));
            assert_eq!((engine.departed.len(), engine.departed_order.len()), (0, 0));
            engine.declare_dead(now, 2, Cause::Silent);
            assert!(engine.healing.next_timeout() <= now + Duration::from_secs(1), "it is called on soon");
            now += Duration::from_secs(2);
            engine.forget_departed(now);
            assert_eq!((engine.departed.len(), engine.departed_order.len()), (1, 1));
        }
        engine.forget_departed(now + Duration::from_secs(100_000));
        assert_eq!((engine.departed.len(), engine.departed_order.len()), (0, 0));
    }

    #[test]
    fn only_those_that_are_here_count_as_members() {
        let mut engine = engine(Settings { max_members: 4, ..Settings::default() });
        let now = Time::from_micros(1 << 50);
        let alive = |engine: &mut Engine, nonce| {
            engine.merge(now, nonce, record(nonce, 1, MemberStatus::Alive));
            engine.members.contains_key(&nonce)
        };
        assert!((2..5).all(|nonce| alive(&mut engine, nonce)));
        assert!(!alive(&mut engine, 5), "there are four");
        engine.declare_dead(now, 3, Cause::Silent);
        assert!(alive(&mut engine, 5), "one is gone, though its state is kept");
        assert!(!engine.members.contains_key(&3) && engine.departed.contains_key(&3));
        assert!(!alive(&mut engine, 6));
    }
}
