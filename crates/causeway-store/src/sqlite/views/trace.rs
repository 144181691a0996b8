//! Everything that became of one message.

use causeway_core::{
    consent::ConsentFact,
    id::{ActionId, ContactId, InboxId, Name},
    rules::Rules,
    store::{AttemptRow, DeliveryTrace, TimerRow, Trace},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ActionRowId, ContactRowId, DeliveryRowId, InboxRowId},
        read::envelope,
        rows::{DELIVERY_COLUMNS, at, delivery_row, from_json},
    },
    inbox::explained,
    outbox::build,
    people::contact::consent_fact,
    views::queries::{INBOX_COLUMNS, inbox_row},
};

struct Event {
    workspace: Name,
    kind: String,
    at_ms: i64,
    contact: Option<ContactRowId>,
    action: Option<ActionRowId>,
    decision: Option<String>,
    notes: Option<String>,
    merged: Option<String>,
    automations: Option<String>,
    about: Option<InboxRowId>,
    via: Option<String>,
}

pub(crate) fn trace(connection: &Connection, rules: &Rules, id: InboxId) -> Result<Option<Trace>, Error> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {INBOX_COLUMNS} FROM inbox i WHERE i.id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let inbox = inbox_row(row)?;
    let (duplicate_of, key, has_body): (Option<InboxRowId>, [u8; 16], bool) = connection
        .prepare_cached(
            "SELECT CASE WHEN state = 'duplicate' THEN duplicate_of END, key, EXISTS (SELECT 1 FROM inbox_body WHERE id = inbox.id)
             FROM inbox WHERE id = ?1",
        )?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let event = event(connection, id.into())?;
    let workspace = event.as_ref().map_or_else(
        || rules.workspace(&inbox.source, false),
        |event| event.workspace.clone(),
    );
    let mut trace = Trace {
        envelope: if has_body {
            envelope(connection, id.into())?
        } else {
            None
        },
        duplicate_of: duplicate_of.map(InboxId::from),
        deliveries: deliveries(connection, rules, id, &workspace, &key, event.as_ref())?,
        workspace,
        inbox,
        event: None,
        event_at: None,
        decision: None,
        notes: Vec::new(),
        contact_id: None,
        merged: Vec::new(),
        action: None,
        consent: Vec::new(),
        automations: None,
        timers: timers(connection, id)?,
        about: None,
        follow_ups: follow_ups(connection, id)?,
        via: Vec::new(),
    };
    if let Some(event) = event {
        trace.event = Some(event.kind);
        trace.event_at = Some(at(event.at_ms));
        trace.decision = event.decision;
        trace.contact_id = event.contact.map(ContactId::from);
        trace.about = event.about.map(InboxId::from);
        if let Some(automations) = event.automations {
            trace.automations = Some(explained::read(connection, &automations)?);
        }
        if let Some(via) = event.via {
            trace.via = from_json(&via)?;
        }
        if let Some(notes) = event.notes {
            trace.notes = from_json(&notes)?;
        }
        if let Some(merged) = event.merged {
            trace.merged = from_json(&merged)?;
        }
        if let Some(action) = event.action {
            trace.action = connection
                .prepare_cached("SELECT doc FROM action WHERE id = ?1")?
                .query_row([action], |row| row.get::<_, String>(0))
                .optional()?
                .map(|doc| from_json(&doc).map(|doc| (ActionId(action.0), doc)))
                .transpose()?;
        }
        if let Some(contact) = event.contact {
            trace.consent = consent(connection, contact, id.into())?;
        }
    }
    Ok(Some(trace))
}

fn event(connection: &Connection, id: InboxRowId) -> Result<Option<Event>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT name.name, event.kind, at, contact_id, action_id, decision, notes, merged,
                    automations, about, via
             FROM event JOIN name ON name.id = event.workspace_id WHERE inbox_id = ?1",
        )?
        .query_row([id], |row| {
            Ok(Event {
                workspace: row.get::<_, String>(0)?.into(),
                kind: row.get(1)?,
                at_ms: row.get(2)?,
                contact: row.get(3)?,
                action: row.get(4)?,
                decision: row.get(5)?,
                notes: row.get(6)?,
                merged: row.get(7)?,
                automations: row.get(8)?,
                about: row.get(9)?,
                via: row.get(10)?,
            })
        })
        .optional()?)
}

fn follow_ups(connection: &Connection, id: InboxId) -> Result<Vec<InboxId>, Error> {
    let follow_ups = connection
        .prepare_cached("SELECT inbox_id FROM event WHERE about = ?1 ORDER BY inbox_id")?
        .query_map([id.0], |row| row.get(0).map(InboxId))?
        .collect::<Result<_, _>>()?;
    Ok(follow_ups)
}

fn timers(connection: &Connection, id: InboxId) -> Result<Vec<TimerRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT automation, due, due_at FROM timer WHERE inbox_id = ?1 ORDER BY due_at, id",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(TimerRow {
            automation: crate::sqlite::base::rows::name(row, 0)?,
            due: from_json(crate::sqlite::base::rows::text(row, 1)?)?,
            due_at: at(row.get(2)?),
        });
    }
    Ok(all)
}

fn consent(
    connection: &Connection,
    contact: ContactRowId,
    inbox: InboxRowId,
) -> Result<Vec<ConsentFact>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address FROM consent WHERE contact_id = ?1 AND inbox_id = ?2 ORDER BY at",
    )?;
    let mut rows = statement.query(params![contact, inbox])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(consent_fact(row)?);
    }
    Ok(all)
}

fn deliveries(
    connection: &Connection,
    rules: &Rules,
    id: InboxId,
    workspace: &str,
    message: &[u8],
    event: Option<&Event>,
) -> Result<Vec<DeliveryTrace>, Error> {
    let named = event.and_then(|event| event.contact).map(ContactId::from);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {DELIVERY_COLUMNS} FROM delivery d JOIN inbox i ON i.id = d.inbox_id
         WHERE d.inbox_id = ?1 ORDER BY d.id"
    ))?;
    let mut rows = statement.query(params![id.0])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let delivery = delivery_row(row)?;
        let rule = rules.destinations.get(&delivery.destination);
        let called = rule.and_then(|rule| rule.renamed_from.as_ref());
        let message = build::Message {
            workspace,
            source: &delivery.source,
            key: message,
        };
        all.push(DeliveryTrace {
            key: build::key(
                &message,
                called.unwrap_or(&delivery.destination),
                &delivery.kind,
                delivery.address.as_deref().unwrap_or_default(),
                delivery
                    .contact_id
                    .filter(|_| delivery.contact_id != named)
                    .map(ContactRowId::from),
            ),
            attempts: attempts(connection, delivery.id.into())?,
            delivery,
        });
    }
    Ok(all)
}

fn attempts(connection: &Connection, delivery: DeliveryRowId) -> Result<Vec<AttemptRow>, Error> {
    let attempts = connection
        .prepare_cached(
            "SELECT number, started_at, took_ms, outcome, reason, status, excerpt, request
             FROM attempt WHERE delivery_id = ?1 ORDER BY seq",
        )?
        .query_map([delivery], |row| {
            Ok(AttemptRow {
                number: row.get(0)?,
                started_at: at(row.get(1)?),
                took_ms: row.get(2)?,
                outcome: row.get(3)?,
                reason: row.get(4)?,
                status: row.get(5)?,
                excerpt: row.get(6)?,
                request: row.get(7)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(attempts)
}
