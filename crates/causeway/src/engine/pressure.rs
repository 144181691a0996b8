//! Intake has priority over processing: a sender waits for the commit and may not send again, while stored messages can
//! wait. So processing pauses while intake is crowded, as long as it does not fall too far behind.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use causeway_core::{clock::Timestamp, source::Stop};

/// With this number of messages waiting for one commit, intake is crowded; a steady flow has one or two.
const CROWD: usize = 16;
/// Intake counts as calm after this time without a crowd.
const LOOK: Duration = Duration::from_millis(10);
/// While intake is crowded, processing pauses this many times as long as it worked.
const PAUSE: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Processing no longer pauses once the oldest message has waited this long.
const BEHIND: Duration = Duration::from_secs(10);

/// Counts the messages that wait for their commit.
#[derive(Debug, Default)]
pub struct Pressure {
    waiting: AtomicUsize,
    /// The highest number since the last check.
    most: AtomicUsize,
}

impl Pressure {
    /// Counts `messages` as waiting until the guard is dropped.
    pub fn wait_with(&self, messages: usize) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(messages, Ordering::Relaxed) + messages;
        self.most.fetch_max(waiting, Ordering::Relaxed);
        Waiting {
            pressure: self,
            messages,
        }
    }

    /// Whether intake was crowded since the last check.
    pub(super) fn is_crowded(&self) -> bool {
        let now = self.waiting.load(Ordering::Relaxed);
        self.most.swap(now, Ordering::Relaxed).max(now) >= CROWD
    }

    /// Pauses processing after `worked` of work, until intake is calm or the pause is over. Stops waiting when a sender waits for
    /// a message to be processed (`is_asked`). Returns whether intake is crowded.
    pub(super) async fn give_way(&self, worked: Duration, is_asked: impl Fn() -> bool, stop: &Stop) -> bool {
        let end = Instant::now() + (worked * PAUSE).min(LONGEST_PAUSE);
        while self.is_crowded() {
            if Instant::now() >= end || is_asked() {
                return true;
            }
            tokio::select! {
                () = stop.cancelled() => return true,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        false
    }
}

/// Whether a message with this arrival time has waited too long.
pub(super) fn is_behind(received_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(received_at)
        .try_into()
        .is_ok_and(|waited: Duration| waited > BEHIND)
}

/// Counts messages as waiting until it is dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    pressure: &'a Pressure,
    messages: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pressure.waiting.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_seen_once_after_it_has_gone() {
        let pressure = Pressure::default();
        drop(pressure.wait_with(CROWD - 1));
        assert!(!pressure.is_crowded());
        let first = pressure.wait_with(1);
        drop(pressure.wait_with(CROWD - 1));
        drop(first);
        assert!(pressure.is_crowded());
        assert!(!pressure.is_crowded());
    }

    #[tokio::test]
    async fn processing_has_its_turn_under_any_crowd() {
        let pressure = Pressure::default();
        let _crowd = pressure.wait_with(CROWD);
        let stop = Stop::new();
        assert!(pressure.give_way(Duration::ZERO, || false, &stop).await);
        stop.cancel();
        assert!(pressure.give_way(Duration::from_secs(1), || false, &stop).await);
    }

    #[tokio::test]
    async fn processing_pauses_for_no_crowd_while_a_sender_waits() {
        let pressure = Pressure::default();
        let _crowd = pressure.wait_with(CROWD);
        let started = Instant::now();
        let waited = pressure
            .give_way(Duration::from_secs(1), || true, &Stop::new())
            .await;
        assert!(waited);
        assert!(started.elapsed() < LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn a_calm_intake_delays_nothing() {
        let pressure = Pressure::default();
        let _one = pressure.wait_with(1);
        assert!(
            !pressure
                .give_way(Duration::from_secs(1), || false, &Stop::new())
                .await
        );
    }

    #[test]
    fn a_message_that_waited_for_more_than_ten_seconds_is_behind() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(!is_behind(at(100), at(110)));
        assert!(is_behind(at(100), at(111)));
        assert!(!is_behind(at(100), at(1)));
    }
}
