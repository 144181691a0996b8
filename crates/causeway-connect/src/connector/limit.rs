//! Spreads calls, so that a vendor's limit is never exceeded.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use causeway_core::clock::{Clock, Timestamp};

/// A number of calls in any period of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub calls: u32,
    pub per: Duration,
}

/// How much closer to each other calls may arrive than they were sent. A twelfth of the period at most.
const JITTER: Duration = Duration::from_millis(250);

impl Limit {
    /// The calls that may follow each other without a pause: a twentieth of all, and at least one. With a limit of up to a
    /// thousand a second no call waits so long that a burst would help it.
    fn burst(self) -> u32 {
        if self.per <= Duration::from_secs(1) && self.calls <= 1_000 {
            return 1;
        }
        (self.calls / 20).max(1)
    }

    /// The distance between the others. A burst and the calls of one period with [`JITTER`] stay within the limit.
    fn distance(self) -> Duration {
        let jitter = JITTER.min(self.per / 12);
        (self.per + jitter) / self.calls.saturating_sub(self.burst() - 1).max(1)
    }
}

/// Gives each call its time.
#[derive(Debug)]
pub(crate) struct Spread {
    limit: Limit,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The time of the next call, if no burst is allowed.
    next: Timestamp,
    /// The latest time that was seen: an earlier one means that the clock was set back.
    seen: Timestamp,
}

impl Spread {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                next: Timestamp::MIN,
                seen: Timestamp::MIN,
            }),
        }
    }

    /// Waits until one more call is within the limit.
    pub(crate) async fn wait(&self, clock: &dyn Clock) {
        let at = self.take(clock.now());
        clock.sleep_until(at).await;
    }

    /// The time of the call.
    fn take(&self, now: Timestamp) -> Timestamp {
        let distance = self.limit.distance();
        let ahead = distance * (self.limit.burst() - 1);
        let earliest = now.saturating_sub(ahead).unwrap_or(now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = if now < state.seen {
            earliest
        } else {
            state.next.max(earliest)
        };
        state.seen = now;
        state.next = slot.saturating_add(distance).unwrap_or(slot);
        slot.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_period_has_more_calls_than_the_limit_and_nine_tenths_are_used() {
        let start: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        for (calls, seconds) in [
            (1, 1),
            (5, 1),
            (10, 1),
            (40, 1),
            (100, 1),
            (35, 10),
            (190, 10),
            (280, 60),
            (4_800, 3_600),
        ] {
            let limit = Limit {
                calls,
                per: Duration::from_secs(seconds),
            };
            let spread = Spread::new(limit);
            let most = usize::try_from(calls).unwrap();
            // The caller is always ready; after a quiet time it begins again.
            let (mut times, mut rates) = (Vec::new(), Vec::new());
            for begin in [start, start + limit.per * 9] {
                let mut now = begin;
                for _ in 0..most * 3 {
                    now = spread.take(now).max(now);
                    times.push(now);
                }
                rates.push(f64::from(calls * 3 - 1) / now.duration_since(begin).as_secs_f64());
            }
            // The first call of a period takes longer than the others, by up to the jitter.
            let jitter = JITTER
                .min(limit.per / 12)
                .saturating_sub(Duration::from_millis(1));
            for (at, from) in times.iter().enumerate() {
                let until = *from + jitter + limit.per;
                let within = times[at..].partition_point(|time| *time < until);
                assert!(within <= most, "{within} calls in {limit:?}");
            }
            let possible = f64::from(calls) / limit.per.as_secs_f64();
            for rate in rates {
                assert!(rate >= possible * 0.9, "{rate} of {possible} a second");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_calls() {
        let spread = Spread::new(Limit {
            calls: 10,
            per: Duration::from_secs(1),
        });
        let now: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        spread.take(now);
        let before = now - Duration::from_hours(1);
        assert_eq!(spread.take(before), before);
    }
}
