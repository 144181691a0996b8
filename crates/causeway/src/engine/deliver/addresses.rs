//! A no is told for every address that the person had: an earlier one may still stand in the destination's list, and the
//! destination would go on writing to it.

use causeway_core::{
    consent::Change,
    contact::{Field, Identity},
    delivery::{Delivery, Kind},
    destination::{Ending, Outcome},
    id::IdempotencyKey,
};

/// The deliveries of `batch`, with one more in front of a no for each of the person's other addresses; and for each in how
/// many of the expanded ones it is told.
pub(super) fn expand(batch: &[Delivery]) -> (Vec<Delivery>, Vec<usize>) {
    let mut all = Vec::with_capacity(batch.len());
    let mut counts = Vec::with_capacity(batch.len());
    for delivery in batch {
        let before = all.len();
        all.extend(others(delivery));
        // Last, so that this one stays where the destination has one row for a person.
        all.push(delivery.clone());
        counts.push(all.len() - before);
    }
    (all, counts)
}

/// Whether there is anything to expand.
pub(super) fn any(batch: &[Delivery]) -> bool {
    batch.iter().any(|delivery| others(delivery).next().is_some())
}

fn others(delivery: &Delivery) -> impl Iterator<Item = Delivery> {
    let record = &delivery.record;
    let is_no = record.kind == Kind::Withdrawal || record.change == Change::Remove;
    let known = record.email();
    let addresses = record
        .identities
        .iter()
        .filter_map(move |identity| match identity {
            Identity::Email { address } if is_no && known.is_some_and(|known| known != address) => {
                Some(address)
            }
            _ => None,
        });
    addresses.map(|address| {
        let mut other = delivery.clone();
        let at = record
            .contact
            .fields
            .get("email")
            .map_or(record.event_at, |field| field.at);
        let value = address.as_str().into();
        other
            .record
            .contact
            .fields
            .insert("email".to_owned(), Field { value, at });
        other.key = IdempotencyKey::derive(
            &record.workspace,
            &record.source,
            delivery.key.0.as_bytes(),
            "",
            address,
        );
        other
    })
}

/// How each delivery ended, all its addresses together: it is tried again until each was answered. That the destination
/// refuses an earlier address is no trouble, for it may never have had it.
pub(super) fn fold(endings: Vec<Ending>, counts: &[usize]) -> Vec<Ending> {
    let mut endings = endings.into_iter();
    let mut folded = Vec::with_capacity(counts.len());
    for count in counts {
        let mut parts: Vec<Ending> = endings.by_ref().take(*count).collect();
        if parts.len() < *count {
            break;
        }
        let again = |ending: &Ending| matches!(ending.outcome, Outcome::Retry { .. } | Outcome::Halt { .. });
        let told = parts.iter().position(again).unwrap_or(count - 1);
        folded.push(parts.swap_remove(told));
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(outcome: Outcome) -> Ending {
        outcome.into()
    }

    fn delivered() -> Ending {
        ending(Outcome::Delivered { remote_id: None })
    }

    fn refused() -> Ending {
        ending(Outcome::Reject {
            reason: "unknown".to_owned(),
        })
    }

    fn later() -> Ending {
        ending(Outcome::Retry {
            reason: "busy".to_owned(),
            after: None,
        })
    }

    #[test]
    fn one_that_is_to_be_tried_again_brings_all_of_its_addresses_back() {
        let told = |endings: Vec<Ending>, counts: &[usize]| -> Vec<&'static str> {
            let folded = fold(endings, counts);
            folded.iter().map(|ending| ending.outcome.as_str()).collect()
        };
        let [ok, no, again] = [delivered(), refused(), later()].map(|ending| ending.outcome.as_str());
        assert_eq!(told(vec![delivered(), refused()], &[1, 1]), [ok, no]);
        assert_eq!(told(vec![refused(), delivered()], &[2]), [ok]);
        assert_eq!(told(vec![delivered(), refused()], &[2]), [no]);
        assert_eq!(
            told(vec![later(), delivered(), delivered()], &[2, 1]),
            [again, ok]
        );
        assert_eq!(
            told(vec![delivered(), later(), delivered()], &[2, 1]),
            [again, ok]
        );
        // It told too few: what is missing is said by the caller.
        assert_eq!(told(vec![delivered()], &[1, 2]), [ok]);
    }
}
