//! A message with several records: each record becomes a row of its own, processed in the transaction of the
//! message.
//!
//! Invariant: a message and its parts are written together or not at all. A part is recognised as a duplicate
//! like any message. It is dated by the arrival of the message, even if others were accepted in between.

use causeway_core::{
    envelope::Envelope,
    event::Decoded,
    store::{InboxState, Processed},
};
use rusqlite::OptionalExtension;

use crate::sqlite::{
    base::{error::Error, ids::InboxRowId, tx::Tx},
    inbox::{
        accept::accept_one,
        process::{Row, beside, end, process_one},
        repeats,
    },
};

/// Returns the result of the message, then the results of those parts that are no duplicates.
pub(crate) fn process(
    tx: &mut Tx<'_>,
    row: &Row,
    records: &[(Envelope, Decoded)],
) -> Result<Vec<Processed>, Error> {
    let mut processed = Vec::with_capacity(records.len() + 1);
    let mut numbers = Vec::with_capacity(records.len());
    let mut any_counts = false;
    // The row is no longer new, so that the decision about duplicates does not wait for it. `end` counts it
    // in the books.
    tx.connection
        .prepare_cached("UPDATE inbox SET state = 'done' WHERE id = ?1")?
        .execute([row.id])?;
    for (envelope, decoded) in records {
        let mut envelope = envelope.clone();
        if let Some(part) = &mut envelope.meta.part {
            part.of = row.id.into();
        }
        let accepted = accept_one(tx, &envelope)?;
        let id = InboxRowId::from(accepted.id);
        numbers.push(id);
        let Some(part) = beside(tx, id, row)?.filter(|_| !accepted.duplicate) else {
            continue;
        };
        let ended = process_one(tx, &part, &decoded.clone().part_of(row.id.into()))?;
        any_counts |= ended.state != InboxState::Duplicate;
        processed.push(ended);
    }
    // The parts hold the whole content of the message, and are erased with their contacts.
    tx.connection
        .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
        .execute([row.id])?;
    let message = if let Some(first) = first(tx, row)?.filter(|_| !any_counts) {
        repeats::end_as_repeat(tx, row, first)?
    } else {
        repeats::count(tx, row)?;
        let reason = listed(&numbers);
        end(tx, row, InboxState::Done, None, Some(&reason))?
    };
    processed.insert(0, message);
    Ok(processed)
}

/// The message that this one may be a duplicate of.
fn first(tx: &Tx<'_>, row: &Row) -> Result<Option<InboxRowId>, Error> {
    let first: Option<Option<InboxRowId>> = tx
        .connection
        .prepare_cached("SELECT duplicate_of FROM inbox WHERE id = ?1")?
        .query_row([row.id], |row| row.get(0))
        .optional()?;
    Ok(first.flatten())
}

fn listed(numbers: &[InboxRowId]) -> String {
    match numbers {
        [first, .., last]
            if numbers
                .iter()
                .zip(numbers.iter().skip(1))
                .all(|(one, next)| one.0 + 1 == next.0) =>
        {
            format!("{} records: messages {first} to {last}", numbers.len())
        }
        _ => {
            let shown: Vec<String> = numbers.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
            let more = if numbers.len() > MAX_SHOWN { ", …" } else { "" };
            format!("{} records: messages {}{more}", numbers.len(), shown.join(", "))
        }
    }
}

/// Maximum number of message numbers in one reason.
const MAX_SHOWN: usize = 20;
