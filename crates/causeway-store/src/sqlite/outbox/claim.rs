//! Claims due deliveries: the walk through the queue, the gate, and the leases.

use causeway_core::{
    clock::Timestamp,
    consent::ConsentState,
    contact::normal_email,
    delivery::{Delivery, Kind},
    rules::{DestinationRule, Gate, Takes},
    store::{Claim, Claimed},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, InboxRowId},
        rows::{DeliveryState, at, ms},
        tx::Tx,
    },
    outbox::{
        build::record,
        delivery::{self, End},
        given, memory,
    },
    people::erasure,
};

pub(crate) const SUPERSEDED: &str = "superseded by a newer one";
/// A claim stops looking for more after it skipped this many deliveries. When very many lose their consent at
/// once, the writer must not be blocked for long; the lane claims again.
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
    let Some(destination) = tx.state.names.find_destination(&claim.destination) else {
        return Ok(claimed);
    };
    if is_paused_or_halted(tx, destination)? {
        return Ok(claimed);
    }
    let walk = Walk {
        claim,
        rule: &rule,
        destination,
        is_any_erasing: erasure::is_any_pending(tx)?,
    };
    let limit = usize::try_from(claim.limit).unwrap_or(usize::MAX);
    if !claim.first.is_empty() && claim_first(tx, &walk, &mut claimed)? {
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
            claim_one(tx, &walk, id, &mut claimed)?;
        }
    }
    if claimed.deliveries.is_empty() {
        claimed.next_due = next_due(tx, destination, claim.now)?;
    }
    Ok(claimed)
}

/// The inputs of one claim.
struct Walk<'a> {
    claim: &'a Claim,
    rule: &'a DestinationRule,
    destination: DestinationRowId,
    /// Whether any erasure is pending.
    is_any_erasing: bool,
}

/// Claims withdrawals, then the deliveries that senders wait for. Returns false if it claimed nothing; the
/// caller then claims in the usual order.
fn claim_first(tx: &mut Tx<'_>, walk: &Walk<'_>, claimed: &mut Claimed) -> Result<bool, Error> {
    let Walk {
        claim, destination, ..
    } = *walk;
    let limit = usize::try_from(claim.limit).unwrap_or(usize::MAX);
    let mut first = Vec::new();
    for delivery in &claim.first {
        if let Some(head) = head(tx, destination, (*delivery).into(), claim.now)?
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
        claim_one(tx, walk, id, claimed)?;
    }
    Ok(!claimed.deliveries.is_empty())
}

/// Among the contact's deliveries to this destination up to `delivery`: the first that is waiting and due.
/// `None` if there is none, if that one is leased, or if another delivery of the contact is in flight.
fn head(
    tx: &Tx<'_>,
    destination: DestinationRowId,
    delivery: DeliveryRowId,
    now: Timestamp,
) -> Result<Option<DeliveryRowId>, Error> {
    let found: Option<(DeliveryRowId, Option<ContactRowId>)> = tx
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
    let may_go = |(id, contact): &(DeliveryRowId, Option<ContactRowId>)| {
        !leases.is_held(*id, now) && !leases.is_busy(destination, *contact, now)
    };
    Ok(found.filter(may_go).map(|(id, _)| id))
}

/// Whether the destination is paused or halted.
fn is_paused_or_halted(tx: &Tx<'_>, destination: DestinationRowId) -> Result<bool, Error> {
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
fn due(
    tx: &Tx<'_>,
    destination: DestinationRowId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DeliveryRowId>, Error> {
    let withdrawals = due_of(tx, WITHDRAWALS, destination, now, limit)?;
    if !withdrawals.is_empty() {
        return Ok(withdrawals);
    }
    due_of(tx, ALL, destination, now, limit)
}

/// The due deliveries of one query. Leased deliveries are left out. So are all deliveries of a contact while
/// one of that contact is in flight to this destination.
fn due_of(
    tx: &Tx<'_>,
    sql: &str,
    destination: DestinationRowId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DeliveryRowId>, Error> {
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

fn next_due(
    tx: &mut Tx<'_>,
    destination: DestinationRowId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
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

/// A delivery's row.
pub(crate) struct Due {
    pub inbox: InboxRowId,
    pub contact: Option<ContactRowId>,
    pub kind: Kind,
    pub state: DeliveryState,
    pub attempts: u32,
    pub planned_at: i64,
    /// The address that a withdrawal is about, in its normal form: a former one or the present one. Empty for
    /// a withdrawal that was planned without an address: it is about the address in use, if there is one.
    /// Always empty for the kinds `record` and `contact`.
    pub address: String,
    pub ticket: Option<String>,
}

pub(crate) fn read_due(tx: &Tx<'_>, id: DeliveryRowId) -> Result<Due, Error> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT inbox_id, contact_id, kind, state, attempts, planned_at, address, ticket FROM delivery WHERE id = ?1",
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
        ticket: row.get(7)?,
    })
}

/// Unwraps what was read for a delivery. If the row is broken, the delivery becomes dead with that reason,
/// and blocks no other.
fn or_mark_dead<T>(
    tx: &mut Tx<'_>,
    id: DeliveryRowId,
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
        delivery.id = id.0,
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
    id: DeliveryRowId,
    due: Due,
    /// The inbox row of the contact's erasure, if it is being erased. Only the deliveries that belong to this
    /// inbox row may still be sent.
    erasure_row: Option<InboxRowId>,
}

fn claim_one(
    tx: &mut Tx<'_>,
    walk: &Walk<'_>,
    id: DeliveryRowId,
    claimed: &mut Claimed,
) -> Result<(), Error> {
    let Walk {
        claim,
        rule,
        destination,
        ..
    } = *walk;
    let Some(candidate) = candidate(tx, walk, id, claimed)? else {
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
        // `gated` means: consent stopped the delivery, or a person must act, because the destination cannot
        // receive the withdrawal. A void withdrawal is not gated: consent allows the contact again, so nobody
        // must act. A delivery that is skipped during an erasure or superseded is not gated either.
        let is_void = erasure_row.is_none() && !rule.withdraws(consent_state, record.contact.gave_data);
        return skip(tx, id, &reason, !is_void, claim.now, claimed);
    }
    let mut remembered = None;
    if let Some(contact) = due.contact {
        let address = record.email().and_then(normal_email).unwrap_or_default();
        remembered = memory::of(tx.connection, contact, destination, &address)?;
        if rule.takes != Takes::Confirmations {
            given::starts(
                tx.connection,
                contact,
                destination,
                &address,
                record.change,
                claim.now,
            )?;
        }
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
        id: id.into(),
        key,
        attempt: due.attempts.saturating_add(1),
        planned_at: at(due.planned_at),
        record,
        ticket: due.ticket,
        memory: remembered,
    });
    Ok(())
}

/// The delivery to send: `id`. With `coalesce`, unless its result is awaited: the newest of those that wait behind it;
/// `id` and the others are skipped. `None` if nothing of the contact may be sent now.
fn candidate(
    tx: &mut Tx<'_>,
    walk: &Walk<'_>,
    id: DeliveryRowId,
    claimed: &mut Claimed,
) -> Result<Option<Candidate>, Error> {
    let Walk {
        claim,
        rule,
        destination,
        is_any_erasing,
    } = *walk;
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
        // The destination has this one already; its result says what became of it, and the newer ones wait for that.
        && due.ticket.is_none()
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
    id: DeliveryRowId,
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
    destination: DestinationRowId,
    contact: ContactRowId,
    head: DeliveryRowId,
    now: Timestamp,
    superseded: &mut u32,
) -> Result<DeliveryRowId, Error> {
    let run: Vec<DeliveryRowId> = tx
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
