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

impl Limit {
    /// The calls that may follow each other without a pause: a twentieth of all, and at least one.
    fn burst(self) -> u32 {
        (self.calls / 20).max(1)
    }

    /// The distance between the others. A burst and the calls of one period together stay within the limit.
    fn distance(self) -> Duration {
        self.per / self.calls.saturating_sub(self.burst()).max(1)
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
    fn no_period_has_more_calls_than_the_limit_and_most_are_used() {
        let limit = Limit {
            calls: 190,
            per: Duration::from_secs(10),
        };
        let spread = Spread::new(limit);
        let start: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        // The caller is always ready; after a quiet minute it begins again.
        let mut times = Vec::new();
        for begin in [start, start + Duration::from_secs(90)] {
            let mut now = begin;
            for _ in 0..500 {
                now = spread.take(now).max(now);
                times.push(now);
            }
        }
        for (at, from) in times.iter().enumerate() {
            let until = *from + limit.per;
            let within = times[at..].iter().take_while(|time| **time < until).count();
            assert!(within <= 190, "{within} calls from {from}");
        }
        let took = times[499].duration_since(times[0]).as_secs_f64();
        assert!(500.0 / took > 0.9 * 19.0, "{took} s");
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
