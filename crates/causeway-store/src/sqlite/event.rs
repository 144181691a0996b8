//! One event: who it is about, what the rules say, and everything that is written because of it.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use causeway_core::{
    clock::Timestamp,
    contact::Contact,
    event::{Event, EventKind},
    id::Name,
    plan::{Known, Plan, plan},
    rules::{DestinationRule, Gate},
    store::{InboxState, Processed},
};
use rusqlite::params;

use super::{
    contact,
    erase::{erase_key, erased_hash},
    facts::{self, ActionPlace, KnownAction, find_action, write_action},
    fault::Fault,
    names::NameKind,
    outbox, pages,
    process::{Row, end},
    rows::{ms, to_json},
    writer::Tx,
};

const ERASED: &str = "names a person who was erased";

pub(crate) fn process_event(tx: &mut Tx<'_>, row: &Row, event: &Event) -> Result<Processed, Fault> {
    let source = tx.state.names.name(row.source)?;
    let workspace_name = tx.state.rules.workspace(&source, event.testing);
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
    let before = Before {
        contacts: contact::find(tx, workspace, &event.identities)?,
        action: match &event.action {
            Some(action) => find_action(tx.connection, workspace, place.namespace, &action.external_id)?,
            None => None,
        },
    };
    let plan = decide(tx, row, (&source, &workspace_name, workspace), event, &before)?;
    let contact = write_contact(tx, workspace, event, &before.contacts, &plan, row.now)?;
    if let Some(contact) = contact {
        contact::write_consent(tx.connection, contact, row.id.0, &plan.consent)?;
        contact::write_engagements(tx.connection, contact, &event.engagements)?;
    }
    let action = match &event.action {
        Some(action) => {
            let place = ActionPlace {
                workspace,
                namespace: place.namespace,
                source: row.source,
                inbox: row.id.0,
                contact,
                campaign: place.campaign,
                page: place.page,
                tells: event.kind == EventKind::Action && event.deliver,
            };
            Some(write_action(
                tx.connection,
                before.action.as_ref(),
                action,
                &place,
            )?)
        }
        None => None,
    };
    let links = Links {
        contact,
        action,
        merged: before.contacts.get(1..).unwrap_or_default(),
        place: &place,
    };
    write_event(tx, row, workspace, event, &plan, &links)?;
    let mut processed = end(tx, row, InboxState::Done, None, None)?;
    for planned in &plan.deliveries {
        outbox::insert(
            tx,
            row.id.0,
            contact,
            before.contacts.is_empty(),
            planned,
            row.now,
        )?;
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

/// What is there before the event.
struct Before {
    /// Ascending.
    contacts: Vec<i64>,
    action: Option<KnownAction>,
}

/// Asks the rules. A panic in them is one row's trouble.
fn decide(
    tx: &Tx<'_>,
    row: &Row,
    (source, workspace_name, workspace): (&str, &str, i64),
    event: &Event,
    before: &Before,
) -> Result<Plan, Fault> {
    let contacts = before
        .contacts
        .iter()
        .map(|id| contact::read(tx.connection, *id)?.ok_or(Fault::Broken("a contact")))
        .collect::<Result<Vec<Contact>, Fault>>()?;
    let own_pages = tx.state.own_pages_of(workspace);
    let trouble = RefCell::new(None);
    let was_given = |rule: &DestinationRule| match was_given(tx, &before.contacts, rule) {
        Ok(given) => given,
        Err(fault) => {
            trouble.replace(Some(fault));
            false
        }
    };
    let known = Known {
        contacts: &contacts,
        // Told by this very row means that it is processed once more, and is to come to the same.
        action_is_known: before
            .action
            .as_ref()
            .and_then(|action| action.told_by)
            .is_some_and(|by| by != row.id.0),
        own_pages: &own_pages,
        was_given: &was_given,
    };
    let plan = catch_unwind(AssertUnwindSafe(|| {
        plan(source, workspace_name, event, &known, &tx.state.rules, row.now)
    }))
    .map_err(|_| Fault::Refused("the rules panicked on it".to_owned()))?;
    match trouble.take() {
        Some(fault) => Err(fault),
        None => Ok(plan),
    }
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
    /// The contacts that became part of it.
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
    let notes = (!event.notes.is_empty())
        .then(|| to_json(&event.notes))
        .transpose()?;
    let merged = (!links.merged.is_empty())
        .then(|| to_json(&links.merged))
        .transpose()?;
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
            notes,
            merged,
        ])?;
    Ok(())
}
