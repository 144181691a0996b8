//! Opt-outs that several people may have given: the message names only a mailbox that they share, or only an id
//! that came with the address of each.
//!
//! Invariant: such an opt-out counts as each one's own, so that it still holds for a person who moves to another
//! address.

use causeway_core::{
    consent::{ConsentFact, EMAIL, What},
    contact::{Contact, Identity},
    event::Event,
    id::Name,
    plan::{Planned, event_address},
};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, WorkspaceRowId},
        tx::Tx,
    },
    inbox::process::Row,
    people::{
        contact, identity,
        shared::{self, Changed},
    },
};

/// Applies the event's opt-outs to all other people who may have given them, and adds the deliveries that follow
/// to `planned`. `own` are the identities that led to the event's contact. Returns the contacts that changed.
pub(crate) fn opt_out_each(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    own: &[Identity],
    event: &Event,
    planned: &mut Vec<Planned>,
) -> Result<Vec<ContactRowId>, Error> {
    let mut changed = Vec::new();
    for fact in event.consent.iter().filter(|fact| fact.purpose == EMAIL) {
        let (givers, fact) = match (event_address(event), &fact.address) {
            (None, None) if fact.what.is_opt_out() => {
                (givers_by_id(tx, workspace, &event.identities)?, fact.clone())
            }
            (Some(address), _) if fact.what == What::Unsubscribed && !names_a_person(own) => {
                let givers = givers_by_address(tx, workspace, contact, &address, fact)?;
                let address = Some(address);
                (
                    givers,
                    ConsentFact {
                        address,
                        ..fact.clone()
                    },
                )
            }
            _ => continue,
        };
        for giver in givers {
            if opt_out(tx, row, workspace, giver, &fact, planned)? {
                changed.push(giver);
            }
        }
    }
    Ok(changed)
}

/// Whether one of the identities is of one user of the mailbox alone. A browser is not.
fn names_a_person(own: &[Identity]) -> bool {
    let is_address = |identity: &Identity| matches!(identity, Identity::Email { .. });
    own.iter()
        .any(|identity| !is_address(identity) && !identity.is_visitor())
}

/// Those who use the mailbox besides the event's contact, or moved away no earlier than the opt-out.
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
fn used(contact: &Contact, address: &str, fact: &ConsentFact) -> bool {
    let Some(in_use) = contact.address().map(Name::from) else {
        return false;
    };
    *in_use == *address || contact.addresses.get(&in_use) >= Some(&fact.at)
}

/// Those whose address came with one of the ids.
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

/// Returns whether anything changed.
fn opt_out(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    giver: ContactRowId,
    fact: &ConsentFact,
    planned: &mut Vec<Planned>,
) -> Result<bool, Error> {
    let Some(before) = contact::read(tx.connection, giver)? else {
        return Ok(false);
    };
    let mut after = before.clone();
    let fact = ConsentFact {
        address: fact.address.clone().or_else(|| before.address()),
        ..fact.clone()
    };
    if !after.add_consent(&fact) {
        return Ok(false);
    }
    let facts = [fact];
    contact::write_consent(tx.connection, giver, row.id, &facts)?;
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
