//! A delivery, and the function that decides its next state.
//!
//! States in the store: `waiting` (due at some time, or leased), `blocked` (behind an earlier delivery of the
//! same contact), and the final ones `delivered`, `dead` and `skipped`. See `docs/states.md`.

use jiff::Timestamp;

pub use crate::{delivery_kind::Kind, outcome::LONGEST_RETRY_AFTER};
use crate::{
    id::{DeliveryId, IdempotencyKey},
    outcome::Outcome,
    record::Record,
    retry::RetryPolicy,
};

/// A result is not asked for more often than this.
const SOONEST_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// One record for one destination, claimed and about to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    /// The destination passes it on, so that the receiver can recognise duplicates.
    pub key: IdempotencyKey,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    pub planned_at: Timestamp,
    pub record: Record,
    /// What [`Outcome::Pending`] returned: the destination accepted this delivery, and the result is to be looked up.
    pub ticket: Option<String>,
    /// What the destination remembers about the contact ([`crate::outcome::AttemptResult::memory`]): at the address of
    /// this delivery, or otherwise at the contact's address that was sent last.
    pub memory: Option<serde_json::Value>,
}

/// The next state of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered,
    Skipped,
    Dead,
    /// It will be tried again at `due_at`.
    Waiting {
        due_at: Timestamp,
    },
    /// It waits as if it had not been tried, because the destination is busy.
    Postponed,
    /// It waits for its result, as if it had not been tried.
    Pending {
        ticket: String,
        due_at: Timestamp,
    },
    /// It waits as if it had not been tried, but until this time, behind others. The destination refused it, and they show
    /// whether it refuses everybody.
    Suspected {
        due_at: Timestamp,
    },
    /// It waits as if it had not been tried. The destination is halted until a person acts.
    Halted,
}

impl Next {
    /// Whether the attempt counts towards the retry schedule.
    pub fn costs_attempt(&self) -> bool {
        !matches!(
            self,
            Self::Halted | Self::Postponed | Self::Pending { .. } | Self::Suspected { .. }
        )
    }
}

/// Decides the next state. `attempt` is the number of the attempt that just ended (from 1). `random` in 0..1
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
        Outcome::Busy { .. } => Next::Postponed,
        Outcome::Halt { .. } => Next::Halted,
        Outcome::Pending { ticket, after } => Next::Pending {
            ticket: ticket.clone(),
            due_at: now
                .saturating_add((*after).max(SOONEST_LOOK))
                .unwrap_or(Timestamp::MAX),
        },
        Outcome::Retry { after, .. } => match policy.wait_after(attempt, random) {
            None => Next::Dead,
            // A wait that the destination asked for wins, up to a limit: a wrong value must not hold up a
            // withdrawal for days. A wait of zero would use up all attempts at once, so the hub's own
            // schedule applies instead.
            Some(wait) => {
                let asked = after.filter(|after| !after.is_zero());
                let wait = asked.map_or(wait, |after| after.min(LONGEST_RETRY_AFTER));
                let due_at = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
                Next::Waiting { due_at }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_that_the_destination_asks_for_wins_up_to_an_hour() {
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
