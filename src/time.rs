//! The engine's time: microseconds on a clock that only goes forward.
//!
//! Nothing below `src/runtime` reads a clock. The runtime (or the simulator) passes `now` in, and a [`Time`] means
//! nothing outside the process, or the simulated world, that made it.

use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A point on the monotonic clock of this process or of the simulated world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Later than every other time: "never".
    pub const NEVER: Time = Time(u64::MAX);

    /// The time `micros` microseconds after the clock's origin.
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros)
    }

    /// Microseconds since the clock's origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time gone by since `earlier`; zero if `earlier` is later than this.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds gone by since `earlier`; zero if `earlier` is later than this.
    pub fn millis_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// This time moved back by `d`, not before the clock's origin.
    pub fn back(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}
