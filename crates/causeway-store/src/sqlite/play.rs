//! Messages played one after the other on a store of their own, for tests of a configuration and for comparing two.

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    envelope::Envelope,
    event::Decoded,
    id::{ContactId, InboxId, Name},
    store::{InboxState, StoreError},
};
use rusqlite::OptionalExtension;

use super::{
    SqliteStore, accept, claim,
    fault::Fault,
    process,
    rows::{at, inbox_state},
    writer::Tx,
};

/// A message, what its decoder made of it, and when it is processed.
#[derive(Debug, Clone)]
pub struct Play {
    pub envelope: Envelope,
    pub decoded: Decoded,
    pub now: Timestamp,
}

/// What became of a message, and what each destination would be given, made from what was known right after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    pub id: InboxId,
    pub state: InboxState,
    /// [`causeway_core::event::DeadCode::as_str`], where it is dead.
    pub code: Option<String>,
    /// Why it is dead or was left alone.
    pub reason: Option<String>,
    pub contact: Option<ContactId>,
    /// About consent, in words.
    pub decision: Option<String>,
    pub told: Vec<Told>,
    /// Destinations that are not told, and why.
    pub skipped: Vec<(Name, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub destination: Name,
    pub due_at: Timestamp,
    pub delivery: Delivery,
}

impl SqliteStore {
    /// Accepts and processes each message for itself, in one transaction. Nothing is handed out: what is planned waits.
    pub async fn play(&self, messages: Vec<Play>) -> Result<Vec<Played>, StoreError> {
        self.writer()?
            .write(messages.len(), move |tx| {
                messages.iter().map(|message| play(tx, message.clone())).collect()
            })
            .await
    }
}

/// Delivery, destination, state, reason, when it is due.
type Row = (i64, String, String, Option<String>, i64);

fn play(tx: &mut Tx<'_>, message: Play) -> Result<Played, Fault> {
    let accepted = accept::accept(tx, &[message.envelope])?;
    let accepted = accepted.first().ok_or(Fault::Broken("an accepted row"))?;
    let id = accepted.id;
    let mut played = Played {
        id,
        state: InboxState::Duplicate,
        code: None,
        reason: None,
        contact: None,
        decision: None,
        told: Vec::new(),
        skipped: Vec::new(),
    };
    if accepted.duplicate {
        return Ok(played);
    }
    process::process(tx, &[(id, message.decoded)], message.now)?;
    let (state, code, reason): (String, Option<String>, Option<String>) = tx
        .connection
        .prepare_cached("SELECT state, code, reason FROM inbox WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    played.state = inbox_state(&state)?;
    (played.code, played.reason) = (code, reason);
    let event: Option<(Option<i64>, Option<String>)> = tx
        .connection
        .prepare_cached("SELECT contact_id, decision FROM event WHERE inbox_id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((contact, decision)) = event {
        played.contact = contact.map(ContactId);
        played.decision = decision;
    }
    let rows: Vec<Row> = tx
        .connection
        .prepare_cached(
            "SELECT delivery.id, name.name, delivery.state, delivery.reason, delivery.due_at
             FROM delivery JOIN name ON name.id = delivery.destination_id WHERE delivery.inbox_id = ?1 ORDER BY delivery.id",
        )?
        .query_map([id.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    for (delivery, destination, state, reason, due_at) in rows {
        let name = Name::from(destination);
        if state == "skipped" {
            played.skipped.push((name, reason.unwrap_or_default()));
        } else {
            played.told.push(Told {
                due_at: at(due_at),
                delivery: claim::peek(tx, delivery, &name)?,
                destination: name,
            });
        }
    }
    Ok(played)
}
