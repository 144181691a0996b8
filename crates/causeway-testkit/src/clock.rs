//! A clock that stops until a test moves it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use causeway_core::clock::{Clock, Timestamp};
use jiff::SignedDuration;
use tokio::sync::watch;

/// Starts at a fixed moment. Whoever sleeps wakes when [`TestClock::advance`] passes their time.
pub struct TestClock {
    now: Mutex<watch::Sender<Timestamp>>,
    /// By how much it was set by hand, in milliseconds.
    jumped: AtomicI64,
    /// Until when somebody sleeps.
    asleep: watch::Sender<Vec<Timestamp>>,
}

/// Far longer than anything takes: it only ends a test that would hang.
const DEADLINE: Duration = Duration::from_secs(20);

impl Default for TestClock {
    fn default() -> Self {
        let start = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            now: Mutex::new(watch::Sender::new(start)),
            jumped: AtomicI64::default(),
            asleep: watch::Sender::default(),
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

    /// Sets the clock as a person does: no time passes by the clock that nobody sets.
    pub fn jump(&self, by: SignedDuration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.jumped.fetch_add(ms, Ordering::SeqCst);
        self.set(self.now().saturating_add(by).unwrap_or(Timestamp::MAX));
    }

    /// Waits until somebody sleeps until then, and so has done what there was to do before.
    pub async fn has_sleeper(&self, until: Timestamp) {
        let mut asleep = self.asleep.subscribe();
        let sleeps = asleep.wait_for(|asleep| asleep.contains(&until));
        let in_time = tokio::time::timeout(DEADLINE, sleeps).await.is_ok();
        assert!(in_time, "nobody sleeps until {until}");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, watch::Sender<Timestamp>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who sleeps; no longer when it is dropped, as in a `select!` that another branch wins.
struct Sleeper<'a>(&'a TestClock, Timestamp);

impl<'a> Sleeper<'a> {
    fn new(clock: &'a TestClock, until: Timestamp) -> Self {
        clock.asleep.send_modify(|asleep| asleep.push(until));
        Self(clock, until)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.asleep.send_modify(|asleep| {
            if let Some(index) = asleep.iter().position(|until| *until == self.1) {
                asleep.swap_remove(index);
            }
        });
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.lock().borrow()
    }

    fn monotonic(&self) -> Duration {
        let ms = self.now().as_millisecond() - self.jumped.load(Ordering::SeqCst);
        Duration::from_millis(ms.unsigned_abs())
    }

    async fn sleep_until(&self, at: Timestamp) {
        let _sleeper = Sleeper::new(self, at);
        let mut seen = self.lock().subscribe();
        // The sender lives as long as the clock, and the clock is borrowed: waiting cannot fail.
        let _reached = seen.wait_for(|now| *now >= at).await;
    }
}
