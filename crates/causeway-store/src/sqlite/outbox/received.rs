//! Whether what a destination was given also arrived, for people to read.
//!
//! Invariant: nothing here decides what is sent. `given` is noted before a request starts, since its response
//! may be lost. This module adds what the attempts show about the response.

use std::collections::HashMap;

use causeway_core::{clock::Timestamp, delivery::Kind, id::Name, store::GivenRow};
use rusqlite::Connection;

use crate::sqlite::{
    base::{
        error::Error,
        ids::ContactRowId,
        rows::{at, name, text},
    },
    outbox::{destinations, given},
};

/// An attempt that ended.
struct Ended {
    started_at: Timestamp,
    finished_at: Timestamp,
    is_withdrawal: bool,
    is_delivered: bool,
    /// Rejected or skipped by the hub before a request was made; a response would have a status.
    is_local: bool,
}

/// What each destination was given about the contact, and what is known about its arrival.
pub(crate) fn view(connection: &Connection, contact: ContactRowId) -> Result<Vec<GivenRow>, Error> {
    let mut given = given::view(connection, contact)?;
    if given.iter().all(|row| row.change.gravity() > 0) {
        return Ok(given);
    }
    let mut attempts = attempts(connection, contact)?;
    for (name, former) in destinations::former_names(connection)? {
        for former in former {
            let before = attempts.remove(&former).unwrap_or_default();
            attempts.entry(name.clone()).or_default().extend(before);
        }
    }
    let all = given.clone();
    // Withdrawals are noted only when they are delivered.
    for row in given.iter_mut().filter(|row| row.change.gravity() == 0) {
        let others: Vec<&GivenRow> = all
            .iter()
            .filter(|other| other.destination == row.destination && other.address != row.address)
            .collect();
        let attempts = attempts.get(&row.destination).map_or(&[][..], Vec::as_slice);
        judge(row, &others, attempts);
    }
    Ok(given)
}

/// Finds the attempt that belongs to the row. Attempts of one contact at one destination never overlap, so it
/// is the first that ended after the last request began. Attempts do not hold an address, so an earlier one
/// counts only while no other address was given.
fn judge(row: &mut GivenRow, others: &[&GivenRow], attempts: &[Ended]) {
    let records = || attempts.iter().filter(|attempt| !attempt.is_withdrawal);
    let last = records()
        .filter(|attempt| attempt.finished_at >= row.last_sent)
        .min_by_key(|attempt| (attempt.finished_at, !attempt.is_delivered));
    if last.is_some_and(|last| last.is_delivered) {
        return;
    }
    let is_own = |attempt: &&Ended| {
        attempt.finished_at >= row.since && others.iter().all(|other| attempt.finished_at < other.since)
    };
    let received = attempts
        .iter()
        .filter(|attempt| attempt.is_delivered && attempt.started_at < row.last_sent)
        .filter(is_own)
        .max_by_key(|attempt| attempt.finished_at)
        // A withdrawal cancels what the destination received before it.
        .filter(|attempt| !attempt.is_withdrawal);
    row.received = received.map(|attempt| attempt.started_at);
    let mut since_then = records()
        .filter(|attempt| attempt.finished_at >= row.since)
        .filter(|attempt| received.is_none_or(|received| attempt.finished_at > received.finished_at));
    let sent_nothing = last.is_some() && since_then.all(|attempt| attempt.is_local);
    row.unconfirmed = (!sent_nothing).then_some(row.last_sent);
}

fn attempts(connection: &Connection, contact: ContactRowId) -> Result<HashMap<Name, Vec<Ended>>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, delivery.kind, attempt.started_at, attempt.took_ms, attempt.outcome, attempt.status IS NULL
         FROM delivery JOIN attempt ON attempt.delivery_id = delivery.id JOIN name ON name.id = delivery.destination_id
         WHERE delivery.contact_id = ?1",
    )?;
    let mut rows = statement.query([contact])?;
    let mut all: HashMap<Name, Vec<Ended>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (started_at, took_ms): (i64, i64) = (row.get(2)?, row.get(3)?);
        let (outcome, has_no_status) = (text(row, 4)?, row.get(5)?);
        all.entry(name(row, 0)?).or_default().push(Ended {
            started_at: at(started_at),
            finished_at: at(started_at.saturating_add(took_ms)),
            is_withdrawal: text(row, 1)? == Kind::Withdrawal.as_str(),
            is_delivered: outcome == "delivered",
            is_local: has_no_status && matches!(outcome, "reject" | "skip"),
        });
    }
    Ok(all)
}
