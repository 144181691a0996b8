//! Turns decoded messages into contacts, actions, consent and deliveries: one transaction for the batch, and
//! one savepoint for each row if one of them fails.

use causeway_core::{
    clock::Timestamp,
    event::{DeadCode, Decoded},
    id::InboxId,
    store::{InboxState, Processed},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{InboxRowId, SourceRowId},
        rows::{at, inbox_state, ms},
        tx::Tx,
    },
    inbox::{
        event::process_event,
        parts,
        repeats::{self, Decision},
    },
};

/// Processes all rows without savepoints, since a savepoint for each costs as much as a write. If a row
/// fails, everything is rolled back and processed again row by row, to find out which one failed.
pub(crate) fn process(
    tx: &mut Tx<'_>,
    batch: &[(InboxId, Decoded)],
    now: Timestamp,
) -> Result<Vec<Processed>, Error> {
    tx.state.facts.flush(tx.connection)?;
    tx.connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
    let mark = tx.state.counters.mark();
    let processed = match process_all(tx, batch, now, false) {
        Err(error) if !error.is_unavailable() => {
            tx.connection.prepare_cached("ROLLBACK TO batch")?.execute([])?;
            tx.state.counters.forget_since(mark);
            tx.state.reload(tx.connection)?;
            process_all(tx, batch, now, true)?
        }
        all => all?,
    };
    tx.connection.prepare_cached("RELEASE batch")?.execute([])?;
    Ok(processed)
}

fn process_all(
    tx: &mut Tx<'_>,
    batch: &[(InboxId, Decoded)],
    now: Timestamp,
    one_by_one: bool,
) -> Result<Vec<Processed>, Error> {
    let anyone_erased = tx
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased WHERE hash >= x'')")?
        .query_row([], |row| row.get(0))?;
    let mut processed = Vec::with_capacity(batch.len());
    for (id, decoded) in batch {
        let id = InboxRowId::from(*id);
        let Some(found) = if_new(tx, id)? else {
            continue;
        };
        let row = Row {
            id,
            source: found.source,
            key: found.key,
            comes_again: found.comes_again,
            now,
            anyone_erased,
        };
        processed.extend(if one_by_one {
            process_alone(tx, &row, decoded)?
        } else {
            process_row(tx, &row, decoded)?
        });
    }
    tx.state.facts.flush(tx.connection)?;
    Ok(processed)
}

/// Processes one row in a savepoint of its own. A row that fails is dead, and has no effect on the others.
fn process_alone(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Vec<Processed>, Error> {
    tx.connection.prepare_cached("SAVEPOINT inbox_row")?.execute([])?;
    let mark = tx.state.counters.mark();
    let processed = match process_row(tx, row, decoded) {
        Err(error) if !error.is_unavailable() => {
            tx.connection
                .prepare_cached("ROLLBACK TO inbox_row")?
                .execute([])?;
            tx.state.counters.forget_since(mark);
            tx.state.reload(tx.connection)?;
            tracing::error!(
                inbox.id = row.id.0,
                reason = error.text(),
                "A message could not be processed; it is dead."
            );
            let ended = end(
                tx,
                row,
                InboxState::Dead,
                Some(DeadCode::Internal),
                Some(&error.text()),
            )?;
            vec![ended]
        }
        ended => ended?,
    };
    // What the row changed in memory is written while its savepoint is open.
    tx.state.facts.flush(tx.connection)?;
    tx.connection.prepare_cached("RELEASE inbox_row")?.execute([])?;
    Ok(processed)
}

/// Makes rows dead whose envelope cannot be read, so that they are visible and block no others.
pub(crate) fn set_aside(tx: &mut Tx<'_>, broken: &[(InboxId, String)]) -> Result<(), Error> {
    for (id, why) in broken {
        let id = InboxRowId::from(*id);
        let found: Option<(SourceRowId, i64)> = tx
            .connection
            .prepare_cached("SELECT source_id, received_at FROM inbox WHERE id = ?1 AND state = 'new'")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((source, received_at)) = found else {
            continue;
        };
        let reason = format!("broken in the store: {why}");
        tracing::error!(
            inbox.id = id.0,
            reason,
            "A message could not be read; it is dead."
        );
        let row = Row {
            id,
            source,
            key: [0; 16],
            comes_again: false,
            // Reading the inbox gets no clock, so the time of receipt stands for now.
            now: at(received_at),
            anyone_erased: false,
        };
        end(
            tx,
            &row,
            InboxState::Dead,
            Some(DeadCode::Internal),
            Some(&reason),
        )?;
    }
    Ok(())
}

/// The inbox row that is processed.
pub(crate) struct Row {
    pub id: InboxRowId,
    pub source: SourceRowId,
    /// The key of the message, which never changes.
    pub key: [u8; 16],
    /// Whether its key or its sender's id was seen before: see [`repeats`].
    pub comes_again: bool,
    pub now: Timestamp,
    /// Whether anybody was erased. Saves a look-up for each identity while nobody was.
    pub anyone_erased: bool,
}

struct Waiting {
    source: SourceRowId,
    key: [u8; 16],
    comes_again: bool,
}

/// A row that was just accepted, to be processed at once with the time of `other`.
pub(crate) fn beside(tx: &Tx<'_>, id: InboxRowId, other: &Row) -> Result<Option<Row>, Error> {
    Ok(if_new(tx, id)?.map(|found| Row {
        id,
        source: found.source,
        key: found.key,
        comes_again: found.comes_again,
        now: other.now,
        anyone_erased: other.anyone_erased,
    }))
}

/// The row if it is still new; otherwise it was processed before.
fn if_new(tx: &Tx<'_>, id: InboxRowId) -> Result<Option<Waiting>, Error> {
    let found: Option<(String, Waiting)> = tx
        .connection
        .prepare_cached(
            "SELECT state, source_id, key, duplicate_of IS NOT NULL OR same_id IS NOT NULL
             FROM inbox WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let waiting = Waiting {
                source: row.get(1)?,
                key: row.get(2)?,
                comes_again: row.get(3)?,
            };
            Ok((row.get(0)?, waiting))
        })
        .optional()?;
    let Some((state, waiting)) = found else {
        return Ok(None);
    };
    Ok((inbox_state(&state)? == InboxState::New).then_some(waiting))
}

/// Processes the row, and its parts if it holds several records.
fn process_row(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Vec<Processed>, Error> {
    match decoded {
        Decoded::Parts(records) => parts::process(tx, row, records),
        one => Ok(vec![process_one(tx, row, one)?]),
    }
}

pub(crate) fn process_one(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Processed, Error> {
    if !row.comes_again {
        return process_decoded(tx, row, decoded);
    }
    match repeats::decide(tx, row, decoded)? {
        Decision::Repeat { first } => repeats::end_as_repeat(tx, row, first),
        Decision::Counts(decoded) => {
            repeats::count(tx, row)?;
            process_decoded(tx, row, &decoded)
        }
    }
}

fn process_decoded(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Processed, Error> {
    match decoded {
        // A part has no parts of its own.
        Decoded::Parts(_) => Err(Error::Broken("a record with parts of its own")),
        Decoded::Skip { reason } => end(tx, row, InboxState::Skipped, None, Some(reason)),
        Decoded::Dead { code, reason } => end(tx, row, InboxState::Dead, Some(*code), Some(reason)),
        Decoded::Event(event) => process_event(tx, row, event, None),
        Decoded::Partial { event, code, reason } => process_event(tx, row, event, Some((*code, reason))),
    }
}

pub(crate) fn end(
    tx: &mut Tx<'_>,
    row: &Row,
    state: InboxState,
    code: Option<DeadCode>,
    reason: Option<&str>,
) -> Result<Processed, Error> {
    tx.connection
        .prepare_cached(
            "UPDATE inbox SET state = ?2, code = ?3, reason = ?4, processed_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            state.as_str(),
            code.map(DeadCode::as_str),
            reason,
            ms(row.now)
        ])?;
    tx.state.counters.add(row.source, InboxState::New.as_str(), -1);
    tx.state.counters.add(row.source, state.as_str(), 1);
    Ok(Processed {
        id: row.id.into(),
        state,
        planned: Vec::new(),
        skipped: Vec::new(),
        contacts: Vec::new(),
        turned_away: false,
    })
}
