//! The other users of a mailbox when one of its users is erased.
//!
//! Invariants: an erased person's opt-ins count for nobody, and facts that forbid mail to the mailbox still
//! count. Messages about the other users count while the erasure is pending, and the other users are sent
//! again to destinations that removed the mailbox.

use causeway_core::{
    clock::Timestamp,
    consent::{ConsentFact, EMAIL},
    contact::Identity,
    delivery::Kind,
    envelope::digest,
    event::Event,
    id::Name,
    plan::Planned,
    rules::Gate,
    store::Processed,
};
use rusqlite::params;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, InboxRowId, WorkspaceRowId},
        rows::ms,
        tx::Tx,
    },
    inbox::process::Row,
    outbox::{delivery, given, replan},
    people::{
        contact,
        erasure::{self, OwnRow},
        shared::{self, Changed},
        unclear,
    },
};

/// The event kind of rows that record a change for a mailbox.
const KIND: &str = "mailbox";
const TAKEN_BACK: &str = "another user of the same address was erased: that person's opt-ins no longer count";
const REMOVED: &str = "another user of the same address was erased, and the destination was asked to remove it: this contact is sent again";
const OPTED_OUT: &str = "a message that names the address alone opted out of it";

/// Removes the erased contact's opt-ins from the other users of its addresses.
pub(crate) fn take_back(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    erased: ContactRowId,
    now: Timestamp,
) -> Result<(), Error> {
    let addresses: Vec<String> = tx
        .connection
        .prepare_cached("SELECT address FROM shared_address WHERE workspace_id = ?1 AND contact_id = ?2")?
        .query_map(params![workspace, erased], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for address in addresses {
        for other in shared::others(tx, workspace, &address, &[erased])? {
            let Some(before) = contact::read(tx.connection, other)? else {
                continue;
            };
            let left = shared::opt_ins_at(tx, workspace, &address, other, &[erased])?;
            let mut after = before.clone();
            let consent = after.consent.get_mut(EMAIL);
            if consent.is_some_and(|consent| consent.set_agreed(&address, &left)) {
                let changed = Changed {
                    contact: other,
                    before: &before,
                    after: &after,
                };
                change(tx, workspace, &changed, TAKEN_BACK, &[], now)?;
            }
        }
    }
    Ok(())
}

/// Writes the changed contact with new facts of its own, and plans the deliveries that follow. They belong to an
/// inbox row of their own, since no message of the contact caused them.
fn change(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    changed: &Changed<'_>,
    decision: &str,
    facts: &[ConsentFact],
    now: Timestamp,
) -> Result<Vec<Planned>, Error> {
    changed.store(tx, now)?;
    let row = own_row(tx, workspace, changed.contact, decision, now)?;
    contact::write_consent(tx.connection, changed.contact, row, facts, true)?;
    let terms = tx.state.terms_of(workspace);
    replan::after_change(tx, workspace, row, &changed.by(&terms), now)
}

fn own_row(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    decision: &str,
    now: Timestamp,
) -> Result<InboxRowId, Error> {
    let newest: InboxRowId = tx
        .connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM inbox")?
        .query_row([], |row| row.get(0))?;
    let key = digest(&[
        KIND.as_bytes(),
        &contact.0.to_be_bytes(),
        &newest.0.to_be_bytes(),
        &ms(now).to_be_bytes(),
    ]);
    let own = OwnRow {
        contact,
        workspace,
        kind: KIND,
        decision,
    };
    erasure::own_row(tx, &own, key, now)
}

/// Whether the delivery asks a destination to remove a contact that is being erased.
pub(crate) fn is_removal_of_erasure(
    tx: &Tx<'_>,
    contact: ContactRowId,
    delivery: DeliveryRowId,
) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM erasure JOIN delivery ON delivery.inbox_id = erasure.inbox_id
                            WHERE erasure.contact_id = ?1 AND delivery.id = ?2)",
        )?
        .query_row(params![contact, delivery], |row| row.get(0))?)
}

/// Sends the other users of an address again. The destination may have removed everything that it held under
/// this address. Only users who had been sent there before, and may still be sent there, are sent again.
pub(crate) fn send_again(
    tx: &mut Tx<'_>,
    erased: ContactRowId,
    destination: DestinationRowId,
    address: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if address.is_empty() || !tx.state.any_shared.get() {
        return Ok(());
    }
    let Some(rule) = delivery::rule(tx, destination) else {
        return Ok(());
    };
    let workspace: WorkspaceRowId = tx
        .connection
        .prepare_cached("SELECT workspace_id FROM contact WHERE id = ?1")?
        .query_row([erased], |row| row.get(0))?;
    let terms = tx.state.terms_of(workspace);
    for other in shared::others(tx, workspace, address, &[erased])? {
        let Some(known) = contact::read(tx.connection, other)? else {
            continue;
        };
        let was_given = given::of(tx, &[other], &rule)?
            .iter()
            .any(|given| given.address.as_deref() == Some(address));
        let gate = rule.gate(
            Kind::Contact,
            known.consent_state(&rule.purpose, &terms),
            known.gave_data,
        );
        if !was_given || known.address().as_deref() != Some(address) || gate != Gate::Send {
            continue;
        }
        let row = own_row(tx, workspace, other, REMOVED, now)?;
        let planned = Planned {
            destination: Name::clone(&rule.name),
            kind: Kind::Contact,
            address: None,
            gate,
        };
        delivery::insert(tx, row, Some(other), false, &planned, now)?;
    }
    Ok(())
}

/// Does the same as [`send_again`] where a removal was not confirmed, because the destination may have done
/// it all the same.
pub(crate) fn send_again_if_unanswered(
    tx: &mut Tx<'_>,
    erased: ContactRowId,
    now: Timestamp,
) -> Result<(), Error> {
    let unanswered: Vec<(DestinationRowId, String)> = tx
        .connection
        .prepare_cached(
            "SELECT delivery.destination_id, delivery.address
             FROM erasure JOIN delivery ON delivery.inbox_id = erasure.inbox_id
             WHERE erasure.contact_id = ?1 AND delivery.contact_id = ?1
               AND delivery.state IN ('waiting', 'blocked', 'dead')",
        )?
        .query_map([erased], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (destination, address) in unanswered {
        send_again(tx, erased, destination, &address, now)?;
    }
    Ok(())
}

/// Applies a message's opt-outs to other people at once, when the message itself is postponed or turned away because
/// of an erased person: to the other users of the mailboxes that it names. An opt-out that may be their own one
/// ([`unclear`]) counts as such. `erased` are the addresses that the erased person had.
pub(crate) fn opt_out_others(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    erased: &[String],
    event: &Event,
    processed: &mut Processed,
) -> Result<(), Error> {
    let is_of_one = unclear::names_a_person(&event.identities);
    for identity in &event.identities {
        let Identity::Email { address } = identity else {
            continue;
        };
        // An erased id beside an address that another person has: either may have opted out.
        let may_be_own = !is_of_one || !erased.contains(address);
        let mut users = shared::others(tx, workspace, address, &[])?;
        if let Some(owner) = contact::find_one(tx, workspace, identity)?
            && !users.contains(&owner)
            && !erasure::is_being_erased(tx, owner)?
        {
            users.push(owner);
        }
        for user in users {
            opt_out_user(tx, row, workspace, user, address, event, may_be_own, processed)?;
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "what the caller's two loops found")]
fn opt_out_user(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    user: ContactRowId,
    address: &str,
    event: &Event,
    may_be_own: bool,
    processed: &mut Processed,
) -> Result<(), Error> {
    let Some(before) = contact::read(tx.connection, user)? else {
        return Ok(());
    };
    let mut after = before.clone();
    let mut own = Vec::new();
    let mut shared = Vec::new();
    for fact in event.consent.iter().filter(|fact| fact.what.is_opt_out()) {
        if fact.address.as_deref().is_some_and(|of| of != address) {
            continue;
        }
        let fact = ConsentFact {
            address: Some(address.to_owned()),
            ..fact.clone()
        };
        if may_be_own && unclear::used(&before, address, &fact) && after.add_consent(&fact) {
            own.push(fact.clone());
        }
        if fact.purpose == EMAIL {
            shared.push(fact);
        }
    }
    if !shared::add_shared(tx, user, &mut after, address, &shared)? && own.is_empty() {
        return Ok(());
    }
    let changed = Changed {
        contact: user,
        before: &before,
        after: &after,
    };
    let planned = change(tx, workspace, &changed, OPTED_OUT, &own, row.now)?;
    processed.contacts.push(user.into());
    for planned in planned {
        match planned.gate {
            Gate::Send => processed.planned.push(planned.destination),
            Gate::Skip { .. } => processed.skipped.push(planned.destination),
        }
    }
    Ok(())
}
