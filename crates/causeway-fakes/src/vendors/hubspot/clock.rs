//! The clock of the account.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Moves only when a test moves it, unless it runs with real time.
#[derive(Debug)]
pub struct Clock {
    set: Timestamp,
    /// The moment at which it began to run from `set`.
    since: Option<Instant>,
}

impl Default for Clock {
    fn default() -> Self {
        // The start of the test clock that programs under test use.
        let set = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { set, since: None }
    }
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        let ran = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        let ran = SignedDuration::try_from(ran).unwrap_or(SignedDuration::MAX);
        self.set.saturating_add(ran).unwrap_or(Timestamp::MAX)
    }

    pub fn set(&mut self, to: Timestamp) {
        self.set = to;
        self.since = self.since.map(|_| Instant::now());
    }

    pub fn advance(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.set = self.set.saturating_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Runs with real time from now on, for a program that waits in real time.
    pub fn run(&mut self) {
        self.set = self.now();
        self.since = Some(Instant::now());
    }
}
