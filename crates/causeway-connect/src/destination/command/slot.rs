//! The running program of a destination, and when it may be started again.

use std::{sync::Arc, time::Duration};

use causeway_core::{clock::Timestamp, destination::Outcome};

use super::{
    busy_for,
    running::{Running, StartError},
};

/// The wait after the first failure. It doubles with each further one.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

#[derive(Default)]
pub(super) struct Slot {
    running: Option<Arc<Running>>,
    /// The programs in a row that ended without answering what they were sent.
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Slot {
    /// The running program. If there is none, it is started, or the outcome says why not.
    pub fn program(
        &mut self,
        now: Timestamp,
        start: impl FnOnce() -> Result<Arc<Running>, StartError>,
    ) -> Result<Arc<Running>, Outcome> {
        if let Some(running) = &self.running {
            match running.end() {
                None => return Ok(Arc::clone(running)),
                Some(end) => {
                    self.failures = match (end.is_failure, end.has_answered) {
                        (false, _) => 0,
                        (true, true) => 1,
                        (true, false) => self.failures.saturating_add(1),
                    };
                    self.not_before = end.at.saturating_add(wait(self.failures)).ok();
                    self.running = None;
                }
            }
        }
        // The clock may have been set back, so no wait is longer than the longest.
        let left = self.not_before.map(|at| at.duration_since(now).unsigned_abs());
        if self.not_before.is_some_and(|at| at > now)
            && let Some(left) = left.filter(|left| *left <= LONGEST_WAIT)
        {
            return Err(busy_for("the program ended, and is started again soon", left));
        }
        match start() {
            Ok(running) => Ok(Arc::clone(self.running.insert(running))),
            Err(StartError::ForGood(reason)) => Err(Outcome::Halt { reason }),
            Err(StartError::ForNow(reason)) => Err(Outcome::Retry { reason, after: None }),
        }
    }
}

fn wait(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doubled) => (FIRST_WAIT * 2_u32.saturating_pow(doubled.min(10))).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<u64> = (0..9).map(|failures| wait(failures).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
