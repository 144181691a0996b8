//! The progress of a message, for the sender that waits for it. Read-only: it takes no lease and blocks no
//! writer.

use causeway_core::{
    consent::{Change, EMAIL},
    decode::follow_up::{ANSWERS, FollowUpDecoder},
    delivery::Kind,
    event::{Decode, Decoded},
    id::{DeliveryId, InboxId, Name},
    record::Record,
    rules::Rules,
    store::{InboxState, Progress, ProgressOfDelivery},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Map;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, NameRowId},
        read::envelope,
        rows::{at, from_json, inbox_state},
        state,
    },
    inbox::{
        facts::{read_campaign, read_page},
        follow,
    },
    outbox::{build::read_parts, claim::SUPERSEDED},
    people::person,
};

pub(crate) fn progress(
    connection: &Connection,
    rules: &Rules,
    id: InboxId,
    destination: Option<&str>,
    history: bool,
) -> Result<Option<Progress>, Error> {
    let found: Option<(String, Option<InboxRowId>)> = connection
        .prepare_cached("SELECT state, duplicate_of FROM inbox WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((state, duplicate_of)) = found else {
        return Ok(None);
    };
    let state = inbox_state(&state)?;
    let mut progress = Progress {
        state,
        // Before the message is processed, this is only the message that it may be a duplicate of.
        duplicate_of: duplicate_of
            .filter(|_| state == InboxState::Duplicate)
            .map(InboxId::from),
        record: None,
        delivery: None,
    };
    if !matches!(state, InboxState::Done | InboxState::Dead) {
        return Ok(Some(progress));
    }
    let contact: Option<ContactRowId> = connection
        .prepare_cached("SELECT contact_id FROM event WHERE inbox_id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?
        .flatten();
    if let Some(contact) = contact {
        let mut record = record(connection, rules, id, contact, history)?;
        if let Some(destination) = destination
            && let Some((delivery, message)) = delivery(connection, id, contact, destination)?
        {
            if delivery.state == "delivered" {
                add_response(connection, message, destination, &mut record)?;
            }
            progress.delivery = Some(delivery);
        }
        progress.record = Some(record);
    }
    Ok(Some(progress))
}

/// The record that destinations would be given now, without the parts that depend on the destination.
fn record(
    connection: &Connection,
    rules: &Rules,
    id: InboxId,
    contact: ContactRowId,
    history: bool,
) -> Result<Record, Error> {
    let parts = read_parts(connection, id.into(), Some(contact))?;
    let (workspace, source) = (
        word(connection, parts.workspace)?,
        word(
            connection,
            follow::origin(connection, id.into())?.unwrap_or(parts.source),
        )?,
    );
    let mut all_terms = state::terms(connection)?;
    let terms = all_terms
        .remove(&parts.workspace)
        .or_else(|| all_terms.remove(&state::ANY_WORKSPACE))
        .unwrap_or_default();
    let lead = rules.of_workspace(&workspace).scoring.lead(&parts.contact);
    let consent_state = parts
        .contact
        .consent_states(parts.contact.address().as_deref(), &terms);
    Ok(Record {
        workspace,
        source,
        inbox_id: id,
        kind: Kind::Record,
        event: parts.event,
        event_at: at(parts.event_at),
        contact: parts.contact,
        identities: parts.identities,
        action: parts.action,
        campaign: match parts.campaign {
            Some(id) => read_campaign(connection, id)?,
            None => None,
        },
        page: match parts.page {
            Some(id) => read_page(connection, id)?,
            None => None,
        },
        consent_state,
        purpose: EMAIL.into(),
        change: Change::None,
        engagements: if history {
            person::engagements(connection, contact)?
        } else {
            Vec::new()
        },
        settings: Map::new(),
        lead,
        via: parts.via.map_or(Ok(Vec::new()), |via| from_json(&via))?,
    })
}

fn word(connection: &Connection, id: impl Into<NameRowId>) -> Result<Name, Error> {
    let word: String = connection
        .prepare_cached("SELECT name FROM name WHERE id = ?1")?
        .query_row([id.into()], |row| row.get(0))?;
    Ok(word.into())
}

/// Number of responses examined, newest first, among those that wait to be processed. The wanted one was
/// recorded a moment ago.
const RESPONSES: u32 = 500;

/// Adds the destination's response, if the row that holds it still waits to be processed.
fn add_response(
    connection: &Connection,
    message: InboxRowId,
    destination: &str,
    record: &mut Record,
) -> Result<(), Error> {
    let rows: Vec<InboxRowId> = connection
        .prepare_cached(
            "SELECT id FROM inbox
             WHERE source_id = (SELECT id FROM name WHERE kind = 'source' AND name = ?1) AND state = 'new' AND id > ?2
             ORDER BY id DESC LIMIT ?3",
        )?
        .query_map(params![ANSWERS, message, RESPONSES], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for row in rows {
        let Ok(Some(envelope)) = envelope(connection, row) else {
            continue;
        };
        let Decoded::Event(event) = FollowUpDecoder.decode(&envelope) else {
            continue;
        };
        let is_it = event.follow_up.as_ref().is_some_and(|follow_up| {
            follow_up.about == Some(message.into()) && follow_up.destination.as_deref() == Some(destination)
        });
        if is_it {
            record.contact.set_fields(&event.fields, event.at);
            return Ok(());
        }
    }
    Ok(())
}

/// The delivery, and the message that it belongs to.
fn delivery(
    connection: &Connection,
    id: InboxId,
    contact: ContactRowId,
    destination: &str,
) -> Result<Option<(ProgressOfDelivery, InboxRowId)>, Error> {
    let read = |row: &Row<'_>| {
        let delivery = ProgressOfDelivery {
            id: DeliveryId(row.get(0)?),
            state: row.get(1)?,
            due_at: row.get::<_, Option<i64>>(2)?.map(at),
            remote_id: row.get(3)?,
        };
        Ok((
            delivery,
            row.get::<_, Option<String>>(4)?,
            row.get::<_, InboxRowId>(5)?,
        ))
    };
    // A message may lead to several deliveries; a record or contact comes before a withdrawal.
    let own = connection
        .prepare_cached(
            "SELECT id, state, due_at, remote_id, reason, inbox_id FROM delivery
             WHERE inbox_id = ?1 AND contact_id = ?2
                   AND destination_id = (SELECT id FROM name WHERE kind = 'destination' AND name = ?3)
             ORDER BY kind = 'withdrawal', id LIMIT 1",
        )?
        .query_row(params![id.0, contact, destination], read)
        .optional()?;
    let Some((own, reason, message)) = own else {
        return Ok(None);
    };
    if own.state != "skipped" || reason.as_deref() != Some(SUPERSEDED) {
        return Ok(Some((own, message)));
    }
    let newer = connection
        .prepare_cached(
            "SELECT id, state, due_at, remote_id, reason, inbox_id FROM delivery
             WHERE contact_id = ?1 AND id > ?2 AND kind != 'withdrawal' AND reason IS NOT ?4
                   AND destination_id = (SELECT id FROM name WHERE kind = 'destination' AND name = ?3)
             ORDER BY id LIMIT 1",
        )?
        .query_row(params![contact, own.id.0, destination, SUPERSEDED], read)
        .optional()?;
    Ok(Some(
        newer.map_or((own, message), |(newer, _, message)| (newer, message)),
    ))
}
