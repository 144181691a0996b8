//! The circuit breaker: stops calling a failing destination, and tries one delivery after each rest.

use causeway_core::clock::Timestamp;

use crate::engine::Circuit;

pub(super) struct Breaker {
    circuit: Circuit,
    failures_in_a_row: u32,
    /// While the circuit is open, the time at which one delivery may be tried.
    retry_at: Option<Timestamp>,
    rest: std::time::Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allows {
    All,
    /// One delivery, to test whether the destination works again.
    One,
    /// None until this time: the destination rests.
    NoneUntil(Timestamp),
}

impl Breaker {
    pub(super) fn new(circuit: Circuit) -> Self {
        let rest = circuit.rest;
        Self {
            circuit,
            failures_in_a_row: 0,
            retry_at: None,
            rest,
        }
    }

    pub(super) fn allows(&self, now: Timestamp) -> Allows {
        match self.retry_at {
            None => Allows::All,
            Some(at) if now >= at => Allows::One,
            // A rest is never that long, so the clock was set back.
            Some(at) if at.duration_since(now).unsigned_abs() > self.circuit.rest_max => Allows::One,
            Some(at) => Allows::NoneUntil(at),
        }
    }

    /// Updates the circuit after a call. A delivered, skipped or rejected result closes it. A halt changes nothing.
    pub(super) fn record(&mut self, answered: usize, retryable: usize, now: Timestamp) {
        if answered > 0 {
            self.failures_in_a_row = 0;
            self.retry_at = None;
            self.rest = self.circuit.rest;
        } else if retryable > 0 {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            let failed_again = self.retry_at.is_some_and(|at| now >= at);
            if failed_again {
                self.rest = (self.rest * 2).min(self.circuit.rest_max);
            }
            let trips = self.circuit.failures > 0 && self.failures_in_a_row >= self.circuit.failures;
            if failed_again || (trips && self.retry_at.is_none()) {
                self.retry_at = now.saturating_add(self.rest).ok();
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.retry_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn breaker() -> Breaker {
        Breaker::new(Circuit {
            failures: 3,
            rest: Duration::from_secs(5),
            rest_max: Duration::from_secs(15),
        })
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_try_after_the_rest() {
        let mut breaker = breaker();
        breaker.record(0, 1, at(0));
        breaker.record(0, 1, at(0));
        assert_eq!(breaker.allows(at(0)), Allows::All);
        breaker.record(0, 1, at(0));
        assert_eq!(breaker.allows(at(4)), Allows::NoneUntil(at(5)));
        assert_eq!(breaker.allows(at(5)), Allows::One);
    }

    #[test]
    fn rests_grow_up_to_the_limit_and_a_response_closes_the_circuit() {
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.record(0, 1, at(0));
        }
        for (tried_at, next) in [(5, 15), (15, 30), (30, 45)] {
            breaker.record(0, 1, at(tried_at));
            assert_eq!(breaker.retry_at, Some(at(next)), "after the try at {tried_at}");
        }
        breaker.record(1, 0, at(45));
        assert_eq!(breaker.allows(at(45)), Allows::All);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_rest() {
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.record(0, 1, at(86_400));
        }
        assert_eq!(breaker.allows(at(86_400)), Allows::NoneUntil(at(86_405)));
        assert_eq!(breaker.allows(at(0)), Allows::One);
    }

    #[test]
    fn a_rejected_record_counts_as_a_response() {
        let mut breaker = breaker();
        for _ in 0..10 {
            breaker.record(0, 1, at(0));
            breaker.record(0, 1, at(0));
            breaker.record(1, 0, at(0));
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn calls_that_were_in_flight_when_it_opened_do_not_prolong_the_rest() {
        let mut breaker = breaker();
        for _ in 0..20 {
            breaker.record(0, 1, at(1));
        }
        assert_eq!(breaker.retry_at, Some(at(6)));
    }
}
