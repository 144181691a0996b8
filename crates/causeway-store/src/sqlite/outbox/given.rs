//! What each destination was given about each contact. It is stored as a fact of its own, so that no later
//! rule and no retention can forget it.
//!
//! Invariant: the row is stored before a request with the person's data starts, because its response may be
//! lost.

use std::sync::Arc;

use causeway_core::{clock::Timestamp, consent::Change, id::Name, plan::Given, rules::DestinationRule};
use rusqlite::{Connection, params};

use crate::sqlite::base::{
    error::Error,
    ids::{ContactRowId, DestinationRowId},
    rows::{ms, text},
    tx::Tx,
};
use crate::sqlite::outbox::memory;

/// Notes that a request with data is about to start. A withdrawal is noted only when it is delivered
/// ([`delivered`]).
pub(crate) fn starts(
    connection: &Connection,
    contact: ContactRowId,
    destination: DestinationRowId,
    address: &str,
    change: Change,
    now: Timestamp,
) -> Result<(), Error> {
    if change.gravity() > 0 {
        return Ok(());
    }
    upsert(connection, contact, destination, address, change, ms(now))
}

/// Notes that a withdrawal was delivered.
pub(crate) fn delivered(
    connection: &Connection,
    contact: ContactRowId,
    destination: DestinationRowId,
    address: &str,
    change: Change,
    at_ms: i64,
) -> Result<(), Error> {
    if change.gravity() == 0 {
        return Ok(());
    }
    upsert(connection, contact, destination, address, change, at_ms)
}

fn upsert(
    connection: &Connection,
    contact: ContactRowId,
    destination: DestinationRowId,
    address: &str,
    change: Change,
    at_ms: i64,
) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO given (contact_id, destination_id, address, since, last_sent, change)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT DO UPDATE SET last_sent = excluded.last_sent, change = excluded.change, purpose = ''",
        )?
        .execute(params![contact, destination, address, at_ms, change.as_str()])?;
    if !address.is_empty() {
        // What was given before the contact had an address is the same record at the destination; now it has
        // an address.
        connection
            .prepare_cached(
                "DELETE FROM given WHERE contact_id = ?1 AND destination_id = ?2 AND address = ''",
            )?
            .execute(params![contact, destination])?;
    }
    Ok(())
}

/// A destination that has a contact.
pub(crate) struct Holder {
    pub rule: Arc<DestinationRule>,
    /// Whether the contact's workspace still has the destination. Nothing can be sent to another one.
    pub is_configured: bool,
    pub given: Vec<Given>,
}

/// All destinations that were given the contact, in the order of their names.
pub(crate) fn holders(tx: &Tx<'_>, contact: ContactRowId, workspace: &str) -> Result<Vec<Holder>, Error> {
    let names: Vec<String> = tx
        .connection
        .prepare_cached(
            "SELECT DISTINCT name.name FROM given JOIN name ON name.id = given.destination_id
             WHERE given.contact_id = ?1 ORDER BY name.name",
        )?
        .query_map([contact], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut holders = Vec::new();
    for name in names {
        let configured = tx
            .state
            .rules
            .destinations_of(workspace)
            .find(|rule| *rule.name == *name);
        let rule = configured.cloned();
        let is_configured = rule.is_some();
        let rule = rule.unwrap_or_else(|| DestinationRule::new(&name).into());
        let given = of(tx, &[contact], &rule)?;
        holders.push(Holder {
            rule,
            is_configured,
            given,
        });
    }
    Ok(holders)
}

/// What this destination was given about the contacts, one entry for each address.
pub(crate) fn of(
    tx: &Tx<'_>,
    contacts: &[ContactRowId],
    rule: &DestinationRule,
) -> Result<Vec<Given>, Error> {
    let Some(destination) = tx.state.names.find_destination(&rule.name) else {
        return Ok(Vec::new());
    };
    let workspace = tx.state.names.find_workspace(&rule.workspace);
    let mut all: Vec<Given> = Vec::new();
    for contact in contacts {
        let mut statement = tx.connection.prepare_cached(
            "SELECT address, change, EXISTS (
                        SELECT 1 FROM delivery WHERE contact_id = ?1 AND destination_id = ?2
                        AND state IN ('waiting', 'blocked') AND kind = 'withdrawal' AND delivery.address = given.address),
                    EXISTS (
                        SELECT 1 FROM shared_address WHERE shared_address.workspace_id = ?3
                        AND shared_address.address = given.address AND shared_address.contact_id <> ?1),
                    purpose
             FROM given WHERE contact_id = ?1 AND destination_id = ?2 ORDER BY address",
        )?;
        let mut rows = statement.query(params![contact, destination, workspace])?;
        while let Some(row) = rows.next()? {
            let change =
                Change::parse(text(row, 1)?).ok_or(Error::Broken("the change of a given contact"))?;
            let given = Given {
                address: Some(text(row, 0)?)
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned),
                change,
                withdrawal_is_open: row.get(2)?,
                is_shared: row.get(3)?,
                // A destination may have another purpose for a while, and its former one again.
                purpose: Some(text(row, 4)?)
                    .filter(|text| !text.is_empty() && *text != &*rule.purpose)
                    .map(Name::from),
            };
            // Two contacts that are merged may have the same address. The lesser change counts, because the
            // destination may still believe that one: first of all, an opt-in.
            let weight = |change: Change| (change != Change::Subscribe, change.gravity());
            match all.iter_mut().find(|known| known.address == given.address) {
                Some(known) => {
                    known.withdrawal_is_open |= given.withdrawal_is_open;
                    if weight(given.change) < weight(known.change) {
                        known.change = given.change;
                    }
                }
                None => all.push(given),
            }
        }
    }
    Ok(all)
}

/// Moves what was given under a destination's old name to its new name.
pub(crate) fn follow_name(tx: &mut Tx<'_>, rule: &DestinationRule, old: &Name) -> Result<(), Error> {
    tx.state
        .names
        .rename_destination(tx.connection, old, &rule.name)?;
    let find = |name: &str| tx.state.names.find_destination(name);
    let (Some(old), Some(new)) = (find(old), find(&rule.name)) else {
        return Ok(());
    };
    // What was given under the new name is newer.
    tx.connection
        .prepare_cached("UPDATE OR IGNORE given SET destination_id = ?2 WHERE destination_id = ?1")?
        .execute([old, new])?;
    tx.connection
        .prepare_cached("DELETE FROM given WHERE destination_id = ?1")?
        .execute([old])?;
    memory::follow_name(tx.connection, old, new)
}

/// What was given about `from` becomes given about `into`.
pub(crate) fn merge(connection: &Connection, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO given (contact_id, destination_id, address, since, last_sent, change, purpose)
             SELECT ?2, destination_id, address, since, last_sent, change, purpose FROM given WHERE contact_id = ?1
             ON CONFLICT DO UPDATE SET
                since = min(since, excluded.since),
                purpose = CASE WHEN excluded.last_sent > last_sent THEN excluded.purpose ELSE purpose END,
                change = CASE WHEN excluded.last_sent > last_sent THEN excluded.change ELSE change END,
                last_sent = max(last_sent, excluded.last_sent)",
        )?
        .execute([from, into])?;
    connection
        .prepare_cached("DELETE FROM given WHERE contact_id = ?1")?
        .execute([from])?;
    memory::merge(connection, from, into)
}

/// Since when a destination has had a contact, and what it received last, for people to read.
pub(crate) fn view(
    connection: &Connection,
    contact: ContactRowId,
) -> Result<Vec<causeway_core::store::GivenRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, given.address, given.since, given.last_sent, given.change,
                EXISTS (SELECT 1 FROM shared_address JOIN contact ON contact.id = given.contact_id
                        WHERE shared_address.workspace_id = contact.workspace_id
                          AND shared_address.address = given.address
                          AND shared_address.contact_id <> given.contact_id)
         FROM given JOIN name ON name.id = given.destination_id WHERE given.contact_id = ?1
         ORDER BY name.name, given.address",
    )?;
    let mut rows = statement.query([contact])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let destination: String = row.get(0)?;
        let last_sent = crate::sqlite::base::rows::at(row.get(3)?);
        all.push(causeway_core::store::GivenRow {
            received: Some(last_sent),
            unconfirmed: None,
            shared: row.get(5)?,
            destination: Name::from(destination),
            address: row.get(1)?,
            since: crate::sqlite::base::rows::at(row.get(2)?),
            last_sent,
            change: Change::parse(text(row, 4)?).ok_or(Error::Broken("the change of a given contact"))?,
        });
    }
    Ok(all)
}
