//! Writes what automations and responses cause: timers, points, and the inbox rows made from timers and
//! responses.

use std::collections::BTreeMap;

use causeway_core::{
    automation::Timer,
    clock::Timestamp,
    contact::Contact,
    decode::follow_up::{self, ANSWERS, AUTOMATIONS},
    envelope::{Dedup, Envelope, Meta, digest},
    event::{Due, FollowUp},
    id::{ContactId, Name},
    plan::Plan,
    store::Attempt,
};
use rusqlite::{Connection, OptionalExtension, params, types::ValueRef};
use serde_json::json;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ActionRowId, CampaignRowId, ContactRowId, InboxRowId, PageRowId, SourceRowId, WorkspaceRowId},
        rows::{from_json, lossy_text, ms, to_json},
        tx::Tx,
    },
    inbox::accept,
    outbox::delivery,
    people::contact,
};

/// Stores the points, timers and hourly counts of a plan.
pub(crate) fn write(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    inbox: InboxRowId,
    plan: &Plan,
) -> Result<(), Error> {
    contact::write_engagements(tx.connection, contact, &plan.scores)?;
    for timer in &plan.timers {
        set_timer(tx.connection, workspace, contact, inbox, timer)?;
    }
    for (automation, hour) in &plan.admitted {
        tx.connection
            .prepare_cached(
                "INSERT INTO admitted (workspace_id, automation, hour, count) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET
                    count = CASE WHEN hour = excluded.hour THEN count + 1 ELSE 1 END, hour = excluded.hour",
            )?
            .execute(params![workspace, automation, hour])?;
    }
    Ok(())
}

fn set_timer(
    connection: &Connection,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    inbox: InboxRowId,
    timer: &Timer,
) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO timer (due_at, workspace_id, contact_id, inbox_id, automation, due, hops, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            ms(timer.due_at),
            workspace,
            contact,
            inbox,
            timer.automation,
            to_json(&timer.due)?,
            timer.hops,
            (!timer.chain.is_empty())
                .then(|| to_json(&timer.chain))
                .transpose()?,
        ])?;
    Ok(())
}

pub(crate) fn last_hour(
    connection: &Connection,
    workspace: WorkspaceRowId,
    automation: &str,
) -> Result<Option<(i64, u32)>, Error> {
    Ok(connection
        .prepare_cached("SELECT hour, count FROM admitted WHERE workspace_id = ?1 AND automation = ?2")?
        .query_row(params![workspace, automation], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?)
}

/// A timer as it is stored.
struct Stored {
    id: i64,
    due_at: i64,
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    inbox: InboxRowId,
    automation: String,
    due: String,
    hops: u8,
    chain: Option<String>,
}

/// Turns up to `limit` due timers into inbox rows, and returns their number. A timer that cannot be read
/// becomes a row that cannot be read either. That row is dead and visible, and the other timers fire.
pub(crate) fn fire_due_timers(tx: &mut Tx<'_>, limit: u32, now: Timestamp) -> Result<u64, Error> {
    let due: Vec<Stored> = tx
        .connection
        .prepare_cached(
            "SELECT id, due_at, workspace_id, contact_id, inbox_id, automation, due, hops, chain FROM timer
             WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2",
        )?
        .query_map(params![ms(now), limit], |row| {
            Ok(Stored {
                id: row.get(0)?,
                due_at: row.get(1)?,
                workspace: row.get(2)?,
                contact: row.get(3)?,
                inbox: row.get(4)?,
                automation: lossy_text(row, 5)?,
                due: lossy_text(row, 6)?,
                // Only the hub writes this number, and it ends a chain long before the maximum.
                hops: u8::try_from(row.get::<_, i64>(7)?).unwrap_or(u8::MAX),
                chain: match row.get_ref(8)? {
                    ValueRef::Null => None,
                    _ => Some(lossy_text(row, 8)?),
                },
            })
        })?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for timer in due {
        let envelope = match follow_up_of(tx, &timer) {
            Ok(follow_up) => message_of_timer(&timer, follow_up, now),
            Err(error) => {
                tracing::error!(
                    timer.id,
                    inbox.id = timer.inbox.0,
                    automation = timer.automation,
                    reason = error.text(),
                    "A timer of an automation cannot be read; a dead message holds the reason."
                );
                unreadable(&timer, now)
            }
        };
        accept::accept(tx, &[envelope])?;
        tx.connection
            .prepare_cached("DELETE FROM timer WHERE id = ?1")?
            .execute([timer.id])?;
        count += 1;
    }
    Ok(count)
}

fn follow_up_of(tx: &Tx<'_>, timer: &Stored) -> Result<FollowUp, Error> {
    Ok(FollowUp {
        workspace: tx.state.names.name(timer.workspace)?,
        contact: timer.contact.into(),
        about: Some(timer.inbox.into()),
        destination: None,
        automation: Some((
            Name::from(timer.automation.as_str()),
            from_json::<Due>(&timer.due)?,
        )),
        hops: timer.hops,
        chain: timer
            .chain
            .as_deref()
            .map_or(Ok(Vec::new()), from_json::<Vec<Name>>)?,
    })
}

/// The source of the first message in the chain that one of the hub's own rows follows from. `None` if that
/// message was deleted, and for a message from outside.
pub(crate) fn origin(connection: &Connection, inbox: InboxRowId) -> Result<Option<SourceRowId>, Error> {
    Ok(connection
        .prepare_cached(
            "WITH RECURSIVE up (id) AS (
                 SELECT about FROM event WHERE inbox_id = ?1 AND about IS NOT NULL
                 UNION SELECT event.about FROM up JOIN event ON event.inbox_id = up.id WHERE event.about IS NOT NULL)
             SELECT inbox.source_id FROM up JOIN inbox ON inbox.id = up.id ORDER BY up.id LIMIT 1",
        )?
        .query_row([inbox], |row| row.get(0))
        .optional()?)
}

fn message_of_timer(timer: &Stored, follow_up: FollowUp, now: Timestamp) -> Envelope {
    let once: [&[u8]; 4] = [
        &timer.inbox.0.to_be_bytes(),
        &timer.due_at.to_be_bytes(),
        timer.automation.as_bytes(),
        timer.due.as_bytes(),
    ];
    follow_up::envelope(AUTOMATIONS, follow_up, BTreeMap::new(), &once, now)
}

/// The row for a timer that cannot be read. It holds all that is left, to show a person what was lost.
fn unreadable(timer: &Stored, now: Timestamp) -> Envelope {
    let rest = json!({ "unreadable": {
        "automation": timer.automation, "due": timer.due, "about": timer.inbox.0, "contact": timer.contact.0,
    }});
    let once: [&[u8]; 3] = [
        b"unreadable",
        &timer.id.to_be_bytes(),
        &timer.due_at.to_be_bytes(),
    ];
    Envelope {
        source: AUTOMATIONS.into(),
        dedup: Dedup::dated(digest(&once)),
        received_at: now,
        meta: Meta::default(),
        body: rest.to_string().into_bytes().into(),
    }
}

/// The time of the next timer.
pub(crate) fn next_timer(connection: &Connection) -> Result<Option<i64>, Error> {
    Ok(connection
        .prepare_cached("SELECT due_at FROM timer ORDER BY due_at LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// Turns the fields that a response writes into an inbox row of its own, unless the contact has these values
/// already.
pub(crate) fn take_answer(tx: &mut Tx<'_>, row: &delivery::Row, attempt: &Attempt) -> Result<(), Error> {
    let Some(contact) = row.contact.filter(|_| !attempt.writes.is_empty()) else {
        return Ok(());
    };
    let known = match contact::read(tx.connection, contact) {
        Ok(Some(known)) => known,
        Ok(None) => return Ok(()),
        // The delivery must be recorded all the same. The row of the response will be dead, with the reason.
        Err(error) if error.is_of_one_row() => Contact::default(),
        Err(error) => return Err(error),
    };
    let mut writes = attempt.writes.clone();
    writes.retain(|name, value| known.fields.get(name).is_none_or(|field| field.value != *value));
    if writes.is_empty() {
        return Ok(());
    }
    let found: Option<(InboxRowId, WorkspaceRowId, u8)> = tx
        .connection
        .prepare_cached(
            "SELECT event.inbox_id, event.workspace_id, event.hops
             FROM delivery JOIN event ON event.inbox_id = delivery.inbox_id WHERE delivery.id = ?1",
        )?
        .query_row([row.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((inbox, workspace, hops)) = found else {
        return Ok(());
    };
    let follow_up = FollowUp {
        workspace: tx.state.names.name(workspace)?,
        contact: contact.into(),
        about: Some(inbox.into()),
        destination: Some(tx.state.names.name(row.destination)?),
        automation: None,
        hops: hops.saturating_add(1),
        // Responses end by their count (`hops`), so they need no chain of automations.
        chain: Vec::new(),
    };
    let values = to_json(&writes)?;
    let at = ms(attempt.started_at).saturating_add(i64::from(attempt.took_ms));
    let once: [&[u8]; 2] = [&row.id.0.to_be_bytes(), values.as_bytes()];
    let envelope = follow_up::envelope(
        ANSWERS,
        follow_up,
        writes,
        &once,
        crate::sqlite::base::rows::at(at),
    );
    accept::accept(tx, &[envelope])?;
    Ok(())
}

/// The contact that an own row is about, or the one that it was merged into; `None` if it was erased.
pub(crate) fn living_contact(
    connection: &Connection,
    contact: ContactId,
) -> Result<Option<ContactRowId>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT living.id FROM contact JOIN contact living ON living.id = coalesce(contact.merged_into, contact.id)
             WHERE contact.id = ?1 AND living.doc IS NOT NULL",
        )?
        .query_row([contact.0], |row| row.get(0))
        .optional()?)
}

/// Action, campaign and page of the message that an own row follows from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventRefs {
    pub action: Option<ActionRowId>,
    pub campaign: Option<CampaignRowId>,
    pub page: Option<PageRowId>,
}

pub(crate) fn refs_of(connection: &Connection, inbox: InboxRowId) -> Result<EventRefs, Error> {
    Ok(connection
        .prepare_cached("SELECT action_id, campaign_id, page_id FROM event WHERE inbox_id = ?1")?
        .query_row([inbox], |row| {
            Ok(EventRefs {
                action: row.get(0)?,
                campaign: row.get(1)?,
                page: row.get(2)?,
            })
        })
        .optional()?
        .unwrap_or_default())
}

/// The stored ids of the message that an own row follows from.
pub(crate) fn ids_of(connection: &Connection, inbox: InboxRowId) -> Result<Option<String>, Error> {
    Ok(connection
        .prepare_cached("SELECT ids FROM event WHERE inbox_id = ?1")?
        .query_row([inbox], |row| row.get(0))
        .optional()?
        .flatten())
}

/// The time up to which a scheduled automation has run.
pub(crate) fn last_run(
    connection: &Connection,
    workspace: &str,
    automation: &str,
) -> Result<Option<i64>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT last_run.at FROM last_run JOIN name ON name.id = last_run.workspace_id
             WHERE name.kind = 'workspace' AND name.name = ?1 AND last_run.automation = ?2",
        )?
        .query_row([workspace, automation], |row| row.get(0))
        .optional()?)
}

pub(crate) fn set_last_run(tx: &mut Tx<'_>, workspace: &str, automation: &str, at: i64) -> Result<(), Error> {
    let workspace = tx.state.names.workspace(tx.connection, workspace)?;
    tx.connection
        .prepare_cached(
            "INSERT INTO last_run (workspace_id, automation, at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
        )?
        .execute(params![workspace, automation, at])?;
    Ok(())
}
