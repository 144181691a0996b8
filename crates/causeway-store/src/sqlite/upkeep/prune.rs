//! Deletes what is finished and old, in small chunks, so that no command waits long. Rows are examined in the
//! order of arrival, up to the first that is too young.

use causeway_core::store::InboxState;
use rusqlite::{OptionalExtension, params, types::FromSql};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{DeliveryRowId, DestinationRowId, InboxRowId, SourceRowId},
        rows::{DeliveryState, inbox_state},
        tx::Tx,
    },
    inbox::repeats,
};

/// Rows examined in one transaction.
const CHUNK: u16 = 500;

/// The progress of a walk.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    /// Where the next chunk starts; `None` at the end.
    pub next: Option<InboxRowId>,
    pub bodies: u64,
    pub inbox: u64,
    pub deliveries: u64,
}

/// Deletes bodies of finished messages, and excerpts of responses to their attempts. Bodies of dead messages
/// stay, because these can be replayed.
pub(crate) fn bodies(tx: &Tx<'_>, after: InboxRowId, before_ms: i64) -> Result<Step, Error> {
    type Found = (InboxRowId, Option<String>, Option<i64>, Option<i64>);
    let rows: Vec<Found> = tx
        .connection
        .prepare_cached(
            // A message that is postponed until an erasure is finished still has to be processed.
            "SELECT inbox_body.id, iif(inbox.code IS 'erasing', 'new', inbox.state), inbox.received_at, inbox.processed_at
             FROM inbox_body LEFT JOIN inbox ON inbox.id = inbox_body.id
             WHERE inbox_body.id > ?1 ORDER BY inbox_body.id LIMIT ?2",
        )?
        .query_map(params![after, CHUNK], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut step = Step {
        next: (rows.len() == usize::from(CHUNK)).then(|| rows.last().map_or(after, |row| row.0)),
        ..Step::default()
    };
    for (id, state, received_at, processed_at) in rows {
        if received_at.is_some_and(|at| at >= before_ms) {
            step.next = None;
            break;
        }
        let is_finished = matches!(state.as_deref(), Some("done" | "skipped" | "duplicate") | None);
        if !is_finished || processed_at.is_some_and(|at| at >= before_ms) || has_young(tx, id, before_ms)? {
            continue;
        }
        tx.connection
            .prepare_cached(
                "UPDATE attempt SET excerpt = NULL, request = NULL
                 WHERE delivery_id IN (SELECT id FROM delivery WHERE inbox_id = ?1)",
            )?
            .execute([id])?;
        tx.connection
            .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
            .execute([id])?;
        step.bodies += 1;
    }
    Ok(step)
}

/// Whether a delivery of this inbox row is open, or ended at or after `before_ms`.
pub(crate) fn has_young(tx: &Tx<'_>, inbox: InboxRowId, before_ms: i64) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery WHERE inbox_id = ?1
                            AND (state IN ('waiting', 'blocked') OR finished_at >= ?2))",
        )?
        .query_row(params![inbox, before_ms], |row| row.get(0))?)
}

/// Deletes finished inbox rows with everything that belongs to them.
pub(crate) fn history(tx: &mut Tx<'_>, after: InboxRowId, before_ms: i64) -> Result<Step, Error> {
    type Found = (InboxRowId, SourceRowId, String, i64, Option<i64>);
    let rows: Vec<Found> = tx
        .connection
        .prepare_cached(
            "SELECT id, source_id, state, received_at, processed_at FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, CHUNK], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    // The newest rows stay, so that their numbers are never given again.
    let (last_inbox, last_delivery) = (newest(tx, "inbox")?, newest(tx, "delivery")?);
    let mut step = Step {
        next: (rows.len() == usize::from(CHUNK)).then(|| rows.last().map_or(after, |row| row.0)),
        ..Step::default()
    };
    for (id, source, state, received_at, processed_at) in rows {
        if received_at >= before_ms {
            step.next = None;
            break;
        }
        let state = inbox_state(&state)?;
        // A dead message is kept until a person replays or discards it.
        if matches!(state, InboxState::New | InboxState::Dead)
            || processed_at.is_some_and(|at| at >= before_ms)
            || has_young(tx, id, before_ms)?
        {
            continue;
        }
        let (gone, kept) = prune_deliveries(tx, id, last_delivery)?;
        step.deliveries += gone;
        if kept > 0 || Some(id) == last_inbox {
            continue;
        }
        for sql in [
            repeats::REMEMBER_SIGNED,
            "DELETE FROM inbox_body WHERE id = ?1",
            "DELETE FROM event WHERE inbox_id = ?1",
            "DELETE FROM inbox WHERE id = ?1",
        ] {
            tx.connection.prepare_cached(sql)?.execute([id])?;
        }
        tx.state.counters.add(source, pruned_inbox(state), 1);
        step.inbox += 1;
    }
    Ok(step)
}

fn newest<Id: FromSql>(tx: &Tx<'_>, table: &str) -> Result<Option<Id>, Error> {
    Ok(tx
        .connection
        .prepare_cached(&format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1"))?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// Returns how many deliveries were deleted and how many stay. The newest delivered one of a contact stays,
/// because it shows that the destination has the contact.
fn prune_deliveries(
    tx: &mut Tx<'_>,
    inbox: InboxRowId,
    last: Option<DeliveryRowId>,
) -> Result<(u64, u64), Error> {
    type Found = (DeliveryRowId, DestinationRowId, String, bool);
    let rows: Vec<Found> = tx
        .connection
        .prepare_cached(
            "SELECT d.id, d.destination_id, d.state,
                    d.state = 'dead' OR d.state = 'delivered' AND d.contact_id IS NOT NULL AND NOT EXISTS (
                        SELECT 1 FROM delivery WHERE contact_id = d.contact_id
                        AND destination_id = d.destination_id AND state = 'delivered' AND id > d.id)
             FROM delivery d WHERE d.inbox_id = ?1",
        )?
        .query_map([inbox], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    let (mut gone, mut kept) = (0, 0);
    for (id, destination, state, is_needed) in rows {
        if is_needed || Some(id) == last {
            kept += 1;
            continue;
        }
        for sql in [
            "DELETE FROM attempt WHERE delivery_id = ?1",
            "DELETE FROM delivery WHERE id = ?1",
        ] {
            tx.connection.prepare_cached(sql)?.execute([id])?;
        }
        tx.state
            .counters
            .add(destination, pruned_delivery(DeliveryState::parse(&state)?), 1);
        gone += 1;
    }
    Ok((gone, kept))
}

pub(crate) fn pruned_inbox(state: InboxState) -> &'static str {
    match state {
        InboxState::New => "pruned_new",
        InboxState::Done => "pruned_done",
        InboxState::Skipped => "pruned_skipped",
        InboxState::Dead => "pruned_dead",
        InboxState::Duplicate => "pruned_duplicate",
    }
}

pub(crate) fn pruned_delivery(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting | DeliveryState::Blocked => "pruned_waiting",
        DeliveryState::Delivered => "pruned_delivered",
        DeliveryState::Dead => "pruned_dead",
        DeliveryState::Skipped => "pruned_skipped",
    }
}
