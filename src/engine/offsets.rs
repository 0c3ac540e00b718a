//! What a peer has said to hold, by owner: bounded, and small, for after a burst of writes each member hears it of many
//! others at once.

use crate::store::lives::make_room;
use crate::wire::frame::Held;

/// So many single offsets are kept for a peer; those over it are asked for again.
pub const MAX_OFFSETS: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// All up to this number: nearly always.
    UpTo(u64),
    /// With intervals above it.
    Pieces(Box<Held>),
}

impl Kept {
    fn of(held: &Held) -> Kept {
        if held.above.is_empty() { Kept::UpTo(held.watermark) } else { Kept::Pieces(Box::new(held.clone())) }
    }

    fn held(&self) -> Held {
        match self {
            Kept::UpTo(watermark) => Held { watermark: *watermark, above: Vec::new() },
            Kept::Pieces(held) => (**held).clone(),
        }
    }
}

/// See the module: ascending by owner.
#[derive(Debug, Default)]
pub struct Offsets(Vec<(u64, Kept)>);

impl Offsets {
    /// None, where a constant is needed.
    pub const fn empty() -> Offsets {
        Offsets(Vec::new())
    }

    fn find(&self, owner: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&owner, |(owner, _)| *owner)
    }

    /// What it holds of an owner.
    pub fn get(&self, owner: u64) -> Option<Held> {
        self.find(owner).ok().map(|at| self.0[at].1.held())
    }

    /// Up to where it holds all of an owner.
    pub fn watermark(&self, owner: u64) -> Option<u64> {
        self.find(owner).ok().map(|at| match &self.0[at].1 {
            Kept::UpTo(watermark) => *watermark,
            Kept::Pieces(held) => held.watermark,
        })
    }

    /// Notes what it holds of an owner; over the bound another owner's is forgotten.
    pub fn insert(&mut self, owner: u64, held: &Held) {
        let at = match self.find(owner) {
            Ok(at) => {
                self.0[at].1 = Kept::of(held);
                return;
            }
            Err(at) if self.0.len() < MAX_OFFSETS => at,
            Err(at) => {
                self.0.remove(0);
                at.saturating_sub(1)
            }
        };
        make_room(&mut self.0);
        self.0.insert(at, (owner, Kept::of(held)));
    }

    /// Forgets those for which `stays` does not hold.
    pub fn retain(&mut self, stays: impl Fn(u64) -> bool) {
        self.0.retain(|(owner, _)| stays(*owner));
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_given_back_and_bounded() {
        let pieces = Held { watermark: 3, above: vec![(5, 7)] };
        let upto = |watermark| Held { watermark, above: vec![] };
        let mut offsets = Offsets::default();
        offsets.insert(7, &pieces);
        offsets.insert(2, &upto(1));
        offsets.insert(2, &upto(4));
        assert_eq!((offsets.get(7), offsets.get(2), offsets.get(3)), (Some(pieces), Some(upto(4)), None));
        assert_eq!((offsets.watermark(7), offsets.watermark(2), offsets.watermark(3)), (Some(3), Some(4), None));
        offsets.retain(|owner| owner != 7);
        assert_eq!((offsets.len(), offsets.get(7)), (1, None));
        for owner in 10..10_000 {
            offsets.insert(owner, &upto(owner));
        }
        assert_eq!((offsets.len(), offsets.watermark(9_999)), (MAX_OFFSETS, Some(9_999)));
        offsets.insert(0, &upto(5));
        assert_eq!((offsets.len(), offsets.watermark(0)), (MAX_OFFSETS, Some(5)));
        assert_eq!(size_of::<(u64, Kept)>(), 24);
    }
}
