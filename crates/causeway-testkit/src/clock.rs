//! A clock that stands still until a test moves it.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use causeway_core::clock::{Clock, Timestamp};
use tokio::sync::watch;

/// Starts at a fixed moment. Whoever sleeps wakes when [`TestClock::advance`] passes their time.
pub struct TestClock {
    now: Mutex<watch::Sender<Timestamp>>,
}

impl Default for TestClock {
    fn default() -> Self {
        let start = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            now: Mutex::new(watch::Sender::new(start)),
        }
    }
}

impl TestClock {
    pub fn advance(&self, by: Duration) {
        let sender = self.lock();
        sender.send_modify(|now| *now = now.saturating_add(by).unwrap_or(Timestamp::MAX));
    }

    pub fn set(&self, to: Timestamp) {
        self.lock().send_replace(to);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, watch::Sender<Timestamp>> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.lock().borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut seen = self.lock().subscribe();
        // The sender lives as long as the clock, and the clock is borrowed: waiting cannot fail.
        let _reached = seen.wait_for(|now| *now >= at).await;
    }
}
