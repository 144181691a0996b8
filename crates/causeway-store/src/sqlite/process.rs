//! From what was decoded to contact, action, consent and deliveries: one savepoint per inbox row, one
//! transaction for the batch.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use causeway_core::{
    clock::Timestamp,
    contact::Contact,
    envelope::digest,
    event::{DeadCode, Decoded, Event, EventKind},
    id::{InboxId, Name},
    plan::{Known, Plan, plan},
    rules::{DestinationRule, Gate},
    store::{InboxState, Processed},
};
use rusqlite::{OptionalExtension, params};

use super::{
    contact,
    facts::{self, ActionPlace, find_action, write_action},
    fault::Fault,
    names::NameKind,
    outbox, pages,
    rows::{inbox_state, ms, to_json},
    writer::Tx,
};

pub(crate) const ERASED: &str = "names a person who was erased";

pub(crate) fn process(
    tx: &mut Tx<'_>,
    batch: &[(InboxId, Decoded)],
    now: Timestamp,
) -> Result<Vec<Processed>, Fault> {
    let anyone_erased = tx
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased)")?
        .query_row([], |row| row.get(0))?;
    let mut processed = Vec::with_capacity(batch.len());
    for (id, decoded) in batch {
        let Some(source) = source_if_new(tx, *id)? else {
            continue;
        };
        let row = Row {
            id: *id,
            source,
            now,
            anyone_erased,
        };
        tx.connection.prepare_cached("SAVEPOINT inbox_row")?.execute([])?;
        let mark = tx.state.counters.mark();
        match process_row(tx, &row, decoded) {
            Ok(one) => processed.push(one),
            Err(fault) if fault.is_unavailable() => return Err(fault),
            Err(fault) => {
                tx.connection
                    .prepare_cached("ROLLBACK TO inbox_row")?
                    .execute([])?;
                tx.state.counters.forget_since(mark);
                tx.state.facts.flush(tx.connection)?;
                tx.state.reload(tx.connection)?;
                tracing::error!(
                    inbox.id = id.0,
                    reason = fault.text(),
                    "An inbox row could not be processed; it is dead."
                );
                processed.push(end(
                    tx,
                    &row,
                    InboxState::Dead,
                    Some(DeadCode::Internal),
                    Some(&fault.text()),
                )?);
            }
        }
        tx.connection.prepare_cached("RELEASE inbox_row")?.execute([])?;
    }
    tx.state.facts.flush(tx.connection)?;
    Ok(processed)
}

struct Row {
    id: InboxId,
    source: i64,
    now: Timestamp,
    anyone_erased: bool,
}

/// The source of a row that still waits; a row that does not was processed by somebody before.
fn source_if_new(tx: &Tx<'_>, id: InboxId) -> Result<Option<i64>, Fault> {
    let found: Option<(i64, String)> = tx
        .connection
        .prepare_cached("SELECT source_id, state FROM inbox WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((source, state)) = found else {
        return Ok(None);
    };
    Ok((inbox_state(&state)? == InboxState::New).then_some(source))
}

fn process_row(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Processed, Fault> {
    match decoded {
        Decoded::Skip { reason } => end(tx, row, InboxState::Skipped, None, Some(reason)),
        Decoded::Dead { code, reason } => end(tx, row, InboxState::Dead, Some(*code), Some(reason)),
        Decoded::Event(event) => process_event(tx, row, event),
    }
}

fn end(
    tx: &mut Tx<'_>,
    row: &Row,
    state: InboxState,
    code: Option<DeadCode>,
    reason: Option<&str>,
) -> Result<Processed, Fault> {
    tx.connection
        .prepare_cached(
            "UPDATE inbox SET state = ?2, code = ?3, reason = ?4, processed_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            row.id.0,
            state.as_str(),
            code.map(DeadCode::as_str),
            reason,
            ms(row.now)
        ])?;
    tx.state.counters.add(row.source, InboxState::New.as_str(), -1);
    tx.state.counters.add(row.source, state.as_str(), 1);
    Ok(Processed {
        id: row.id,
        state,
        planned: Vec::new(),
        skipped: Vec::new(),
    })
}

fn process_event(tx: &mut Tx<'_>, row: &Row, event: &Event) -> Result<Processed, Fault> {
    let rules = tx.state.rules.clone();
    let source = tx.state.names.name(row.source)?;
    let workspace_name = rules.workspace(&source, event.testing);
    let workspace = tx
        .state
        .names
        .id(tx.connection, NameKind::Workspace, &workspace_name)?;
    if row.anyone_erased && names_erased(tx, &workspace_name, event)? {
        tx.connection
            .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
            .execute([row.id.0])?;
        return end(tx, row, InboxState::Skipped, None, Some(ERASED));
    }
    let place = learn_things(tx, workspace, event)?;
    let known_ids = contact::find(tx, workspace, &event.identities)?;
    let known_contacts = known_ids
        .iter()
        .map(|id| contact::read(tx.connection, *id)?.ok_or(Fault::Broken("a contact")))
        .collect::<Result<Vec<Contact>, Fault>>()?;
    let known_action = match &event.action {
        Some(action) => find_action(tx.connection, workspace, place.namespace, &action.external_id)?,
        None => None,
    };
    // Told by this very row means that it is processed once more, and is to come to the same.
    let action_is_known = known_action
        .as_ref()
        .and_then(|action| action.told_by)
        .is_some_and(|by| by != row.id.0);

    let own_pages = tx.state.own_pages_of(workspace);
    let trouble = RefCell::new(None);
    let was_given = |rule: &DestinationRule| match was_given(tx, &known_ids, rule) {
        Ok(given) => given,
        Err(fault) => {
            trouble.replace(Some(fault));
            false
        }
    };
    let known = Known {
        contacts: &known_contacts,
        action_is_known,
        own_pages: &own_pages,
        was_given: &was_given,
    };
    let plan = catch_unwind(AssertUnwindSafe(|| {
        plan(&source, &workspace_name, event, &known, &rules, row.now)
    }))
    .map_err(|_| Fault::Refused("the rules panicked on it".to_owned()))?;
    if let Some(fault) = trouble.take() {
        return Err(fault);
    }

    let contact = write_contact(tx, workspace, event, &known_ids, &plan, row.now)?;
    if let Some(contact) = contact {
        contact::write_consent(tx.connection, contact, row.id.0, &plan.consent)?;
        contact::write_engagements(tx.connection, contact, &event.engagements)?;
    }
    let action = match &event.action {
        Some(action) => Some(write_action(
            tx.connection,
            known_action.as_ref(),
            action,
            &ActionPlace {
                workspace,
                namespace: place.namespace,
                source: row.source,
                inbox: row.id.0,
                contact,
                campaign: place.campaign,
                page: place.page,
                tells: event.kind == EventKind::Action && event.deliver,
            },
        )?),
        None => None,
    };
    write_event(
        tx,
        row,
        workspace,
        event,
        &plan,
        &Links {
            contact,
            action,
            merged: &known_ids,
            place: &place,
        },
    )?;
    let mut processed = end(tx, row, InboxState::Done, None, None)?;
    for planned in &plan.deliveries {
        outbox::insert(tx, row.id.0, contact, known_ids.is_empty(), planned, row.now)?;
        match planned.gate {
            Gate::Send => processed.planned.push(planned.destination.clone()),
            Gate::Skip { .. } => processed.skipped.push(planned.destination.clone()),
        }
    }
    if let Some(page) = &place.learned_own_page {
        pages::reconsider_page(tx, workspace, page)?;
    }
    Ok(processed)
}

/// Whether one of the identities is of a person who asked to be forgotten.
fn names_erased(tx: &Tx<'_>, workspace: &Name, event: &Event) -> Result<bool, Fault> {
    let key = erase_key(tx)?;
    for identity in &event.identities {
        let hash = erased_hash(
            &key,
            workspace,
            identity.kind(),
            identity.namespace(),
            identity.value(),
        );
        let found: bool = tx
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased WHERE hash = ?1)")?
            .query_row([hash], |row| row.get(0))?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn erase_key(tx: &Tx<'_>) -> Result<Vec<u8>, Fault> {
    Ok(tx
        .connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'erase_key'")?
        .query_row([], |row| row.get(0))?)
}

pub(crate) fn erased_hash(key: &[u8], workspace: &str, kind: &str, namespace: &str, value: &str) -> [u8; 16] {
    digest(&[
        key,
        workspace.as_bytes(),
        kind.as_bytes(),
        namespace.as_bytes(),
        value.as_bytes(),
    ])
}

/// Row numbers of what an event is about.
struct Place {
    namespace: i64,
    campaign: Option<i64>,
    page: Option<i64>,
    /// The key of the page that the event shows to be ours.
    learned_own_page: Option<String>,
}

fn learn_things(tx: &mut Tx<'_>, workspace: i64, event: &Event) -> Result<Place, Fault> {
    let namespace = tx
        .state
        .names
        .id(tx.connection, NameKind::Namespace, &event.namespace)?;
    let campaign = match &event.campaign {
        Some(campaign) => {
            let key = (workspace, namespace, campaign.external_id.as_str());
            let fields = facts::campaign_fields(campaign);
            let sort = facts::Sort::Campaign;
            Some(
                tx.state
                    .facts
                    .learn(tx.connection, sort, key, &fields, event.at)?
                    .id,
            )
        }
        None => None,
    };
    let (page, learned_own_page) = match &event.page {
        Some(page) => {
            let (id, learned) = pages::learn(tx, workspace, namespace, &event.namespace, page, event.at)?;
            (Some(id), learned)
        }
        None => (None, None),
    };
    Ok(Place {
        namespace,
        campaign,
        page,
        learned_own_page,
    })
}

/// Whether the destination ever had the contact, may have had it, or is about to.
fn was_given(tx: &Tx<'_>, contacts: &[i64], rule: &DestinationRule) -> Result<bool, Fault> {
    let Some(destination) = tx.state.names.find(NameKind::Destination, &rule.name) else {
        return Ok(false);
    };
    for contact in contacts {
        let given: bool = tx
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM delivery WHERE contact_id = ?1 AND destination_id = ?2
                                AND state IN ('waiting', 'blocked', 'delivered'))
                     OR EXISTS (SELECT 1 FROM delivery WHERE contact_id = ?1 AND destination_id = ?2
                                AND state IN ('dead', 'skipped') AND attempts > 0)",
            )?
            .query_row([*contact, destination], |row| row.get(0))?;
        if given {
            return Ok(true);
        }
    }
    Ok(false)
}

fn write_contact(
    tx: &mut Tx<'_>,
    workspace: i64,
    event: &Event,
    known: &[i64],
    plan: &Plan,
    now: Timestamp,
) -> Result<Option<i64>, Fault> {
    let Some(after) = &plan.contact else {
        return Ok(None);
    };
    // Ascending: the oldest number survives, whoever came first in the message.
    let id = match known {
        [] => contact::insert(tx.connection, workspace, after, now)?,
        [id, others @ ..] => {
            for other in others {
                contact::merge(tx.connection, *other, *id)?;
            }
            if !others.is_empty() {
                outbox::line_up(tx, *id, now)?;
            }
            if plan.contact_changed {
                contact::update(tx.connection, *id, after, now)?;
            }
            *id
        }
    };
    contact::write_identities(tx, workspace, id, &event.identities)?;
    Ok(Some(id))
}

struct Links<'a> {
    contact: Option<i64>,
    action: Option<i64>,
    /// Every contact that was found, ascending: all but the first were merged into it.
    merged: &'a [i64],
    place: &'a Place,
}

fn write_event(
    tx: &Tx<'_>,
    row: &Row,
    workspace: i64,
    event: &Event,
    plan: &Plan,
    links: &Links<'_>,
) -> Result<(), Fault> {
    let json_or_null = |is_empty: bool, text: Result<String, Fault>| match is_empty {
        true => Ok(None),
        false => text.map(Some),
    };
    let merged = links.merged.get(1..).unwrap_or_default();
    tx.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO event (inbox_id, workspace_id, kind, at, contact_id, action_id, campaign_id,
                                           page_id, decision, notes, merged)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            row.id.0,
            workspace,
            event.kind.as_str(),
            ms(event.at),
            links.contact,
            links.action,
            links.place.campaign,
            links.place.page,
            plan.decision,
            json_or_null(event.notes.is_empty(), to_json(&event.notes))?,
            json_or_null(merged.is_empty(), to_json(&merged))?,
        ])?;
    Ok(())
}
