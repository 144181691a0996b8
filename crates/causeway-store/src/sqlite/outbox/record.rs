//! Records the outcomes of attempts, and returns leases.

use causeway_core::{clock::Timestamp, delivery::Next, id::DeliveryId, store::Attempt};
use rusqlite::params;

use crate::sqlite::{
    base::{
        counters::LAST_DELIVERED,
        error::Error,
        rows::{DeliveryState, at, ms},
        tx::Tx,
    },
    inbox::follow,
    outbox::{
        delivery::{self, End, Row},
        given, memory,
    },
    people::erased_user,
};

pub(crate) fn record(tx: &mut Tx<'_>, attempts: &[Attempt]) -> Result<(), Error> {
    for attempt in attempts {
        // A delivery that was pruned meanwhile has no counts to change.
        if let Some(row) = delivery::row(tx, attempt.delivery.into())? {
            record_one(tx, &row, attempt)?;
        }
        tx.state.leases.give_back(attempt.delivery.into());
    }
    Ok(())
}

fn record_one(tx: &mut Tx<'_>, row: &Row, attempt: &Attempt) -> Result<(), Error> {
    let ended_at = ms(attempt.started_at).saturating_add(i64::from(attempt.took_ms));
    // If the person was erased during the attempt, nothing personal is stored.
    let is_kept = row.contact.is_some();
    tx.connection
        .prepare_cached(
            "INSERT INTO attempt (delivery_id, seq, number, started_at, took_ms, outcome, reason, status, excerpt, request)
             VALUES (?1, 1 + coalesce((SELECT max(seq) FROM attempt WHERE delivery_id = ?1), 0),
                     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            row.id,
            attempt.number,
            ms(attempt.started_at),
            attempt.took_ms,
            attempt.outcome,
            attempt.reason,
            attempt.status,
            attempt.excerpt.as_ref().filter(|_| is_kept),
            attempt.request.as_ref().filter(|_| is_kept),
        ])?;
    if let (Some(contact), Some(value)) = (row.contact, &attempt.memory) {
        let address = attempt.address.as_deref().unwrap_or_default();
        memory::remember(tx.connection, contact, row.destination, address, value, ended_at)?;
    }
    if attempt.ticket_is_void {
        set_ticket(tx, row, None)?;
    }
    let attempts = if attempt.next.costs_attempt() {
        row.attempts.saturating_add(1)
    } else {
        row.attempts
    };
    if attempt.next == Next::Delivered {
        follow::take_answer(tx, row, attempt)?;
    }
    let ends = |state| End {
        state,
        reason: attempt.reason.as_deref(),
        remote_id: attempt.remote_id.as_deref().filter(|_| is_kept),
        gated: false,
        attempts,
        at_ms: ended_at,
    };
    match &attempt.next {
        // It is at the destination, whatever was decided here meanwhile, so this is recorded.
        Next::Delivered => {
            if let Some(contact) = row.contact {
                let address = attempt.address.as_deref().unwrap_or_default();
                let (destination, change) = (row.destination, attempt.change);
                given::delivered(tx.connection, contact, destination, address, change, ended_at)?;
                if change.gravity() > 0 && erased_user::is_removal_of_erasure(tx, contact, row.id)? {
                    erased_user::send_again(tx, contact, destination, address, at(ended_at))?;
                }
            }
            if row.state != DeliveryState::Delivered {
                tx.state.counters.add(row.destination, LAST_DELIVERED, ended_at);
                delivery::end(tx, row, &ends(DeliveryState::Delivered))?;
            }
        }
        // A person ended it during the attempt, or the attempt was recorded twice.
        _ if !row.state.is_open() => {}
        Next::Skipped => delivery::end(tx, row, &ends(DeliveryState::Skipped))?,
        Next::Dead => delivery::end(tx, row, &ends(DeliveryState::Dead))?,
        Next::Waiting { due_at } | Next::Suspected { due_at } => {
            try_again(tx, row, attempt, attempts, *due_at)?;
        }
        Next::Pending { ticket, due_at } => {
            set_ticket(tx, row, Some(ticket))?;
            try_again(tx, row, attempt, attempts, *due_at)?;
        }
        Next::Halted | Next::Postponed => {
            tx.connection
                .prepare_cached("UPDATE delivery SET reason = ?2 WHERE id = ?1")?
                .execute(params![row.id, attempt.reason])?;
        }
    }
    Ok(())
}

fn set_ticket(tx: &Tx<'_>, row: &Row, ticket: Option<&str>) -> Result<(), Error> {
    tx.connection
        .prepare_cached("UPDATE delivery SET ticket = ?2 WHERE id = ?1")?
        .execute(params![row.id, ticket])?;
    Ok(())
}

fn try_again(
    tx: &mut Tx<'_>,
    row: &Row,
    attempt: &Attempt,
    attempts: u32,
    due_at: Timestamp,
) -> Result<(), Error> {
    tx.connection
        .prepare_cached("UPDATE delivery SET attempts = ?2, due_at = ?3, reason = ?4 WHERE id = ?1")?
        .execute(params![row.id, attempts, ms(due_at), attempt.reason])?;
    tx.state.counters.moved(
        row.destination,
        Some((row.state, row.attempts)),
        (row.state, attempts),
    );
    // After enough failed attempts, the contact's next delivery may pass.
    delivery::release_next(tx, row.destination, row.contact)
}

pub(crate) fn release(tx: &mut Tx<'_>, deliveries: &[DeliveryId], due_at: Timestamp) -> Result<(), Error> {
    for delivery in deliveries {
        tx.connection
            .prepare_cached("UPDATE delivery SET due_at = ?2 WHERE id = ?1 AND state = 'waiting'")?
            .execute(params![delivery.0, ms(due_at)])?;
        tx.state.leases.give_back((*delivery).into());
    }
    Ok(())
}
