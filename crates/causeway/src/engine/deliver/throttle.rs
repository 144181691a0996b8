//! How much a lane asks of its destination: nothing while it is busy, and otherwise what its [`Window`] allows.
//!
//! All calls stop when one learns that a limit is reached.

use std::{collections::HashMap, time::Duration};

use causeway_core::{clock::Timestamp, delivery::LONGEST_RETRY_AFTER, id::DeliveryId};

use super::{evidence::Evidence, later, window::Window};

/// The first wait if the destination names none. It doubles each time, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(1);
/// A destination that asks for more is tried again after this, with few calls: a wrong value must not hold up an opt-out
/// for days.
const LONGEST: Duration = LONGEST_RETRY_AFTER;
/// The longest wait that the hub chooses itself.
const LONGEST_OWN: Duration = Duration::from_mins(5);
/// A delivery that was refused this number of times, with answers to others in between, is itself the reason.
const EVIDENCE: u32 = 3;
/// Deliveries that are remembered for [`EVIDENCE`].
const REMEMBERED: usize = 1_000;

pub(super) struct Throttle {
    pub(super) window: Window,
    /// The present wait: when it was set, and its end.
    wait: Option<(Timestamp, Timestamp)>,
    next_wait: Duration,
    /// The number of answers other than "busy".
    answers: u64,
    refused: HashMap<DeliveryId, Refusals>,
    /// Whether the destination refuses everybody.
    pub(super) evidence: Evidence,
}

/// How often a delivery was refused as busy.
#[derive(Default)]
struct Refusals {
    /// With an answer to another delivery before each but the first.
    counted: u32,
    /// Since the last answer to another delivery.
    in_a_row: u32,
    /// [`Throttle::answers`] at the last refusal.
    seen: u64,
}

/// Why a delivery was refused as busy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Limit,
    /// The same delivery was refused before, and no other one was answered in between. Others go first, and show whether
    /// it is the limit or the delivery.
    Unknown,
    /// The destination answers others. If this delivery were not given up one day, it would stop the lane for ever.
    Delivery,
}

impl Throttle {
    pub(super) fn new(concurrency: u32) -> Self {
        Self {
            window: Window::new(concurrency),
            wait: None,
            next_wait: SHORTEST,
            answers: 0,
            refused: HashMap::new(),
            evidence: Evidence::default(),
        }
    }

    /// The end of the present wait.
    pub(super) fn waits_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        // A time before the wait was set means that the clock was set back.
        self.wait = self.wait.filter(|(set_at, until)| *set_at <= now && now < *until);
        self.wait.map(|(_, until)| until)
    }

    /// A delivery was refused because the destination is busy.
    pub(super) fn busy(&mut self, delivery: DeliveryId, after: Option<Duration>, now: Timestamp) -> Reason {
        if self.refused.len() >= REMEMBERED {
            self.refused.clear();
        }
        let refusals = self.refused.entry(delivery).or_default();
        let were_others_answered = refusals.counted > 0 && refusals.seen != self.answers;
        if were_others_answered || refusals.counted == 0 {
            refusals.counted += 1;
            refusals.in_a_row = 0;
            refusals.seen = self.answers;
        }
        refusals.in_a_row += 1;
        let is_unknown = refusals.in_a_row > 1;
        if refusals.counted >= EVIDENCE && were_others_answered {
            return Reason::Delivery;
        }
        let is_first = self.waits_until(now).is_none();
        match after.filter(|after| !after.is_zero()) {
            Some(after) => self.rest(after, now),
            None if is_first => self.rest(self.next_wait, now),
            None => {}
        }
        // Calls that were in flight when the limit was reached are refused, too, and say nothing new.
        if is_first {
            self.next_wait = (self.next_wait * 2).min(LONGEST_OWN);
            self.window.halve(now);
        }
        if is_unknown {
            Reason::Unknown
        } else {
            Reason::Limit
        }
    }

    /// The destination takes no calls for this time.
    pub(super) fn rest(&mut self, wait: Duration, now: Timestamp) {
        let until = later(now, wait.min(LONGEST));
        let until = self.waits_until(now).map_or(until, |known| known.max(until));
        self.wait = Some((now, until));
    }

    /// The destination answered a delivery in another way than "busy".
    pub(super) fn answered(&mut self, delivery: DeliveryId) {
        self.answers = self.answers.wrapping_add(1);
        self.refused.remove(&delivery);
        self.evidence.answered(delivery);
        self.next_wait = SHORTEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: DeliveryId = DeliveryId(1);
    const OTHER: DeliveryId = DeliveryId(2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    #[test]
    fn a_busy_destination_is_left_alone_for_the_time_that_it_names() {
        let mut throttle = Throttle::new(8);
        assert_eq!(
            throttle.busy(ONE, Some(Duration::from_secs(30)), at(0)),
            Reason::Limit
        );
        assert_eq!(throttle.waits_until(at(29)), Some(at(30)));
        // A call that was in flight does not shorten the wait, nor halve again.
        assert_eq!(throttle.busy(OTHER, None, at(1)), Reason::Limit);
        assert_eq!(throttle.waits_until(at(29)), Some(at(30)));
        assert_eq!(throttle.waits_until(at(30)), None);
        assert_eq!(throttle.window.calls(), 2);
        throttle.busy(ONE, Some(Duration::from_secs(1_000_000)), at(40));
        assert_eq!(throttle.waits_until(at(41)), Some(at(40 + 3_600)));
        assert_eq!(throttle.waits_until(at(39)), None, "the clock was set back");
    }

    #[test]
    fn without_a_time_the_waits_double_until_an_answer() {
        let mut throttle = Throttle::new(1);
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            throttle.busy(ONE, None, at(now));
            now += wait;
            assert_eq!(throttle.waits_until(at(now - 1)), Some(at(now)));
        }
        throttle.answered(ONE);
        throttle.busy(ONE, None, at(now));
        assert_eq!(throttle.waits_until(at(now)), Some(at(now + 1)));
    }

    #[test]
    fn one_delivery_that_is_always_refused_while_others_are_answered_is_the_reason() {
        let mut throttle = Throttle::new(8);
        for round in 0..2 {
            assert_eq!(throttle.busy(ONE, SECOND, at(round * 2)), Reason::Limit);
            throttle.answered(OTHER);
        }
        assert_eq!(throttle.busy(ONE, SECOND, at(9)), Reason::Delivery);
        assert_eq!(throttle.waits_until(at(9)), None);
        // Refused again without any answer in between, it is the limit.
        assert_eq!(throttle.busy(ONE, SECOND, at(10)), Reason::Unknown);
        // Without any answer nobody knows the reason, however often.
        let mut throttle = Throttle::new(8);
        assert_eq!(throttle.busy(ONE, SECOND, at(0)), Reason::Limit);
        for round in 1..20 {
            assert_eq!(throttle.busy(ONE, SECOND, at(round * 2)), Reason::Unknown);
        }
    }
}
