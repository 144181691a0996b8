//! One event: who it is about, what the rules say, and everything that is written because of it.

use causeway_core::{
    automation::Verdict,
    clock::Timestamp,
    contact::{Contact, Identity},
    event::{DeadCode, Event, EventKind},
    id::Name,
    plan::Plan,
    rules::Gate,
    store::{InboxState, Processed},
};
use rusqlite::params;

use super::{
    contact,
    decide::decide,
    erase::{erase_key, erased_hash, mark_log},
    explained,
    facts::{ActionPlace, KnownAction, Said, find_action, write_action},
    fault::Fault,
    follow,
    names::NameKind,
    outbox, pages,
    process::{Row, end},
    recent::Told,
    rows::{ms, to_json},
    writer::Tx,
};

const ERASED: &str = "names a person who was erased";

pub(crate) fn process_event(tx: &mut Tx<'_>, row: &Row, event: &Event) -> Result<Processed, Fault> {
    let source = tx.state.names.name(row.source)?;
    let workspace_name = match &event.follow_up {
        Some(follow_up) => follow_up.workspace.clone(),
        None => tx.state.rules.workspace(&source, event.testing),
    };
    let workspace = tx
        .state
        .names
        .id(tx.connection, NameKind::Workspace, &workspace_name)?;
    let Some(contacts) = people(tx, row, workspace, &workspace_name, event)? else {
        tx.connection
            .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
            .execute([row.id.0])?;
        mark_log(tx)?;
        return end(tx, row, InboxState::Skipped, None, Some(ERASED));
    };
    tx.state.recent.forget_event(row.id.0);
    let place = learn_things(tx, workspace, event)?;
    let before = Before {
        contacts,
        action: match &event.action {
            Some(action) => find_action(tx.connection, workspace, place.namespace, &action.external_id)?,
            None => None,
        },
    };
    let mut plan = decide(
        tx,
        row,
        (&source, &workspace_name, workspace),
        event,
        &before,
        &place,
    )?;
    if let Some(why) = failed_promise(event, &plan) {
        return end(tx, row, InboxState::Dead, Some(DeadCode::Automation), Some(&why));
    }
    warn_of(row, &plan);
    let contact = write_contact(tx, workspace, event, &before.contacts, &mut plan, row.now)?;
    if let Some(contact) = contact {
        contact::write_consent(tx.connection, contact, row.id.0, &plan.consent)?;
        contact::write_engagements(tx.connection, contact, &event.engagements)?;
        follow::write(tx, workspace, contact, row.id, &plan)?;
    }
    let action = write_event_action(tx, row, workspace, event, &before, &place, contact)?;
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
    let is_all_new = before.contacts.is_empty() && before.action.is_none();
    if let (Some(id), Some(after), true) = (contact, plan.contact, is_all_new) {
        let uses = processed.planned.len();
        keep(tx, row, workspace, event, (id, after), (action, &place), uses);
    }
    Ok(processed)
}

/// What automations would have sent or set is missing now: somebody has to see that without looking at each trace.
fn warn_of(row: &Row, plan: &Plan) {
    for (automation, verdict) in &plan.explained.asked {
        match verdict {
            Verdict::Failed(why) => {
                tracing::warn!(inbox.id = row.id.0, automation = %automation, why = &**why, "automation {automation} failed; `causeway trace {}` tells more", row.id);
            }
            Verdict::Circle(_) => {
                tracing::warn!(inbox.id = row.id.0, automation = %automation, "automation {automation} {verdict}; `causeway trace {}` tells more", row.id);
            }
            _ => {}
        }
    }
}

/// Keeps a record of which everything is new, for the claims that follow.
fn keep(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    event: &Event,
    (contact, after): (i64, Contact),
    (action, place): (Option<i64>, &Place),
    uses: usize,
) {
    let recent = &mut tx.state.recent;
    // What came through other hubs or from a browser is rare, and more than these parts.
    let is_plain = event.via.is_empty() && !event.identities.iter().any(Identity::is_visitor);
    if uses == 0 || !is_plain || !recent.has_room() {
        return;
    }
    let told = Told {
        workspace,
        source: row.source,
        key: row.key,
        event: event.kind.as_str(),
        event_at: ms(event.at),
        action,
        campaign: place.campaign,
        page: place.page,
    };
    recent.keep_event(row.id.0, told, uses);
    recent.keep_contact(contact, after, &event.identities, uses);
    if let (Some(id), Some(action)) = (action, &event.action) {
        recent.keep_action(id, action, uses);
    }
}

/// Why an automation could not do what its timer or the clock promised: the row is dead then, so that it can be tried again.
fn failed_promise(event: &Event, plan: &Plan) -> Option<String> {
    let (due, _) = event.follow_up.as_ref()?.automation.as_ref()?;
    let asked = plan.explained.asked.iter().find(|(name, _)| name == due)?;
    match &asked.1 {
        Verdict::Failed(why) => Some(format!("automation {due}: {why}")),
        _ => None,
    }
}

/// What is there before the event.
pub(super) struct Before {
    /// Ascending.
    pub contacts: Vec<i64>,
    pub action: Option<KnownAction>,
}

/// The contacts that the event names, ascending; `None` when it is about somebody who was erased.
fn people(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    workspace_name: &Name,
    event: &Event,
) -> Result<Option<Vec<i64>>, Fault> {
    if let Some(follow_up) = &event.follow_up {
        let living = follow::living_contact(tx.connection, follow_up.contact)?;
        return Ok(living.map(|contact| vec![contact]));
    }
    if row.anyone_erased && names_erased(tx, workspace_name, event)? {
        return Ok(None);
    }
    contact::find(tx, workspace, &event.identities).map(Some)
}

/// The action's row: the event's own, or that of the row that it follows from.
fn write_event_action(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: i64,
    event: &Event,
    before: &Before,
    place: &Place,
    contact: Option<i64>,
) -> Result<Option<i64>, Fault> {
    let Some(action) = &event.action else {
        return Ok(place.action);
    };
    if let Some(known) = &before.action {
        tx.state.recent.forget_action(known.id);
    }
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
    write_action(tx.connection, before.action.as_ref(), action, &place).map(Some)
}

/// Whether one of the identities is of a person who asked to be forgotten.
fn names_erased(tx: &Tx<'_>, workspace: &Name, event: &Event) -> Result<bool, Fault> {
    let key = erase_key(tx)?;
    let is_named = event.identities.iter().any(|identity| !identity.is_visitor());
    for identity in &event.identities {
        // Somebody else at the browser of a person who was erased.
        if is_named && identity.is_visitor() {
            continue;
        }
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
pub(super) struct Place {
    pub namespace: i64,
    /// Of the row that one of our own follows from.
    pub action: Option<i64>,
    pub campaign: Option<i64>,
    pub page: Option<i64>,
    /// The key of the page that the event shows to be ours.
    learned_own_page: Option<String>,
}

fn learn_things(tx: &mut Tx<'_>, workspace: i64, event: &Event) -> Result<Place, Fault> {
    let namespace = tx
        .state
        .names
        .id(tx.connection, NameKind::Namespace, &event.namespace)?;
    let about = event.follow_up.as_ref().and_then(|follow_up| follow_up.about);
    if let Some(about) = about {
        let things = follow::things_of(tx.connection, about)?;
        return Ok(Place {
            namespace,
            action: things.action,
            campaign: things.campaign,
            page: things.page,
            learned_own_page: None,
        });
    }
    let campaign = match &event.campaign {
        Some(campaign) => {
            let place = (workspace, namespace);
            let said = Said::Campaign(campaign);
            let (id, _) = tx.state.facts.learn(tx.connection, place, said, event.at)?;
            Some(id)
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
        action: None,
        campaign,
        page,
        learned_own_page,
    })
}

fn write_contact(
    tx: &mut Tx<'_>,
    workspace: i64,
    event: &Event,
    known: &[i64],
    plan: &mut Plan,
    now: Timestamp,
) -> Result<Option<i64>, Fault> {
    let Some(after) = &mut plan.contact else {
        return Ok(None);
    };
    for id in known {
        tx.state.recent.forget_contact(*id);
    }
    // Ascending: the oldest number survives, whoever came first in the message.
    let id = match known {
        [] => contact::insert(tx.connection, workspace, after, now)?,
        [id, others @ ..] => {
            for other in others {
                contact::merge(tx.connection, *other, *id)?;
            }
            if !others.is_empty() {
                outbox::line_up(tx, *id, now)?;
                let new: f64 = plan.scores.iter().filter_map(|row| row.score).sum();
                after.points = contact::own_points(tx.connection, *id)? + new;
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
    tx: &mut Tx<'_>,
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
    let via = (!event.via.is_empty()).then(|| to_json(&event.via)).transpose()?;
    let automations = explained::write(tx, &plan.explained)?;
    tx.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO event (inbox_id, workspace_id, kind, at, contact_id, action_id, campaign_id,
                                           page_id, decision, notes, merged, about, via, hops, automations, tells)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
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
            event.follow_up.as_ref().and_then(|row| row.about).map(|about| about.0),
            via,
            event.follow_up.as_ref().map_or(0, |row| row.hops),
            automations,
            event.brings_data(),
        ])?;
    Ok(())
}
