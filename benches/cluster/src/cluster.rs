//! What the stages need of a library.

use std::time::Duration;

/// Members in this process, all on 127.0.0.1 with ports that the system chooses, each with the first one as its seed.
pub trait Cluster: Sized {
    /// What the command line calls it.
    const NAME: &'static str;
    /// Pause between two looks while something is waited for: small against what is measured, and cheap.
    const LOOK: Duration;
    /// Pause after an update until all that it causes has been sent.
    const SETTLE: Duration;

    /// A cluster of this name, without a member; `seed` is a member of it in another process.
    fn new(name: &str, seed: Option<&str>) -> Self;
    /// Opens a member; gives its number.
    fn add(&mut self) -> usize;
    /// Where the first member can be reached.
    fn address(&self) -> String;
    /// How many members `at` holds alive, itself included.
    fn alive(&self, at: usize) -> usize;
    /// Whether `at` has taken `other` out of its live members.
    fn misses(&self, at: usize, other: usize) -> bool;
    /// Sets an entry of `at`.
    fn set(&mut self, at: usize, key: &str, value: &str);
    /// Whether `at` reads `value` as `owner`'s entry.
    fn reads(&self, at: usize, owner: usize, key: &str, value: &str) -> bool;
    /// How many entries `at` holds, its own included. Makes no list of them: that would be seen in the memory.
    fn keys(&self, at: usize) -> usize;
    /// Payload bytes that all members have sent.
    fn sent(&self) -> u64;
    /// What they have sent by kind, as far as the library counts it: in all, idle traffic included.
    fn sent_by_kind(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
    /// Ends a member without a word to the others; its sockets are closed.
    fn crash(&mut self, at: usize);
    /// Ends them all.
    fn close(self);
}
