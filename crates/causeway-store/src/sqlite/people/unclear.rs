//! Opt-outs that several people may have given: the message names only a mailbox that they share, or only an id
//! that came with the address of each.
//!
//! Invariant: such an opt-out is stored for each possible person, so that it still holds for a person who
//! moves to another address.

use causeway_core::{
    clock::Timestamp,
    consent::{ConsentFact, What, of_id},
    contact::{Contact, Identity},
    event::Event,
    id::Name,
    plan::{Planned, event_address},
};

use rusqlite::{Rows, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, WorkspaceRowId},
        tx::Tx,
    },
    inbox::process::Row,
    people::{
        contact,
        identity::{self, Resolved},
        shared::{self, Changed},
    },
};

/// Applies the event's opt-outs to all other people who may have given them, and earlier ones to the event's
/// contact. Adds the deliveries that follow to `planned`. Returns the contacts that changed.
pub(crate) fn apply(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    people: &Resolved,
    event: &Event,
    planned: &mut Vec<Planned>,
) -> Result<Vec<ContactRowId>, Error> {
    let mut changed = Vec::new();
    for fact in &event.consent {
        let mut fact = fact.clone();
        let givers = match event_address(event) {
            None if fact.what.is_opt_out() && fact.address.is_none() => {
                givers_by_id(tx, workspace, &event.identities)?
            }
            Some(address) if fact.what == What::Unsubscribed && !is_of_one(people) => {
                let givers = givers_by_address(tx, workspace, contact, &address, &fact)?;
                fact.address = Some(address);
                givers
            }
            _ => continue,
        };
        let said = Said { fact, inbox: row.id };
        for giver in givers {
            if opt_out(tx, row, workspace, giver, &said, planned)? {
                changed.push(giver);
            }
        }
    }
    for said in earlier(tx, workspace, contact, event, &people.passed_over)? {
        if had_address(tx, contact, &said)? && opt_out(tx, row, workspace, contact, &said, planned)? {
            changed.push(contact);
        }
    }
    Ok(changed)
}

/// A fact and the message that said it.
struct Said {
    fact: ConsentFact,
    inbox: InboxRowId,
}

/// Earlier ambiguous opt-outs that may also be this contact's: those that named only a mailbox that it used,
/// and those that named only an id that came with its address.
fn earlier(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    event: &Event,
    passed_over: &[Identity],
) -> Result<Vec<Said>, Error> {
    let Some(address) = event_address(event) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    if tx.state.any_shared.get() {
        let mut statement = tx.connection.prepare_cached(
            "SELECT purpose, what, page, at, basis, consent.address, inbox_id
             FROM shared_address JOIN consent ON consent.contact_id = shared_address.contact_id
             WHERE shared_address.workspace_id = ?1 AND shared_address.address = ?2
               AND consent.address = ?2 AND consent.unclear = 1 AND consent.contact_id <> ?3",
        )?;
        said(
            &mut statement.query(params![workspace, address, contact])?,
            &mut all,
        )?;
    }
    for id in passed_over {
        if let Some(owner) = contact::find_one(tx, workspace, id)? {
            let mut statement = tx.connection.prepare_cached(
                "SELECT purpose, what, page, at, basis, ?3, inbox_id FROM consent
                 WHERE contact_id = ?1 AND address = ?2
                   AND what IN ('unsubscribed', 'complained', 'bounced', 'blocked', 'inactive')",
            )?;
            said(
                &mut statement.query(params![owner, of_id(id), address])?,
                &mut all,
            )?;
        }
    }
    Ok(all)
}

fn said(rows: &mut Rows<'_>, all: &mut Vec<Said>) -> Result<(), Error> {
    while let Some(row) = rows.next()? {
        all.push(Said {
            fact: contact::consent_fact(row)?,
            inbox: row.get(6)?,
        });
    }
    Ok(())
}

/// After a split, an opt-out that several people may have given counts for each of the two contacts that have its
/// address.
pub(crate) fn divide(
    tx: &mut Tx<'_>,
    one: (ContactRowId, &mut Contact),
    other: (ContactRowId, &mut Contact),
) -> Result<(), Error> {
    let mut of_both = Vec::new();
    for contact in [one.0, other.0] {
        let mut statement = tx.connection.prepare_cached(
            "SELECT purpose, what, page, at, basis, address, inbox_id FROM consent
             WHERE contact_id = ?1 AND unclear = 1",
        )?;
        said(&mut statement.query([contact])?, &mut of_both)?;
    }
    for (id, contact) in [one, other] {
        for Said { fact, inbox } in &of_both {
            let Some(address) = fact.address.as_deref().map(Name::from) else {
                continue;
            };
            if contact.addresses.contains_key(&address) {
                contact.add_consent(fact);
                contact::write_consent(tx.connection, id, *inbox, std::slice::from_ref(fact), true)?;
            }
        }
    }
    Ok(())
}

/// Whether the contact had the address of the fact at its time.
fn had_address(tx: &Tx<'_>, contact: ContactRowId, said: &Said) -> Result<bool, Error> {
    let (Some(known), Some(address)) = (
        contact::read(tx.connection, contact)?,
        said.fact.address.as_deref().map(Name::from),
    ) else {
        return Ok(false);
    };
    // `MAX`: the contact never had the address, so no fact matches.
    let since = known.addresses.get(&address).copied().unwrap_or(Timestamp::MAX);
    Ok(since <= said.fact.at)
}

/// Whether the message is about one user of a mailbox alone: an id led to the contact, or is new like the contact.
/// An id that nobody had does not distinguish the users whom the address led to.
pub(crate) fn is_of_one(people: &Resolved) -> bool {
    people.by_id || (people.contacts.is_empty() && names_a_person(&people.own))
}

/// Whether one of the identities identifies one person: it is neither an address nor a visitor.
pub(crate) fn names_a_person(own: &[Identity]) -> bool {
    let is_address = |identity: &Identity| matches!(identity, Identity::Email { .. });
    own.iter()
        .any(|identity| !is_address(identity) && !identity.is_visitor())
}

/// Other contacts that used the mailbox at the time of the opt-out.
fn givers_by_address(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    address: &str,
    fact: &ConsentFact,
) -> Result<Vec<ContactRowId>, Error> {
    if !tx.state.any_shared.get() {
        return Ok(Vec::new());
    }
    let mut givers = Vec::new();
    for user in shared::others(tx, workspace, address, &[contact])? {
        if let Some(known) = contact::read(tx.connection, user)?
            && used(&known, address, fact)
        {
            givers.push(user);
        }
    }
    Ok(givers)
}

/// Whether the contact used the address at the time of the fact.
pub(crate) fn used(contact: &Contact, address: &str, fact: &ConsentFact) -> bool {
    let Some(in_use) = contact.address().map(Name::from) else {
        return false;
    };
    *in_use == *address || contact.addresses.get(&in_use) >= Some(&fact.at)
}

/// The contacts whose address came with one of the ids.
fn givers_by_id(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    ids: &[Identity],
) -> Result<Vec<ContactRowId>, Error> {
    let mut givers = Vec::new();
    for id in ids {
        givers.extend(identity::conflict_contacts(tx, workspace, id)?);
    }
    givers.sort_unstable();
    givers.dedup();
    Ok(givers)
}

/// Stores the opt-out for `giver` and plans the deliveries. Returns whether anything changed.
fn opt_out(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    giver: ContactRowId,
    said: &Said,
    planned: &mut Vec<Planned>,
) -> Result<bool, Error> {
    let Some(before) = contact::read(tx.connection, giver)? else {
        return Ok(false);
    };
    let mut after = before.clone();
    let fact = ConsentFact {
        address: said.fact.address.clone().or_else(|| before.address()),
        ..said.fact.clone()
    };
    if !after.add_consent(&fact) {
        return Ok(false);
    }
    let facts = [fact];
    contact::write_consent(tx.connection, giver, said.inbox, &facts, true)?;
    let changed = Changed {
        contact: giver,
        before: &before,
        after: &after,
    };
    shared::write(tx, row, workspace, &changed, planned)?;
    shared::share_facts(tx, row, workspace, giver, &facts, planned)?;
    shared::reconsider(tx, row, workspace, giver, planned)?;
    Ok(true)
}
