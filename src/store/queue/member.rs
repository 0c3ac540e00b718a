//! How news of a member joins what waits to be told of it.
//!
//! One mark a member id, and a second one while its `JOINED` waits: what ends or replaces a life must come after that
//! life's entries, its `JOINED` before them. The newest view is always kept, counts add up, and news of a former life
//! never touches a mark of a later one.
//!
//! | waiting | offered | becomes | where |
//! | --- | --- | --- | --- |
//! | `JOINED` | `REMOVED` | `JOINED`, then `REMOVED` | second mark at the end |
//! | `JOINED` | `RESTARTED`, or `JOINED` of another life | `JOINED`, then `RESTARTED` | second mark at the end |
//! | `JOINED` | any other | `JOINED` | in place |
//! | `RESTARTED` | `REMOVED` | `REMOVED` | to the end |
//! | `RESTARTED` | `RESTARTED` or `JOINED` of another life | `RESTARTED` | to the end |
//! | `RESTARTED` | any other | `RESTARTED` | in place |
//! | `REMOVED` | `JOINED`, `RESTARTED` | `RESTARTED` | in place |
//! | `REMOVED` | `REMOVED` of another life | `REMOVED` | to the end |
//! | `REMOVED` | any other of another life | the one offered | in place |
//! | `REMOVED` | any other | `REMOVED` | in place |
//! | any other | `REMOVED` | `REMOVED` | to the end |
//! | any other | `RESTARTED`, or `JOINED` of another life | `RESTARTED` | to the end |
//! | any other | any other, `JOINED` of the same life | the one offered | in place |
//!
//! `JOINED` and `RESTARTED` stay because they tell of a life that the host does not know; the view tells what became of it.
//! Where `RESTARTED` is not wanted, `JOINED` stands for it. A kind that is not wanted changes no kind: it brings the view
//! up to date if it is of the same life.

use super::mark::What;
use super::pending::{Lists, Pending};
use crate::store::event::kind;
use crate::store::members::MemberView;

/// What becomes of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The kind stays, in place.
    Keep,
    /// This kind, in place.
    Become(u32),
    /// This kind, at the end.
    End(u32),
    /// The mark stays as it is; a second one of this kind comes at the end.
    Second(u32),
}

/// The table above. `same_life`: the news is of the life that waits.
pub(super) fn step(waiting: u32, offered: u32, same_life: bool) -> Step {
    use kind::{MEMBER_JOINED as JOINED, MEMBER_REMOVED as REMOVED, MEMBER_RESTARTED as RESTARTED};
    let another = !same_life && offered & (JOINED | RESTARTED) != 0;
    match (waiting, offered) {
        (JOINED, REMOVED) => Step::Second(REMOVED),
        (JOINED, RESTARTED) => Step::Second(RESTARTED),
        (JOINED, _) if another => Step::Second(RESTARTED),
        (JOINED, _) => Step::Keep,
        (RESTARTED, REMOVED) => Step::End(REMOVED),
        (RESTARTED, _) if another => Step::End(RESTARTED),
        (RESTARTED, _) => Step::Keep,
        (REMOVED, JOINED | RESTARTED) => Step::Become(RESTARTED),
        (REMOVED, REMOVED) if !same_life => Step::End(REMOVED),
        (REMOVED, offered) if !same_life => Step::Become(offered),
        (REMOVED, _) => Step::Keep,
        (_, REMOVED) => Step::End(REMOVED),
        (_, RESTARTED) => Step::End(RESTARTED),
        (_, JOINED) if another => Step::End(RESTARTED),
        (_, offered) => Step::Become(offered),
    }
}

impl Pending {
    /// Joins news of a member to what waits. `repeated`: the host knows, or will, but the view may be newer.
    pub(super) fn merge_member(
        &mut self,
        lists: &mut Lists<'_>,
        offered: u32,
        view: &MemberView,
        hash: u32,
        repeated: bool,
        again: bool,
    ) {
        let id = &view.life.id;
        let joining = self.find_member(lists.slab, hash, id, true);
        let other = self.find_member(lists.slab, hash, id, false);
        let what = self.what;
        let wanted = |kind: u32| what & kind != 0;
        let Some(at) = other.or(joining) else {
            if wanted(offered) && !repeated {
                self.push_member(lists, offered, view, hash, again);
            }
            return;
        };
        let What::Member(mark) = &lists.slab.get(at).what else { return };
        let same_life = mark.view.life.nonce == view.life.nonce;
        let waiting = mark.kind;
        let returned = mark.again.then_some(mark.view.life.nonce);
        // One that comes when the later life has gone is the one that is here: the later one is remembered for long, not
        // for ever.
        let after = waiting == kind::MEMBER_REMOVED && offered & (kind::MEMBER_JOINED | kind::MEMBER_RESTARTED) != 0;
        if !same_life && !after && mark.view.life.rank() > view.life.rank() {
            return;
        }
        let mut step = step(waiting, offered, same_life);
        if !wanted(kind::MEMBER_RESTARTED) {
            let joined = kind::MEMBER_JOINED;
            step = match step {
                Step::Become(kind::MEMBER_RESTARTED) => Step::Become(joined),
                Step::End(kind::MEMBER_RESTARTED) => Step::End(joined),
                Step::Second(kind::MEMBER_RESTARTED) => Step::Keep,
                step => step,
            };
        }
        let unwanted = match step {
            Step::Keep => !wanted(offered),
            Step::Become(kind) | Step::End(kind) | Step::Second(kind) => !wanted(kind),
        };
        if unwanted || repeated {
            if same_life {
                self.change_member(lists, at, None, view, false);
            }
            return;
        }
        match step {
            Step::Keep => self.change_member(lists, at, Some(waiting), view, false),
            Step::Second(kind) => self.push_member(lists, kind, view, hash, again),
            // There is one mark that says that the member is here; the host need not hear that it was gone.
            Step::Become(kind::MEMBER_JOINED) | Step::End(kind::MEMBER_JOINED) if joining.is_some_and(|j| j != at) => {
                let (_, count) = self.remove(lists, at);
                if let Some(first) = joining {
                    self.change_member(lists, first, Some(kind::MEMBER_JOINED), view, false);
                    lists.slab.get_mut(first).count += count;
                }
            }
            Step::Become(kind) => {
                self.change_member(lists, at, Some(kind), view, false);
                let comes_again = waiting == kind::MEMBER_REMOVED || returned.is_some();
                self.note_again(lists, at, again || same_life && comes_again);
            }
            Step::End(kind) => {
                // What waits behind the mark of a life that had come again would be told before anything is told of that.
                if let Some(nonce) = returned {
                    self.forget_entries(lists, nonce);
                }
                self.change_member(lists, at, Some(kind), view, true);
                self.note_again(lists, at, again);
            }
        }
    }

    fn note_again(&mut self, lists: &mut Lists<'_>, at: u32, again: bool) {
        if let What::Member(mark) = &mut lists.slab.get_mut(at).what {
            mark.again = again;
        }
    }
}
