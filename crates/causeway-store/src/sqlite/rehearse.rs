//! What a message would lead to: processed in a transaction that is taken back.

use std::sync::{Arc, Mutex, PoisonError};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    envelope::{Envelope, digest},
    event::Decoded,
    id::Name,
    store::StoreError,
};

use super::{SqliteStore, accept, claim, fault::Fault, process, writer::Tx};

/// What would follow from a message.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// About consent, in words.
    pub decision: Option<String>,
    /// What each destination would be given.
    pub deliveries: Vec<(Name, Delivery)>,
    /// Destinations that would not be told, and why.
    pub skipped: Vec<(Name, String)>,
}

impl SqliteStore {
    /// Processes the message as if it came now, tells what would follow, and takes everything back: nothing is kept.
    pub async fn rehearse(
        &self,
        envelope: Envelope,
        decoded: Decoded,
        now: Timestamp,
    ) -> Result<Rehearsal, StoreError> {
        let seen = Arc::new(Mutex::new(None));
        let found = Arc::clone(&seen);
        let taken_back = self
            .writer()?
            .write(1, move |tx| {
                let rehearsal = rehearse(tx, envelope.clone(), decoded.clone(), now)?;
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(rehearsal);
                // Ending with a fault is what rolls the savepoint back.
                Err::<(), Fault>(Fault::Refused("a rehearsal leaves nothing behind".to_owned()))
            })
            .await;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (seen, taken_back) {
            (Some(rehearsal), _) => Ok(rehearsal),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Failed("the rehearsal told nothing".to_owned())),
        }
    }
}

fn rehearse(
    tx: &mut Tx<'_>,
    mut envelope: Envelope,
    decoded: Decoded,
    now: Timestamp,
) -> Result<Rehearsal, Fault> {
    // A message that came before is rehearsed all the same.
    envelope.dedup = digest(&[&envelope.dedup, b"rehearsal"]);
    let accepted = accept::accept(tx, &[envelope])?;
    let id = accepted.first().ok_or(Fault::Broken("an accepted row"))?.id;
    process::process(tx, &[(id, decoded)], now)?;
    let mut rehearsal = Rehearsal {
        decision: tx
            .connection
            .prepare_cached("SELECT decision FROM event WHERE inbox_id = ?1")?
            .query_row([id.0], |row| row.get(0))?,
        ..Rehearsal::default()
    };
    let rows: Vec<(i64, String, String, Option<String>)> = tx
        .connection
        .prepare_cached(
            "SELECT delivery.id, name.name, delivery.state, delivery.reason
             FROM delivery JOIN name ON name.id = delivery.destination_id WHERE delivery.inbox_id = ?1 ORDER BY delivery.id",
        )?
        .query_map([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, destination, state, reason) in rows {
        if state == "skipped" {
            rehearsal
                .skipped
                .push((destination.into(), reason.unwrap_or_default()));
        } else {
            let delivery = claim::peek(tx, delivery, &destination)?;
            rehearsal.deliveries.push((destination.into(), delivery));
        }
    }
    Ok(rehearsal)
}
