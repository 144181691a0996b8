//! The circuit breaker: stops calling a destination that only fails, and tries one delivery now and then.

use causeway_core::clock::Timestamp;

use crate::engine::Circuit;

pub(super) struct Breaker {
    circuit: Circuit,
    failures_in_a_row: u32,
    /// Set while the circuit is open: when one delivery may be tried.
    retry_at: Option<Timestamp>,
    rest: std::time::Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allows {
    All,
    /// One delivery, to see whether the destination lives again.
    One,
    /// It rests; the time is ahead.
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
            // No rest is that long: the clock was set back.
            Some(at) if at.duration_since(now).unsigned_abs() > self.circuit.rest_max => Allows::One,
            Some(at) => Allows::NoneUntil(at),
        }
    }

    /// Takes in how a call ended. Any answer but "not now" closes the circuit: the destination lives.
    pub(super) fn heard(&mut self, answered: usize, retryable: usize, now: Timestamp) {
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
        breaker.heard(0, 1, at(0));
        breaker.heard(0, 1, at(0));
        assert_eq!(breaker.allows(at(0)), Allows::All);
        breaker.heard(0, 1, at(0));
        assert_eq!(breaker.allows(at(4)), Allows::NoneUntil(at(5)));
        assert_eq!(breaker.allows(at(5)), Allows::One);
    }

    #[test]
    fn rests_longer_each_time_up_to_the_limit_and_closes_on_an_answer() {
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.heard(0, 1, at(0));
        }
        for (tried_at, next) in [(5, 15), (15, 30), (30, 45)] {
            breaker.heard(0, 1, at(tried_at));
            assert_eq!(breaker.retry_at, Some(at(next)), "after the try at {tried_at}");
        }
        breaker.heard(1, 0, at(45));
        assert_eq!(breaker.allows(at(45)), Allows::All);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_rest() {
        let mut breaker = breaker();
        for _ in 0..3 {
            breaker.heard(0, 1, at(86_400));
        }
        assert_eq!(breaker.allows(at(86_400)), Allows::NoneUntil(at(86_405)));
        assert_eq!(breaker.allows(at(0)), Allows::One);
    }

    #[test]
    fn a_refused_record_is_an_answer() {
        let mut breaker = breaker();
        for _ in 0..10 {
            breaker.heard(0, 1, at(0));
            breaker.heard(0, 1, at(0));
            breaker.heard(1, 0, at(0));
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn calls_that_were_in_flight_when_it_opened_do_not_prolong_the_rest() {
        let mut breaker = breaker();
        for _ in 0..20 {
            breaker.heard(0, 1, at(1));
        }
        assert_eq!(breaker.retry_at, Some(at(6)));
    }
}
