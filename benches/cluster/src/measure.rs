//! Times, bytes and shares of this process.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Processor time of this process so far.
pub fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system tells it of a process itself");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Bytes of this process in memory.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a process has VmRSS");
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS is in kB");
    kib * 1024
}

/// Waits until `done` is true of each of `all`, one after the other: what is looked for stays true once it is. Gives the
/// time since `start`, or `None` after `limit`.
pub fn wait_for_all(
    start: Instant,
    limit: Duration,
    look: Duration,
    all: impl IntoIterator<Item = usize>,
    mut done: impl FnMut(usize) -> bool,
) -> Option<Duration> {
    for each in all {
        while !done(each) {
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(look);
        }
    }
    Some(start.elapsed())
}

/// The value below which `share` of the values lie; they are sorted by it.
pub fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((share * last as f64).round() as usize).copied()
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Text that a compressor cannot make much smaller, different at each call.
pub fn text(len: usize) -> String {
    (0..len).map(|_| char::from(fastrand::u8(b'!'..=b'~'))).collect()
}
