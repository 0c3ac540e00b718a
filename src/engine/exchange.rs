//! Exchanges: who holds what, told between two members, so that each sends the other exactly what it lacks.
//!
//! Not knowing what a member holds is a reason to ask, never to send. A request carries the digest of the fingerprints
//! alone. Equal digests prove that the peer holds all. Else it answers with rows of what changed there since the asker was
//! last proven equal; the asker puts them in the place of its own terms: if the sums agree then, nothing else differs. If
//! they do not, it asks again with its own rows, and the other side does the same; if the sums differ even then, sums over
//! ranges of nonces follow, and all rows of those ranges in which the two differ, so that an absent row says something too.

use std::time::Duration;

use super::member::Commit;
use super::membership::{member_term, state_term};
use super::outbox::Target;
use super::{Engine, member};
use crate::store::event::Level;
use crate::time::Time;
use crate::wire::frame::{self, Held, Purpose, Roots, Row, Statement};

/// Rows about recent changes in one statement, at most.
const RECENT_ROWS: usize = 60;

/// How often a newcomer compares with a random member.
const EAGER_EVERY: Duration = Duration::from_millis(50);

/// What comparing a statement with one's own knowledge asks for.
#[derive(Debug, Default)]
struct Plan {
    /// Owners of whose entries the peer lacks some.
    push: Vec<u64>,
    /// Owners of whose entries this node lacks some, or whose record the peer should compare.
    ask: Vec<u64>,
    /// Records that the peer lacks or has older.
    records: Vec<u64>,
    /// Records that this node lacks or has older.
    want: Vec<u64>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.push.is_empty() && self.ask.is_empty() && self.records.is_empty() && self.want.is_empty()
    }
}

impl Engine {
    /// Two members with equal digests know the same members and hold the same of their entries.
    pub fn digest(&self) -> u64 {
        self.roots.digest()
    }

    /// The gossip interval: something is new.
    pub(super) fn tick(&mut self, now: Time) {
        self.last_tick = now;
        self.tick_at = None;
        if !self.is_member() {
            return;
        }
        let head = self.changes.head();
        let differing = std::mem::replace(&mut self.differing, false);
        if !self.settings.rumors || differing {
            for nonce in self.choose(self.settings.gossip_fanout, |m| m.peer.proven < head) {
                self.request(now, nonce);
            }
            return;
        }
        // Rumors have told it; one comparison is enough to make certain, whichever of two members asks.
        if self.agreed >= head || self.others() == 0 {
            return;
        }
        let again = std::mem::replace(&mut self.asked_at, head) == head;
        let partner = if again { None } else { self.partner() };
        if let Some(nonce) = partner.or_else(|| self.choose(1, |m| m.peer.proven < head).pop()) {
            self.request(now, nonce);
        }
        // An answer that does not come, or tells a difference, is a reason to ask again.
        self.tick_at = Some(now + self.settings.gossip_interval);
    }

    /// The member to compare with when all is thought to be equal: members that are equal pair up, each with the one at
    /// the mirrored place in the order of the ring, about an axis that follows from the fingerprints. So one comparison
    /// serves two, none is left out, and other pairs form with each change.
    fn partner(&self) -> Option<u64> {
        let n = self.ring.len() as u64;
        let me = self.ring.rank(self.me) as u64;
        let axis = super::membership::member_term(self.cluster, self.roots.digest(), 0) % n;
        let mirrored = (axis + n - me) % n;
        let nonce = self.ring.members().get(mirrored as usize)?;
        self.members.get(nonce).filter(|m| *nonce != self.me && m.peer.unanswered == 0).map(|_| *nonce)
    }

    /// A newcomer, or one that was away, compares with random members often for a while.
    pub(super) fn eager(&mut self, now: Time) {
        let on = self.is_member() && self.eager_until > now;
        self.eager_at = on.then(|| now + EAGER_EVERY);
        if on && let Some(nonce) = self.choose(1, |_| true).pop() {
            self.request(now, nonce);
        }
    }

    /// Takes a measured round trip to a member in.
    pub(super) fn measured(&mut self, nonce: u64, rtt: Duration) {
        let Some(member) = self.members.get_mut(&nonce) else { return };
        member.peer.measured(rtt);
        let rtt = member.peer.srtt_us();
        self.rumors.rtt_us = match (self.rumors.rtt_us, rtt) {
            // One process that stood still says little about the others.
            (Some(usual), Some(rtt)) => Some(usual - usual / 8 + rtt.min(usual.saturating_mul(2)).div_ceil(8)),
            (usual, rtt) => rtt.or(usual),
        };
        if let Some(us) = rtt {
            self.store.members.set_rtt(nonce, us);
        }
    }

    /// Whether this node takes part: it has not left, and no other process has its id.
    pub(super) fn is_member(&self) -> bool {
        use crate::store::NodeState::*;
        matches!(self.store.state(), Starting | Joined | Alone | Leaving | Banned)
    }

    /// Asks a peer to compare: with the digest alone at first, for it is nearly always equal.
    pub(super) fn request(&mut self, now: Time, nonce: u64) {
        self.request_with(now, nonce, Vec::new());
    }

    fn request_with(&mut self, now: Time, nonce: u64, mut rows: Vec<Row>) {
        self.mark_asked(now, nonce, &mut rows);
        let id = self.next_request;
        self.next_request = self.next_request.wrapping_add(1).max(1);
        let (digest, position) = (self.roots.digest(), self.changes.head());
        let Some(member) = self.members.get_mut(&nonce) else { return };
        if member.peer.request.is_some() {
            member.peer.unanswered = member.peer.unanswered.saturating_add(1);
        }
        let with_rows = !rows.is_empty();
        member.peer.seen().request = Some(Box::new(member::Request { id, sent: now, position, digest, with_rows }));
        let target = member.claim.target();
        self.counters.exchanges_started += 1;
        self.send_statement(
            target,
            &Statement { purpose: Purpose::Request, id, digest: Some(digest), range: None, rows },
        );
    }

    fn send_statement(&mut self, target: Target, statement: &Statement) {
        self.out.frame(target, frame::kind::STATEMENT, &statement.encode(), &mut self.counters);
    }

    /// `first`, and rows of what has changed since `position`, as many as fit one datagram.
    fn recent_rows(&self, position: u64, first: Vec<Row>) -> Vec<Row> {
        let room = self.out.room().saturating_sub(64);
        let mut bytes = 0;
        let mut buffer = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        let known: hashbrown::HashSet<u64> = first.iter().map(|r| r.nonce).collect();
        let recent = self.changes.since(position).filter(|n| !known.contains(n)).take(RECENT_ROWS);
        for row in first.into_iter().chain(recent.filter_map(|n| self.row(n))) {
            buffer.clear();
            row.put(&mut buffer);
            bytes += buffer.len();
            if bytes > room {
                break;
            }
            rows.push(row);
        }
        rows
    }

    /// What this node knows of a member and holds of its entries.
    pub(super) fn row(&self, nonce: u64) -> Option<Row> {
        if let Some(member) = self.members.get(&nonce) {
            return Some(Row {
                nonce,
                incarnation: member.claim.incarnation,
                status: member.claim.status,
                held: member.log.held().clone(),
                floor: member.log.floor(),
                reset: member.log.reset_pos(),
                asked: false,
            });
        }
        let claim = &self.departed.get(&nonce)?.claim;
        Some(Row {
            nonce,
            incarnation: claim.incarnation,
            status: claim.status,
            held: Held::default(),
            floor: 0,
            reset: None,
            asked: false,
        })
    }

    /// A statement of `sender`, which is a member.
    pub(super) fn handle_statement(&mut self, now: Time, sender: u64, mut statement: Statement) {
        let Some(member) = self.members.get_mut(&sender) else { return };
        let answers = matches!(statement.purpose, Purpose::Reply | Purpose::Equal);
        let request = member.peer.take_request(|r| answers && r.id == statement.id);
        if let Some(request) = &request {
            self.measured(sender, now.since(request.sent));
        } else if answers {
            // Too late: its digest says nothing about now, its rows still do.
            statement.purpose = Purpose::Inform;
            statement.digest = None;
        }
        let target = self.members[&sender].claim.target();
        let id = statement.id;

        if statement.digest == Some(self.roots.digest()) {
            self.proven_equal(now, sender, self.changes.head());
            if statement.purpose == Purpose::Request {
                let equal = Statement { id, ..Statement::of_rows(Purpose::Equal, Vec::new()) };
                self.send_statement(target, &equal);
            }
            return;
        }
        if let Some(request) = &request
            && (statement.purpose == Purpose::Equal || statement.digest == Some(request.digest))
        {
            // Equal to what this node was when it asked; what came in since is not known there.
            self.proven_equal(now, sender, request.position);
            return;
        }

        let mut plan = Plan::default();
        for row in &statement.rows {
            self.compare(now, sender, row, &mut plan);
        }
        if let Some(range) = statement.range {
            self.compare_absent(range, &statement.rows, &mut plan);
        }
        let explained = statement.digest.is_none_or(|theirs| self.roots_with(&statement.rows).digest() == theirs);
        if statement.digest.is_some() {
            self.counters.exchanges_different += 1;
            // What a rumor is bringing just now is no reason to ask more members; see `ask_for_gap`.
            self.differing |= !self.settings.rumors || !plan.records.is_empty() || !plan.want.is_empty();
            // Such exchanges go on at the interval while they keep finding differences.
            let next = (self.last_tick + self.settings.gossip_interval).max(now);
            self.tick_at = Some(self.tick_at.map_or(next, |at| at.min(next)));
        }
        if !plan.is_empty() {
            self.log(now, Level::Debug, || format!("exchange with {} found differences", target.address));
        }

        plan.records.retain(|nonce| self.may_tell(now, sender, *nonce));
        if !plan.records.is_empty() {
            self.send_records(now, target, &plan.records);
        }
        self.want(target, &plan.want);
        if statement.purpose == Purpose::Ack {
            return;
        }
        self.push(now, sender, plan.push);
        let rows = |engine: &Engine, nonces: &[u64]| nonces.iter().filter_map(|n| engine.row(*n)).collect::<Vec<_>>();
        match statement.purpose {
            // The first question: what has changed here since, for the asker to compare.
            Purpose::Request if statement.rows.is_empty() => {
                let recent = self.recent_rows(self.members.get(&sender).map_or(0, |m| m.peer.proven), Vec::new());
                self.reply(now, target, id, recent);
            }
            Purpose::Request => {
                let ask = self.ask(now, sender, plan.ask);
                let rows = rows(self, &ask);
                self.reply(now, target, id, rows);
                if !explained {
                    self.differing = true;
                    self.send_buckets(now, sender);
                }
            }
            Purpose::Reply if !explained && request.as_ref().is_some_and(|r| !r.with_rows) => {
                // The second question: what was told, as it is here, and what has changed here since.
                let told: Vec<u64> = statement.rows.iter().map(|r| r.nonce).collect();
                let mut told = rows(self, &told);
                let lacking = plan.ask.clone();
                let asked = self.ask(now, sender, plan.ask);
                for row in told.iter_mut().filter(|row| lacking.contains(&row.nonce)) {
                    row.asked = !asked.contains(&row.nonce);
                }
                let recent = self.recent_rows(self.members.get(&sender).map_or(0, |m| m.peer.proven), told);
                if recent.is_empty() {
                    self.send_pages(now, sender);
                } else {
                    self.request_with(now, sender, recent);
                }
            }
            Purpose::Query => {
                let asked: Vec<u64> = statement.rows.iter().map(|r| r.nonce).collect();
                let rows = rows(self, &asked);
                self.inform(target, rows);
                // It sends what that says is lacking; if it does not come, it is asked for.
                for owner in plan.ask {
                    self.ask_later(now, sender, owner);
                }
            }
            _ => {
                let ask = self.ask(now, sender, plan.ask);
                let rows = rows(self, &ask);
                self.inform(target, rows);
            }
        }
    }

    pub(super) fn proven_equal(&mut self, now: Time, sender: u64, position: u64) {
        self.counters.exchanges_equal += 1;
        self.agreed = self.agreed.max(position);
        if let Some(member) = self.members.get_mut(&sender) {
            if member.peer.proven < position {
                member.peer.seen().proven = position;
                self.counters.equal_proofs += 1;
            }
            member.peer.equal();
        }
        self.eager_until = self.eager_until.min(now);
        self.store.set_synced(now);
    }

    fn reply(&mut self, now: Time, target: Target, id: u32, mut rows: Vec<Row>) {
        self.mark_asked(now, target.nonce, &mut rows);
        let digest = Some(self.roots.digest());
        for (i, rows) in self.packets_of(rows).into_iter().enumerate() {
            // Only the first answers the request; what does not fit follows.
            let statement = match i {
                0 => Statement { purpose: Purpose::Reply, id, digest, range: None, rows },
                _ => Statement::of_rows(Purpose::Inform, rows),
            };
            self.send_statement(target, &statement);
        }
    }

    pub(super) fn inform(&mut self, target: Target, rows: Vec<Row>) {
        self.state(target, Purpose::Inform, rows);
    }

    /// Sends rows, if there are any.
    pub(super) fn state(&mut self, target: Target, purpose: Purpose, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        for rows in self.packets_of(rows) {
            self.send_statement(target, &Statement::of_rows(purpose, rows));
        }
    }

    /// Cuts rows into pieces that each fit one datagram; at least one piece.
    pub(super) fn packets_of(&self, rows: Vec<Row>) -> Vec<Vec<Row>> {
        let room = self.out.room().saturating_sub(64);
        let mut pieces = vec![Vec::new()];
        let mut bytes = 0;
        let mut buffer = Vec::new();
        for row in rows {
            buffer.clear();
            row.put(&mut buffer);
            if bytes + buffer.len() > room && bytes > 0 {
                pieces.push(Vec::new());
                bytes = 0;
            }
            bytes += buffer.len();
            pieces.last_mut().expect("there is at least one piece").push(row);
        }
        pieces
    }

    /// Asks for records.
    fn want(&mut self, target: Target, nonces: &[u64]) {
        for nonces in nonces.chunks((self.out.room() / 8).max(1)) {
            let body: Vec<u8> = nonces.iter().flat_map(|n| n.to_le_bytes()).collect();
            self.out.frame(target, frame::kind::WANT_MEMBERS, &body, &mut self.counters);
        }
    }

    /// This node's roots if it knew and held of the rows' members what the rows say.
    fn roots_with(&self, rows: &[Row]) -> Roots {
        let mut roots = self.roots;
        for row in rows {
            let mine = self.members.get(&row.nonce).map_or_else(Roots::default, |m| m.terms);
            let theirs = if row.status.is_present() {
                Roots {
                    state: state_term(self.cluster, row.nonce, &row.held),
                    members: member_term(self.cluster, row.nonce, row.incarnation),
                }
            } else {
                Roots::default()
            };
            roots.state = roots.state.wrapping_sub(mine.state).wrapping_add(theirs.state);
            roots.members = roots.members.wrapping_sub(mine.members).wrapping_add(theirs.members);
        }
        roots
    }

    fn compare(&mut self, now: Time, sender: u64, row: &Row, plan: &mut Plan) {
        let rank = member::claim_rank(row.incarnation, row.status);
        if row.nonce == self.me {
            self.refute(now, row.incarnation, row.status);
            self.note_left(now, sender, row);
        }
        if let Some(member) = self.members.get_mut(&row.nonce)
            && row.nonce != self.me
            && let Some(log) = member.log.get_mut()
        {
            log.hear_floor(row.floor, &self.store);
            if sender == row.nonce && log.hear_end(row.held.end(), &self.store, now) {
                self.bans_changed(now);
            }
        }
        let Some(member) = self.members.get(&row.nonce) else {
            match self.departed.get(&row.nonce).map(|d| d.claim.rank()) {
                Some(known) if known > rank => plan.records.push(row.nonce),
                Some(known) if known == rank => {}
                None if !row.status.is_present() => {}
                _ if self.may_ask(now, sender, row) => plan.want.push(row.nonce),
                _ => {}
            }
            return;
        };
        let mut wanted = false;
        match rank.cmp(&member.claim.rank()) {
            std::cmp::Ordering::Greater if row.nonce != self.me => wanted = true,
            std::cmp::Ordering::Less => plan.records.push(row.nonce),
            _ => {}
        }
        // What departed members had set is passed on for the first half of its grace only, so that it ends everywhere.
        let shared = member.is_present() || member.claim.since + self.settings.departed_grace / 2 > now;
        if shared {
            let held = member.log.held();
            // Its owner is asked for all of it again: something there was found to differ.
            let repairs = row.nonce == self.me && row.reset.is_some();
            let behind = row.held.watermark < member.log.floor() || repairs;
            // One that is behind the floor takes a reset, and that only of who has come as far: what else it is sent it passes
            // over, and its answer to that would ask for the same again.
            let of_use = row.reset.is_none() || repairs || member.log.floor() >= row.floor;
            if !row.asked && of_use && (behind || !row.held.covers(held)) {
                plan.push.push(row.nonce);
            }
            // One that is behind the floor itself cannot help with a reset: asking it would only be answered by asking.
            let floor = member.log.floor();
            let reset = held.watermark < floor && row.held.watermark >= floor;
            if row.nonce != self.me && (reset || !held.covers(&row.held)) {
                plan.ask.push(row.nonce);
            }
        }
        if wanted && self.may_ask(now, sender, row) {
            plan.want.push(row.nonce);
        }
        self.commit(now, sender, row);
    }

    /// What the sender of a whole page did not list, it does not have.
    fn compare_absent(&mut self, (lo, hi): (u64, u64), rows: &[Row], plan: &mut Plan) {
        let listed: hashbrown::HashSet<u64> = rows.iter().map(|r| r.nonce).collect();
        let absent = |nonce: &u64| (lo..=hi).contains(nonce) && !listed.contains(nonce);
        // Its record first; once it has that it asks for the entries.
        let mut records: Vec<u64> =
            self.members.iter().filter(|(n, m)| absent(n) && m.is_present()).map(|(n, _)| *n).collect();
        records.sort_unstable(); // not in the map's order, which differs from run to run
        plan.records.extend(records);
    }

    fn commit(&mut self, now: Time, sender: u64, row: &Row) {
        let awaited = self.claims.awaits(row.nonce);
        // That nobody holds anything of an owner needs no note.
        let is_empty =
            row.held == Held::default() && self.members.get(&row.nonce).is_none_or(|m| *m.log.held() == row.held);
        let Some(member) = self.members.get_mut(&sender) else { return };
        let talk = member.peer.talk();
        if let Some(flight) = talk.in_flight.get_mut(&row.nonce) {
            let arrived = match row.reset {
                Some(pos) => pos >= flight.to,
                None => row.held.has(flight.first) && row.held.has(flight.to),
            };
            // A reset begins again when the floor rises, and what is under way from before is passed over.
            let void = row.reset.is_some() && row.floor > flight.floor;
            let came = |to: u64| arrived || row.reset.is_none() && row.held.has(to);
            let soon =
                flight.pieces.iter().filter(|(to, _, sent)| came(*to) && now.since(*sent) < super::transfer::SOON);
            talk.soon = (talk.soon + soon.map(|(_, bytes, _)| bytes).sum::<usize>()).min(super::transfer::WINDOW);
            if arrived || void {
                talk.in_flight.remove(&row.nonce);
            } else {
                let left = flight.pieces.len();
                flight.pieces.retain(|(to, ..)| !came(*to));
                if flight.pieces.len() < left {
                    flight.until = now + super::transfer::STREAM_PATIENCE;
                }
            }
        }
        if row.asked {
            talk.backlog.retain(|owner| *owner != row.nonce);
        }
        if awaited {
            talk.stated(now, row.nonce, member::claim_rank(row.incarnation, row.status));
        }
        match row.reset {
            Some(pos) => _ = talk.resets.insert(row.nonce, (pos, row.floor)),
            None => _ = talk.resets.remove(&row.nonce),
        }
        if is_empty && talk.committed.watermark(row.nonce).is_none() {
            return;
        }
        match talk.commit(now, row.nonce, &row.held) {
            Commit::Same => {}
            Commit::More => self.counters.commits += 1,
            Commit::Less => self.counters.commit_retreats += 1,
        }
    }
}
