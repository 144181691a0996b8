//! When to try again.

use std::time::Duration;

/// The waits between attempts. After the last attempt the delivery is dead.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    pub waits: Vec<Duration>,
    /// Each wait is lengthened or shortened by up to this share, so that deliveries do not all return at once
    /// after an outage.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    /// 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: a little over three days.
    fn default() -> Self {
        let seconds = [5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        Self {
            waits: seconds.map(Duration::from_secs).to_vec(),
            jitter: 0.2,
        }
    }
}

impl RetryPolicy {
    /// The wait after failed attempt number `attempt` (from 1); `None` after the last. `random` is in 0..1.
    pub fn wait_after(&self, attempt: u32, random: f64) -> Option<Duration> {
        let index = usize::try_from(attempt.saturating_sub(1)).ok()?;
        let wait = self.waits.get(index)?;
        let stretch = 1.0 + self.jitter * (random.clamp(0.0, 1.0) * 2.0 - 1.0);
        Some(wait.mul_f64(stretch.max(0.0)))
    }
}
