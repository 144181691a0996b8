//! Shows deliveries as they would be sent now, without claiming them.

use causeway_core::{
    contact::normal_email,
    delivery::{Delivery, Kind},
    id::DeliveryId,
    record::Record,
    rules::DestinationRule,
};
use serde_json::Value;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, InboxRowId},
        rows::{DeliveryState, at},
        tx::Tx,
    },
    outbox::{
        build::record,
        claim::{Due, read_due},
        given, memory,
    },
    people::{contact, erasure},
};

/// The delivery as it would be claimed now, whatever its state. Takes no lease. For a rehearsal.
pub(crate) fn delivery(tx: &mut Tx<'_>, id: DeliveryRowId, destination: &str) -> Result<Delivery, Error> {
    let due = read_due(tx, id)?;
    let rule = tx
        .state
        .rules
        .destinations
        .get(destination)
        .cloned()
        .unwrap_or_else(|| DestinationRule::new(destination).into());
    let (record, key) = record(tx, &due, &rule)?;
    Ok(Delivery {
        id: id.into(),
        key,
        attempt: 1,
        planned_at: at(due.planned_at),
        memory: memory_for(tx, &due, destination, &record)?,
        ticket: due.ticket,
        record,
    })
}

/// The delivery that an event would lead to now, whether or not it was planned. For a preview.
pub(crate) fn event(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    inbox: InboxRowId,
    contact: Option<ContactRowId>,
    kind: Kind,
) -> Result<Delivery, Error> {
    // As in `plan`, a withdrawal and its key name the address that the destination was given: the one in use, if
    // it was.
    let address = match contact.filter(|_| kind == Kind::Withdrawal) {
        Some(id) => {
            let in_use = contact::read(tx.connection, id)?.and_then(|contact| contact.address());
            let given = given::of(tx, &[id], rule)?.into_iter();
            given
                .map(|given| given.address)
                .max_by_key(|address| *address == in_use)
                .flatten()
        }
        None => None,
    };
    let due = Due {
        inbox,
        contact,
        kind,
        state: DeliveryState::Waiting,
        attempts: 0,
        planned_at: 0,
        address: address.unwrap_or_default(),
        ticket: None,
    };
    let (mut record, key) = record(tx, &due, rule)?;
    if let (Kind::Withdrawal, Some(_), Ok(change)) = (kind, erasure::row_of(tx, contact)?, rule.removal()) {
        erasure::make_removal(&mut record, change);
    }
    Ok(Delivery {
        id: DeliveryId(0),
        key,
        attempt: 1,
        planned_at: record.event_at,
        memory: memory_for(tx, &due, &rule.name, &record)?,
        ticket: None,
        record,
    })
}

fn memory_for(tx: &Tx<'_>, due: &Due, destination: &str, record: &Record) -> Result<Option<Value>, Error> {
    let (Some(contact), Some(destination)) = (due.contact, tx.state.names.find_destination(destination))
    else {
        return Ok(None);
    };
    let address = record.email().and_then(normal_email).unwrap_or_default();
    memory::of(tx.connection, contact, destination, &address)
}
