//! Asks the rules about one event, given what was known before it.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use causeway_core::{
    clock::Timestamp,
    contact::Contact,
    event::{Engagement, Event, EventKind},
    plan::{About, Case, Known, MAX_UNCHANGED_SYNCS, Plan, plan},
    rules::DestinationRule,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, WorkspaceRowId},
        rows::ms,
        tx::Tx,
    },
    inbox::{
        event::{Before, Place},
        facts, follow,
        process::Row,
    },
    outbox::given,
    people::{contact, person::engagements, seen},
};

/// Calls the rules. A panic in them affects this one row only.
pub(crate) fn decide(
    tx: &Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
    before: &Before,
    place: &Place,
) -> Result<Plan, Error> {
    let contacts = before
        .contacts
        .iter()
        .map(|id| contact::read(tx.connection, *id)?.ok_or(Error::Broken("a contact")))
        .collect::<Result<Vec<Contact>, Error>>()?;
    let source = tx.state.names.name(row.source)?;
    let workspace_name = tx.state.names.name(workspace)?;
    let terms = tx.state.terms_of(workspace);
    let trouble = RefCell::new(None);
    let given = |rule: &DestinationRule| or_keep_error(&trouble, given::of(tx, &before.contacts, rule));
    let has = |row: &Engagement| or_keep_error(&trouble, has(tx.connection, &before.contacts, row));
    let last_hour =
        |automation: &str| or_keep_error(&trouble, follow::last_hour(tx.connection, workspace, automation));
    let history = tx.state.rules.of_workspace(&workspace_name).asks_for_history;
    let is_named = || or_keep_error(&trouble, is_named(tx.connection, &before.contacts));
    let is_flooded = || or_keep_error(&trouble, is_flooded(tx.connection, &before.contacts, row.now));
    let about = || or_keep_error(&trouble, about(tx, workspace, row, event, before, place, history));
    let known = Known {
        contacts: &contacts,
        // If this row itself planned the action's deliveries, it is being processed again and must come to
        // the same result.
        action_is_known: before
            .action
            .as_ref()
            .and_then(|action| action.planned_by)
            .is_some_and(|by| by != row.id),
        terms: &terms,
        given: &given,
        shared: &before.shared,
        knows: &has,
        has_new_id: before.has_new_id,
        is_named: &is_named,
        is_flooded: &is_flooded,
        last_hour: &last_hour,
        about: &about,
    };
    let case = Case {
        source: &source,
        workspace: &workspace_name,
        event,
        known: &known,
        rules: &tx.state.rules,
        now: row.now,
        arrival: row.id.0,
    };
    let plan = catch_unwind(AssertUnwindSafe(|| plan(&case)))
        .map_err(|_| Error::Refused("the rules panicked on it".to_owned()))?;
    match trouble.take() {
        Some(error) => Err(error),
        None => Ok(plan),
    }
}

/// The rules' callbacks cannot return an error. The error is kept here and returned after the rules have
/// ended; their plan is then discarded.
fn or_keep_error<T: Default>(trouble: &RefCell<Option<Error>>, answer: Result<T, Error>) -> T {
    answer.unwrap_or_else(|error| {
        trouble.replace(Some(error));
        T::default()
    })
}

/// Whether one of the contacts has this engagement already.
fn has(connection: &Connection, contacts: &[ContactRowId], engagement: &Engagement) -> Result<bool, Error> {
    for contact in contacts {
        if contact::has_engagement(connection, *contact, engagement)?
            || seen::is_seen(connection, *contact, engagement)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether one of the contacts is known by more than the browsers that it used.
fn is_named(connection: &Connection, contacts: &[ContactRowId]) -> Result<bool, Error> {
    for contact in contacts {
        if contact::has_identity(connection, *contact)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether platforms sent one of the contacts at least [`MAX_UNCHANGED_SYNCS`] times within the last hour.
fn is_flooded(connection: &Connection, contacts: &[ContactRowId], now: Timestamp) -> Result<bool, Error> {
    let since = ms(now).saturating_sub(HOUR_MS);
    for contact in contacts {
        // Nearly always there are fewer events than that, or the event at this offset is older than an hour.
        // Then this query, which reads only an index, is enough.
        let earliest: Option<i64> = connection
            .prepare_cached(
                "SELECT inbox.received_at FROM inbox WHERE inbox.id = (
                     SELECT inbox_id FROM event WHERE contact_id = ?1 ORDER BY inbox_id DESC LIMIT 1 OFFSET ?2)",
            )?
            .query_row(params![contact, MAX_UNCHANGED_SYNCS - 1], |row| row.get(0))
            .optional()?;
        if earliest.is_none_or(|earliest| earliest < since) {
            continue;
        }
        let syncs: u32 = connection
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT event.inbox_id FROM event JOIN inbox ON inbox.id = event.inbox_id
                     WHERE event.contact_id = ?1 AND event.kind = ?2 AND inbox.received_at >= ?3
                     ORDER BY event.inbox_id DESC LIMIT ?4)",
            )?
            .query_row(
                params![
                    contact,
                    EventKind::ContactSync.as_str(),
                    since,
                    MAX_UNCHANGED_SYNCS
                ],
                |row| row.get(0),
            )?;
        if syncs >= MAX_UNCHANGED_SYNCS {
            return Ok(true);
        }
    }
    Ok(false)
}

const HOUR_MS: i64 = 3_600_000;

/// What expressions may read besides the contact.
fn about(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    row: &Row,
    event: &Event,
    before: &Before,
    place: &Place,
    history: bool,
) -> Result<About, Error> {
    let connection = tx.connection;
    let mut about = About {
        inbox_id: Some(row.id.into()),
        action: event.action.clone(),
        campaign: None,
        page: event.page.clone(),
        engagements: Vec::new(),
    };
    if let Some(campaign) = &event.campaign {
        let facts = &tx.state.facts;
        about.campaign = facts.learned_campaign(workspace, place.namespace, &campaign.external_id);
    } else if let Some(id) = place.campaign {
        about.campaign = facts::read_campaign(connection, id)?;
    }
    if let (None, Some(id)) = (&about.page, place.page) {
        about.page = facts::read_page(connection, id)?;
    }
    if let (None, Some(id)) = (&about.action, place.action) {
        about.action = facts::read_action(connection, id)?;
    }
    if history {
        for contact in &before.contacts {
            about.engagements.extend(engagements(connection, *contact)?);
        }
    }
    Ok(about)
}
