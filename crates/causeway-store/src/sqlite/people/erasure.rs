//! The time between the request for an erasure and the erasure. Each destination that has the person is sent
//! a removal first. Nothing else about the person is sent, and new messages about the person are not applied.

use causeway_core::{
    clock::Timestamp,
    consent::{Change, ConsentState},
    contact::Contact,
    delivery::Kind,
    envelope::digest,
    id::{ContactId, DeliveryId, Name},
    plan::Planned,
    record::Record,
    rules::Gate,
    store::{Erasure, ErasureStart, InboxState, OpenRemoval},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, InboxRowId, SourceRowId, WorkspaceRowId},
        rows::{at, ms, name},
        tx::Tx,
    },
    outbox::{
        delivery::{self, End},
        given::{self, Holder},
    },
    people::{erase, erased_user},
};

/// The reason with which all other deliveries about the person are skipped.
pub(crate) const ERASING: &str = "the person asked to be erased";
const DECISION: &str = "the person asked to be erased: the destinations that were sent the person \
     get a removal, then everything is erased";

/// Plans the removals. If the erasure is pending already, it changes nothing and returns the same.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    contact: ContactId,
    at_latest: Timestamp,
    now: Timestamp,
) -> Result<ErasureStart, Error> {
    let Some((id, workspace)) = erase::living(tx.connection, contact)? else {
        return Ok(ErasureStart::default());
    };
    let known: Option<InboxRowId> = tx
        .connection
        .prepare_cached("SELECT inbox_id FROM erasure WHERE contact_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let is_new = known.is_none();
    let mut start = ErasureStart::default();
    let workspace_name = tx.state.names.name(workspace)?;
    let holders = given::holders(tx, id, &workspace_name)?;
    if is_new {
        erase::remember_hashes(tx, id, workspace, now)?;
        erase::forget_keys(tx, id)?;
    }
    if holders.is_empty() {
        return Ok(start);
    }
    let inbox = match known {
        Some(inbox) => inbox,
        None => make_row(tx, id, workspace, now)?,
    };
    if is_new {
        tx.connection
            .prepare_cached(
                "INSERT INTO erasure (contact_id, inbox_id, asked_at, at_latest) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, inbox, ms(now), ms(at_latest)])?;
        skip_open_deliveries(tx, id, now)?;
        erased_user::take_back(tx, workspace, id, now)?;
    }
    for Holder {
        rule,
        is_configured,
        given,
    } in holders
    {
        let removal = if is_configured {
            rule.removal()
        } else {
            Err(Gate::Skip {
                reason: format!(
                    "it has the person, but workspace {workspace_name} no longer has this destination"
                ),
            })
        };
        let gate = match removal {
            Ok(change) => {
                start.asked.push((Name::clone(&rule.name), change));
                Gate::Send
            }
            Err(Gate::Skip { reason }) => {
                start.not_asked.push((Name::clone(&rule.name), reason.clone()));
                Gate::Skip { reason }
            }
            Err(Gate::Send) => continue,
        };
        // One removal for each address that the destination was given.
        for given in given {
            let planned = Planned {
                destination: Name::clone(&rule.name),
                kind: Kind::Withdrawal,
                address: given.address,
                gate: gate.clone(),
            };
            delivery::insert(tx, inbox, Some(id), false, &planned, now)?;
        }
    }
    Ok(start)
}

/// Skips all other deliveries of the person. One in flight ends by itself; if it would be retried, `claim`
/// skips it.
fn skip_open_deliveries(tx: &mut Tx<'_>, contact: ContactRowId, now: Timestamp) -> Result<(), Error> {
    let open: Vec<DeliveryRowId> = tx
        .connection
        .prepare_cached("SELECT id FROM delivery WHERE contact_id = ?1 AND state IN ('waiting', 'blocked')")?
        .query_map([contact], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for delivery in open {
        if tx.state.leases.is_held(delivery, now) {
            continue;
        }
        if let Some(row) = delivery::row(tx, delivery)? {
            delivery::set_end(tx, &row, &End::skipped(&row, ERASING, ms(now)))?;
        }
    }
    Ok(())
}

/// Makes the inbox row that the removals belong to.
fn make_row(
    tx: &mut Tx<'_>,
    contact: ContactRowId,
    workspace: WorkspaceRowId,
    now: Timestamp,
) -> Result<InboxRowId, Error> {
    let key = digest(&[b"erasure", &contact.0.to_be_bytes(), &ms(now).to_be_bytes()]);
    let own = OwnRow {
        contact,
        workspace,
        kind: "erasure",
        decision: DECISION,
    };
    own_row(tx, &own, key, now)
}

/// An inbox row that no message brought.
pub(crate) struct OwnRow<'a> {
    pub contact: ContactRowId,
    pub workspace: WorkspaceRowId,
    /// The kind of its event.
    pub kind: &'a str,
    pub decision: &'a str,
}

/// Makes an inbox row for a command of a person. There was no message, so the row has no body. It counts for
/// the source of the contact's latest message.
pub(crate) fn own_row(
    tx: &mut Tx<'_>,
    own: &OwnRow<'_>,
    key: [u8; 16],
    now: Timestamp,
) -> Result<InboxRowId, Error> {
    let latest: Option<SourceRowId> = tx
        .connection
        .prepare_cached(
            "SELECT inbox.source_id FROM event JOIN inbox ON inbox.id = event.inbox_id
             WHERE event.contact_id = ?1 ORDER BY event.inbox_id DESC LIMIT 1",
        )?
        .query_row([own.contact], |row| row.get(0))
        .optional()?;
    let source: SourceRowId = match latest {
        Some(source) => source,
        // The contact's messages are past their retention.
        None => tx
            .connection
            .prepare_cached("SELECT id FROM name WHERE kind = 'source' ORDER BY id LIMIT 1")?
            .query_row([], |row| row.get(0))?,
    };
    tx.connection
        .prepare_cached(
            "INSERT INTO inbox (source_id, dedup, key, received_at, processed_at, state, bytes)
             VALUES (?1, ?2, ?2, ?3, ?3, 'done', 0)",
        )?
        .execute(params![source, key, ms(now)])?;
    let inbox = InboxRowId(tx.connection.last_insert_rowid());
    tx.connection
        .prepare_cached(
            "INSERT INTO event (inbox_id, workspace_id, kind, at, contact_id, decision)
             VALUES (?1, ?2, ?6, ?3, ?4, ?5)",
        )?
        .execute(params![
            inbox,
            own.workspace,
            ms(now),
            own.contact,
            own.decision,
            own.kind
        ])?;
    tx.state.counters.add(source, "received", 1);
    tx.state.counters.add(source, InboxState::Done.as_str(), 1);
    Ok(inbox)
}

/// Whether any erasure is pending. Saves a look-up for each delivery while none is.
pub(crate) fn is_any_pending(tx: &Tx<'_>) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasure WHERE contact_id > 0)")?
        .query_row([], |row| row.get(0))?)
}

/// The inbox row of the contact's erasure, if one is pending.
pub(crate) fn row_of(tx: &Tx<'_>, contact: Option<ContactRowId>) -> Result<Option<InboxRowId>, Error> {
    let Some(contact) = contact else {
        return Ok(None);
    };
    Ok(tx
        .connection
        .prepare_cached("SELECT inbox_id FROM erasure WHERE contact_id = ?1")?
        .query_row([contact], |row| row.get(0))
        .optional()?)
}

/// Whether the contact is being erased.
pub(crate) fn is_being_erased(tx: &Tx<'_>, contact: ContactRowId) -> Result<bool, Error> {
    Ok(row_of(tx, Some(contact))?.is_some())
}

/// Changes the record to a removal. It holds only what names the person.
pub(crate) fn make_removal(record: &mut Record, change: Change) {
    record.change = change;
    let since = record.event_at;
    for consent_state in record.consent_state.values_mut() {
        *consent_state = ConsentState::Unsubscribed { since };
    }
    let email = record.contact.fields.remove("email");
    record.contact = Contact {
        id: record.contact.id,
        fields: email
            .map(|email| ("email".to_owned(), email))
            .into_iter()
            .collect(),
        ..Contact::default()
    };
    record.engagements.clear();
    record.action = None;
    record.campaign = None;
    record.page = None;
}

/// Which deliveries an erasure waits for, besides those that have not ended. A removal that was rejected, or that
/// the destination cannot receive, counts as open until a person discards it: the destination still has the
/// person, and somebody must know whom to remove.
const NEEDS_A_PERSON: &str = "delivery.inbox_id = erasure.inbox_id AND delivery.kind = 'withdrawal'
     AND (delivery.state = 'dead' OR (delivery.state = 'skipped' AND delivery.gated = 1))";

/// All pending erasures, with what each waits for.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Erasure>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT name.name, erasure.contact_id, erasure.inbox_id, erasure.asked_at, erasure.at_latest,
                (SELECT count(*) FROM delivery WHERE delivery.contact_id = erasure.contact_id
                 AND (delivery.state IN ('waiting', 'blocked') OR ({NEEDS_A_PERSON})))
         FROM erasure JOIN contact ON contact.id = erasure.contact_id JOIN name ON name.id = contact.workspace_id
         ORDER BY erasure.contact_id",
    ))?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let contact: ContactRowId = row.get(1)?;
        all.push(Erasure {
            workspace: name(row, 0)?,
            contact: contact.into(),
            record: causeway_core::id::InboxId(row.get(2)?),
            asked_at: at(row.get(3)?),
            at_latest: at(row.get(4)?),
            open: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
            removals: open_removals(connection, contact)?,
        });
    }
    Ok(all)
}

fn open_removals(connection: &Connection, contact: ContactRowId) -> Result<Vec<OpenRemoval>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT delivery.id, name.name, delivery.state
         FROM erasure JOIN delivery ON delivery.contact_id = erasure.contact_id
         JOIN name ON name.id = delivery.destination_id
         WHERE erasure.contact_id = ?1 AND delivery.inbox_id = erasure.inbox_id
               AND (delivery.state IN ('waiting', 'blocked') OR ({NEEDS_A_PERSON}))
         ORDER BY delivery.id",
    ))?;
    let mut rows = statement.query([contact])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(OpenRemoval {
            delivery: DeliveryId(row.get(0)?),
            destination: name(row, 1)?,
            state: row.get(2)?,
        });
    }
    Ok(all)
}
