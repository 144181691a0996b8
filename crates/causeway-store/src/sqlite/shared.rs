//! A mailbox that several contacts use: what one of them says about mail to it counts for all of them.

use causeway_core::{
    consent::{ConsentFact, EMAIL},
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
    let Some((address, others)) = others(tx, workspace, event, contacts)? else {
        return Ok(Vec::new());
    };
    let mut facts = Vec::new();
    for other in others {
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

/// The event's address and the other contacts that use it; `None` while nobody shares it.
fn others(
    tx: &Tx<'_>,
    workspace: i64,
    event: &Event,
    contacts: &[i64],
) -> Result<Option<(String, Vec<i64>)>, Fault> {
    if !identity::any_shared(tx)? {
        return Ok(None);
    }
    let Some(address) = event_address(event) else {
        return Ok(None);
    };
    let mut users = identity::users(tx, workspace, &address)?;
    users.retain(|user| !contacts.contains(user));
    Ok((!users.is_empty()).then_some((address, users)))
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
    let Some((address, others)) = others(tx, workspace, event, &[contact])? else {
        return Ok(Vec::new());
    };
    let facts: Vec<&ConsentFact> = facts
        .iter()
        .filter(|fact| fact.purpose == EMAIL && fact.address.as_deref() == Some(&*address))
        .collect();
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
