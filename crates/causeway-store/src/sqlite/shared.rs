//! A mailbox that several contacts use: what one of them says about mail to it counts for all of them.

use causeway_core::{
    consent::{ConsentFact, EMAIL},
    contact::Contact,
    event::Event,
    plan::{Planned, event_address},
};
use rusqlite::params;

use super::{
    contact::{self, consent_fact},
    fault::Fault,
    identity,
    process::Row,
    reconcile::{self, Change},
    writer::Tx,
};

/// What the other users of the event's address said about it.
pub(crate) fn said_by_others(
    tx: &Tx<'_>,
    workspace: i64,
    event: &Event,
    contacts: &[i64],
) -> Result<Vec<ConsentFact>, Fault> {
    if !identity::any_shared(tx)? {
        return Ok(Vec::new());
    }
    let Some(address) = event_address(event) else {
        return Ok(Vec::new());
    };
    let mut facts = Vec::new();
    for other in others(tx, workspace, &address, contacts)? {
        let known = contact::read(tx.connection, other)?;
        if known.as_ref().and_then(only_address) == Some(&*address) {
            facts.extend(unnamed_suppressions(tx, other, &address)?);
        }
        let mut statement = tx.connection.prepare_cached(
            "SELECT purpose, what, page, at, basis, address FROM consent
             WHERE contact_id = ?1 AND purpose = ?2 AND address = ?3",
        )?;
        let mut rows = statement.query(params![other, EMAIL, address])?;
        while let Some(row) = rows.next()? {
            facts.push(consent_fact(row)?);
        }
    }
    Ok(facts)
}

/// The other contacts that use the address.
fn others(tx: &Tx<'_>, workspace: i64, address: &str, contacts: &[i64]) -> Result<Vec<i64>, Fault> {
    let mut users = identity::users(tx, workspace, address)?;
    users.retain(|user| !contacts.contains(user));
    Ok(users)
}

/// The address of a contact that has one: what became of "the person's address" became of this one.
fn only_address(contact: &Contact) -> Option<&str> {
    let mut addresses = contact.addresses.keys();
    let first = addresses.next()?;
    addresses.next().is_none().then_some(first)
}

/// What became of the contact's address by messages that did not name it.
fn unnamed_suppressions(tx: &Tx<'_>, contact: i64, address: &str) -> Result<Vec<ConsentFact>, Fault> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address FROM consent
         WHERE contact_id = ?1 AND purpose = ?2 AND address = ''",
    )?;
    let mut rows = statement.query(params![contact, EMAIL])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let fact = consent_fact(row)?;
        if fact.what.is_suppression() {
            facts.push(ConsentFact {
                address: Some(address.to_owned()),
                ..fact
            });
        }
    }
    Ok(facts)
}

/// Passes new facts on to the other users of the address, and plans what follows for them. Returns those for whom
/// anything changed, and pushes what is planned.
pub(crate) fn spread(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    event: &Event,
    contact: i64,
    facts: &[ConsentFact],
    planned: &mut Vec<Planned>,
) -> Result<Vec<i64>, Fault> {
    if !identity::any_shared(tx)? {
        return Ok(Vec::new());
    }
    let named = event_address(event);
    let known = contact::read(tx.connection, contact)?;
    let only = known.as_ref().and_then(only_address);
    let Some(address) = named.or_else(|| only.map(str::to_owned)) else {
        return Ok(Vec::new());
    };
    let is_of_address = |fact: &&ConsentFact| {
        fact.address.as_deref() == Some(&*address)
            || (fact.address.is_none() && fact.what.is_suppression() && only == Some(&*address))
    };
    let facts: Vec<&ConsentFact> = facts
        .iter()
        .filter(|fact| fact.purpose == EMAIL)
        .filter(is_of_address)
        .collect();
    let others = others(tx, workspace, &address, &[contact])?;
    let mut changed = Vec::new();
    for other in others {
        let Some(before) = contact::read(tx.connection, other)? else {
            continue;
        };
        let mut after = before.clone();
        let consent = after.consent.entry(EMAIL.to_owned()).or_default();
        let mut is_news = false;
        for fact in &facts {
            is_news |= consent.add_shared(&fact.what, fact.at, &address);
        }
        if !is_news {
            continue;
        }
        tx.state.recent.forget_contact(other);
        contact::update(tx.connection, other, &after, row.now)?;
        let terms = tx.state.terms_of(workspace);
        let change = Change {
            contact: other,
            before: (&before, &terms),
            after: (&after, &terms),
        };
        planned.extend(reconcile::after_change(
            tx, workspace, row.id.0, &change, row.now,
        )?);
        changed.push(other);
    }
    Ok(changed)
}
