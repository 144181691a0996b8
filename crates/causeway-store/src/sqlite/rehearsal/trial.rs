//! Processes messages one after the other on a store of their own, for tests of a configuration and for
//! comparing two configurations.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    contact::normal_email,
    decode::follow_up::FollowUpDecoder,
    delivery::{Delivery, Next},
    envelope::Envelope,
    event::{Decode, Decoded},
    id::{ContactId, InboxId, Name},
    store::{Attempt, Claim, InboxState, StoreError},
};
use rusqlite::OptionalExtension;

use crate::sqlite::{
    SqliteStore,
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId},
        read,
        rows::{at, inbox_state},
        tx::Tx,
    },
    inbox::{accept, follow, process},
    outbox::{claim, preview, record},
};

/// A message, its decoded form, and the time at which it is processed.
#[derive(Debug, Clone)]
pub struct TrialStep {
    pub envelope: Envelope,
    pub decoded: Decoded,
    pub now: Timestamp,
}

/// The result of a message, and what each destination would be given, built from what was known right after
/// it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialResult {
    pub id: InboxId,
    pub state: InboxState,
    /// [`causeway_core::event::DeadCode::as_str`], if the message is dead.
    pub code: Option<String>,
    /// Why the message is dead or skipped.
    pub reason: Option<String>,
    pub contact: Option<ContactId>,
    /// When it was processed.
    pub at: Timestamp,
    /// The decision about consent, in words.
    pub decision: Option<String>,
    pub deliveries: Vec<TrialDelivery>,
    /// Destinations that are sent nothing, and why.
    pub skipped: Vec<(Name, String)>,
}

impl TrialResult {
    /// The result of a duplicate; the caller fills in the rest for any other message.
    fn new(id: InboxId, at: Timestamp) -> Self {
        Self {
            id,
            state: InboxState::Duplicate,
            code: None,
            reason: None,
            contact: None,
            at,
            decision: None,
            deliveries: Vec::new(),
            skipped: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct TrialDelivery {
    pub destination: Name,
    pub due_at: Timestamp,
    pub delivery: Delivery,
}

impl SqliteStore {
    /// Accepts and processes the messages one by one, in one transaction. Due deliveries count as delivered
    /// at once, so that the next message finds their destinations given.
    pub async fn run_trial(&self, messages: Vec<TrialStep>) -> Result<Vec<TrialResult>, StoreError> {
        self.writer()?
            .write(messages.len(), move |tx| {
                messages
                    .iter()
                    .map(|message| run_step(tx, message.clone()))
                    .collect()
            })
            .await
    }

    /// Fires the next timers that are due by `until`, at their time, and processes what follows. Returns
    /// their results, `None` when no timer is left; call it until then.
    pub async fn fire_next_timers(&self, until: Timestamp) -> Result<Option<Vec<TrialResult>>, StoreError> {
        self.writer()?
            .write(100, move |tx| fire_next_timers(tx, until))
            .await
    }
}

/// Delivery, destination, state, reason, and the time at which it is due.
type Row = (DeliveryRowId, String, String, Option<String>, i64);

/// Timers fired and deliveries claimed in one step.
const BATCH: u32 = 100;

/// Fires the timers that are due next, at their time.
fn fire_next_timers(tx: &mut Tx<'_>, until: Timestamp) -> Result<Option<Vec<TrialResult>>, Error> {
    let Some(due) = follow::next_timer(tx.connection)?
        .map(at)
        .filter(|due| *due <= until)
    else {
        return Ok(None);
    };
    follow::fire_due_timers(tx, BATCH, due)?;
    let results: Result<_, Error> = read::fetch_new(tx.connection, InboxId(0), BATCH)?
        .rows
        .into_iter()
        .map(|(id, envelope)| {
            let result = process_one(tx, id, FollowUpDecoder.decode(&envelope), due)?;
            deliver_due(tx, due)?;
            Ok(result)
        })
        .collect();
    results.map(Some)
}

fn run_step(tx: &mut Tx<'_>, message: TrialStep) -> Result<TrialResult, Error> {
    let accepted = accept::accept(tx, &[message.envelope])?;
    let accepted = accepted.first().ok_or(Error::Broken("an accepted row"))?;
    if accepted.duplicate {
        return Ok(TrialResult::new(accepted.id, message.now));
    }
    let result = process_one(tx, accepted.id, message.decoded, message.now)?;
    deliver_due(tx, message.now)?;
    Ok(result)
}

/// Claims the due deliveries of each destination, as the hub does, and records them as delivered.
fn deliver_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
    let destinations: Vec<Name> = tx.state.rules.destinations.keys().cloned().collect();
    for destination in destinations {
        let claim = Claim {
            first: Vec::new(),
            destination,
            limit: BATCH,
            leased_until: now,
            now,
        };
        loop {
            let claimed = claim::claim(tx, &claim)?;
            if claimed.deliveries.is_empty() {
                break;
            }
            let attempts: Vec<Attempt> = claimed
                .deliveries
                .iter()
                .map(|delivery| delivered(delivery, now))
                .collect();
            record::record(tx, &attempts)?;
        }
    }
    Ok(())
}

fn delivered(delivery: &Delivery, now: Timestamp) -> Attempt {
    Attempt {
        delivery: delivery.id,
        number: delivery.attempt,
        started_at: now,
        took_ms: 0,
        outcome: "delivered",
        reason: None,
        status: None,
        excerpt: None,
        request: None,
        memory: None,
        ticket_is_void: false,
        remote_id: None,
        change: delivery.record.change,
        address: delivery.record.email().and_then(normal_email),
        writes: BTreeMap::new(),
        next: Next::Delivered,
    }
}

/// Processes the message. Returns its result and what each destination would be given.
pub(crate) fn process_one(
    tx: &mut Tx<'_>,
    id: InboxId,
    decoded: Decoded,
    now: Timestamp,
) -> Result<TrialResult, Error> {
    let processed = process::process(tx, &[(id, decoded)], now)?;
    let mut result = read_result(tx, id, now)?;
    for part in processed.iter().filter(|row| row.id != id) {
        // What follows from the records of a message counts as following from the message.
        let part = read_result(tx, part.id, now)?;
        result.contact = result.contact.or(part.contact);
        result.decision = result.decision.or(part.decision);
        result.deliveries.extend(part.deliveries);
        result.skipped.extend(part.skipped);
    }
    Ok(result)
}

fn read_result(tx: &mut Tx<'_>, id: InboxId, now: Timestamp) -> Result<TrialResult, Error> {
    let mut result = TrialResult::new(id, now);
    let (state, code, reason): (String, Option<String>, Option<String>) = tx
        .connection
        .prepare_cached("SELECT state, code, reason FROM inbox WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    result.state = inbox_state(&state)?;
    (result.code, result.reason) = (code, reason);
    let event: Option<(Option<ContactRowId>, Option<String>)> = tx
        .connection
        .prepare_cached("SELECT contact_id, decision FROM event WHERE inbox_id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((contact, decision)) = event {
        result.contact = contact.map(ContactId::from);
        result.decision = decision;
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
            result.skipped.push((name, reason.unwrap_or_default()));
        } else {
            result.deliveries.push(TrialDelivery {
                due_at: at(due_at),
                delivery: preview::delivery(tx, delivery, &name)?,
                destination: name,
            });
        }
    }
    Ok(result)
}
