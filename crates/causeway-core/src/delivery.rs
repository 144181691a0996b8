//! A delivery, and the one function that decides what becomes of it.
//!
//! States in the store: `waiting` (due at some time, or leased), `blocked` (behind an earlier one of the
//! same contact), and the ends `delivered`, `dead`, `skipped`. See `docs/states.md`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    destination::Outcome,
    id::{DeliveryId, IdempotencyKey},
    record::Record,
    retry::RetryPolicy,
};

/// What a delivery announces to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A new action, or a contact as a platform sent it.
    Record,
    /// News about the contact or their consent; no new action.
    Contact,
    /// The contact may no longer be used for the destination's purpose.
    Withdrawal,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Contact => "contact",
            Self::Withdrawal => "withdrawal",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Record, Self::Contact, Self::Withdrawal]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One record for one destination, claimed and about to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    /// Sent to the destination, so that the receiver can recognise a duplicate.
    pub key: IdempotencyKey,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    pub planned_at: Timestamp,
    pub record: Record,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered,
    Skipped,
    Dead,
    /// Tried again at `due_at`.
    Waiting {
        due_at: Timestamp,
    },
    /// Handed back as if it had not been tried; the destination is halted until a person acts.
    Halted,
}

impl Next {
    /// Whether the attempt counts towards the retry schedule.
    pub fn costs_attempt(&self) -> bool {
        !matches!(self, Self::Halted)
    }
}

/// Decides the next state. `attempt` is the number of the attempt that just ended (from 1), `random` in 0..1
/// spreads the waits.
pub fn next_state(
    attempt: u32,
    outcome: &Outcome,
    policy: &RetryPolicy,
    now: Timestamp,
    random: f64,
) -> Next {
    match outcome {
        Outcome::Delivered { .. } => Next::Delivered,
        Outcome::Skip { .. } => Next::Skipped,
        Outcome::Reject { .. } => Next::Dead,
        Outcome::Halt { .. } => Next::Halted,
        Outcome::Retry { after, .. } => match policy.wait_after(attempt, random) {
            None => Next::Dead,
            // What the destination asked for wins, up to a limit: a wrong value must not hold a withdrawal for days. A wait
            // of zero would spend all attempts at once, so the own schedule stays.
            Some(wait) => {
                let asked = after.filter(|after| !after.is_zero());
                let wait = asked.map_or(wait, |after| after.min(LONGEST_RETRY_AFTER));
                let due_at = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
                Next::Waiting { due_at }
            }
        },
    }
}

/// The longest wait that a destination can ask for.
pub const LONGEST_RETRY_AFTER: std::time::Duration = std::time::Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_destination_asks_for_wins_up_to_an_hour() {
        let policy = RetryPolicy {
            waits: vec![Duration::from_secs(30)],
            jitter: 0.0,
        };
        let now = Timestamp::UNIX_EPOCH;
        for (after, expected) in [
            (None, 30),
            (Some(0), 30),
            (Some(1), 1),
            (Some(3_600), 3_600),
            (Some(3_601), 3_600),
            (Some(604_800), 3_600),
            (Some(u64::MAX), 3_600),
        ] {
            let outcome = Outcome::Retry {
                reason: String::new(),
                after: after.map(Duration::from_secs),
            };
            let due_at = Timestamp::from_second(expected).unwrap();
            assert_eq!(
                next_state(1, &outcome, &policy, now, 0.5),
                Next::Waiting { due_at },
                "{after:?}"
            );
        }
    }
}
