//! Makes envelopes durable, and recognises those that are certainly duplicates.

use causeway_core::{
    envelope::{Envelope, Memory, MessageKey, Meta, digest},
    store::{Accepted, InboxState},
};
use rusqlite::{Connection, params};

use crate::sqlite::{
    base::{
        counters::LAST_RECEIVED,
        error::Error,
        ids::{InboxRowId, SourceRowId},
        rows::{ms, to_json, window_ms},
        tx::Tx,
    },
    inbox::repeats::{self, AtAcceptance, ID_BYTES},
    people::erase::erase_key,
};

pub(crate) fn accept(tx: &mut Tx<'_>, envelopes: &[Envelope]) -> Result<Vec<Accepted>, Error> {
    if envelopes.is_empty() {
        prove_writable(tx.connection)?;
    }
    envelopes
        .iter()
        .map(|envelope| accept_one(tx, envelope))
        .collect()
}

/// Rewrites a page of the database with its present content. A transaction that changes nothing would commit
/// even on a full disk.
fn prove_writable(connection: &Connection) -> Result<(), Error> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)?;
    Ok(())
}

pub(crate) fn accept_one(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Accepted, Error> {
    // A record of a message is dated from the arrival of the message, whatever was accepted since.
    let stamp = if envelope.meta.part.is_some() {
        envelope.received_at
    } else {
        let in_order = tx.state.stamp(envelope.received_at);
        if envelope.meta.imported {
            envelope.received_at
        } else {
            in_order
        }
    };
    let stamped = (stamp != envelope.received_at).then(|| Envelope {
        received_at: stamp,
        ..envelope.clone()
    });
    let envelope = stamped.as_ref().unwrap_or(envelope);
    let source = tx.state.names.source(tx.connection, &envelope.source)?;
    let received_at = ms(envelope.received_at);
    let counters = &mut tx.state.counters;
    counters.add(source, "received", 1);
    counters.add(source, LAST_RECEIVED, received_at);
    let dedup = key(tx, envelope)?;
    let same_id = match &envelope.dedup.id {
        Some(id) => repeats::other_of_id(tx, source, id, &dedup)?,
        None => None,
    };
    let arrival = Arrival {
        source,
        dedup,
        same_id,
        envelope,
    };
    let first_key = match same_id {
        None => envelope.key(),
        Some(_) => envelope.later_key(),
    };
    if let Some(id) = insert(tx, &arrival, &first_key, Row::New)? {
        if envelope.dedup.memory == Memory::ForGood {
            repeats::refer_to_signed(tx, id, source, &arrival.dedup)?;
        }
        return finish_new(tx, &arrival, id);
    }
    let first = repeats::key_owner(tx, source, &arrival.dedup)?;
    let row = match repeats::at_acceptance(tx, envelope, same_id, &first)? {
        AtAcceptance::Repeat => {
            insert(tx, &arrival, &envelope.key(), Row::Duplicate { of: first.id })?
                .ok_or(Error::Broken("the row of a duplicate"))?;
            tx.state.counters.add(source, InboxState::Duplicate.as_str(), 1);
            return Ok(Accepted {
                id: first.id.into(),
                duplicate: true,
            });
        }
        AtAcceptance::Counts => Row::New,
        AtAcceptance::Undecided => Row::Undecided { first: first.id },
    };
    repeats::give_up_key(tx, first.id)?;
    let id =
        insert(tx, &arrival, &envelope.later_key(), row)?.ok_or(Error::Broken("the key of a message"))?;
    finish_new(tx, &arrival, id)
}

struct Arrival<'a> {
    source: SourceRowId,
    /// The key as it is stored.
    dedup: MessageKey,
    /// Another message that had the same sender's id and other content.
    same_id: Option<InboxRowId>,
    envelope: &'a Envelope,
}

/// The state that a new message gets.
#[derive(Clone, Copy)]
enum Row {
    New,
    /// New, but perhaps a duplicate of `first`: `process` decides.
    Undecided {
        first: InboxRowId,
    },
    Duplicate {
        of: InboxRowId,
    },
}

/// The key to store. A key that is kept for good outlives the person's erasure. It is hashed with a secret,
/// so that nobody can find out from it what was sent.
///
/// If the sender gave an id, the first half of the key is that of the id. So messages with one id stand side by
/// side in the index of the keys ([`repeats::other_of_id`]).
fn key(tx: &Tx<'_>, envelope: &Envelope) -> Result<MessageKey, Error> {
    let mut key = match envelope.dedup.memory {
        Memory::ForGood => digest(&[&erase_key(tx)?, &envelope.dedup.key]),
        Memory::Dated | Memory::Window(_) => envelope.dedup.key,
    };
    if let Some(id) = &envelope.dedup.id {
        key[..ID_BYTES].copy_from_slice(&id[..ID_BYTES]);
    }
    Ok(key)
}

fn finish_new(tx: &mut Tx<'_>, arrival: &Arrival<'_>, id: InboxRowId) -> Result<Accepted, Error> {
    insert_body(tx, id, arrival.envelope)?;
    tx.state.counters.add(arrival.source, InboxState::New.as_str(), 1);
    Ok(Accepted {
        id: id.into(),
        duplicate: false,
    })
}

/// Inserts the message. `None` when the source already has a message with this key.
fn insert(
    tx: &Tx<'_>,
    arrival: &Arrival<'_>,
    key: &MessageKey,
    row: Row,
) -> Result<Option<InboxRowId>, Error> {
    let envelope = arrival.envelope;
    let received_at = ms(envelope.received_at);
    let (state, first) = match row {
        Row::New => (InboxState::New, None),
        Row::Undecided { first } => (InboxState::New, Some(first)),
        Row::Duplicate { of } => (InboxState::Duplicate, Some(of)),
    };
    let is_new = state == InboxState::New;
    let inserted = tx
        .connection
        .prepare_cached(
            "INSERT INTO inbox (source_id, dedup, sender_id, same_id, window_ms, key, received_at, processed_at, state,
                                duplicate_of, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            arrival.source,
            is_new.then_some(arrival.dedup),
            envelope.dedup.id.filter(|_| is_new),
            arrival.same_id.filter(|_| is_new),
            window_ms(envelope.dedup.memory),
            key,
            received_at,
            (!is_new).then_some(received_at),
            state.as_str(),
            first,
            i64::try_from(envelope.body.len()).unwrap_or(i64::MAX),
        ])?;
    Ok((inserted > 0).then(|| InboxRowId(tx.connection.last_insert_rowid())))
}

fn insert_body(tx: &Tx<'_>, id: InboxRowId, envelope: &Envelope) -> Result<(), Error> {
    let meta = if envelope.meta == Meta::default() {
        None
    } else {
        Some(to_json(&envelope.meta)?)
    };
    tx.connection
        .prepare_cached("INSERT INTO inbox_body (id, meta, body) VALUES (?1, ?2, ?3)")?
        .execute(params![id, meta, &*envelope.body])?;
    Ok(())
}
