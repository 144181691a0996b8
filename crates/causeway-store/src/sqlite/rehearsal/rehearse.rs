//! What a message would lead to: it is processed in a transaction that is rolled back.

use std::{path::PathBuf, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    envelope::{Dedup, Envelope, digest},
    event::Decoded,
    rules::Rules,
    store::StoreError,
};
use rusqlite::TransactionBehavior;

use crate::sqlite::{
    base::{error::Error, schema, state::State, tx::Tx},
    inbox::{accept, pages},
    rehearsal::trial::{TrialResult, process_one},
};

/// Processes the message by these rules as if it arrived now, and returns what would follow. It uses the
/// database at `path`, beside a hub that may be running, or an empty database without a path.
///
/// Invariant: nothing is stored. The rules are held in memory, and the one transaction, which lasts as long
/// as the message takes, is rolled back.
pub async fn rehearse(
    path: Option<PathBuf>,
    rules: Arc<Rules>,
    envelope: Envelope,
    decoded: Decoded,
    now: Timestamp,
) -> Result<TrialResult, StoreError> {
    let work = move || -> Result<TrialResult, Error> {
        let mut connection = schema::rehearsal(path.as_deref())?;
        let mut state = State::default();
        pages::use_rules(&connection, &mut state, rules)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tx = Tx {
            connection: &transaction,
            state: &mut state,
        };
        let played = process_now(&mut tx, envelope, decoded, now);
        transaction.rollback()?;
        played
    };
    let stopped = |_| StoreError::Failed("the rehearsal panicked".to_owned());
    Ok(tokio::task::spawn_blocking(work).await.map_err(stopped)??)
}

fn process_now(
    tx: &mut Tx<'_>,
    mut envelope: Envelope,
    decoded: Decoded,
    now: Timestamp,
) -> Result<TrialResult, Error> {
    // A message that arrived before is rehearsed all the same.
    envelope.dedup = Dedup::dated(digest(&[&envelope.dedup.key, b"rehearsal"]));
    let accepted = accept::accept(tx, &[envelope])?;
    let id = accepted.first().ok_or(Error::Broken("an accepted row"))?.id;
    process_one(tx, id, decoded, now)
}
