//! Whether a destination that needs a person refuses everybody, or one record only.
//!
//! Invariant: one record never halts a lane. A firewall that dislikes a word answers 403, and an API may answer 410 about
//! one deleted person. So the lane halts when several different records are refused and none is accepted in between.
//! A record that nothing else is sent beside does not wait for evidence for ever: after [`PATIENCE`] refusals its attempts
//! count, so that it shows among the failures and ends.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use causeway_core::id::DeliveryId;

/// Different records that must be refused, if the destination has accepted nothing since the start.
const AT_FIRST: usize = 3;
/// Different records that must be refused after it has accepted others.
const LATER: usize = 10;
/// The first wait of a refused delivery. It doubles each time, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// Refusals of a delivery, over a quarter of an hour, after which its attempts count although no other record was sent.
const PATIENCE: u32 = 10;
/// Refused deliveries that are remembered.
const REMEMBERED: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The number of answers that were no refusals.
    answers: u64,
    /// The records that were refused since the last of them.
    agree: BTreeSet<String>,
    /// Delivery → its refusals without an answer to others in between, and `answers` at the last one.
    refused: HashMap<DeliveryId, (u32, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It refuses everybody.
    Halt,
    /// Not known yet: other deliveries go first, and this one is tried again after the wait.
    Suspect(Duration),
    /// The delivery's attempts count, for this reason.
    Delivery(&'static str),
}

impl Evidence {
    /// A delivery was refused in a way that only a person can fix. `subject` is the same for records of one person.
    pub(super) fn refused(&mut self, delivery: DeliveryId, subject: &str) -> Verdict {
        if self.refused.len() >= REMEMBERED {
            self.refused.clear();
        }
        self.agree.insert(subject.to_owned());
        let needed = if self.answers == 0 { AT_FIRST } else { LATER };
        if self.agree.len() >= needed {
            self.agree.clear();
            return Verdict::Halt;
        }
        let (count, seen) = self.refused.entry(delivery).or_insert((0, self.answers));
        if *count > 0 && *seen != self.answers {
            return Verdict::Delivery("others are accepted, so this record is the reason");
        }
        if *count >= PATIENCE {
            return Verdict::Delivery("nothing else was sent that would show whether others are accepted");
        }
        *count += 1;
        let doubled = SHORTEST.saturating_mul(1 << (*count - 1).min(16));
        Verdict::Suspect(doubled.min(LONGEST))
    }

    /// The destination answered a delivery in another way.
    pub(super) fn answered(&mut self, delivery: DeliveryId) {
        self.answers = self.answers.wrapping_add(1).max(1);
        self.agree.clear();
        self.refused.remove(&delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: DeliveryId = DeliveryId(1);
    const BEN: DeliveryId = DeliveryId(2);

    #[test]
    fn one_record_waits_longer_and_longer_and_never_halts() {
        let mut evidence = Evidence::default();
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300] {
            let verdict = evidence.refused(ADA, "ada");
            assert_eq!(verdict, Verdict::Suspect(Duration::from_secs(wait)));
        }
        // It neither waits for ever nor halts the others.
        for _ in 0..20 {
            assert!(matches!(evidence.refused(ADA, "ada"), Verdict::Delivery(_)));
        }
        // Another delivery about the same person is no other record.
        assert!(matches!(evidence.refused(BEN, "ada"), Verdict::Suspect(_)));
    }

    #[test]
    fn different_records_halt_and_more_are_needed_after_an_answer() {
        let halts_at = |evidence: &mut Evidence| {
            (1..=20)
                .find(|number| evidence.refused(DeliveryId(*number), &number.to_string()) == Verdict::Halt)
        };
        let mut evidence = Evidence::default();
        assert_eq!(halts_at(&mut evidence), Some(3));
        evidence.answered(DeliveryId(77));
        assert_eq!(halts_at(&mut evidence), Some(10));
    }

    #[test]
    fn a_record_that_is_refused_while_others_are_accepted_is_the_reason() {
        let mut evidence = Evidence::default();
        assert!(matches!(evidence.refused(ADA, "ada"), Verdict::Suspect(_)));
        evidence.answered(BEN);
        assert!(matches!(evidence.refused(ADA, "ada"), Verdict::Delivery(_)));
        evidence.answered(ADA);
        assert!(matches!(evidence.refused(ADA, "ada"), Verdict::Suspect(_)));
    }
}
