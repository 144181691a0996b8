//! Limits the number of stored messages per source with a valid signature and a time outside the tolerance.

use std::sync::{Mutex, PoisonError};

use causeway_core::clock::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// Counts messages per hour of the clock. Invariant: an attacker who replays recorded requests cannot fill the disk with dead
/// messages.
pub(super) struct LateLimit {
    per_hour: u32,
    /// The hour, and the number of messages stored in it.
    kept: Mutex<(i64, u32)>,
}

impl LateLimit {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            per_hour,
            kept: Mutex::default(),
        }
    }

    /// Whether one more message may be stored. Counts it.
    pub(super) fn allows(&self, now: Timestamp) -> bool {
        let hour = now.as_millisecond().div_euclid(HOUR_MS);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != hour {
            *kept = (hour, 0);
        }
        let allows = kept.1 < self.per_hour;
        kept.1 = kept.1.saturating_add(u32::from(allows));
        allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hour_has_its_own_count() {
        let limit = LateLimit::new(2);
        let at = |second| Timestamp::from_second(second).unwrap();
        let allowed: Vec<bool> = [0, 1, 2, 3_599, 3_600, 3_601, 3_602]
            .map(|second| limit.allows(at(second)))
            .into();
        assert_eq!(allowed, [true, true, false, false, true, true, false]);
        assert!(!LateLimit::new(0).allows(at(0)));
    }
}
