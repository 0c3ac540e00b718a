//! Time and randomness: the only place that asks the operating system for either.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::error::{Error, Result, Status};
use crate::time::Time;

/// What the clock shows when it is first asked: 35 years, so that ages reach back to before the process began.
const ORIGIN_MICROS: u64 = 1 << 50;

/// As far ahead as a timer is ever set; tokio's wheel ends before [`Time::NEVER`].
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// The time on this process's monotonic clock (`CLOCK_MONOTONIC` on Linux).
pub fn now() -> Time {
    let origin = origin();
    let elapsed = Instant::now().saturating_duration_since(origin);
    Time::from_micros(ORIGIN_MICROS + elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros()))
}

/// The instant at which [`now`] shows `time`; for far-away times (and [`Time::NEVER`]) an instant 30 days ahead of `now`.
pub fn instant_of(now: Time, time: Time) -> Instant {
    let ahead = time.since(now).min(FAR);
    let elapsed = Duration::from_micros(now.as_micros().saturating_sub(ORIGIN_MICROS));
    origin() + elapsed + ahead
}

/// How long the host has been asleep in all, while the clock of [`now`] stood still: the lead of `CLOCK_BOOTTIME` over
/// `CLOCK_MONOTONIC`. Zero where the system does not tell.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn asleep() -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one `timespec`, to a place that is one.
        let failed = unsafe { libc::clock_gettime(clock, &mut time) } != 0;
        let nanos = Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0));
        if failed { Duration::ZERO } else { Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + nanos }
    };
    let monotonic = read(libc::CLOCK_MONOTONIC);
    read(libc::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

/// How long the host has been asleep in all; this system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn asleep() -> Duration {
    Duration::ZERO
}

/// The wall clock, in milliseconds since 1970 in UTC.
pub fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

/// 64 random bits from the operating system.
pub fn random_u64() -> Result<u64> {
    OsRng
        .try_next_u64()
        .map_err(|e| Error::new(Status::NoResources, format!("the operating system gives no randomness: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_and_reaches_back() {
        let a = now();
        let b = now();
        assert!(b >= a);
        assert!(a.back(Duration::from_secs(30 * 365 * 24 * 3600)) > Time::from_micros(0));
    }

    #[test]
    fn instants_and_times_agree() {
        let t = now();
        let here = instant_of(t, t);
        assert!(here <= Instant::now());
        assert_eq!(instant_of(t, t + Duration::from_secs(5)) - here, Duration::from_secs(5));
        assert_eq!(instant_of(t, Time::NEVER) - here, FAR);
        assert_eq!(instant_of(t, t.back(Duration::from_secs(1))), here);
    }

    #[test]
    fn wall_clock_is_in_this_century_and_randomness_differs() {
        assert!(wall_ms() > 1_600_000_000_000);
        assert_ne!(random_u64().unwrap(), random_u64().unwrap());
    }
}
