//! Claims due deliveries, and builds each record from what is known at that moment.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::{Change, ConsentState},
    contact::{Contact, Field, Identity, normal_email},
    delivery::{Delivery, Kind},
    event::EventKind,
    id::{DeliveryId, IdempotencyKey, InboxId},
    record::Record,
    rules::{DestinationRule, Gate},
    store::{Claim, Claimed},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        names::NameKind,
        rows::{DeliveryState, at, from_json, ms},
        tx::Tx,
    },
    inbox::{facts, follow},
    outbox::{
        delivery::{self, End},
        given,
        recent::Parts,
    },
    people::{contact, erasure, shared},
};

pub(crate) const SUPERSEDED: &str = "superseded by a newer one";
/// Maximum number of deliveries that one claim skips. When very many lose their consent at once, the writer
/// must not be blocked for long; the lane claims again.
pub(crate) const ENDED_PER_CLAIM: u32 = 1_000;

pub(crate) fn claim(tx: &mut Tx<'_>, claim: &Claim) -> Result<Claimed, Error> {
    let mut claimed = Claimed {
        deliveries: Vec::new(),
        skipped: 0,
        superseded: 0,
        next_due: None,
    };
    let Some(rule) = tx.state.rules.destinations.get(&claim.destination).cloned() else {
        return Ok(claimed);
    };
    let Some(destination) = tx.state.names.find(NameKind::Destination, &claim.destination) else {
        return Ok(claimed);
    };
    if is_paused_or_halted(tx, destination)? {
        return Ok(claimed);
    }
    let is_any_erasing = erasure::is_any_pending(tx)?;
    let limit = usize::try_from(claim.limit).unwrap_or(usize::MAX);
    if !claim.first.is_empty() && claim_first(tx, &rule, destination, (claim, is_any_erasing), &mut claimed)?
    {
        return Ok(claimed);
    }
    // A skipped delivery may unblock the next one of its contact, so look again until nothing is due.
    loop {
        let left = limit.saturating_sub(claimed.deliveries.len());
        let ended = claimed.skipped.saturating_add(claimed.superseded);
        if left == 0 || ended >= ENDED_PER_CLAIM {
            break;
        }
        let due = due(tx, destination, claim.now, left)?;
        if due.is_empty() {
            break;
        }
        claimed.deliveries.reserve(due.len());
        for id in due {
            claim_one(tx, &rule, destination, id, (claim, is_any_erasing), &mut claimed)?;
        }
    }
    if claimed.deliveries.is_empty() {
        claimed.next_due = next_due(tx, destination, claim.now)?;
    }
    Ok(claimed)
}

/// Claims withdrawals, then the deliveries that senders wait for. Claims nothing and returns false while no
/// sender's delivery can be sent.
fn claim_first(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    destination: i64,
    (claim, is_any_erasing): (&Claim, bool),
    claimed: &mut Claimed,
) -> Result<bool, Error> {
    let limit = usize::try_from(claim.limit).unwrap_or(usize::MAX);
    let mut first = Vec::new();
    for delivery in &claim.first {
        if let Some(head) = head(tx, destination, delivery.0, claim.now)?
            && !first.contains(&head)
        {
            first.push(head);
        }
    }
    if first.is_empty() {
        return Ok(false);
    }
    let mut due = due_of(tx, WITHDRAWALS, destination, claim.now, limit)?;
    due.extend(first);
    for id in due {
        if claimed.deliveries.len() >= limit {
            break;
        }
        claim_one(tx, rule, destination, id, (claim, is_any_erasing), claimed)?;
    }
    Ok(!claimed.deliveries.is_empty())
}

/// The delivery that must be sent before this one of its contact, or the delivery itself; `None` while it may
/// not be sent.
fn head(tx: &Tx<'_>, destination: i64, delivery: i64, now: Timestamp) -> Result<Option<i64>, Error> {
    let found: Option<(i64, Option<i64>)> = tx
        .connection
        .prepare_cached(
            "SELECT head.id, head.contact_id FROM delivery own JOIN delivery head
                 ON head.contact_id = own.contact_id AND head.destination_id = own.destination_id
             WHERE own.id = ?1 AND own.destination_id = ?2 AND own.state IN ('waiting', 'blocked')
                   AND head.state = 'waiting' AND head.id <= own.id AND head.due_at <= ?3
             ORDER BY head.id LIMIT 1",
        )?
        .query_row(params![delivery, destination, ms(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let leases = &tx.state.leases;
    let may_go = |(id, contact): &(i64, Option<i64>)| {
        !leases.is_held(*id, now) && !leases.is_busy(destination, *contact, now)
    };
    Ok(found.filter(may_go).map(|(id, _)| id))
}

/// Whether the destination is paused or halted.
fn is_paused_or_halted(tx: &Tx<'_>, destination: i64) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM lane WHERE destination_id = ?1 AND (paused = 1 OR halted IS NOT NULL))",
        )?
        .query_row([destination], |row| row.get(0))?)
}

// SQLite answers each of these queries from an index alone.
pub(crate) const WITHDRAWALS: &str = "SELECT id, contact_id FROM delivery
     WHERE destination_id = ?1 AND state = 'waiting' AND kind = 'withdrawal' AND due_at <= ?2
     ORDER BY due_at, id";
pub(crate) const ALL: &str =
    "SELECT id, contact_id FROM delivery WHERE destination_id = ?1 AND state = 'waiting' AND due_at <= ?2
     ORDER BY due_at, id";

/// Due withdrawals, so that none waits behind other deliveries; if there are none, other due deliveries.
fn due(tx: &Tx<'_>, destination: i64, now: Timestamp, limit: usize) -> Result<Vec<i64>, Error> {
    let withdrawals = due_of(tx, WITHDRAWALS, destination, now, limit)?;
    if !withdrawals.is_empty() {
        return Ok(withdrawals);
    }
    due_of(tx, ALL, destination, now, limit)
}

/// The due deliveries of one query. Leased deliveries are left out. So are all deliveries of a contact while
/// one of that contact is in flight to this destination.
fn due_of(tx: &Tx<'_>, sql: &str, destination: i64, now: Timestamp, limit: usize) -> Result<Vec<i64>, Error> {
    let mut statement = tx.connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![destination, ms(now)])?;
    let leases = &tx.state.leases;
    let mut due = Vec::new();
    while due.len() < limit
        && let Some(row) = rows.next()?
    {
        let id = row.get(0)?;
        if !leases.is_held(id, now) && !leases.is_busy(destination, row.get(1)?, now) {
            due.push(id);
        }
    }
    Ok(due)
}

fn next_due(tx: &mut Tx<'_>, destination: i64, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    tx.state.leases.sweep(now);
    let later: Option<i64> = tx
        .connection
        .prepare_cached(
            "SELECT due_at FROM delivery WHERE destination_id = ?1 AND state = 'waiting' AND due_at > ?2
             ORDER BY due_at LIMIT 1",
        )?
        .query_row(params![destination, ms(now)], |row| row.get(0))
        .optional()?;
    Ok(later
        .map(at)
        .into_iter()
        .chain(tx.state.leases.next_end(destination))
        .min())
}

struct Due {
    inbox: i64,
    contact: Option<i64>,
    kind: Kind,
    state: DeliveryState,
    attempts: u32,
    planned_at: i64,
    /// The normal form of the address of a withdrawal; empty for the contact's address in use, and for all other
    /// kinds.
    address: String,
}

fn read_due(tx: &Tx<'_>, id: i64) -> Result<Due, Error> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT inbox_id, contact_id, kind, state, attempts, planned_at, address FROM delivery WHERE id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let row = rows.next()?.ok_or(Error::Broken("a delivery"))?;
    Ok(Due {
        inbox: row.get(0)?,
        contact: row.get(1)?,
        kind: Kind::parse(crate::sqlite::base::rows::text(row, 2)?)
            .ok_or(Error::Broken("the kind of a delivery"))?,
        state: DeliveryState::parse(crate::sqlite::base::rows::text(row, 3)?)?,
        attempts: row.get(4)?,
        planned_at: row.get(5)?,
        address: row.get(6)?,
    })
}

/// Unwraps what was read for a delivery. If the row is broken, the delivery becomes dead with that reason,
/// and blocks no other.
fn or_mark_dead<T>(
    tx: &mut Tx<'_>,
    id: i64,
    read: Result<T, Error>,
    now: Timestamp,
) -> Result<Option<T>, Error> {
    let error = match read {
        Ok(value) => return Ok(Some(value)),
        Err(error) if error.is_of_one_row() => error,
        Err(error) => return Err(error),
    };
    let reason = format!("broken in the store: {}", error.text());
    tracing::error!(
        delivery.id = id,
        reason,
        "A delivery could not be handed out; it is dead."
    );
    let row = delivery::row(tx, id)?.ok_or(Error::Broken("a delivery"))?;
    let end = End {
        state: DeliveryState::Dead,
        ..End::skipped(&row, &reason, ms(now))
    };
    delivery::end(tx, &row, &end)?;
    Ok(None)
}

/// A delivery that is about to be claimed.
struct Candidate {
    id: i64,
    due: Due,
    /// The inbox row of the contact's erasure, if it is being erased. Only deliveries of this row may still
    /// be sent.
    erasure_row: Option<i64>,
}

fn claim_one(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    destination: i64,
    id: i64,
    (claim, is_any_erasing): (&Claim, bool),
    claimed: &mut Claimed,
) -> Result<(), Error> {
    let Some(candidate) = candidate(tx, rule, destination, id, (claim, is_any_erasing), claimed)? else {
        return Ok(());
    };
    let Candidate { id, due, erasure_row } = candidate;
    let read = record(tx, &due, rule);
    let Some((mut record, key)) = or_mark_dead(tx, id, read, claim.now)? else {
        return Ok(());
    };
    let consent_state = record.consent_state_for(&rule.purpose);
    let gate = match (erasure_row, rule.removal()) {
        (None, _) => rule.gate(due.kind, consent_state, record.contact.gave_data),
        (Some(_), Err(skip)) => skip,
        (Some(_), Ok(change)) => {
            erasure::make_removal(&mut record, change);
            Gate::Send
        }
    };
    if let Gate::Skip { reason } = gate {
        // Only a withdrawal can be void: what else is skipped lacks consent. A void one needs no attention. One
        // that the destination cannot receive does, so it is marked as gated.
        let is_void = erasure_row.is_none() && !rule.withdraws(consent_state, record.contact.gave_data);
        return skip(tx, id, &reason, !is_void, claim.now, claimed);
    }
    if let Some(contact) = due.contact {
        let address = record.email().and_then(normal_email).unwrap_or_default();
        given::starts(
            tx.connection,
            contact,
            destination,
            &address,
            record.change,
            claim.now,
        )?;
    }
    if record.change.gravity() > 0 && record.consent_state_for(&rule.purpose).is_subscribed() {
        // The consent may suffice for other destinations, but not for this one. So the record must not say
        // "subscribed" to it.
        record
            .consent_state
            .insert(rule.purpose.to_string(), ConsentState::NotSubscribed);
    }
    tx.state
        .leases
        .take(id, destination, due.contact, claim.leased_until);
    claimed.deliveries.push(Delivery {
        id: DeliveryId(id),
        key,
        attempt: due.attempts.saturating_add(1),
        planned_at: at(due.planned_at),
        record,
    });
    Ok(())
}

/// The delivery itself, or the newest of those that wait behind it, which replaces them all. `None` if
/// nothing of the contact may be sent now.
fn candidate(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    destination: i64,
    id: i64,
    (claim, is_any_erasing): (&Claim, bool),
    claimed: &mut Claimed,
) -> Result<Option<Candidate>, Error> {
    let read = read_due(tx, id);
    let Some(due) = or_mark_dead(tx, id, read, claim.now)? else {
        return Ok(None);
    };
    if due.state != DeliveryState::Waiting {
        // Superseded by one that was claimed in the same claim.
        return Ok(None);
    }
    if tx.state.leases.is_busy(destination, due.contact, claim.now) {
        // Another delivery of the contact was claimed in the same claim. This one waits until that attempt
        // has ended.
        return Ok(None);
    }
    let erasure_row = if is_any_erasing {
        erasure::row_of(tx, due.contact)?
    } else {
        None
    };
    if erasure_row.is_some_and(|last| last != due.inbox) {
        skip(tx, id, erasure::ERASING, false, claim.now, claimed)?;
        return Ok(None);
    }
    if rule.coalesce
        && due.kind != Kind::Withdrawal
        && let Some(contact) = due.contact
    {
        let before = claimed.superseded;
        let newest = newest_of_run(tx, destination, contact, id, claim.now, &mut claimed.superseded)?;
        if claimed.superseded != before {
            let read = read_due(tx, newest);
            let newer = or_mark_dead(tx, newest, read, claim.now)?;
            return Ok(newer.map(|due| Candidate {
                id: newest,
                due,
                erasure_row,
            }));
        }
    }
    Ok(Some(Candidate { id, due, erasure_row }))
}

fn skip(
    tx: &mut Tx<'_>,
    id: i64,
    reason: &str,
    gated: bool,
    now: Timestamp,
    claimed: &mut Claimed,
) -> Result<(), Error> {
    let row = delivery::row(tx, id)?.ok_or(Error::Broken("a delivery"))?;
    let end = End {
        gated,
        ..End::skipped(&row, reason, ms(now))
    };
    delivery::end(tx, &row, &end)?;
    claimed.skipped = claimed.skipped.saturating_add(1);
    Ok(())
}

/// The newest of the records and contact updates that wait for one contact. Only this one is sent; the others
/// are skipped as superseded. No withdrawal is among them, because none is ever blocked.
fn newest_of_run(
    tx: &mut Tx<'_>,
    destination: i64,
    contact: i64,
    head: i64,
    now: Timestamp,
    superseded: &mut u32,
) -> Result<i64, Error> {
    let run: Vec<i64> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM delivery WHERE contact_id = ?1 AND destination_id = ?2 AND state = 'blocked'
             AND id > ?3 ORDER BY id",
        )?
        .query_map(params![contact, destination, head], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut older = head;
    for id in run {
        let row = delivery::row(tx, older)?.ok_or(Error::Broken("a delivery"))?;
        delivery::set_end(tx, &row, &End::skipped(&row, SUPERSEDED, ms(now)))?;
        *superseded = superseded.saturating_add(1);
        older = id;
    }
    if older != head {
        delivery::unblock(tx, older, destination)?;
    }
    Ok(older)
}

/// The source of the message. For one of the hub's own rows, the source of the message that it follows from.
fn origin(tx: &Tx<'_>, inbox: i64, parts: &Parts) -> Result<i64, Error> {
    let is_own = [EventKind::Response, EventKind::Schedule].map(EventKind::as_str);
    let origin = if is_own.contains(&&*parts.event) {
        follow::origin(tx.connection, inbox)?
    } else {
        None
    };
    Ok(origin.unwrap_or(parts.source))
}

/// Puts the address of a withdrawal into its record, if it is not the one in use.
fn put_address(tx: &Tx<'_>, due: &Due, parts: &mut Parts, grace: Duration) -> Result<(), Error> {
    if due.address.is_empty() || parts.contact.address().as_deref() == Some(&*due.address) {
        return Ok(());
    }
    if let Some(contact) = due.contact {
        let person = (contact, &mut parts.contact);
        shared::keep_opt_out_of_former(tx, person, &due.address, grace)?;
    }
    let field = Field::new(due.address.as_str().into(), at(parts.event_at));
    parts.contact.fields.insert("email".to_owned(), field);
    Ok(())
}

/// The record for the delivery's address as it is known now, and the delivery's idempotency key.
fn record(tx: &mut Tx<'_>, due: &Due, rule: &DestinationRule) -> Result<(Record, IdempotencyKey), Error> {
    let recent = due
        .contact
        .and_then(|contact| tx.state.recent.take(due.inbox, contact));
    let mut parts = match recent {
        Some(parts) => {
            debug_assert!(
                parts == read_parts(tx.connection, due.inbox, due.contact)?,
                "the cached record differs from the stored one"
            );
            parts
        }
        None => read_parts(tx.connection, due.inbox, due.contact)?,
    };
    let campaign = match parts.campaign {
        Some(id) => tx.state.facts.campaign(tx.connection, id)?,
        None => None,
    };
    let page = match parts.page {
        Some(id) => tx.state.facts.page(tx.connection, id)?,
        None => None,
    };
    let terms = tx.state.terms_of(parts.workspace);
    put_address(tx, due, &mut parts, terms.click_grace)?;
    let workspace = tx.state.names.name(parts.workspace)?;
    let source = origin(tx, due.inbox, &parts)?;
    let mut hubs: Vec<String> = parts.via.map_or(Ok(Vec::new()), |via| from_json(&via))?;
    hubs.push(tx.state.rules.hub.to_string());
    let mut record = Record {
        lead: tx
            .state
            .rules
            .of_workspace(&workspace)
            .scoring
            .lead(&parts.contact),
        workspace,
        source: tx.state.names.name(source)?,
        inbox_id: InboxId(due.inbox),
        kind: due.kind,
        event: parts.event,
        event_at: at(parts.event_at),
        change: Change::None,
        consent_state: parts
            .contact
            .consent_states(parts.contact.address().as_deref(), &terms),
        contact: parts.contact,
        identities: parts.identities,
        action: parts.action,
        settings: rule.settings.for_campaign(campaign.as_ref()),
        engagements: match due.contact {
            Some(id) if rule.history => crate::sqlite::people::person::engagements(tx.connection, id)?,
            _ => Vec::new(),
        },
        via: hubs,
        campaign,
        page,
    };
    record.change = rule.change(due.kind, record.consent_state_for(&rule.purpose));
    let called = rule.renamed_from.as_ref().unwrap_or(&rule.name);
    let other = due.contact.filter(|_| parts.is_about_another);
    let message = (&*record.workspace, &*record.source, &parts.key[..]);
    let key = key(message, called, due.kind.as_str(), &due.address, other);
    Ok((record, key))
}

/// The idempotency key of a delivery. One message may lead to several deliveries to one destination: one for
/// each address of the contact, and one for each contact that shares an address. Each has a key of its own.
///
/// `other` is the contact, if it is not the one that the message names.
pub(crate) fn key(
    (workspace, source, message): (&str, &str, &[u8]),
    destination: &str,
    kind: &str,
    address: &str,
    other: Option<i64>,
) -> IdempotencyKey {
    let key = IdempotencyKey::derive(workspace, source, message, destination, kind);
    let part = match other {
        Some(contact) => format!("{address}#{contact}"),
        None => address.to_owned(),
    };
    if part.is_empty() {
        return key;
    }
    IdempotencyKey::derive(workspace, source, key.0.as_bytes(), "", &part)
}

pub(crate) fn read_parts(connection: &Connection, inbox: i64, contact: Option<i64>) -> Result<Parts, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT event.workspace_id, event.kind, event.at, event.action_id, event.campaign_id, event.page_id,
                inbox.source_id, inbox.key, event.via, event.contact_id, event.ids
         FROM event JOIN inbox ON inbox.id = event.inbox_id WHERE event.inbox_id = ?1",
    )?;
    let (mut parts, action, ids) = statement.query_row([inbox], |row| {
        let parts = Parts {
            workspace: row.get(0)?,
            event: row.get(1)?,
            event_at: row.get(2)?,
            campaign: row.get(4)?,
            page: row.get(5)?,
            source: row.get(6)?,
            key: row.get(7)?,
            via: row.get(8)?,
            is_about_another: row.get::<_, Option<i64>>(9)? != contact,
            contact: Contact::default(),
            identities: Vec::new(),
            action: None,
        };
        Ok((
            parts,
            row.get::<_, Option<i64>>(3)?,
            row.get::<_, Option<String>>(10)?,
        ))
    })?;
    if let Some(id) = contact {
        parts.contact = contact::read(connection, id)?.ok_or(Error::Broken("a contact"))?;
        parts.identities = contact::identities(connection, id)?;
    }
    if let Some(ids) = ids.filter(|_| !parts.is_about_another) {
        let ids: BTreeMap<String, String> = from_json(&ids)?;
        order_as_named(&mut parts.identities, &ids);
    }
    if let Some(id) = action {
        parts.action = facts::read_action(connection, id)?;
    }
    Ok(parts)
}

/// Moves the ids that the message named to the places from which a record is read: its platform's ids come
/// before those of other platforms, and the named id is the last of its platform.
fn order_as_named(identities: &mut Vec<Identity>, ids: &BTreeMap<String, String>) {
    for (namespace, id) in ids {
        let is_of = |identity: &Identity| {
            matches!(identity, Identity::ForeignId { .. }) && identity.namespace() == namespace
        };
        let (mut own, mut others): (Vec<_>, Vec<_>) = identities.drain(..).partition(is_of);
        own.sort_by_key(|identity| identity.value() == id);
        let place = others
            .iter()
            .position(|identity| matches!(identity, Identity::ForeignId { .. }));
        let behind = others.split_off(place.unwrap_or(others.len()));
        identities.extend(others.into_iter().chain(own).chain(behind));
    }
}

/// The delivery as it would be claimed now, whatever its state. Takes no lease. For a rehearsal.
pub(crate) fn preview_delivery(tx: &mut Tx<'_>, id: i64, destination: &str) -> Result<Delivery, Error> {
    let due = read_due(tx, id)?;
    let rule = tx
        .state
        .rules
        .destinations
        .get(destination)
        .cloned()
        .unwrap_or_else(|| DestinationRule::new(destination).into());
    let (record, key) = record(tx, &due, &rule)?;
    Ok(Delivery {
        id: DeliveryId(id),
        key,
        attempt: 1,
        planned_at: at(due.planned_at),
        record,
    })
}

/// The delivery that an event would lead to now, whether or not it was planned. For a preview.
pub(crate) fn preview_event(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    inbox: i64,
    contact: Option<i64>,
    kind: Kind,
) -> Result<Delivery, Error> {
    // As in `plan`, a withdrawal and its key name the address that the destination was given: the one in use, if
    // it was.
    let address = match contact.filter(|_| kind == Kind::Withdrawal) {
        Some(id) => {
            let in_use = contact::read(tx.connection, id)?.and_then(|contact| contact.address());
            let given = given::of(tx, &[id], rule)?.into_iter();
            given
                .map(|given| given.address)
                .max_by_key(|address| *address == in_use)
                .flatten()
        }
        None => None,
    };
    let due = Due {
        inbox,
        contact,
        kind,
        state: DeliveryState::Waiting,
        attempts: 0,
        planned_at: 0,
        address: address.unwrap_or_default(),
    };
    let (record, key) = record(tx, &due, rule)?;
    Ok(Delivery {
        id: DeliveryId(0),
        key,
        attempt: 1,
        planned_at: record.event_at,
        record,
    })
}
