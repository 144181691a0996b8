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
    let mut facts = Vec::new();
    for other in others(tx, workspace, address, contacts)? {
        let Some(known) = contact::read(tx.connection, other)? else {
            continue;
        };
        let mut statement = tx.connection.prepare_cached(
            "SELECT purpose, what, page, at, basis, address FROM consent
             WHERE contact_id = ?1 AND purpose = ?2 AND address <> ''",
        )?;
        let mut rows = statement.query(params![other, EMAIL])?;
        while let Some(row) = rows.next()? {
            let fact = consent_fact(row)?;
            if known.addresses_of(&fact).iter().any(|of| **of == *address) {
                facts.push(ConsentFact {
                    address: Some(address.to_owned()),
                    ..fact
                });
            }
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
