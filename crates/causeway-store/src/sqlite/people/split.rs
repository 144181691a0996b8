//! Undoes a wrong merge: moves identities, and everything that came with them, from a contact to a new one.
//!
//! A message belongs to the contact that its strongest identity names: a foreign id before a contactRef, and
//! a contactRef before an address. Consent is rebuilt from the ledger, which holds the message of each fact.
//! Fields are rebuilt from the messages that can still be read, and otherwise by the number of the message
//! that each value came with.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    clock::Timestamp,
    contact::{Contact, Field, Identity},
    delivery::Kind,
    envelope::digest,
    event::Event,
    id::{ContactId, InboxId, Name},
    plan::{Planned, event_address},
    rules::Gate,
    store::Split,
};
use rusqlite::params;

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, InboxRowId, WorkspaceRowId},
        rows::{from_json, ms},
        tx::Tx,
    },
    outbox::{
        delivery::{self, End},
        given, memory,
        replan::{self, Change},
    },
    people::{
        contact::{self, consent_fact},
        erase,
        erasure::{self, OwnRow},
        identity, shared, unclear,
    },
};

const DECISION: &str = "somebody split this contact: these identities belong to another person";

/// Splits the contact. `read` holds the contact's messages that can still be decoded. Returns `None` if the
/// contact does not exist, does not have all of these identities, or would keep none.
pub(crate) fn split(
    tx: &mut Tx<'_>,
    asked: ContactId,
    taken: &BTreeSet<Identity>,
    read: &BTreeMap<InboxId, Event>,
    now: Timestamp,
) -> Result<Option<Split>, Error> {
    let Some((from, workspace)) = erase::living(tx.connection, asked)? else {
        return Ok(None);
    };
    let own: BTreeSet<Identity> = contact::identities(tx.connection, from)?.into_iter().collect();
    if taken.is_empty() || !taken.is_subset(&own) || taken.len() == own.len() {
        return Ok(None);
    }
    let Some(before) = contact::read(tx.connection, from)? else {
        return Ok(None);
    };
    tx.state.recent = crate::sqlite::outbox::recent::Recent::default();
    let moved = moved_messages(tx, from, taken, read)?;
    let used = Used::of(read, &moved);
    let mut taken = taken.clone();
    let with_them = own.iter().filter(|identity| used.is_only_of_moved(identity));
    taken.extend(with_them.cloned());
    if taken.len() == own.len() {
        return Ok(None);
    }
    let into = contact::insert(tx.connection, workspace, &Contact::default(), now)?;
    move_rows(tx, from, into, &taken, &moved)?;
    part_deliveries(tx, from, into)?;
    let stays = |inbox: &InboxId| !moved.contains(inbox);
    let is_moved = |inbox: &InboxId| moved.contains(inbox);
    let mut kept = Half {
        id: from,
        contact: rebuild(tx, from, &before, read, &stays, &used.not_of_kept(&taken))?,
    };
    let mut new = Half {
        id: into,
        contact: rebuild(tx, into, &before, read, &is_moved, &used.not_of_new(&taken))?,
    };
    use_addresses(&mut kept.contact, &before, own.difference(&taken));
    use_addresses(&mut new.contact, &before, taken.iter());
    unclear::divide(tx, (from, &mut kept.contact), (into, &mut new.contact))?;
    contact::update(tx.connection, from, &kept.contact, now)?;
    contact::update(tx.connection, into, &new.contact, now)?;
    divide_given(tx, &kept, &new, now)?;
    share(tx, workspace, &mut kept, &mut new, now)?;
    let record = correct(tx, workspace, &before, &kept, &new, now)?;
    Ok(Some(Split {
        kept: from.into(),
        new: into.into(),
        messages: u64::try_from(moved.len()).unwrap_or(u64::MAX),
        record: record.into(),
    }))
}

/// One of the two contacts after the split.
struct Half {
    id: ContactRowId,
    contact: Contact,
}

/// The addresses in the messages that stay, and in those that move.
struct Used {
    by_kept: BTreeSet<String>,
    by_moved: BTreeSet<String>,
}

impl Used {
    fn of(read: &BTreeMap<InboxId, Event>, moved: &BTreeSet<InboxId>) -> Self {
        let addresses = |is_moved: bool| {
            let own = read.iter().filter(|(inbox, _)| moved.contains(inbox) == is_moved);
            own.filter_map(|(_, event)| event_address(event)).collect()
        };
        Self {
            by_kept: addresses(false),
            by_moved: addresses(true),
        }
    }

    /// Whether an address came only with messages that move; it moves with them.
    fn is_only_of_moved(&self, identity: &Identity) -> bool {
        matches!(identity, Identity::Email { address }
            if self.by_moved.contains(address) && !self.by_kept.contains(address))
    }

    /// Addresses that were taken no longer belong to the kept contact, if it has another.
    fn not_of_kept(&self, taken: &BTreeSet<Identity>) -> BTreeSet<String> {
        let (theirs, own): (BTreeSet<String>, BTreeSet<String>) = self
            .by_kept
            .iter()
            .cloned()
            .partition(|address| is_taken(taken, address));
        if own.is_empty() { BTreeSet::new() } else { theirs }
    }

    /// Addresses that were not taken do not belong to the new contact, if it has another: the wrong merge
    /// brought them.
    fn not_of_new(&self, taken: &BTreeSet<Identity>) -> BTreeSet<String> {
        let by_both = self.by_kept.intersection(&self.by_moved);
        let theirs = by_both.filter(|address| !is_taken(taken, address));
        if self.by_moved.is_subset(&self.by_kept) {
            return BTreeSet::new();
        }
        theirs.cloned().collect()
    }
}

fn is_taken(taken: &BTreeSet<Identity>, address: &str) -> bool {
    taken.contains(&Identity::Email {
        address: address.to_owned(),
    })
}

fn moved_messages(
    tx: &Tx<'_>,
    contact: ContactRowId,
    taken: &BTreeSet<Identity>,
    read: &BTreeMap<InboxId, Event>,
) -> Result<BTreeSet<InboxId>, Error> {
    let mut statement = tx
        .connection
        .prepare_cached("SELECT inbox_id, ids FROM event WHERE contact_id = ?1")?;
    let mut rows = statement.query([contact])?;
    let mut moved = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let inbox = InboxId(row.get(0)?);
        let named: Vec<Identity> = match read.get(&inbox) {
            Some(event) => event.identities.clone(),
            None => match row.get::<_, Option<String>>(1)? {
                Some(ids) => from_json::<BTreeMap<String, String>>(&ids)?
                    .into_iter()
                    .map(|(namespace, id)| Identity::ForeignId {
                        namespace: Name::from(namespace),
                        id,
                    })
                    .collect(),
                None => Vec::new(),
            },
        };
        let firmness = |identity: &&Identity| match identity {
            identity if identity.is_visitor() => 0,
            Identity::ForeignId { .. } => 3,
            Identity::ContactRef { .. } => 2,
            Identity::Email { .. } => 1,
        };
        if named
            .iter()
            .max_by_key(firmness)
            .is_some_and(|identity| taken.contains(identity))
        {
            moved.insert(inbox);
        }
    }
    Ok(moved)
}

fn move_rows(
    tx: &mut Tx<'_>,
    from: ContactRowId,
    into: ContactRowId,
    taken: &BTreeSet<Identity>,
    moved: &BTreeSet<InboxId>,
) -> Result<(), Error> {
    for identity in taken {
        tx.connection
            .prepare_cached(
                "UPDATE identity SET contact_id = ?2
                 WHERE contact_id = ?1 AND kind = ?3 AND value = ?4
                   AND namespace_id = (SELECT id FROM name WHERE kind = 'namespace' AND name = ?5)",
            )?
            .execute(params![
                from,
                into,
                identity.kind(),
                identity.value(),
                identity.namespace()
            ])?;
    }
    for inbox in moved {
        for sql in [
            "UPDATE event SET contact_id = ?2 WHERE inbox_id = ?3 AND contact_id = ?1",
            "UPDATE action SET contact_id = ?2
             WHERE contact_id = ?1 AND id = (SELECT action_id FROM event WHERE inbox_id = ?3)",
            "UPDATE OR IGNORE delivery SET contact_id = ?2 WHERE inbox_id = ?3 AND contact_id = ?1",
            "UPDATE OR IGNORE consent SET contact_id = ?2 WHERE inbox_id = ?3 AND contact_id = ?1",
            "UPDATE timer SET contact_id = ?2 WHERE inbox_id = ?3 AND contact_id = ?1",
        ] {
            tx.connection
                .prepare_cached(sql)?
                .execute(params![from, into, inbox.0])?;
        }
    }
    // Either contact may be the one that a destination was given: see `divide_given`.
    tx.connection
        .prepare_cached(
            "INSERT OR IGNORE INTO given (contact_id, destination_id, address, since, last_sent, change, purpose)
             SELECT ?2, destination_id, address, since, last_sent, change, purpose FROM given WHERE contact_id = ?1",
        )?
        .execute([from, into])?;
    memory::copy(tx.connection, from, into)
}

/// Deliveries of different contacts do not wait for each other. One in flight belongs to the new contact if its
/// message does.
fn part_deliveries(tx: &mut Tx<'_>, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    let connection = tx.connection;
    let moved: Vec<DeliveryRowId> = connection
        .prepare_cached("SELECT id FROM delivery WHERE contact_id = ?1")?
        .query_map([into], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    tx.state.leases.split(&moved, into);
    for contact in [from, into] {
        let blocked: Vec<DestinationRowId> = connection
            .prepare_cached(
                "SELECT DISTINCT destination_id FROM delivery WHERE contact_id = ?1 AND state = 'blocked'",
            )?
            .query_map([contact], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for destination in blocked {
            delivery::release_next(tx, destination, Some(contact))?;
        }
    }
    Ok(())
}

/// Rebuilds the contact from its own messages.
fn rebuild(
    tx: &Tx<'_>,
    id: ContactRowId,
    before: &Contact,
    read: &BTreeMap<InboxId, Event>,
    is_own: &dyn Fn(&InboxId) -> bool,
    not_own: &BTreeSet<String>,
) -> Result<Contact, Error> {
    let mut contact = Contact {
        id: Some(id.into()),
        gave_data: before.gave_data,
        ..Contact::default()
    };
    // Values whose message can no longer be read are assigned by the number of the message.
    for (name, field) in &before.fields {
        let is_theirs = name == "email" && before.address().is_some_and(|address| not_own.contains(&address));
        if is_own(&InboxId(field.arrival)) && !is_theirs {
            contact.fields.insert(name.clone(), field.clone());
        }
    }
    for (inbox, event) in read.iter().filter(|(inbox, _)| is_own(inbox)) {
        let address = event_address(event);
        let mut fields = event.fields.clone();
        if address.as_ref().is_some_and(|address| not_own.contains(address)) {
            fields.remove("email");
        }
        contact.take_fields(&fields, event.fields_time(), inbox.0);
        if let Some(address) = address.filter(|address| !not_own.contains(address)) {
            contact.add_address(&address, event.fields_time());
            contact.add_address_of(&event.identities, &address, event.fields_time());
        }
    }
    let mut statement = tx.connection.prepare_cached(
        "SELECT purpose, what, page, at, basis, address FROM consent WHERE contact_id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        contact.add_consent(&consent_fact(row)?);
    }
    Ok(contact)
}

/// Gives the contact the addresses among its identities. If no message says which one it uses, it uses the
/// latest.
fn use_addresses<'a>(contact: &mut Contact, before: &Contact, own: impl Iterator<Item = &'a Identity>) {
    let addresses = own.filter_map(|identity| match identity {
        Identity::Email { address } => Some(address.as_str()),
        _ => None,
    });
    let since = |address: &str| before.addresses.get(address).copied();
    let mut latest: Option<(Timestamp, &str)> = None;
    for address in addresses {
        let since = since(address).unwrap_or(Timestamp::UNIX_EPOCH);
        if !contact.addresses.contains_key(address) {
            contact.add_address(address, since);
        }
        latest = latest.max(Some((since, address)));
    }
    if let (None, Some((since, address))) = (contact.address(), latest) {
        let email = Field::new(address.into(), since);
        contact.fields.insert("email".to_owned(), email);
    }
}

/// Why a withdrawal that waits is not sent.
const OTHERS: &str =
    "the contact was split: the address is the other person's, and what follows for them was planned anew";

/// If only one of the contacts has an address, what was given for that address belongs to that contact. The
/// rest may belong to either.
fn divide_given(tx: &mut Tx<'_>, kept: &Half, new: &Half, now: Timestamp) -> Result<(), Error> {
    for (own, theirs) in [(kept, new), (new, kept)] {
        for address in theirs.contact.addresses.keys() {
            if !own.contact.addresses.contains_key(address) {
                end_withdrawals(tx, own.id, address, now)?;
                tx.connection
                    .prepare_cached("DELETE FROM given WHERE contact_id = ?1 AND address = ?2")?
                    .execute(params![own.id, &**address])?;
                memory::forget_address(tx.connection, own.id, address)?;
            }
        }
    }
    Ok(())
}

/// Ends those that wait and are not being sent.
fn end_withdrawals(
    tx: &mut Tx<'_>,
    contact: ContactRowId,
    address: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let waiting: Vec<DeliveryRowId> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM delivery WHERE contact_id = ?1 AND address = ?2 AND kind = 'withdrawal'
             AND state IN ('waiting', 'blocked')",
        )?
        .query_map(params![contact, address], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in waiting {
        if tx.state.leases.is_held(id, now) {
            continue;
        }
        if let Some(row) = delivery::row(tx, id)? {
            delivery::end(tx, &row, &End::skipped(&row, OTHERS, ms(now)))?;
        }
    }
    Ok(())
}

/// An address that both contacts still have is a shared mailbox: facts of one about it count for the other.
fn share(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    kept: &mut Half,
    new: &mut Half,
    now: Timestamp,
) -> Result<(), Error> {
    let shared: Vec<Name> = kept
        .contact
        .addresses
        .keys()
        .filter(|address| new.contact.addresses.contains_key(*address))
        .cloned()
        .collect();
    for address in &shared {
        identity::add_user(tx, workspace, address, kept.id)?;
        identity::add_user(tx, workspace, address, new.id)?;
    }
    for address in &shared {
        for Half { id, contact } in [&mut *kept, &mut *new] {
            let facts = shared::facts_from_others(tx, workspace, address, &[*id])?;
            shared::add_shared(tx, *id, contact, address, &facts)?;
            contact::update(tx.connection, *id, contact, now)?;
        }
    }
    Ok(())
}

/// Plans the deliveries that correct the destinations: each that was given the contact is sent both people as
/// they are now, or a withdrawal. The deliveries belong to an own row, so that the trace explains them.
fn correct(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    before: &Contact,
    kept: &Half,
    new: &Half,
    now: Timestamp,
) -> Result<InboxRowId, Error> {
    let key = digest(&[
        b"split",
        &kept.id.0.to_be_bytes(),
        &new.id.0.to_be_bytes(),
        &ms(now).to_be_bytes(),
    ]);
    let own = OwnRow {
        contact: kept.id,
        workspace,
        kind: "split",
        decision: DECISION,
    };
    let record = erasure::own_row(tx, &own, key, now)?;
    let terms = tx.state.terms_of(workspace);
    let workspace_name = tx.state.names.name(workspace)?;
    let rules = tx.state.rules.clone();
    for Half { id, contact: after } in [kept, new] {
        let change = Change {
            contact: *id,
            before: (before, &terms),
            after: (after, &terms),
        };
        let withdrawn = replan::after_change(tx, workspace, record, &change, now)?;
        for rule in rules.destinations_of(&workspace_name) {
            let is_planned = withdrawn.iter().any(|planned| planned.destination == rule.name);
            let consent_state = after.consent_state(&rule.purpose, &terms);
            let gate = rule.gate(Kind::Contact, consent_state, after.gave_data);
            if is_planned || gate != Gate::Send || given::of(tx, &[*id], rule)?.is_empty() {
                continue;
            }
            let planned = Planned {
                destination: rule.name.clone(),
                kind: Kind::Contact,
                address: None,
                gate,
            };
            delivery::insert(tx, record, Some(*id), false, &planned, now)?;
        }
    }
    Ok(record)
}
