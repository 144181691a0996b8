//! A mailbox that several contacts use: what one of them says about mail to it counts for all of them.

use std::collections::BTreeMap;

use causeway_core::{
    consent::{ConsentFact, EMAIL},
    id::Name,
    plan::Planned,
};
use rusqlite::params;

use super::{
    contact::{self, consent_fact},
    erasure,
    fault::Fault,
    identity,
    process::Row,
    reconcile::{self, Change},
    writer::Tx,
};

/// What the other users of the address said about it.
pub(crate) fn said_by_others(
    tx: &Tx<'_>,
    workspace: i64,
    address: &str,
    contacts: &[i64],
) -> Result<Vec<ConsentFact>, Fault> {
    if !identity::any_shared(tx)? {
        return Ok(Vec::new());
    }
    said_of(tx, workspace, address, contacts)
}

/// What users of an address other than these said about it. What somebody agreed to who is being erased counts no more.
pub(crate) fn said_of(
    tx: &Tx<'_>,
    workspace: i64,
    address: &str,
    contacts: &[i64],
) -> Result<Vec<ConsentFact>, Fault> {
    let mut facts = Vec::new();
    let mut users = identity::users(tx, workspace, address)?;
    users.retain(|user| !contacts.contains(user));
    for other in users {
        let Some(known) = contact::read(tx.connection, other)? else {
            continue;
        };
        let is_leaving = erasure::is_leaving(tx, other)?;
        for fact in ledger(tx, other)? {
            let is_of_address =
                fact.address.is_some() && known.addresses_of(&fact).iter().any(|of| **of == *address);
            if is_of_address && !(is_leaving && fact.what.is_yes()) {
                facts.push(ConsentFact {
                    address: Some(address.to_owned()),
                    ..fact
                });
            }
        }
    }
    Ok(facts)
}

/// What a contact said of mail.
pub(crate) fn ledger(tx: &Tx<'_>, contact: i64) -> Result<Vec<ConsentFact>, Fault> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address FROM consent WHERE contact_id = ?1 AND purpose = ?2",
    )?;
    let mut rows = statement.query(params![contact, EMAIL])?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        facts.push(consent_fact(row)?);
    }
    Ok(facts)
}

/// The other contacts that use the address, without those that are being erased.
pub(crate) fn others(
    tx: &Tx<'_>,
    workspace: i64,
    address: &str,
    contacts: &[i64],
) -> Result<Vec<i64>, Fault> {
    let mut others = Vec::new();
    for user in identity::users(tx, workspace, address)? {
        if !contacts.contains(&user) && !erasure::is_leaving(tx, user)? {
            others.push(user);
        }
    }
    Ok(others)
}

/// Passes new facts on to the other users of the address, and plans what follows for them. Returns those for whom
/// anything changed, and pushes what is planned.
pub(crate) fn spread(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    contact: i64,
    facts: &[ConsentFact],
    planned: &mut Vec<Planned>,
) -> Result<Vec<i64>, Fault> {
    if !identity::any_shared(tx)? {
        return Ok(Vec::new());
    }
    let Some(known) = contact::read(tx.connection, contact)? else {
        return Ok(Vec::new());
    };
    let mut by_address: BTreeMap<Name, Vec<&ConsentFact>> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.purpose == EMAIL) {
        for address in known.addresses_of(fact) {
            by_address.entry(address).or_default().push(fact);
        }
    }
    let mut changed = Vec::new();
    for (address, facts) in by_address {
        for other in others(tx, workspace, &address, &[contact])? {
            if take_in(tx, row, workspace, (other, &address), &facts, planned)? {
                changed.push(other);
            }
        }
    }
    Ok(changed)
}

/// Takes in what another user of the address said; returns whether it was news.
fn take_in(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    (other, address): (i64, &str),
    facts: &[&ConsentFact],
    planned: &mut Vec<Planned>,
) -> Result<bool, Fault> {
    let Some(before) = contact::read(tx.connection, other)? else {
        return Ok(false);
    };
    let mut after = before.clone();
    let consent = after.consent.entry(EMAIL.to_owned()).or_default();
    let mut is_news = false;
    for fact in facts {
        is_news |= consent.add_shared(&fact.what, fact.at, address);
    }
    if !is_news {
        return Ok(false);
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
    Ok(true)
}
