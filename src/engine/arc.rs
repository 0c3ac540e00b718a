//! Arcs of the hash ring of present members: how what is told once reaches everyone down a tree.

use rand::Rng;

use super::Engine;

/// Into so many arcs a hop cuts its own. Depth and so the time to reach all falls with it, the burst of one hop grows.
pub const ARCS: usize = 4;

/// An arc of the ring: after `from`, up to and with `to`; wraps around. Empty if both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not in it itself.
    pub from: u64,
    /// The last place in it.
    pub to: u64,
}

impl Span {
    /// An arc without a member.
    pub const NONE: Span = Span { from: 0, to: 0 };

    pub fn contains(self, place: u64) -> bool {
        let at = place.wrapping_sub(self.from);
        at > 0 && at <= self.to.wrapping_sub(self.from)
    }

    /// The spans before and after a place in it, which is in neither.
    pub fn without(self, place: u64) -> [Span; 2] {
        [Span { from: self.from, to: place.wrapping_sub(1) }, Span { from: place, to: self.to }]
    }
}

impl Engine {
    /// Every place but this node's own.
    pub(super) fn whole_ring(&self) -> Span {
        let place = self.place(self.me);
        Span { from: place, to: place.wrapping_sub(1) }
    }

    /// Present members on the arc, in order, this node not among them.
    fn on_arc(&self, arc: Span) -> Vec<u64> {
        if arc.from == arc.to {
            return Vec::new();
        }
        let after = arc.from.wrapping_add(1);
        let mut members: Vec<u64> = if after <= arc.to {
            self.ring.between(after, arc.to).to_vec()
        } else {
            [self.ring.between(after, u64::MAX), self.ring.between(0, arc.to)].concat()
        };
        members.retain(|nonce| *nonce != self.me);
        members
    }

    /// Cuts an arc into a few, each with a member on it that is to serve it; none of those for which `without` holds.
    ///
    /// This node's own place is cut out of the arcs that it hands on, so that whatever members each hop knows, no arc
    /// ever holds one that it came by: the tree ends.
    pub(super) fn cut(&mut self, arc: Span, without: impl Fn(u64) -> bool) -> Vec<(u64, Span)> {
        let mine = self.place(self.me);
        let spans = if arc.contains(mine) { arc.without(mine).to_vec() } else { vec![arc] };
        let pieces: Vec<(Span, Vec<u64>)> = spans
            .into_iter()
            .map(|span| {
                let mut members = self.on_arc(span);
                members.retain(|nonce| !without(*nonce));
                (span, members)
            })
            .collect();
        let total: usize = pieces.iter().map(|(_, members)| members.len()).sum();
        let mut hops = Vec::with_capacity(ARCS + 1);
        for (span, members) in pieces {
            if members.is_empty() {
                continue;
            }
            let parts = (ARCS * members.len()).div_ceil(total.max(1)).min(members.len());
            let mut from = span.from;
            for part in 0..parts {
                let piece = &members[part * members.len() / parts..(part + 1) * members.len() / parts];
                let Some(last) = piece.last() else { continue };
                let end = if part + 1 == parts { span.to } else { self.place(*last) };
                // One that has answered lately, if there is one, so that a dead member costs no time.
                let start = self.rng.random_range(0..piece.len());
                let mut order = piece[start..].iter().chain(&piece[..start]);
                let answers = |n: &&u64| self.members.get(n).is_some_and(|m| m.answers());
                if let Some(peer) = order.clone().find(answers).or(order.next()).copied() {
                    hops.push((peer, Span { from, to: end }));
                }
                from = end;
            }
        }
        hops
    }
}
