//! A withdrawal and a removal are told for every address that the person had: an earlier one may still stand in the
//! destination's list, and the destination would go on writing to it.

use causeway_core::{
    consent::Change,
    contact::{Field, Identity, normal_email},
    delivery::{Delivery, Kind},
    destination::{Ending, Outcome},
    id::IdempotencyKey,
};

/// Attempts in which an earlier address that could not be told is reason enough to try again.
const TRIES: u32 = 4;

/// For each no of `batch` one more delivery for each of the person's other addresses, and beside it the place of the no.
pub(super) fn earlier(batch: &[Delivery]) -> (Vec<Delivery>, Vec<usize>) {
    let all = batch
        .iter()
        .enumerate()
        .flat_map(|(place, delivery)| others(delivery).map(move |other| (other, place)));
    all.unzip()
}

fn others(delivery: &Delivery) -> impl Iterator<Item = Delivery> {
    let record = &delivery.record;
    let is_no = record.kind == Kind::Withdrawal || record.change == Change::Remove;
    // The field keeps how it was written.
    let in_use = record.email().filter(|_| is_no).and_then(normal_email);
    let addresses = record
        .identities
        .iter()
        .filter_map(move |identity| match identity {
            Identity::Email { address } if in_use.as_ref().is_some_and(|used| used != address) => {
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

/// How each delivery ended, all its addresses together. The address in use decides. An earlier one that could not be told
/// brings the no back a few times, and no more: the destination may never have had it.
pub(super) fn fold(batch: &[Delivery], endings: &mut [Ending], earlier: Vec<Ending>, places: &[usize]) {
    for (other, place) in earlier.into_iter().zip(places) {
        let (Some(ending), Some(delivery)) = (endings.get_mut(*place), batch.get(*place)) else {
            continue;
        };
        let is_told = matches!(ending.outcome, Outcome::Delivered { .. } | Outcome::Skip { .. });
        match other.outcome {
            Outcome::Delivered { .. } | Outcome::Skip { .. } => {}
            Outcome::Retry { .. } if is_told && delivery.attempt < TRIES => *ending = other,
            outcome => {
                let (id, outcome) = (delivery.id.0, outcome.as_str());
                tracing::warn!(
                    delivery.id = id,
                    outcome,
                    "an earlier address of the person could not be told of the no"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(of: &[Ending]) -> Vec<&'static str> {
        of.iter().map(|ending| ending.outcome.as_str()).collect()
    }

    #[test]
    fn an_earlier_address_brings_a_no_back_a_few_times_and_never_spoils_it() {
        let ok = || Ending::from(Outcome::Delivered { remote_id: None });
        let reason = || "no".to_owned();
        let no = || Ending::from(Outcome::Reject { reason: reason() });
        let halt = || Ending::from(Outcome::Halt { reason: reason() });
        let again = || {
            Ending::from(Outcome::Retry {
                reason: reason(),
                after: None,
            })
        };
        for (attempt, main, earlier, expected) in [
            (1, ok(), ok(), ok()),
            (1, ok(), no(), ok()),
            (1, ok(), halt(), ok()),
            (1, ok(), again(), again()),
            (3, ok(), again(), again()),
            (4, ok(), again(), ok()),
            (1, no(), again(), no()),
            (1, no(), ok(), no()),
            (1, again(), no(), again()),
            (1, halt(), ok(), halt()),
        ] {
            let delivery = Delivery {
                attempt,
                ..causeway_testkit::destination_contract::delivery(1)
            };
            let batch = [delivery.clone(), delivery];
            let mut endings = [ok(), main];
            fold(&batch, &mut endings, vec![earlier], &[1]);
            assert_eq!(
                outcomes(&endings),
                outcomes(&[ok(), expected]),
                "attempt {attempt}"
            );
        }
    }
}
