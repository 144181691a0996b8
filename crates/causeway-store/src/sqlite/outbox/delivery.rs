//! Rows of the outbox: each is made once and then moved from state to state.
//!
//! Deliveries of one contact to one destination go out one after the other. Only the head is `waiting`, and
//! thereby in the index that `claim` reads; the open deliveries behind it are `blocked`. When the head ends, or
//! has failed too often, the next one is unblocked. A withdrawal is never `blocked`, because it must not wait for
//! another delivery's schedule. Two deliveries of one contact are never in flight together; `claim` checks that
//! ([`crate::sqlite::base::state::Leases::is_busy`]).

use causeway_core::{
    clock::Timestamp,
    delivery::Kind,
    id::Name,
    plan::Planned,
    rules::{DestinationRule, Gate},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, InboxRowId, WorkspaceRowId},
        rows::{DeliveryState, ms, text},
        tx::Tx,
    },
    people::contact,
};

/// The columns of a delivery that a change of its state needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub id: DeliveryRowId,
    pub destination: DestinationRowId,
    pub contact: Option<ContactRowId>,
    pub kind: Kind,
    pub state: DeliveryState,
    pub attempts: u32,
}

pub(crate) fn row(tx: &Tx<'_>, id: DeliveryRowId) -> Result<Option<Row>, Error> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT destination_id, contact_id, kind, state, attempts FROM delivery WHERE id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Row {
        id,
        destination: row.get(0)?,
        contact: row.get(1)?,
        // An unknown kind is treated like a record: the delivery is about to end as broken.
        kind: Kind::parse(text(row, 2)?).unwrap_or(Kind::Record),
        state: DeliveryState::parse(text(row, 3)?)?,
        attempts: row.get(4)?,
    }))
}

pub(crate) fn rule(tx: &Tx<'_>, destination: DestinationRowId) -> Option<std::sync::Arc<DestinationRule>> {
    let name: Name = tx.state.names.name(destination).ok()?;
    tx.state.rules.destinations.get(&name).cloned()
}

/// Failed attempts after which the contact's next delivery may pass. At a destination that is not configured
/// nothing passes until it is configured again.
fn escape_after(tx: &Tx<'_>, destination: DestinationRowId) -> u32 {
    rule(tx, destination).map_or(u32::MAX, |rule| rule.escape_after)
}

/// Inserts the delivery that `plan` asks for. If an earlier processing of the same inbox row inserted it
/// already, that row stays as it is.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    inbox: InboxRowId,
    contact: Option<ContactRowId>,
    contact_is_new: bool,
    planned: &Planned,
    now: Timestamp,
) -> Result<(), Error> {
    let destination = tx.state.names.destination(tx.connection, &planned.destination)?;
    let (state, reason) = match &planned.gate {
        Gate::Skip { reason } => (DeliveryState::Skipped, Some(reason)),
        Gate::Send if contact_is_new => (DeliveryState::Waiting, None),
        Gate::Send => (place(tx, destination, contact, planned.kind)?, None),
    };
    let is_skipped = state == DeliveryState::Skipped;
    let now = ms(now);
    let inserted = tx
        .connection
        .prepare_cached(
            "INSERT INTO delivery (inbox_id, destination_id, contact_id, kind, state, due_at, planned_at, finished_at,
                                   gated, reason, address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            inbox,
            destination,
            contact,
            planned.kind.as_str(),
            state.as_str(),
            now,
            is_skipped.then_some(now),
            is_skipped,
            reason,
            planned.address.as_deref().unwrap_or_default(),
        ])?;
    if inserted > 0 {
        tx.state.counters.add(destination, "planned", 1);
        tx.state.counters.moved(destination, None, (state, 0));
    }
    Ok(())
}

/// The first state of a new delivery: waiting at the front, or blocked behind the contact's open deliveries.
fn place(
    tx: &Tx<'_>,
    destination: DestinationRowId,
    contact: Option<ContactRowId>,
    kind: Kind,
) -> Result<DeliveryState, Error> {
    let Some(contact) = contact.filter(|_| kind != Kind::Withdrawal) else {
        return Ok(DeliveryState::Waiting);
    };
    let is_taken = has_head(tx, destination, contact, escape_after(tx, destination))?
        || first_blocked(tx, destination, contact)?.is_some();
    Ok(if is_taken {
        DeliveryState::Blocked
    } else {
        DeliveryState::Waiting
    })
}

/// Whether the contact has a delivery at the front that others must not pass yet.
fn has_head(
    tx: &Tx<'_>,
    destination: DestinationRowId,
    contact: ContactRowId,
    escape_after: u32,
) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery WHERE contact_id = ?1 AND destination_id = ?2
                            AND state = 'waiting' AND attempts < ?3)",
        )?
        .query_row(params![contact, destination, escape_after], |row| row.get(0))?)
}

fn first_blocked(
    tx: &Tx<'_>,
    destination: DestinationRowId,
    contact: ContactRowId,
) -> Result<Option<DeliveryRowId>, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT id FROM delivery WHERE contact_id = ?1 AND destination_id = ?2 AND state = 'blocked'
             ORDER BY id LIMIT 1",
        )?
        .query_row(params![contact, destination], |row| row.get(0))
        .optional()?)
}

/// Unblocks the contact's next delivery, if nothing is before it any more. It becomes due as of when it was
/// planned, so that the time it waited behind another counts.
pub(crate) fn release_next(
    tx: &mut Tx<'_>,
    destination: DestinationRowId,
    contact: Option<ContactRowId>,
) -> Result<(), Error> {
    let Some(contact) = contact else {
        return Ok(());
    };
    let Some(next) = first_blocked(tx, destination, contact)? else {
        return Ok(());
    };
    if !has_head(tx, destination, contact, escape_after(tx, destination))? {
        unblock(tx, next, destination)?;
    }
    Ok(())
}

pub(crate) fn unblock(
    tx: &mut Tx<'_>,
    id: DeliveryRowId,
    destination: DestinationRowId,
) -> Result<(), Error> {
    tx.connection
        .prepare_cached(
            "UPDATE delivery SET state = 'waiting', due_at = planned_at, attempts = 0 WHERE id = ?1",
        )?
        .execute([id])?;
    let counters = &mut tx.state.counters;
    counters.moved(
        destination,
        Some((DeliveryState::Blocked, 0)),
        (DeliveryState::Waiting, 0),
    );
    Ok(())
}

/// How a delivery ends.
pub(crate) struct End<'a> {
    pub state: DeliveryState,
    pub reason: Option<&'a str>,
    pub remote_id: Option<&'a str>,
    pub gated: bool,
    pub attempts: u32,
    pub at_ms: i64,
}

impl<'a> End<'a> {
    pub(crate) fn skipped(row: &Row, reason: &'a str, at_ms: i64) -> Self {
        Self {
            state: DeliveryState::Skipped,
            reason: Some(reason),
            remote_id: None,
            gated: false,
            attempts: row.attempts,
            at_ms,
        }
    }
}

/// Ends a delivery and unblocks the next one of its contact.
pub(crate) fn end(tx: &mut Tx<'_>, row: &Row, end: &End<'_>) -> Result<(), Error> {
    set_end(tx, row, end)?;
    release_next(tx, row.destination, row.contact)
}

/// Ends a delivery. The caller unblocks the next one.
pub(crate) fn set_end(tx: &mut Tx<'_>, row: &Row, end: &End<'_>) -> Result<(), Error> {
    tx.connection
        .prepare_cached(
            "UPDATE delivery SET state = ?2, reason = ?3, remote_id = ?4, gated = ?5, attempts = ?6, finished_at = ?7,
                                 ticket = NULL
             WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            end.state.as_str(),
            end.reason,
            end.remote_id,
            end.gated,
            end.attempts,
            end.at_ms
        ])?;
    tx.state.counters.moved(
        row.destination,
        Some((row.state, row.attempts)),
        (end.state, end.attempts),
    );
    Ok(())
}

/// Why a withdrawal is not sent after a merge.
const REPEATED: &str = "the same withdrawal is sent for the contact that this one was merged with";

/// A message about two contacts who shared an address may have led to the same withdrawal for each. After their
/// merge one is enough. The other one ends, and is no longer about a person, so that an erasure need not find it.
pub(crate) fn end_repeated(tx: &mut Tx<'_>, merged: ContactRowId, now: Timestamp) -> Result<(), Error> {
    let left: Vec<DeliveryRowId> = tx
        .connection
        .prepare_cached("SELECT id FROM delivery WHERE contact_id = ?1")?
        .query_map([merged], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in left {
        if let Some(row) = row(tx, id)?.filter(|row| row.state.is_open()) {
            set_end(tx, &row, &End::skipped(&row, REPEATED, ms(now)))?;
        }
        for sql in [
            "UPDATE attempt SET excerpt = NULL, request = NULL WHERE delivery_id = ?1",
            "UPDATE delivery SET contact_id = NULL, remote_id = NULL, address = '', gated = 0 WHERE id = ?1",
        ] {
            tx.connection.prepare_cached(sql)?.execute([id])?;
        }
    }
    Ok(())
}

/// Opens an ended delivery again, behind the contact's open deliveries, with a fresh schedule. It is due
/// as of when it was planned, unless `due_at` says otherwise.
pub(crate) fn reopen(tx: &mut Tx<'_>, row: &Row, due_at: Option<Timestamp>) -> Result<(), Error> {
    let state = place(tx, row.destination, row.contact, row.kind)?;
    tx.connection
        .prepare_cached(
            "UPDATE delivery SET state = ?2, due_at = coalesce(?3, planned_at), attempts = 0, finished_at = NULL, gated = 0, reason = NULL,
                                 ticket = NULL
             WHERE id = ?1",
        )?
        .execute(params![row.id, state.as_str(), due_at.map(ms)])?;
    tx.state
        .counters
        .moved(row.destination, Some((row.state, row.attempts)), (state, 0));
    Ok(())
}

/// Sends the actions that were held back for lack of consent, now that the contact has given it.
pub(crate) fn reopen_held_back(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
) -> Result<(), Error> {
    let inbox: Vec<InboxRowId> = tx
        .connection
        .prepare_cached(
            "SELECT DISTINCT inbox_id FROM delivery INDEXED BY delivery_held_back
             WHERE contact_id = ?1 AND state = 'skipped' AND gated = 1 AND kind = 'record' ORDER BY inbox_id",
        )?
        .query_map([contact], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for inbox in inbox {
        reconsider(tx, workspace, inbox)?;
    }
    Ok(())
}

/// Reopens the deliveries of one inbox row that were skipped for lack of consent.
pub(crate) fn reconsider(tx: &mut Tx<'_>, workspace: WorkspaceRowId, inbox: InboxRowId) -> Result<(), Error> {
    let gated: Vec<(DeliveryRowId, String)> = tx
        .connection
        .prepare_cached(
            "SELECT id, kind FROM delivery WHERE inbox_id = ?1 AND state = 'skipped' AND gated = 1",
        )?
        .query_map([inbox], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let terms = tx.state.terms_of(workspace);
    for (id, kind) in gated {
        let Some(row) = row(tx, id)? else { continue };
        let (Some(kind), Some(rule), Some(contact)) =
            (Kind::parse(&kind), rule(tx, row.destination), row.contact)
        else {
            continue;
        };
        let Some(contact) = contact::read(tx.connection, contact)? else {
            continue;
        };
        let consent_state = contact.consent_state(&rule.purpose, &terms);
        if rule.gate(kind, consent_state, contact.gave_data) == Gate::Send {
            reopen(tx, &row, None)?;
        }
    }
    Ok(())
}
