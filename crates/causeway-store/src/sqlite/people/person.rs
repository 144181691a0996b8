//! Everything about a person, for the console and for an export.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    hash::Hash,
};

use causeway_core::{
    clock::Timestamp,
    consent::{ConsentState, EMAIL},
    contact::{Contact, Identity},
    event::{Campaign, Engagement, EngagementKind, Page},
    id::{ContactId, InboxId},
    store::{ContactView, DeliveryFilter, LedgerRow, MessageRow},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{CampaignRowId, ContactRowId, PageRowId, WorkspaceRowId},
        read::envelope,
        rows::{at, from_json, ms, name},
        state,
    },
    inbox::facts::{read_campaign, read_page},
    outbox::received,
    people::contact::{self, consent_fact},
    views::queries::deliveries,
};

pub(crate) fn contact(connection: &Connection, asked: ContactId) -> Result<Option<ContactView>, Error> {
    // A merged contact leads to the one that it was merged into.
    let found: Option<(ContactRowId, WorkspaceRowId, String)> = connection
        .prepare_cached(
            "SELECT coalesce(contact.merged_into, contact.id), contact.workspace_id, name.name
             FROM contact JOIN name ON name.id = contact.workspace_id WHERE contact.id = ?1",
        )?
        .query_row([asked.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((id, workspace_id, workspace)) = found else {
        return Ok(None);
    };
    let Some(contact) = contact::read(connection, id)? else {
        return Ok(None);
    };
    let mut all_terms = state::terms(connection)?;
    let terms = all_terms
        .remove(&workspace_id)
        .or_else(|| all_terms.remove(&state::ANY_WORKSPACE))
        .unwrap_or_default();
    let inbox: Vec<InboxId> = connection
        .prepare_cached("SELECT inbox_id FROM event WHERE contact_id = ?1 ORDER BY inbox_id")?
        .query_map([id], |row| row.get(0).map(InboxId))?
        .collect::<Result<_, _>>()?;
    let filter = DeliveryFilter {
        contact: Some(id.into()),
        ..DeliveryFilter::default()
    };
    let consent_state = contact.consent_states(contact.address().as_deref(), &terms);
    let since = consent_state
        .get(EMAIL)
        .and_then(|consent_state| consent_state.since());
    Ok(Some(ContactView {
        others: match since {
            Some(since) => facts_from_others(connection, id, since)?,
            None => Vec::new(),
        },
        click_grace: terms.click_grace,
        id: id.into(),
        workspace: workspace.into(),
        identities: contact::identities(connection, id)?,
        consent_state,
        given: received::view(connection, id)?,
        contact,
        ledger: ledger(connection, id)?,
        actions: actions(connection, id)?,
        engagements: engagements(connection, id)?,
        deliveries: deliveries(connection, &filter, u32::MAX)?,
        envelopes: bodies(connection, &inbox)?,
        inbox,
        messages: messages(connection, id)?,
        erasing_since: connection
            .prepare_cached("SELECT asked_at FROM erasure WHERE contact_id = ?1")?
            .query_row([id], |row| row.get(0).map(at))
            .optional()?,
    }))
}

/// The consent states of each contact that one of the identities names, for the address among them. Uses only
/// indexes, and reads no more than the contacts.
pub(crate) fn consent_of(
    connection: &Connection,
    workspace: &str,
    identities: &[Identity],
) -> Result<Vec<BTreeMap<String, ConsentState>>, Error> {
    let workspace: Option<WorkspaceRowId> = connection
        .prepare_cached("SELECT id FROM name WHERE kind = 'workspace' AND name = ?1")?
        .query_row([workspace], |row| row.get(0))
        .optional()?;
    let Some(workspace) = workspace else {
        return Ok(Vec::new());
    };
    let mut named: BTreeSet<ContactRowId> = BTreeSet::new();
    // A mailbox of several people is in the second table.
    let mut statement = connection.prepare_cached(
        "SELECT contact_id FROM identity
         WHERE workspace_id = ?1 AND kind = ?2 AND value = ?4
               AND namespace_id = (SELECT id FROM name WHERE kind = 'namespace' AND name = ?3)
         UNION
         SELECT contact_id FROM shared_address WHERE ?2 = 'email' AND workspace_id = ?1 AND address = ?4",
    )?;
    for identity in identities {
        let found = statement.query_map(
            params![workspace, identity.kind(), identity.namespace(), identity.value()],
            |row| row.get(0),
        )?;
        for id in found {
            named.insert(id?);
        }
    }
    let mut all_terms = state::terms(connection)?;
    let terms = all_terms
        .remove(&workspace)
        .or_else(|| all_terms.remove(&state::ANY_WORKSPACE))
        .unwrap_or_default();
    let address = identities.iter().find_map(|identity| match identity {
        Identity::Email { address } => Some(address.as_str()),
        _ => None,
    });
    let mut all = Vec::new();
    for id in named {
        let is_leaving: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasure WHERE contact_id = ?1)")?
            .query_row([id], |row| row.get(0))?;
        let Some(contact) = contact::read(connection, id)?.filter(|_| !is_leaving) else {
            continue;
        };
        let in_use = contact.address();
        all.push(contact.consent_states(address.or(in_use.as_deref()), &terms));
    }
    Ok(all)
}

/// Contacts of a workspace, ascending.
pub(crate) fn page(
    connection: &Connection,
    workspace: &str,
    after: ContactId,
    limit: u32,
) -> Result<Vec<(ContactId, Contact)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, doc FROM contact
         WHERE workspace_id = (SELECT id FROM name WHERE kind = 'workspace' AND name = ?1)
               AND id > ?2 AND doc IS NOT NULL ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![workspace, after.0, limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let id = ContactId(row.get(0)?);
        // A scheduled automation leaves out a contact that cannot be read and runs for the others. The
        // contact keeps its place here, so that the walk goes on.
        let read = crate::sqlite::base::rows::text(row, 1).and_then(contact::from_doc);
        let mut contact: Contact = read.unwrap_or_else(|_| {
            tracing::error!(
                contact.id = id.0,
                "a contact cannot be read; automations leave it out"
            );
            Contact::default()
        });
        contact.id = Some(id);
        all.push((id, contact));
    }
    Ok(all)
}

fn ledger(connection: &Connection, id: ContactRowId) -> Result<Vec<LedgerRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address, inbox_id FROM consent WHERE contact_id = ?1 ORDER BY at, inbox_id",
    )?;
    let mut rows = statement.query([id])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(LedgerRow {
            fact: consent_fact(row)?,
            inbox_id: InboxId(row.get(6)?),
        });
    }
    Ok(all)
}

/// See [`ContactView::others`].
fn facts_from_others(
    connection: &Connection,
    id: ContactRowId,
    since: Timestamp,
) -> Result<Vec<LedgerRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT purpose, what, page, at, basis, consent.address, inbox_id FROM shared_address AS own
         JOIN shared_address AS theirs USING (workspace_id, address)
         JOIN consent ON consent.contact_id = theirs.contact_id
         WHERE own.contact_id = ?1 AND theirs.contact_id <> ?1 AND consent.purpose = ?2 AND consent.at = ?3
         ORDER BY inbox_id",
    )?;
    let mut rows = statement.query(params![id, EMAIL, ms(since)])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(LedgerRow {
            fact: consent_fact(row)?,
            inbox_id: InboxId(row.get(6)?),
        });
    }
    Ok(all)
}

/// See [`ContactView::messages`].
fn messages(connection: &Connection, id: ContactRowId) -> Result<Vec<MessageRow>, Error> {
    // Many messages are about few campaigns and pages, so each is read once.
    let mut campaigns: HashMap<CampaignRowId, Option<Campaign>> = HashMap::new();
    let mut pages: HashMap<PageRowId, Option<Page>> = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT inbox.id, (SELECT name FROM name WHERE id = inbox.source_id), inbox.received_at, event.kind,
                event.campaign_id, event.page_id,
                (SELECT doc ->> '$.action_type' FROM action WHERE id = event.action_id)
         FROM inbox LEFT JOIN event ON event.inbox_id = inbox.id
         WHERE inbox.id IN (SELECT inbox_id FROM event WHERE contact_id = ?1
                            UNION SELECT inbox_id FROM consent WHERE contact_id = ?1)
         ORDER BY inbox.id",
    )?;
    let mut rows = statement.query([id])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let campaign: Option<CampaignRowId> = row.get(4)?;
        let page: Option<PageRowId> = row.get(5)?;
        let campaign = known(&mut campaigns, campaign, |id| read_campaign(connection, id))?;
        let page = known(&mut pages, page, |id| read_page(connection, id))?;
        all.push(MessageRow {
            id: InboxId(row.get(0)?),
            source: name(row, 1)?,
            received_at: at(row.get(2)?),
            event: row.get(3)?,
            campaign: campaign.map(|campaign| campaign.name.clone()),
            action_type: row.get(6)?,
            organisation: page.and_then(|page| page.org.clone()),
        });
    }
    Ok(all)
}

/// Reads each row once.
fn known<I: Eq + Hash + Copy, T>(
    all: &mut HashMap<I, Option<T>>,
    id: Option<I>,
    read: impl FnOnce(I) -> Result<Option<T>, Error>,
) -> Result<Option<&T>, Error> {
    let Some(id) = id else { return Ok(None) };
    let found = match all.entry(id) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(place) => place.insert(read(id)?),
    };
    Ok(found.as_ref())
}

fn actions(connection: &Connection, id: ContactRowId) -> Result<Vec<causeway_core::event::Action>, Error> {
    let docs: Vec<String> = connection
        .prepare_cached("SELECT doc FROM action WHERE contact_id = ?1 ORDER BY id")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    docs.iter().map(|doc| from_json(doc)).collect()
}

/// Oldest first.
pub(crate) fn engagements(connection: &Connection, id: ContactRowId) -> Result<Vec<Engagement>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, key, at, name, raw_at, count, score FROM engagement WHERE contact_id = ?1
         ORDER BY at, kind, key",
    )?;
    let mut rows = statement.query([id])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: EngagementKind = serde_json::from_value(Value::String(row.get(0)?))
            .map_err(|_| Error::Broken("the kind of an engagement"))?;
        let ms: i64 = row.get(2)?;
        all.push(Engagement {
            kind,
            key: row.get(1)?,
            name: row.get(3)?,
            at: (ms != contact::NO_TIME).then(|| at(ms)),
            raw_at: row.get(4)?,
            count: row.get(5)?,
            score: row.get(6)?,
        });
    }
    Ok(all)
}

/// The bodies of messages: JSON as JSON, everything else as text.
fn bodies(connection: &Connection, inbox: &[InboxId]) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for id in inbox {
        if let Some(envelope) =
            envelope(connection, (*id).into())?.filter(|envelope| !envelope.body.is_empty())
        {
            let body = serde_json::from_slice(&envelope.body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&envelope.body).into_owned()));
            all.push(
                json!({ "inbox_id": id, "received_at": envelope.received_at.to_string(), "body": body }),
            );
        }
    }
    Ok(all)
}
