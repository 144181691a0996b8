//! Processes one event: finds its contacts, asks the rules, and writes everything that follows.

use std::collections::BTreeMap;

use causeway_core::{
    automation::Verdict,
    clock::Timestamp,
    consent::{ConsentFact, What},
    contact::{Contact, Identity},
    event::{DeadCode, Event, EventKind},
    id::{ContactId, InboxId},
    plan::{Plan, event_address},
    rules::Gate,
    store::{InboxState, Processed},
};
use rusqlite::params;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{
            ActionRowId, CampaignRowId, ContactRowId, InboxRowId, NamespaceRowId, PageRowId, WorkspaceRowId,
        },
        rows::{ms, to_json},
        tx::Tx,
    },
    inbox::{
        decide::decide,
        explained,
        facts::{ActionPlace, KnownAction, find_action, write_action},
        follow, pages,
        process::{Row, end},
    },
    outbox::{delivery, recent::CachedEvent},
    people::{
        after_erasure::{self, Decision},
        contact,
        erase::mark_log,
        identity::{self, Resolved},
        shared, unclear,
    },
};

const ERASED: &str = "follows from a message about a person who was erased";

/// Applies an event. With `waits` the row is dead afterwards: the event is only a part of the message, and
/// the rest is read when the row is replayed.
#[expect(
    clippy::too_many_lines,
    reason = "one step of each kind, in an order that matters"
)]
pub(crate) fn process_event(
    tx: &mut Tx<'_>,
    row: &Row,
    event: &Event,
    waits: Option<(DeadCode, &str)>,
) -> Result<Processed, Error> {
    let source = tx.state.names.name(row.source)?;
    let workspace = match &event.follow_up {
        Some(follow_up) => follow_up.workspace.clone(),
        None => tx.state.rules.workspace(&source, event.testing),
    };
    let workspace = tx.state.names.workspace(tx.connection, &workspace)?;
    let anew;
    let event = match after_erasure::decide(tx, row, workspace, event)? {
        Decision::Unconcerned => event,
        Decision::Anew(event) => {
            anew = event;
            &anew
        }
        Decision::Ended(processed) => return Ok(processed),
    };
    let Some(people) = people(tx, row, workspace, event)? else {
        tx.connection
            .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
            .execute([row.id])?;
        mark_log(tx)?;
        return end(tx, row, InboxState::Skipped, None, Some(ERASED));
    };
    tx.state.recent.forget_event(row.id);
    let place = learn_entities(tx, workspace, event)?;
    let shared = match event_address(event) {
        Some(address) => shared::facts_from_others(tx, workspace, &address, &people.contacts)?,
        None => Vec::new(),
    };
    let before = Before {
        shared,
        contacts: people.contacts.clone(),
        has_new_id: people.has_new_id,
        action: match &event.action {
            Some(action) => find_action(tx.connection, workspace, place.namespace, &action.external_id)?,
            None => None,
        },
    };
    let mut plan = decide(tx, row, workspace, event, &before, &place)?;
    if let Some(why) = failed_automation(event, &plan) {
        return end(tx, row, InboxState::Dead, Some(DeadCode::Automation), Some(&why));
    }
    warn_of(row, &plan);
    let contact = write_contact(tx, workspace, &people, &mut plan, row.now)?;
    if let Some(contact) = contact {
        let is_unclear = event_address(event).is_some() && !unclear::is_of_one(&people);
        contact::write_consent(tx.connection, contact, row.id, &plan.consent, is_unclear)?;
        contact::write_engagements(tx.connection, contact, &event.engagements)?;
        follow::write(tx, workspace, contact, row.id, &plan)?;
        identity::note_conflict_contact(tx, workspace, &people.passed_over, contact)?;
    }
    let action = write_event_action(tx, row, workspace, event, &before, &place, contact)?;
    let links = Links {
        contact,
        action,
        merged: before.contacts.get(1..).unwrap_or_default(),
        place: &place,
        notes: &people.notes,
    };
    write_event(tx, row, workspace, event, &plan, &links)?;
    let mut processed = match waits {
        None => end(tx, row, InboxState::Done, None, None)?,
        Some((code, reason)) => end(tx, row, InboxState::Dead, Some(code), Some(reason))?,
    };
    let is_consent_given = plan.consent.iter().any(|fact| fact.what.is_opt_in());
    if let Some(contact) = contact.filter(|_| is_consent_given) {
        delivery::reopen_held_back(tx, workspace, contact)?;
    }
    for planned in &plan.deliveries {
        delivery::insert(tx, row.id, contact, before.contacts.is_empty(), planned, row.now)?;
    }
    let uses = plan
        .deliveries
        .iter()
        .filter(|planned| planned.gate == Gate::Send)
        .count();
    if let Some(contact) = contact {
        let is_merged = before.contacts.len() > 1;
        let is_new_here = people.shared.is_some() || plan.has_moved;
        let known = shared::earlier_facts(tx, contact, is_merged, is_new_here)?;
        let facts: Vec<ConsentFact> = plan.consent.iter().cloned().chain(known).collect();
        let mut others = shared::share_facts(tx, row, workspace, contact, &facts, &mut plan.deliveries)?;
        if plan.has_moved || facts.iter().any(|fact| fact.what == What::Unsubscribed) {
            others.extend(shared::reconsider(
                tx,
                row,
                workspace,
                contact,
                &mut plan.deliveries,
            )?);
        }
        others.extend(unclear::apply(
            tx,
            row,
            workspace,
            contact,
            &people,
            event,
            &mut plan.deliveries,
        )?);
        if !facts.is_empty() || !before.contacts.is_empty() {
            processed.contacts.extend(
                before
                    .contacts
                    .iter()
                    .chain(&others)
                    .copied()
                    .map(ContactId::from),
            );
        }
        if is_consent_given {
            for other in others {
                delivery::reopen_held_back(tx, workspace, other)?;
            }
        }
    }
    for planned in &plan.deliveries {
        match planned.gate {
            Gate::Send => processed.planned.push(planned.destination.clone()),
            Gate::Skip { .. } => processed.skipped.push(planned.destination.clone()),
        }
    }
    if let Some(page) = &place.turned_page {
        let asked_again = pages::reconsider(tx, workspace, page, row.now)?;
        processed.contacts.extend(asked_again);
    }
    let is_all_new = before.contacts.is_empty() && before.action.is_none();
    if let (Some(id), Some(after), true) = (contact, plan.contact, is_all_new) {
        let new = NewRecord {
            event,
            contact: id,
            after,
            identities: &people.own,
            action,
            place: &place,
        };
        keep(tx, row, workspace, new, uses);
    }
    Ok(processed)
}

/// Logs failed automations. What they should have sent or set is missing, and a person must notice that
/// without reading each trace.
fn warn_of(row: &Row, plan: &Plan) {
    for (automation, verdict) in &plan.explained.asked {
        match verdict {
            Verdict::Failed(why) => {
                tracing::warn!(inbox.id = row.id.0, automation = %automation, why = &**why, "automation {automation} \
                     failed; `causeway trace {}` shows more", row.id);
            }
            Verdict::Circle(_) => {
                tracing::warn!(inbox.id = row.id.0, automation = %automation, "automation {automation} {verdict}; \
                     `causeway trace {}` shows more", row.id);
            }
            _ => {}
        }
    }
}

/// What an event made, if its contact and its action are new.
struct NewRecord<'a> {
    event: &'a Event,
    contact: ContactRowId,
    after: Contact,
    /// All identities of the contact.
    identities: &'a [Identity],
    action: Option<ActionRowId>,
    place: &'a Place,
}

/// Caches the parts of a record for the claims that follow.
fn keep(tx: &mut Tx<'_>, row: &Row, workspace: WorkspaceRowId, new: NewRecord<'_>, uses: usize) {
    let NewRecord {
        event,
        contact,
        after,
        identities,
        action,
        place,
    } = new;
    let recent = &mut tx.state.recent;
    // Events that came through other hubs or from a browser are rare, and need more than [`Recent`] keeps.
    let is_plain = event.via.is_empty() && !event.identities.iter().any(Identity::is_visitor);
    if uses == 0 || !is_plain || !recent.has_room() {
        return;
    }
    let cached = CachedEvent {
        workspace,
        source: row.source,
        key: row.key,
        event: event.kind.as_str(),
        event_at: ms(event.at),
        action,
        campaign: place.campaign,
        page: place.page,
    };
    recent.keep_event(row.id, cached, uses);
    recent.keep_contact(contact, after, identities, uses);
    if let (Some(id), Some(action)) = (action, &event.action) {
        recent.keep_action(id, action, uses);
    }
}

/// Why an automation that was due by a timer or a schedule failed, if so. The row is dead then, so that it
/// can be replayed.
fn failed_automation(event: &Event, plan: &Plan) -> Option<String> {
    let (due, _) = event.follow_up.as_ref()?.automation.as_ref()?;
    let asked = plan.explained.asked.iter().find(|(name, _)| name == due)?;
    match &asked.1 {
        Verdict::Failed(why) => Some(format!("automation {due}: {why}")),
        _ => None,
    }
}

/// What was known before the event.
pub(crate) struct Before {
    /// Ascending.
    pub contacts: Vec<ContactRowId>,
    pub has_new_id: bool,
    pub action: Option<KnownAction>,
    /// Facts that other users of the event's address gave.
    pub shared: Vec<ConsentFact>,
}

/// The contacts of an event. `None` when it follows from a message of a person who was erased.
fn people(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
) -> Result<Option<Resolved>, Error> {
    if let Some(follow_up) = &event.follow_up {
        let living = follow::living_contact(tx.connection, follow_up.contact)?;
        return Ok(living.map(|contact| Resolved {
            contacts: vec![contact],
            own: event.identities.clone(),
            ..Resolved::default()
        }));
    }
    identity::resolve(tx, row, workspace, event).map(Some)
}

/// The row of the action: the event's own action, or that of the message that it follows from.
fn write_event_action(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
    before: &Before,
    place: &Place,
    contact: Option<ContactRowId>,
) -> Result<Option<ActionRowId>, Error> {
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
        inbox: row.id,
        contact,
        campaign: place.campaign,
        page: place.page,
        plans_deliveries: event.kind == EventKind::Action && event.deliver,
    };
    write_action(tx.connection, before.action.as_ref(), action, &place).map(Some)
}

/// Row numbers of the entities that an event is about.
pub(crate) struct Place {
    pub namespace: NamespaceRowId,
    /// The action of the message that an own row follows from.
    pub action: Option<ActionRowId>,
    pub campaign: Option<CampaignRowId>,
    pub page: Option<PageRowId>,
    /// The page that becomes an own page, or ceases to be one, by this event.
    turned_page: Option<pages::OwnershipChange>,
}

fn learn_entities(tx: &mut Tx<'_>, workspace: WorkspaceRowId, event: &Event) -> Result<Place, Error> {
    let namespace = tx.state.names.namespace(tx.connection, &event.namespace)?;
    let about = event.follow_up.as_ref().and_then(|follow_up| follow_up.about);
    if let Some(about) = about {
        let refs = follow::refs_of(tx.connection, about.into())?;
        return Ok(Place {
            namespace,
            action: refs.action,
            campaign: refs.campaign,
            page: refs.page,
            turned_page: None,
        });
    }
    let campaign = match &event.campaign {
        Some(campaign) => {
            let facts = &mut tx.state.facts;
            let id = facts.learn_campaign(tx.connection, workspace, namespace, campaign, event.at)?;
            Some(id)
        }
        None => None,
    };
    let (page, turned_page) = match &event.page {
        Some(page) => {
            let (id, turned) = pages::learn(tx, workspace, namespace, &event.namespace, page, event.at)?;
            (Some(id), turned)
        }
        None => (None, None),
    };
    Ok(Place {
        namespace,
        action: None,
        campaign,
        page,
        turned_page,
    })
}

fn write_contact(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    people: &Resolved,
    plan: &mut Plan,
    now: Timestamp,
) -> Result<Option<ContactRowId>, Error> {
    let known: &[ContactRowId] = &people.contacts;
    let Some(after) = &mut plan.contact else {
        return Ok(None);
    };
    for id in known {
        tx.state.recent.forget_contact(*id);
    }
    // The contacts are in ascending order, so the oldest number survives whatever the order in the message.
    let id = match known {
        [] => contact::insert(tx.connection, workspace, after, now)?,
        [id, others @ ..] => {
            for other in others {
                contact::merge(tx.connection, *other, *id)?;
                delivery::end_repeated(tx, *other, now)?;
                tx.state.leases.merge(*other, *id);
            }
            if !others.is_empty() {
                let new: f64 = plan.scores.iter().filter_map(|row| row.score).sum();
                after.points = contact::own_points(tx.connection, *id)? + new;
            }
            if plan.contact_changed {
                contact::update(tx.connection, *id, after, now)?;
            }
            *id
        }
    };
    contact::write_identities(tx, workspace, id, &people.own)?;
    if let Some(address) = &people.shared {
        identity::add_user(tx, workspace, address, id)?;
    }
    Ok(Some(id))
}

struct Links<'a> {
    contact: Option<ContactRowId>,
    action: Option<ActionRowId>,
    /// The contacts that were merged into this one.
    merged: &'a [ContactRowId],
    place: &'a Place,
    /// The decisions about the event's identities.
    notes: &'a [String],
}

fn write_event(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
    plan: &Plan,
    links: &Links<'_>,
) -> Result<(), Error> {
    let notes: Vec<&String> = event.notes.iter().chain(links.notes).collect();
    let notes = (!notes.is_empty()).then(|| to_json(&notes)).transpose()?;
    let follows = event.follow_up.as_ref().and_then(|row| row.about);
    let ids = match (named_ids(event), follows) {
        (Some(ids), _) => Some(to_json(&ids)?),
        (None, Some(message)) => follow::ids_of(tx.connection, message.into())?,
        (None, None) => None,
    };
    let merged: Vec<ContactId> = links.merged.iter().copied().map(ContactId::from).collect();
    let merged = (!merged.is_empty()).then(|| to_json(&merged)).transpose()?;
    let via = (!event.via.is_empty()).then(|| to_json(&event.via)).transpose()?;
    let automations = explained::write(tx, &plan.explained)?;
    tx.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO event (inbox_id, workspace_id, kind, at, contact_id, action_id, campaign_id,
                                           page_id, decision, notes, merged, about, via, hops, automations, brings_data, ids)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            row.id,
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
            about(event).map(InboxRowId::from),
            via,
            event.follow_up.as_ref().map_or(0, |row| row.hops),
            automations,
            event.brings_data(),
            ids,
        ])?;
    Ok(())
}

/// The message that this row follows from, or is one record of.
fn about(event: &Event) -> Option<InboxId> {
    let follows = event.follow_up.as_ref().and_then(|row| row.about);
    follows.or(event.part_of)
}

/// The ids of platforms and browsers that the message itself named, by namespace; `None` if it names none. A
/// confirmation is asked for with the reference of its message, whatever others the contact has.
fn named_ids(event: &Event) -> Option<BTreeMap<&str, &str>> {
    let is_named = |identity: &&Identity| match identity {
        Identity::Email { .. } => false,
        Identity::ContactRef { .. } => event.kind.is_confirmation(),
        Identity::ForeignId { .. } => true,
    };
    let ids: BTreeMap<&str, &str> = event
        .identities
        .iter()
        .filter(is_named)
        .map(|identity| (identity.namespace(), identity.value()))
        .collect();
    (!ids.is_empty()).then_some(ids)
}
