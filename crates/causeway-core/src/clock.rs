//! The clock, and the alarm about a clock that was wrong.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::SignedDuration;
pub use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::millis;

/// The time, and a way to wait for it. Tests use a clock that they can set.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, by a clock that nobody can set. The default suits a clock that is never
    /// set.
    fn monotonic(&self) -> Duration {
        let since = self.now().duration_since(Timestamp::UNIX_EPOCH);
        Duration::try_from(since).unwrap_or_default()
    }

    /// Returns at `at` or a little later; at once if `at` has passed.
    async fn sleep_until(&self, at: Timestamp);
}

/// The greatest step of the clock that raises no alarm. Within it, times of receipt are kept in order
/// instead.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// The system clock is or was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAlarm {
    #[serde(with = "millis")]
    pub found_at: Timestamp,
    pub what: ClockFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockFault {
    /// The clock had been ahead by at least `ms` milliseconds, and was set back.
    WasAhead { ms: i64 },
    /// The clock jumped forward by `ms` milliseconds: it was behind, the machine slept, or it is ahead now.
    WentForward { ms: i64 },
}

impl ClockAlarm {
    pub fn was_ahead(by: SignedDuration, now: Timestamp) -> Self {
        Self {
            found_at: millis::floor(now),
            what: ClockFault::WasAhead { ms: ms(by) },
        }
    }

    /// Adds up the jumps that nobody has confirmed yet.
    pub fn went_forward(before: Option<Self>, by: SignedDuration, now: Timestamp) -> Self {
        let before = match before.map(|alarm| alarm.what) {
            Some(ClockFault::WentForward { ms }) => ms,
            _ => 0,
        };
        Self {
            found_at: millis::floor(now),
            what: ClockFault::WentForward {
                ms: before.saturating_add(ms(by)),
            },
        }
    }

    /// Whether the alarm still holds. A clock that was ahead has caught up after `ms`; a jump forward waits
    /// for a person to confirm it.
    pub fn stands(&self, now: Timestamp) -> bool {
        match self.what {
            ClockFault::WasAhead { ms } => now < later(self.found_at, ms),
            ClockFault::WentForward { .. } => true,
        }
    }

    /// The time without the jump forward.
    pub fn cautious(&self, now: Timestamp) -> Timestamp {
        match self.what {
            ClockFault::WasAhead { .. } => now,
            ClockFault::WentForward { ms } => later(now, ms.saturating_neg()),
        }
    }
}

/// Says what is wrong, what was done, and what a person has to do.
impl fmt::Display for ClockAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.found_at;
        match self.what {
            ClockFault::WasAhead { ms } => write!(
                f,
                "the system clock was ahead by {:#} or more, as was found at {at:.0}. What was dated ahead is dated back. Check that \
                 the clock is right now and that the machine keeps it right (NTP), then run `causeway store acknowledge-clock`",
                SignedDuration::from_secs(ms / 1000),
            ),
            ClockFault::WentForward { ms } => write!(
                f,
                "the system clock went forward by {:#} at once at {at:.0}. Until you acknowledge it, retention does \
                 not count that time. If the clock is right now, run `causeway store acknowledge-clock`; if not, set \
                 it right: what was dated ahead is then dated back",
                SignedDuration::from_secs(ms / 1000),
            ),
        }
    }
}

fn ms(by: SignedDuration) -> i64 {
    i64::try_from(by.as_millis()).unwrap_or(i64::MAX)
}

fn later(at: Timestamp, ms: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    #[test]
    fn a_was_ahead_alarm_ends_by_time_and_a_jump_forward_by_confirmation() {
        let hour = SignedDuration::from_hours(1);
        let was_ahead = ClockAlarm::was_ahead(hour, at(0));
        assert!(was_ahead.stands(at(3_599)) && !was_ahead.stands(at(3_600)));
        assert_eq!(was_ahead.cautious(at(5)), at(5));
        let once = ClockAlarm::went_forward(None, hour, at(0));
        let twice = ClockAlarm::went_forward(Some(once), hour, at(1));
        assert!(twice.stands(at(1_000_000)));
        assert_eq!(twice.cautious(at(7_205)), at(5));
        assert!(twice.to_string().contains("2h"), "{twice}");
    }
}
