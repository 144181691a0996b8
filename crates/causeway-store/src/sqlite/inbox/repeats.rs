//! Decides whether a message whose key was seen before is a duplicate.
//!
//! Invariant: a message is a duplicate only if no other message of its contact, or of another user of the
//! same mailbox, was accepted since the first one, processed or not. So opt-out, opt-in, opt-out are three
//! messages, however fast they arrive and whichever sources they come from.
//!
//! `accept` does not know whom a message is about, and decides only what is certain. It accepts the rest as
//! new, with the first message in `duplicate_of`. `process` then decides, because it reads rows in the
//! order of acceptance. A message that counts again counts without its opt-ins: it may be a late retry, and
//! an opt-in from before an opt-out must not undo it.

use causeway_core::{
    envelope::{Envelope, Memory, MessageKey},
    event::{Decoded, Event},
    store::{InboxState, Processed},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, SourceRowId},
        rows::{inbox_state, memory, ms},
        tx::Tx,
    },
    inbox::process::{Row, end},
    people::{contact, identity},
};

/// Run before a row is pruned: keeps its key, if the key is kept for good.
pub(crate) const REMEMBER_SIGNED: &str = "INSERT OR REPLACE INTO signed (source_id, dedup, inbox_id)
     SELECT source_id, dedup, id FROM inbox
     WHERE id = ?1 AND window_ms = 9223372036854775807 AND dedup IS NOT NULL";

/// What is known about a message with a known key before it is processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtAcceptance {
    Repeat,
    Counts,
    /// Not decided yet: it depends on the contacts of the messages in between.
    Undecided,
}

/// The first message with the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct First {
    pub id: InboxRowId,
    /// The message that this row is one record of. Rows accepted after that message are later messages, except
    /// its other records: these are duplicates together with it, or not at all.
    message: Option<InboxRowId>,
    received_at: i64,
    /// `None` when the row was deleted; it was finished then.
    state: Option<InboxState>,
}

/// The row that has this key.
pub(crate) fn key_owner(tx: &Tx<'_>, source: SourceRowId, dedup: &MessageKey) -> Result<First, Error> {
    let (id, received_at, state): (InboxRowId, i64, String) = tx
        .connection
        .prepare_cached("SELECT id, received_at, state FROM inbox WHERE source_id = ?1 AND dedup = ?2")?
        .query_row(params![source, dedup], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(First {
        id,
        message: message(tx, id)?,
        received_at,
        state: Some(inbox_state(&state)?),
    })
}

impl First {
    /// The row number that orders it: rows with a greater number were accepted later.
    fn position(&self) -> InboxRowId {
        self.message.unwrap_or(self.id)
    }
}

/// See [`First::message`]. A row that was not processed still has its envelope.
fn message(tx: &Tx<'_>, id: InboxRowId) -> Result<Option<InboxRowId>, Error> {
    let of_event: Option<Option<InboxRowId>> = tx
        .connection
        .prepare_cached(
            "SELECT CASE WHEN kind <> 'response' AND kind <> 'schedule' THEN about END FROM event WHERE inbox_id = ?1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let message = match of_event {
        Some(about) => about,
        None => tx
            .connection
            .prepare_cached(
                "SELECT CASE WHEN json_valid(meta) THEN json_extract(meta, '$.part.of') END
                 FROM inbox_body WHERE id = ?1",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?
            .flatten(),
    };
    // A message has a lower number than its records.
    Ok(message.filter(|message| *message < id))
}

/// Takes the key from the first message, which keeps its row. The later message with the same key has the key
/// from now on.
pub(crate) fn give_up_key(tx: &Tx<'_>, id: InboxRowId) -> Result<(), Error> {
    tx.connection
        .prepare_cached("UPDATE inbox SET dedup = NULL WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// How many bytes of a stored key are those of the sender's id, if there is one.
pub(crate) const ID_BYTES: usize = 8;

/// Another message with the same sender's id and other content. `dedup` is the key as it is stored.
pub(crate) fn other_of_id(
    tx: &Tx<'_>,
    source: SourceRowId,
    id: &MessageKey,
    dedup: &MessageKey,
) -> Result<Option<InboxRowId>, Error> {
    let with_rest = |rest: u8| {
        let mut key = *dedup;
        key[ID_BYTES..].fill(rest);
        key
    };
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT max(id) FROM inbox
             WHERE source_id = ?1 AND dedup BETWEEN ?4 AND ?5 AND dedup <> ?3 AND sender_id = ?2",
        )?
        .query_row(
            params![source, id, dedup, with_rest(0x00), with_rest(0xff)],
            |row| row.get(0),
        )?)
}

/// If a pruned message had the same key, the row that was accepted as new refers to that message.
pub(crate) fn refer_to_signed(
    tx: &Tx<'_>,
    id: InboxRowId,
    source: SourceRowId,
    dedup: &MessageKey,
) -> Result<(), Error> {
    tx.connection
        .prepare_cached(
            "UPDATE inbox SET duplicate_of = (SELECT inbox_id FROM signed WHERE source_id = ?2 AND dedup = ?3)
             WHERE id = ?1",
        )?
        .execute(params![id, source, dedup])?;
    Ok(())
}

/// What is certain about a message whose key `first` has.
pub(crate) fn at_acceptance(
    tx: &Tx<'_>,
    envelope: &Envelope,
    same_id: Option<InboxRowId>,
    first: &First,
) -> Result<AtAcceptance, Error> {
    let memory = envelope.dedup.memory;
    if memory == Memory::Dated {
        return Ok(AtAcceptance::Repeat);
    }
    let names = Names::of(envelope.dedup.id.is_some(), same_id);
    if is_over(memory, names, first, ms(envelope.received_at)) {
        return Ok(AtAcceptance::Counts);
    }
    Ok(match first.state {
        Some(InboxState::New) if is_newest(tx, first.position())? => AtAcceptance::Repeat,
        Some(InboxState::Done) if nothing_since(tx, first)? => AtAcceptance::Repeat,
        _ => AtAcceptance::Undecided,
    })
}

/// What the sender's id identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// One message: the same id with the same content is the same message.
    Message,
    /// Nothing: there is no id, or the sender gave it to several messages.
    Nothing,
}

impl Names {
    fn of(has_id: bool, same_id: Option<InboxRowId>) -> Self {
        if has_id && same_id.is_none() {
            Self::Message
        } else {
            Self::Nothing
        }
    }
}

/// Whether the first message is so old that the same content is a new message.
fn is_over(memory: Memory, names: Names, first: &First, received_at: i64) -> bool {
    match memory {
        Memory::Window(window) if names == Names::Nothing => {
            received_at.saturating_sub(first.received_at) > window
        }
        Memory::Window(_) | Memory::Dated | Memory::ForGood => false,
    }
}

fn is_newest(tx: &Tx<'_>, id: InboxRowId) -> Result<bool, Error> {
    Ok(tx
        .connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM inbox WHERE id > ?1 AND state <> 'duplicate')")?
        .query_row([id], |row| row.get(0))?)
}

/// Whether nothing about the contact of a processed message can have arrived after it.
fn nothing_since(tx: &Tx<'_>, first: &First) -> Result<bool, Error> {
    let found: Option<(Option<ContactRowId>, bool)> = tx
        .connection
        .prepare_cached(
            "SELECT contact_id, brings_data = 0 AND kind = 'engagement' FROM event WHERE inbox_id = ?1",
        )?
        .query_row([first.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        None => false,
        // It only added to what is known, so nothing can have replaced it.
        Some((_, true)) => true,
        Some((contact, false)) => {
            let contacts: Vec<ContactRowId> = contact.into_iter().collect();
            between(tx, &contacts, first, InboxRowId(i64::MAX))? == Between::Nothing
        }
    })
}

/// What arrived between two rows about a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    /// Rows that are new or dead: their contacts are not known.
    Unread,
    Something,
}

/// What arrived after `first` and before the row `before`.
fn between(
    tx: &Tx<'_>,
    contacts: &[ContactRowId],
    first: &First,
    before: InboxRowId,
) -> Result<Between, Error> {
    let after = first.position();
    for contact in identity::with_sharers(tx, contacts)? {
        let is_known: bool = tx
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM event WHERE contact_id = ?1 AND inbox_id > ?2 AND inbox_id < ?3
                     AND inbox_id <> ?4 AND (?5 IS NULL OR about IS NOT ?5)
                     AND (brings_data = 1 OR kind = 'contact_sync' OR kind = 'email_status' OR kind = 'action'))",
            )?
            .query_row(params![contact, after, before, first.id, first.message], |row| {
                row.get(0)
            })?;
        if is_known {
            return Ok(Between::Something);
        }
    }
    let is_unread: bool = tx
        .connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM inbox WHERE state = 'dead' AND id > ?1 AND id < ?2 AND id <> ?3)
                 OR EXISTS (SELECT 1 FROM name CROSS JOIN inbox ON inbox.source_id = name.id
                            WHERE name.kind = 'source' AND inbox.state = 'new' AND inbox.id > ?1 AND inbox.id < ?2
                              AND inbox.id <> ?3)",
        )?
        .query_row([after, before, first.id], |row| row.get(0))?;
    Ok(if is_unread {
        Between::Unread
    } else {
        Between::Nothing
    })
}

/// The decision about a row whose key or sender's id was seen before.
pub(crate) enum Decision {
    Repeat { first: InboxRowId },
    Counts(Decoded),
}

/// A row whose key or sender's id was seen before.
struct Later {
    received_at: i64,
    memory: Memory,
    names: Names,
    /// Another message with the same sender's id and other content, if there is one.
    same_id: Option<InboxRowId>,
    first: Option<First>,
}

/// Decides when the row is processed: every row that was accepted before it is processed or dead by then.
pub(crate) fn decide(tx: &mut Tx<'_>, row: &Row, decoded: &Decoded) -> Result<Decision, Error> {
    let later = later(tx, row)?;
    let counts = match (later.first, decoded) {
        (Some(first), Decoded::Event(event))
            if !is_over(later.memory, later.names, &first, later.received_at) =>
        {
            match decide_event(tx, row, &later, &first, event)? {
                None => return Ok(Decision::Repeat { first: first.id }),
                Some(event) => event,
            }
        }
        (Some(first), Decoded::Dead { .. }) if first.state == Some(InboxState::Dead) => {
            return Ok(Decision::Repeat { first: first.id });
        }
        (Some(first), Decoded::Skip { .. }) if first.state == Some(InboxState::Skipped) => {
            return Ok(Decision::Repeat { first: first.id });
        }
        _ => decoded.clone(),
    };
    Ok(Decision::Counts(match (later.same_id, counts) {
        (Some(other), Decoded::Event(mut event)) => {
            event.notes.push(format!(
                "the sender gave message {other} the same id with other content: both count"
            ));
            Decoded::Event(event)
        }
        (_, counts) => counts,
    }))
}

/// The part of the event that counts; `None` for a duplicate.
fn decide_event(
    tx: &mut Tx<'_>,
    row: &Row,
    later: &Later,
    first: &First,
    event: &Event,
) -> Result<Option<Decoded>, Error> {
    let was_processed = matches!(first.state, Some(InboxState::Done) | None);
    let contacts = contacts(tx, row, event)?;
    let between = match first.state {
        // It only adds to what is known, so nothing can have replaced it.
        _ if !event.brings_data() => Between::Nothing,
        // The rows in between may have been deleted, too.
        None => Between::Unread,
        Some(_) => between(tx, &contacts, first, row.id)?,
    };
    if between == Between::Nothing {
        return Ok((!was_processed).then(|| Decoded::Event(Box::new(event.clone()))));
    }
    let mut event = event.clone();
    if was_processed && (later.names == Names::Message || between == Between::Unread) {
        if !event.keep_only_opt_outs() {
            return Ok(None);
        }
        event.notes.push(format!(
            "message {} again, after another message that may be about this contact: only the opt-outs in it count",
            first.id
        ));
    } else {
        let opt_ins = if event.remove_opt_ins() {
            ", but its opt-in does not: it may be a late retry, which an id or a date in the message would show"
        } else {
            ""
        };
        event.notes.push(format!(
            "the same as message {}, and another message of this contact arrived in between: it counts once more{opt_ins}",
            first.id
        ));
    }
    Ok(Some(Decoded::Event(Box::new(event))))
}

fn later(tx: &Tx<'_>, row: &Row) -> Result<Later, Error> {
    type Found = (Option<InboxRowId>, bool, Option<InboxRowId>, Option<i64>, i64);
    let (of, has_id, same_id, window_ms, received_at): Found = tx
        .connection
        .prepare_cached(
            "SELECT duplicate_of, sender_id IS NOT NULL, same_id, window_ms, received_at FROM inbox WHERE id = ?1",
        )?
        .query_row([row.id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
    Ok(Later {
        received_at,
        memory: memory(window_ms),
        names: Names::of(has_id, same_id),
        same_id,
        first: of.map(|of| first(tx, of)).transpose()?,
    })
}

/// The first message that a row is a duplicate of, past any duplicates in between.
fn first(tx: &Tx<'_>, of: InboxRowId) -> Result<First, Error> {
    let mut id = of;
    loop {
        let found: Option<(i64, String, Option<InboxRowId>)> = tx
            .connection
            .prepare_cached("SELECT received_at, state, duplicate_of FROM inbox WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((received_at, state, duplicate_of)) = found else {
            return Ok(First {
                id,
                message: None,
                received_at: 0,
                state: None,
            });
        };
        let state = inbox_state(&state)?;
        match duplicate_of {
            // Numbers decrease, so the loop ends.
            Some(earlier) if state == InboxState::Duplicate && earlier < id => id = earlier,
            _ => {
                return Ok(First {
                    id,
                    message: message(tx, id)?,
                    received_at,
                    state: Some(state),
                });
            }
        }
    }
}

fn contacts(tx: &mut Tx<'_>, row: &Row, event: &Event) -> Result<Vec<ContactRowId>, Error> {
    let source = tx.state.names.name(row.source)?;
    let workspace = tx.state.rules.workspace(&source, event.testing);
    let workspace = tx.state.names.workspace(tx.connection, &workspace)?;
    contact::find(tx, workspace, &event.identities)
}

/// Ends the row as a duplicate, without effect. The first message gets the key back, so that the window
/// counts from it.
pub(crate) fn end_as_repeat(tx: &mut Tx<'_>, row: &Row, first: InboxRowId) -> Result<Processed, Error> {
    let connection = tx.connection;
    let dedup: Option<MessageKey> = connection
        .prepare_cached("SELECT dedup FROM inbox WHERE id = ?1")?
        .query_row([row.id], |row| row.get(0))?;
    connection
        .prepare_cached("UPDATE inbox SET dedup = NULL, duplicate_of = ?2 WHERE id = ?1")?
        .execute([row.id, first])?;
    if let Some(dedup) = dedup {
        connection
            .prepare_cached("UPDATE inbox SET dedup = ?2 WHERE id = ?1 AND dedup IS NULL")?
            .execute(params![first, dedup])?;
    }
    connection
        .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
        .execute([row.id])?;
    end(tx, row, InboxState::Duplicate, None, None)
}

/// The row is a message of its own from now on.
pub(crate) fn count(tx: &Tx<'_>, row: &Row) -> Result<(), Error> {
    tx.connection
        .prepare_cached("UPDATE inbox SET duplicate_of = NULL WHERE id = ?1")?
        .execute([row.id])?;
    Ok(())
}
