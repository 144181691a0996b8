//! Plans deliveries of people who came before their destination.
//!
//! Invariant: each delivery belongs to the message that it would have come from, so the trace explains it, its key is the
//! one that it would have had, and it is planned once.

use async_trait::async_trait;
use causeway_core::{
    clock::Timestamp,
    delivery::Kind,
    event::{Action, EventKind},
    id::ContactId,
    plan::Planned,
    rules::{DestinationRule, Gate, Route, Takes},
    store::{Backfill, Backfilled, Backfills, StoreError},
};
use rusqlite::params;

use crate::sqlite::{
    SqliteStore,
    base::{
        error::Error,
        ids::{ContactRowId, DestinationRowId, InboxRowId, SourceRowId, WorkspaceRowId},
        rows::{from_json, ms, text},
        tx::Tx,
    },
    outbox::delivery,
    people::{contact, erasure},
};

/// People looked at in one transaction.
const CHUNK: u16 = 200;

#[async_trait]
impl Backfills for SqliteStore {
    async fn backfill(
        &self,
        asked: &Backfill,
        after: ContactId,
        first_due: Timestamp,
    ) -> Result<Backfilled, StoreError> {
        let asked = asked.clone();
        self.writer()?
            .write(usize::from(CHUNK), move |tx| plan(tx, &asked, after, first_due))
            .await
    }
}

fn plan(
    tx: &mut Tx<'_>,
    asked: &Backfill,
    after: ContactId,
    first_due: Timestamp,
) -> Result<Backfilled, Error> {
    let Some(rule) = tx.state.rules.destinations.get(&asked.destination).cloned() else {
        return Err(Error::Refused(format!(
            "there is no destination {}",
            asked.destination
        )));
    };
    if rule.takes == Takes::Confirmations {
        return Err(Error::Refused(format!(
            "{} takes only actions that wait for a confirmation; Proca sends them again with requeueActions",
            asked.destination
        )));
    }
    let mut step = Backfilled::default();
    let Some(workspace) = tx.state.names.find_workspace(&rule.own_workspace()) else {
        return Ok(step);
    };
    let destination = match tx.state.names.find_destination(&rule.name) {
        Some(known) => known,
        // No row has this number, and a dry run changes nothing.
        None if asked.dry_run => DestinationRowId(0),
        None => tx.state.names.destination(tx.connection, &rule.name)?,
    };
    let people: Vec<ContactRowId> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM contact WHERE id > ?1 AND workspace_id = ?2 AND doc IS NOT NULL ORDER BY id LIMIT ?3",
        )?
        .query_map(params![after.0, workspace, CHUNK], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if people.len() == usize::from(CHUNK) {
        step.next = people.last().map(|id| (*id).into());
    }
    let walk = Walk {
        asked,
        rule: &rule,
        destination,
        workspace,
        first_due,
    };
    for id in people {
        plan_one(tx, &walk, id, &mut step)?;
    }
    Ok(step)
}

struct Walk<'a> {
    asked: &'a Backfill,
    rule: &'a DestinationRule,
    destination: DestinationRowId,
    workspace: WorkspaceRowId,
    first_due: Timestamp,
}

fn plan_one(tx: &mut Tx<'_>, walk: &Walk<'_>, id: ContactRowId, step: &mut Backfilled) -> Result<(), Error> {
    step.people += 1;
    let Some(person) = contact::read(tx.connection, id)? else {
        return Ok(());
    };
    // A visitor without a name, and a person who is being erased, are sent nowhere.
    let is_visitor = !person.gave_data && !person.fields.contains_key("email");
    if is_visitor || erasure::is_being_erased(tx, id)? {
        step.not_taken += 1;
        return Ok(());
    }
    if !walk.asked.actions && has_been_given(tx, walk, id)? {
        step.known += 1;
        return Ok(());
    }
    let kind = if walk.asked.actions {
        Kind::Record
    } else {
        Kind::Contact
    };
    let terms = tx.state.terms_of(walk.workspace);
    let consent_state = person.consent_state(&walk.rule.purpose, &terms);
    let gate = walk.rule.gate(kind, consent_state, person.gave_data);
    let messages = messages(tx, walk, id)?;
    if messages.is_empty() {
        step.not_taken += 1;
        return Ok(());
    }
    if matches!(gate, Gate::Skip { .. }) {
        step.not_allowed += 1;
        return Ok(());
    }
    let mut planned = 0;
    for inbox in messages {
        planned += u64::from(send(tx, walk, id, inbox, kind, step.planned + planned)?);
    }
    step.planned += planned;
    step.known += u64::from(planned == 0);
    Ok(())
}

/// Whether the destination has the person, or a delivery of them is open.
fn has_been_given(tx: &Tx<'_>, walk: &Walk<'_>, id: ContactRowId) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM given WHERE contact_id = ?1 AND destination_id = ?2)
                 OR EXISTS (SELECT 1 FROM delivery WHERE contact_id = ?1 AND destination_id = ?2
                            AND state IN ('waiting', 'blocked'))",
        )?
        .query_row(params![id, walk.destination], |row| row.get(0))?)
}

/// The person's messages that the destination takes: all that planned an action, or else the newest one.
fn messages(tx: &mut Tx<'_>, walk: &Walk<'_>, id: ContactRowId) -> Result<Vec<InboxRowId>, Error> {
    let connection = tx.connection;
    let mut statement = connection.prepare_cached(
        "SELECT event.inbox_id, event.kind, event.campaign_id, action.doc, action.planned_by IS event.inbox_id,
                coalesce(action.source_id, inbox.source_id)
         FROM event LEFT JOIN action ON action.id = event.action_id
              LEFT JOIN inbox ON inbox.id = event.inbox_id
         WHERE event.contact_id = ?1 AND event.at >= ?2 ORDER BY event.inbox_id DESC",
    )?;
    let since = walk.asked.since.map_or(i64::MIN, ms);
    let mut rows = statement.query(params![id, since])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = text(row, 1)?;
        let campaign = match row.get(2)? {
            Some(id) => tx.state.facts.campaign(connection, id)?,
            None => None,
        };
        let campaign = campaign.map(|campaign| campaign.name);
        let action: Option<Action> = match row.get::<_, Option<String>>(3)? {
            Some(doc) => Some(from_json(&doc)?),
            None => None,
        };
        let Some(source) = row.get::<_, Option<SourceRowId>>(5)? else {
            continue;
        };
        let source = tx.state.names.name(source)?;
        let route = Route {
            source: &source,
            campaign: campaign.as_deref(),
            action_type: action.as_ref().map(|action| action.action_type.as_str()),
            event: kind,
        };
        let is_wanted = walk
            .asked
            .campaign
            .as_ref()
            .is_none_or(|wanted| campaign.as_ref() == Some(wanted))
            && walk.rule.filter.miss(route).is_none()
            && walk.rule.filter.takes_action(action.as_ref());
        let planned_action = kind == EventKind::Action.as_str() && row.get::<_, bool>(4)?;
        if !is_wanted || (walk.asked.actions && !planned_action) {
            continue;
        }
        found.push(row.get(0)?);
        if !walk.asked.actions {
            break;
        }
    }
    // Actions go out in the order in which they came.
    found.reverse();
    Ok(found)
}

/// Plans the delivery unless there is one. Returns whether it did, or would.
fn send(
    tx: &mut Tx<'_>,
    walk: &Walk<'_>,
    id: ContactRowId,
    inbox: InboxRowId,
    kind: Kind,
    number: u64,
) -> Result<bool, Error> {
    let is_there: bool = tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM delivery WHERE inbox_id = ?1 AND destination_id = ?2 AND contact_id = ?3
                            AND kind IN ('record', 'contact'))",
        )?
        .query_row(params![inbox, walk.destination, id], |row| row.get(0))?;
    if is_there {
        return Ok(false);
    }
    if walk.asked.dry_run {
        return Ok(true);
    }
    let later = walk
        .asked
        .every
        .saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
    let due = walk.first_due.saturating_add(later).unwrap_or(walk.first_due);
    let planned = Planned {
        destination: walk.rule.name.clone(),
        kind,
        address: None,
        gate: Gate::Send,
    };
    delivery::insert(tx, inbox, Some(id), false, &planned, due)?;
    Ok(true)
}
