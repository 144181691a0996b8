//! The rate limit: a token bucket with the capacity of one second.

use causeway_core::clock::Timestamp;

const SHORTEST_WAIT: std::time::Duration = std::time::Duration::from_millis(1);

pub(super) struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Timestamp,
}

impl Bucket {
    /// Starts with the tokens of one delivery, so that a restart does not send a burst.
    pub(super) fn new(per_second: f64, now: Timestamp) -> Self {
        Self {
            per_second,
            tokens: 1.0,
            filled_at: now,
        }
    }

    /// The number of deliveries that may start now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "floored, and within 0..=capacity"
    )]
    pub(super) fn available(&mut self, now: Timestamp) -> u32 {
        let passed = now.duration_since(self.filled_at).as_secs_f64();
        if passed < 0.0 {
            // The clock was set back.
            self.filled_at = now;
        } else if passed > 0.0 {
            self.tokens = (self.tokens + passed * self.per_second).min(self.per_second.max(1.0));
            self.filled_at = now;
        }
        // The small addition prevents rounding from losing a whole delivery.
        (self.tokens + 1e-9).floor() as u32
    }

    pub(super) fn take(&mut self, deliveries: usize) {
        self.tokens -= u32::try_from(deliveries).map_or(f64::MAX, f64::from);
    }

    /// When the next delivery may start. At least 1 ms after `now`, so that the caller does not spin.
    pub(super) fn next_at(&self, now: Timestamp) -> Timestamp {
        let missing = (1.0 - self.tokens).max(0.0) / self.per_second;
        std::time::Duration::try_from_secs_f64(missing)
            .ok()
            .and_then(|wait| now.saturating_add(wait.max(SHORTEST_WAIT)).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn lets_through_no_more_than_the_rate_over_any_minute() {
        let mut bucket = Bucket::new(15.0, at(0));
        let mut sent = 0;
        for step in 0..6_000 {
            let available = bucket.available(at(step * 10));
            bucket.take(usize::try_from(available).unwrap());
            sent += available;
        }
        assert!((899..=901).contains(&sent), "{sent} in a minute");
    }

    #[test]
    fn the_bucket_holds_one_second_and_names_the_next_start() {
        let mut bucket = Bucket::new(2.0, at(0));
        assert_eq!(bucket.available(at(3_600_000)), 2);
        bucket.take(2);
        assert_eq!(bucket.available(at(3_600_000)), 0);
        assert_eq!(bucket.next_at(at(3_600_000)), at(3_600_500));
    }

    #[test]
    fn even_a_tiny_wait_is_longer_than_zero() {
        let mut bucket = Bucket::new(1e12, at(0));
        bucket.take(1);
        assert_eq!(bucket.next_at(at(0)), at(1));
    }

    #[test]
    fn a_rate_below_one_a_second_still_moves() {
        let mut bucket = Bucket::new(0.1, at(0));
        bucket.take(1);
        assert_eq!(bucket.available(at(9_000)), 0);
        assert_eq!(bucket.available(at(10_000)), 1);
    }
}
