//! Builds the record of a delivery from what is known at the moment it is claimed, and derives its key.
//!
//! Invariant: a delivery has the same key at every attempt, whatever is known by then.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::{
    consent::Change,
    contact::{Contact, Field, Identity},
    event::EventKind,
    id::{IdempotencyKey, Name},
    record::Record,
    rules::DestinationRule,
};
use rusqlite::Connection;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ActionRowId, ContactRowId, InboxRowId, SourceRowId},
        rows::{at, from_json},
        tx::Tx,
    },
    inbox::{facts, follow},
    outbox::{claim::Due, recent::Parts},
    people::{contact, shared},
};

/// The source of the message. For one of the hub's own rows, the source of the message that it follows from.
fn origin(tx: &Tx<'_>, inbox: InboxRowId, parts: &Parts) -> Result<SourceRowId, Error> {
    let is_own = [EventKind::Response, EventKind::Schedule].map(EventKind::as_str);
    let origin = if is_own.contains(&&*parts.event) {
        follow::origin(tx.connection, inbox)?
    } else {
        None
    };
    Ok(origin.unwrap_or(parts.source))
}

/// Puts the address of a withdrawal into its record, if it is not the one in use.
fn put_address(tx: &Tx<'_>, due: &Due, parts: &mut Parts, grace: Duration) -> Result<(), Error> {
    if due.address.is_empty() || parts.contact.address().as_deref() == Some(&*due.address) {
        return Ok(());
    }
    if let Some(contact) = due.contact {
        shared::keep_opt_out_of_former(tx, contact, &mut parts.contact, &due.address, grace)?;
    }
    let field = Field::new(due.address.as_str().into(), at(parts.event_at));
    parts.contact.fields.insert("email".to_owned(), field);
    Ok(())
}

/// The record for the delivery's address as it is known now, and the delivery's idempotency key.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    due: &Due,
    rule: &DestinationRule,
) -> Result<(Record, IdempotencyKey), Error> {
    let recent = due
        .contact
        .and_then(|contact| tx.state.recent.take(due.inbox, contact));
    let mut parts = match recent {
        Some(parts) => {
            debug_assert!(
                parts == read_parts(tx.connection, due.inbox, due.contact)?,
                "the cached record differs from the stored one"
            );
            parts
        }
        None => read_parts(tx.connection, due.inbox, due.contact)?,
    };
    let campaign = match parts.campaign {
        Some(id) => tx.state.facts.campaign(tx.connection, id)?,
        None => None,
    };
    let page = match parts.page {
        Some(id) => tx.state.facts.page(tx.connection, id)?,
        None => None,
    };
    let terms = tx.state.terms_of(parts.workspace);
    put_address(tx, due, &mut parts, terms.click_grace)?;
    let workspace = tx.state.names.name(parts.workspace)?;
    let source = origin(tx, due.inbox, &parts)?;
    let mut hubs: Vec<String> = parts.via.map_or(Ok(Vec::new()), |via| from_json(&via))?;
    hubs.push(tx.state.rules.hub.to_string());
    let mut record = Record {
        lead: tx
            .state
            .rules
            .of_workspace(&workspace)
            .scoring
            .lead(&parts.contact),
        workspace,
        source: tx.state.names.name(source)?,
        inbox_id: due.inbox.into(),
        kind: due.kind,
        event: parts.event,
        event_at: at(parts.event_at),
        change: Change::None,
        consent_state: parts
            .contact
            .consent_states(parts.contact.address().as_deref(), &terms),
        purpose: Name::clone(&rule.purpose),
        contact: parts.contact,
        identities: parts.identities,
        action: parts.action,
        settings: rule.settings.for_campaign(campaign.as_ref()),
        engagements: match due.contact {
            Some(id) if rule.history => crate::sqlite::people::person::engagements(tx.connection, id)?,
            _ => Vec::new(),
        },
        via: hubs,
        campaign,
        page,
    };
    record.change = rule.change(due.kind, record.consent_state_for(&rule.purpose));
    let called = rule.renamed_from.as_ref().unwrap_or(&rule.name);
    let other = due.contact.filter(|_| parts.is_about_another);
    let message = Message {
        workspace: &record.workspace,
        source: &record.source,
        key: &parts.key,
    };
    let key = key(&message, called, due.kind.as_str(), &due.address, other);
    Ok((record, key))
}

/// What identifies a message in all keys.
pub(crate) struct Message<'a> {
    pub workspace: &'a str,
    pub source: &'a str,
    pub key: &'a [u8],
}

/// The idempotency key of a delivery. One message may lead to several deliveries to one destination: one for
/// each address of the contact, and one for each contact that shares an address. Each has a key of its own.
///
/// `other` is the contact, if it is not the one that the message names.
pub(crate) fn key(
    message: &Message<'_>,
    destination: &str,
    kind: &str,
    address: &str,
    other: Option<ContactRowId>,
) -> IdempotencyKey {
    let Message {
        workspace,
        source,
        key,
    } = *message;
    let key = IdempotencyKey::derive(workspace, source, key, destination, kind);
    let part = match other {
        Some(contact) => format!("{address}#{contact}"),
        None => address.to_owned(),
    };
    if part.is_empty() {
        return key;
    }
    IdempotencyKey::derive(workspace, source, key.0.as_bytes(), "", &part)
}

pub(crate) fn read_parts(
    connection: &Connection,
    inbox: InboxRowId,
    contact: Option<ContactRowId>,
) -> Result<Parts, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT event.workspace_id, event.kind, event.at, event.action_id, event.campaign_id, event.page_id,
                inbox.source_id, inbox.key, event.via, event.contact_id, event.ids
         FROM event JOIN inbox ON inbox.id = event.inbox_id WHERE event.inbox_id = ?1",
    )?;
    let (mut parts, action, ids) = statement.query_row([inbox], |row| {
        let parts = Parts {
            workspace: row.get(0)?,
            event: row.get(1)?,
            event_at: row.get(2)?,
            campaign: row.get(4)?,
            page: row.get(5)?,
            source: row.get(6)?,
            key: row.get(7)?,
            via: row.get(8)?,
            is_about_another: row.get::<_, Option<ContactRowId>>(9)? != contact,
            contact: Contact::default(),
            identities: Vec::new(),
            action: None,
        };
        Ok((
            parts,
            row.get::<_, Option<ActionRowId>>(3)?,
            row.get::<_, Option<String>>(10)?,
        ))
    })?;
    if let Some(id) = contact {
        parts.contact = contact::read(connection, id)?.ok_or(Error::Broken("a contact"))?;
        parts.identities = contact::identities(connection, id)?;
    }
    if let Some(ids) = ids.filter(|_| !parts.is_about_another) {
        let ids: BTreeMap<String, String> = from_json(&ids)?;
        order_as_named(&mut parts.identities, &ids);
    }
    if let Some(id) = action {
        parts.action = facts::read_action(connection, id)?;
    }
    Ok(parts)
}

/// Moves the ids that the message named to the places from which a record is read: its platform's ids come
/// before those of other platforms, and the named id is the last of its platform.
fn order_as_named(identities: &mut Vec<Identity>, ids: &BTreeMap<String, String>) {
    for (namespace, id) in ids {
        let is_of = |identity: &Identity| {
            let is_kind = match identity {
                Identity::Email { .. } => false,
                // Only a confirmation names the reference that it is about.
                Identity::ContactRef { reference, .. } => reference == id,
                Identity::ForeignId { .. } => true,
            };
            is_kind && identity.namespace() == namespace
        };
        let (mut own, mut others): (Vec<_>, Vec<_>) = identities.drain(..).partition(is_of);
        own.sort_by_key(|identity| identity.value() == id);
        let place = others
            .iter()
            .position(|identity| matches!(identity, Identity::ForeignId { .. }));
        let behind = others.split_off(place.unwrap_or(others.len()));
        identities.extend(others.into_iter().chain(own).chain(behind));
    }
}
