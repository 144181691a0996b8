//! Makes envelopes durable and recognises repeats.

use causeway_core::{
    envelope::{Envelope, Meta},
    id::InboxId,
    store::{Accepted, InboxState},
};
use rusqlite::{OptionalExtension, params};

use super::{
    counters::LAST_RECEIVED,
    fault::Fault,
    names::NameKind,
    rows::{ms, to_json},
    writer::Tx,
};

pub(crate) fn accept(tx: &mut Tx<'_>, envelopes: &[Envelope]) -> Result<Vec<Accepted>, Fault> {
    envelopes
        .iter()
        .map(|envelope| accept_one(tx, envelope))
        .collect()
}

fn accept_one(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Accepted, Fault> {
    let source = tx
        .state
        .names
        .id(tx.connection, NameKind::Source, &envelope.source)?;
    let received_at = ms(envelope.received_at);
    let counters = &mut tx.state.counters;
    counters.add(source, "received", 1);
    counters.add(source, LAST_RECEIVED, received_at);
    if let Some(id) = insert(tx, source, envelope, InboxState::New, None)? {
        insert_body(tx, id, &envelope.meta, envelope)?;
        tx.state.counters.add(source, InboxState::New.as_str(), 1);
        return Ok(Accepted {
            id: InboxId(id),
            duplicate: false,
        });
    }
    let first = tx
        .connection
        .prepare_cached("SELECT id, received_at FROM inbox WHERE source_id = ?1 AND dedup = ?2")?
        .query_row(params![source, envelope.dedup], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
    let (first, first_at) = first;
    let is_new = match envelope.dedup_window_ms {
        None => None,
        Some(window) if received_at.saturating_sub(first_at) > window => Some(false),
        Some(_) => contact_was_heard_of_since(tx, first)?.then_some(true),
    };
    if let Some(again) = is_new {
        // The older message keeps its row and gives up the key.
        tx.connection
            .prepare_cached("UPDATE inbox SET dedup = NULL WHERE id = ?1")?
            .execute([first])?;
        let id = insert(tx, source, envelope, InboxState::New, None)?
            .ok_or(Fault::Broken("the key of a message"))?;
        let meta = Meta {
            again,
            ..envelope.meta.clone()
        };
        insert_body(tx, id, &meta, envelope)?;
        tx.state.counters.add(source, InboxState::New.as_str(), 1);
        return Ok(Accepted {
            id: InboxId(id),
            duplicate: false,
        });
    }
    let id = insert(tx, source, envelope, InboxState::Duplicate, Some(first))?
        .ok_or(Fault::Broken("the row of a repeat"))?;
    // The bytes are worth keeping only if they tell something else. Those of the first may be gone
    // because they were erased: then these must not stay either.
    let kept: Option<Vec<u8>> = tx
        .connection
        .prepare_cached("SELECT body FROM inbox_body WHERE id = ?1")?
        .query_row([first], |row| row.get(0))
        .optional()?;
    if kept.is_some_and(|kept| kept != envelope.body) {
        insert_body(tx, id, &envelope.meta, envelope)?;
    }
    tx.state.counters.add(source, InboxState::Duplicate.as_str(), 1);
    Ok(Accepted {
        id: InboxId(first),
        duplicate: true,
    })
}

/// Who says no, yes and no again within the window means the second no. Of a message that names no id only its bytes tell
/// that it is a repeat, and they tell it only while nobody said anything else of that contact: what a destination
/// answered and what the contact did with mails and pages does not count.
fn contact_was_heard_of_since(tx: &Tx<'_>, first: i64) -> Result<bool, Fault> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM event first JOIN event later ON later.contact_id = first.contact_id
                            WHERE first.inbox_id = ?1 AND later.inbox_id > first.inbox_id
                              AND first.kind IN ('contact_sync', 'email_status')
                              AND later.kind IN ('contact_sync', 'email_status', 'action'))",
        )?
        .query_row([first], |row| row.get(0))?)
}

/// `None` when the source has a message of this key already.
fn insert(
    tx: &Tx<'_>,
    source: i64,
    envelope: &Envelope,
    state: InboxState,
    duplicate_of: Option<i64>,
) -> Result<Option<i64>, Fault> {
    let received_at = ms(envelope.received_at);
    let inserted = tx
        .connection
        .prepare_cached(
            "INSERT INTO inbox (source_id, dedup, window_ms, key, received_at, processed_at, state, duplicate_of, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            source,
            duplicate_of.is_none().then_some(envelope.dedup),
            envelope.dedup_window_ms,
            envelope.key(),
            received_at,
            duplicate_of.map(|_| received_at),
            state.as_str(),
            duplicate_of,
            i64::try_from(envelope.body.len()).unwrap_or(i64::MAX),
        ])?;
    Ok((inserted > 0).then(|| tx.connection.last_insert_rowid()))
}

fn insert_body(tx: &Tx<'_>, id: i64, meta: &Meta, envelope: &Envelope) -> Result<(), Fault> {
    let meta = if *meta == Meta::default() {
        None
    } else {
        Some(to_json(meta)?)
    };
    tx.connection
        .prepare_cached("INSERT INTO inbox_body (id, meta, body) VALUES (?1, ?2, ?3)")?
        .execute(params![id, meta, &*envelope.body])?;
    Ok(())
}
