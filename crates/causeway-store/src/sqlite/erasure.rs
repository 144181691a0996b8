//! The time between asking to be forgotten and being erased: every destination that was given the person is told first.
//! Whatever else was to be sent about them is not, and nothing new about them is taken in.

use causeway_core::{
    clock::Timestamp,
    consent::{Change, Standing},
    contact::{Contact, Identity},
    delivery::Kind,
    envelope::digest,
    id::{ContactId, Name},
    plan::Planned,
    record::Record,
    rules::{DestinationRule, Gate},
    store::{Erasure, InboxState, Parting},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    contact,
    decide::was_given,
    erase,
    fault::Fault,
    outbox,
    rows::{at, ms, name},
    writer::Tx,
};

/// Why nothing else is sent about the person any more.
pub(crate) const LEAVING: &str = "the person asked to be forgotten";
const DECISION: &str =
    "asked to be forgotten: the destinations that were given the person are told, then everything is erased";

/// Plans the last deliveries. Asked again, it changes nothing and tells the same.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    asked: ContactId,
    at_latest: Timestamp,
    now: Timestamp,
) -> Result<Parting, Fault> {
    let Some((id, workspace)) = erase::living(tx, asked)? else {
        return Ok(Parting::default());
    };
    let known: Option<i64> = tx
        .connection
        .prepare_cached("SELECT inbox_id FROM erasure WHERE contact_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let is_new = known.is_none();
    let mut parting = Parting::default();
    let workspace_name = tx.state.names.name(workspace)?;
    let rules = tx.state.rules.clone();
    let given: Vec<&DestinationRule> = rules
        .destinations_of(&workspace_name)
        .map(|rule| match was_given(tx, &[id], rule) {
            Ok(is_given) => Ok(is_given.then_some(&**rule)),
            Err(fault) => Err(fault),
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, Fault>>()?;
    if is_new {
        erase::remember_hashes(tx, id, workspace, now)?;
    }
    if given.is_empty() {
        return Ok(parting);
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
        // What waits for its next try would keep the last word waiting: it is looked at now, and skipped.
        tx.connection
            .prepare_cached(
                "UPDATE delivery SET due_at = min(due_at, ?2) WHERE contact_id = ?1 AND state = 'waiting'",
            )?
            .execute(params![id, ms(now)])?;
    }
    for rule in given {
        let gate = match rule.removal() {
            Ok(change) => {
                parting.told.push((Name::clone(&rule.name), change));
                Gate::Send
            }
            Err(Gate::Skip { reason }) => {
                parting.untold.push((Name::clone(&rule.name), reason.clone()));
                Gate::Skip { reason }
            }
            Err(Gate::Send) => continue,
        };
        let planned = Planned {
            destination: Name::clone(&rule.name),
            kind: Kind::Withdrawal,
            gate,
        };
        outbox::insert(tx, inbox, Some(id), false, &planned, now)?;
    }
    Ok(parting)
}

/// The inbox row that the last deliveries hang on: there was no message, so it has no body. It counts for the source that
/// spoke of the person last.
fn make_row(tx: &mut Tx<'_>, contact: i64, workspace: i64, now: Timestamp) -> Result<i64, Fault> {
    let source: i64 = tx
        .connection
        .prepare_cached(
            "SELECT inbox.source_id FROM event JOIN inbox ON inbox.id = event.inbox_id
             WHERE event.contact_id = ?1 ORDER BY event.inbox_id DESC LIMIT 1",
        )?
        .query_row([contact], |row| row.get(0))?;
    let key = digest(&[b"erasure", &contact.to_be_bytes(), &ms(now).to_be_bytes()]);
    tx.connection
        .prepare_cached(
            "INSERT INTO inbox (source_id, dedup, key, received_at, processed_at, state, bytes)
             VALUES (?1, ?2, ?2, ?3, ?3, 'done', 0)",
        )?
        .execute(params![source, key, ms(now)])?;
    let inbox = tx.connection.last_insert_rowid();
    tx.connection
        .prepare_cached(
            "INSERT INTO event (inbox_id, workspace_id, kind, at, contact_id, decision)
             VALUES (?1, ?2, 'erasure', ?3, ?4, ?5)",
        )?
        .execute(params![inbox, workspace, ms(now), contact, DECISION])?;
    tx.state.counters.add(source, "received", 1);
    tx.state.counters.add(source, InboxState::Done.as_str(), 1);
    Ok(inbox)
}

/// Saves looking for each delivery's person while nobody is leaving.
pub(crate) fn anyone(tx: &Tx<'_>) -> Result<bool, Fault> {
    Ok(tx
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasure WHERE contact_id > 0)")?
        .query_row([], |row| row.get(0))?)
}

/// The row of the last deliveries of somebody who is leaving.
pub(crate) fn row_of(tx: &Tx<'_>, contact: Option<i64>) -> Result<Option<i64>, Fault> {
    let Some(contact) = contact else {
        return Ok(None);
    };
    Ok(tx
        .connection
        .prepare_cached("SELECT inbox_id FROM erasure WHERE contact_id = ?1")?
        .query_row([contact], |row| row.get(0))
        .optional()?)
}

/// The last word holds no more than what names the person.
pub(crate) fn last_word(record: &mut Record, change: Change) {
    record.change = change;
    let since = record.event_at;
    for standing in record.standing.values_mut() {
        *standing = Standing::Unsubscribed { since };
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

/// Everybody who is leaving, with how many deliveries have not ended.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Erasure>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, erasure.contact_id, erasure.inbox_id, erasure.asked_at, erasure.at_latest,
                (SELECT count(*) FROM delivery WHERE contact_id = erasure.contact_id
                 AND state IN ('waiting', 'blocked'))
         FROM erasure JOIN contact ON contact.id = erasure.contact_id JOIN name ON name.id = contact.workspace_id
         ORDER BY erasure.contact_id",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(Erasure {
            workspace: name(row, 0)?,
            contact: ContactId(row.get(1)?),
            record: causeway_core::id::InboxId(row.get(2)?),
            asked_at: at(row.get(3)?),
            at_latest: at(row.get(4)?),
            open: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        });
    }
    Ok(all)
}

/// What may stand in messages that nobody could read, and names this person: longer than what may stand there by chance.
pub(crate) fn needles(tx: &Tx<'_>, asked: ContactId) -> Result<Vec<String>, Fault> {
    let Some((id, _)) = erase::living(tx, asked)? else {
        return Ok(Vec::new());
    };
    let mut needles = Vec::new();
    for identity in contact::identities(tx.connection, id)? {
        let value = identity.value().to_lowercase();
        if let Identity::Email { .. } = identity {
            // As a form writes it.
            needles.push(value.replace('@', "%40"));
        } else if value.chars().count() < 8 {
            continue;
        }
        needles.push(value);
    }
    Ok(needles)
}

/// How many rows are looked at in one transaction.
const CHUNK: u16 = 1_000;

/// Deletes bodies of messages that became no event and hold one of the needles; where the next chunk starts, `None` at the end.
pub(crate) fn unread_bodies(
    tx: &Tx<'_>,
    after: i64,
    needles: &[String],
) -> Result<(u64, Option<i64>), Fault> {
    type Found = (i64, bool);
    let rows: Vec<Found> = tx
        .connection
        .prepare_cached(
            "SELECT inbox.id, inbox.state IN ('dead', 'skipped', 'duplicate') FROM inbox
             WHERE inbox.id > ?1 ORDER BY inbox.id LIMIT ?2",
        )?
        .query_map(params![after, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let next = (rows.len() == usize::from(CHUNK)).then(|| rows.last().map_or(after, |row| row.0));
    let mut gone = 0;
    for (id, _) in rows.into_iter().filter(|(_, is_unread)| *is_unread) {
        let body: Option<(Option<String>, Vec<u8>)> = tx
            .connection
            .prepare_cached("SELECT meta, body FROM inbox_body WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((meta, body)) = body else { continue };
        let text = String::from_utf8_lossy(&body).to_lowercase();
        let meta = meta.unwrap_or_default().to_lowercase();
        if needles
            .iter()
            .any(|needle| text.contains(needle) || meta.contains(needle))
        {
            tx.connection
                .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
                .execute([id])?;
            gone += 1;
        }
    }
    Ok((gone, next))
}
