//! What a message would lead to: processed in a transaction that is taken back.

use std::sync::{Arc, Mutex, PoisonError};

use causeway_core::{
    clock::Timestamp,
    envelope::{Envelope, digest},
    event::Decoded,
    store::StoreError,
};

use super::{
    SqliteStore, accept,
    fault::Fault,
    play::{Played, process_one},
    writer::Tx,
};

impl SqliteStore {
    /// Processes the message as if it came now, tells what would follow, and takes everything back: nothing is kept.
    pub async fn rehearse(
        &self,
        envelope: Envelope,
        decoded: Decoded,
        now: Timestamp,
    ) -> Result<Played, StoreError> {
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
) -> Result<Played, Fault> {
    // A message that came before is rehearsed all the same.
    envelope.dedup = digest(&[&envelope.dedup, b"rehearsal"]);
    let accepted = accept::accept(tx, &[envelope])?;
    let id = accepted.first().ok_or(Fault::Broken("an accepted row"))?.id;
    process_one(tx, id, decoded, now)
}
