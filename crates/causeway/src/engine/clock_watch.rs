//! Detects that the system clock was wrong, raises an alarm, and has the store correct dates in the future.
//!
//! Invariant: no message is accepted between the moment the clock was set back and the moment the store is corrected.
//! Otherwise new facts of a person would have older dates than their earlier facts.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use causeway_core::{
    clock::{Clock, ClockAlarm, TOLERANCE, Timestamp},
    store::{StoreError, StoreHealth},
};
use jiff::SignedDuration;

use super::Engine;

/// A clock before this time is certainly wrong, as after a start without a battery. No date is corrected to it.
const EARLIEST: Timestamp = Timestamp::constant(1_577_836_800, 0);

#[expect(clippy::cast_possible_truncation, reason = "a minute")]
const TOLERANCE_MS: i64 = TOLERANCE.as_millis() as i64;

/// Compares the system clock with the monotonic clock, which nobody can set.
#[derive(Debug, Default)]
pub struct ClockWatch {
    /// The system clock minus the monotonic clock at the last check, in milliseconds.
    offset_ms: AtomicI64,
    /// The latest time at which a message was accepted since the last check, in milliseconds: the clock may have been ahead
    /// between two checks.
    taken_in_ms: AtomicI64,
}

impl ClockWatch {
    pub fn new(clock: &dyn Clock) -> Self {
        Self {
            offset_ms: offset_ms(clock).into(),
            ..Self::default()
        }
    }

    /// By how much the clock was set since the last check; zero within the tolerance, as when it is slewed.
    pub fn jump(&self, clock: &dyn Clock) -> SignedDuration {
        let before = self.offset_ms.load(Ordering::Relaxed);
        let by = SignedDuration::from_millis(offset_ms(clock).saturating_sub(before));
        if by.abs() > TOLERANCE {
            by
        } else {
            SignedDuration::ZERO
        }
    }

    /// Notes that a message with this arrival time is accepted.
    pub fn takes_in(&self, at: Timestamp) {
        self.taken_in_ms.fetch_max(at.as_millisecond(), Ordering::Relaxed);
    }

    /// Whether the clock is behind a message that was accepted since the last check.
    fn is_behind(&self, now: Timestamp) -> bool {
        let taken_in = self.taken_in_ms.load(Ordering::Relaxed);
        taken_in.saturating_sub(now.as_millisecond()) > TOLERANCE_MS
    }

    /// Begins a new check period after all jumps were handled.
    fn restart(&self, clock: &dyn Clock) {
        self.offset_ms.store(offset_ms(clock), Ordering::Relaxed);
        self.taken_in_ms
            .store(clock.now().as_millisecond(), Ordering::Relaxed);
    }
}

fn offset_ms(clock: &dyn Clock) -> i64 {
    let monotonic = i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX);
    clock.now().as_millisecond().saturating_sub(monotonic)
}

impl Engine {
    /// Fails while the clock was set back and the store is not corrected yet.
    pub(super) fn require_clock(&self) -> Result<(), StoreError> {
        let watch = &self.clock_watch;
        if !watch.jump(&*self.clock).is_negative() && !watch.is_behind(self.clock.now()) {
            return Ok(());
        }
        self.wake.clock.notify_one();
        Err(StoreError::Unavailable(
            "the system clock was set back; dates in the future are corrected first".to_owned(),
        ))
    }

    /// Compares the clock with the monotonic clock and with the newest row, and raises or ends alarms. Returns the current
    /// alarm.
    pub async fn watch_clock(&self, health: &StoreHealth) -> anyhow::Result<Option<ClockAlarm>> {
        let now = self.clock.now();
        anyhow::ensure!(
            now >= EARLIEST,
            "the system clock says {now:.0}, long before this program was made: set it right"
        );
        let jump = self.clock_watch.jump(&*self.clock);
        let newest = health.newest.unwrap_or(now);
        let back = newest.duration_since(now).max(-jump);
        let alarm = if back > TOLERANCE {
            let alarm = ClockAlarm::was_ahead(back, now);
            tracing::error!("{alarm}");
            self.store.set_clock_alarm(Some(alarm)).await?;
            self.put_right(back, now).await?;
            Some(alarm)
        } else if jump.is_positive() {
            let alarm = ClockAlarm::went_forward(health.clock_alarm, jump, now);
            tracing::error!("{alarm}");
            self.store.set_clock_alarm(Some(alarm)).await?;
            Some(alarm)
        } else if health.clock_alarm.is_some_and(|alarm| !alarm.stands(now)) {
            tracing::info!("no stored date lies in the future any more: the clock alarm has ended");
            self.store.set_clock_alarm(None).await?;
            None
        } else {
            health.clock_alarm
        };
        self.clock_watch.restart(&*self.clock);
        Ok(alarm)
    }

    async fn put_right(&self, back: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let back = Duration::try_from(back).unwrap_or_default();
        let redated = self.store.redate(back, now).await?;
        tracing::warn!(
            contacts = redated.contacts,
            messages = redated.messages,
            deliveries = redated.deliveries,
            timers = redated.timers,
            "dates in the future are corrected"
        );
        self.wake.inbox.notify_one();
        self.wake.all_lanes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use causeway_testkit::clock::TestClock;

    use super::*;

    #[test]
    fn a_clock_that_was_ahead_between_two_checks_is_detected_by_accepted_messages() {
        let clock = TestClock::default();
        let watch = ClockWatch::new(&clock);
        let day = SignedDuration::from_hours(24);
        clock.jump(day);
        watch.takes_in(clock.now());
        assert!(!watch.is_behind(clock.now()));
        clock.jump(-day);
        assert!(watch.jump(&clock).is_zero(), "as if nothing had happened");
        assert!(watch.is_behind(clock.now()));
        watch.restart(&clock);
        assert!(!watch.is_behind(clock.now()));
    }
}
