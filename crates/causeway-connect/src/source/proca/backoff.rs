//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Returns a number from 0 up to, but not including, 1.
pub(super) type Random = fn() -> f64;

/// Waits that double from half a second to thirty seconds. Each wait is between half and all of that, so that
/// many clients do not reconnect at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    random: Random,
    attempts: u32,
}

impl Backoff {
    pub(super) fn new(random: Random) -> Self {
        Self { random, attempts: 0 }
    }

    pub(super) fn wait(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        jitter(longest, self.random)
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Between half of `longest` and `longest`.
pub(super) fn jitter(longest: Duration, random: Random) -> Duration {
    longest.mul_f64(0.5 + random().clamp(0.0, 1.0) / 2.0)
}

/// Random numbers from the operating system. If it has none, every wait is the same.
pub(super) fn system_random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_reset() {
        let mut backoff = Backoff::new(|| 1.0);
        let waits: Vec<u128> = (0..9).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
        );
        backoff.reset();
        assert_eq!(backoff.wait().as_millis(), 500);
    }

    #[test]
    fn a_wait_is_at_least_half_after_any_number_of_attempts() {
        let mut backoff = Backoff::new(|| 0.0);
        let waits: Vec<Duration> = (0..100).map(|_| backoff.wait()).collect();
        assert_eq!(waits[0], FIRST / 2);
        assert_eq!(waits[99], LONGEST / 2);
    }

    #[test]
    fn the_system_s_random_numbers_lie_in_range_and_differ() {
        let numbers: Vec<f64> = (0..100).map(|_| system_random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.iter().any(|number| (number - numbers[0]).abs() > 0.01));
    }
}
