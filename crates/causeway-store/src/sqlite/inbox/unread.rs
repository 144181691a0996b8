//! Messages that became no event and keep a body: dead ones, skipped ones, and duplicates that differ from
//! the first. The people in them are not known, so erasing a person searches them.
//!
//! Only these messages are read, by an index of their own. The search runs on a read-only connection; the
//! writer only deletes what was found.

use causeway_core::{
    contact::Identity,
    id::{ContactId, InboxId},
    search::{Hint, Look, PersonSearch},
    store::{InboxState, Unread},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{InboxRowId, SourceRowId},
        rows::from_json,
        tx::Tx,
    },
    people::{
        contact,
        erase::{self, mark_log},
    },
};

/// Rows examined in one snapshot.
const CHUNK: u16 = 500;
/// Maximum bytes of bodies in one snapshot.
const CHUNK_BYTES: usize = 4 << 20;

const NAMED: &str = "names a person who was erased; its body is deleted";

/// The progress of a search.
#[derive(Default)]
pub(crate) struct Step {
    pub found: Unread,
    /// Where the next chunk starts; `None` at the end.
    pub next: Option<InboxRowId>,
}

/// What to search for. Empty for a contact that does not exist.
pub(crate) fn search_for(connection: &Connection, asked: ContactId) -> Result<PersonSearch, Error> {
    let Some((id, _)) = erase::living(connection, asked)? else {
        return Ok(PersonSearch::default());
    };
    let mut identities = contact::identities(connection, id)?;
    // A contact's e-mail field may hold an address that identifies another contact.
    let contact = contact::read(connection, id)?.unwrap_or_default();
    identities.extend(contact.text("email").map(|address| Identity::Email {
        address: address.to_owned(),
    }));
    Ok(PersonSearch::new(&identities))
}

/// Searches the next messages that were received until `until_ms`.
pub(crate) fn look(
    connection: &Connection,
    search: &PersonSearch,
    after: InboxRowId,
    until_ms: i64,
) -> Result<Step, Error> {
    let rows: Vec<(InboxRowId, i64, Option<String>)> = connection
        .prepare_cached(
            // The index is named; otherwise SQLite walks the whole inbox by its number.
            "SELECT id, received_at, code FROM inbox INDEXED BY inbox_unread
             WHERE id > ?1 AND (state = 'dead' OR state = 'skipped' OR state = 'duplicate') ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, CHUNK], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut step = Step {
        next: (rows.len() == usize::from(CHUNK)).then(|| rows.last().map_or(after, |row| row.0)),
        ..Step::default()
    };
    let mut bytes = 0;
    for (id, received_at, code) in rows {
        if received_at > until_ms {
            continue;
        }
        let Some(Stored { meta, body }) = stored(connection, id)? else {
            continue;
        };
        bytes += meta.len() + body.len();
        let is_sealed = matches!(code.as_deref(), Some("key_missing" | "undecryptable"));
        step.found.searched += 1;
        match look_in(search, &meta, &body) {
            Look::Named => step.found.named.push(id.into()),
            Look::Binary => step.found.binary.push(id.into()),
            Look::Sealed => step.found.sealed.push(id.into()),
            Look::NotNamed if is_sealed => step.found.sealed.push(id.into()),
            Look::NotNamed => {}
        }
        if bytes > CHUNK_BYTES {
            step.next = Some(id);
            break;
        }
    }
    Ok(step)
}

/// The stored columns of a message.
struct Stored {
    meta: Vec<u8>,
    body: Vec<u8>,
}

/// Read as bytes, since a row that cannot be read must not prevent an erasure.
fn stored(connection: &Connection, id: InboxRowId) -> Result<Option<Stored>, Error> {
    let bytes = |row: &Row<'_>, column| -> rusqlite::Result<Vec<u8>> {
        Ok(row
            .get_ref(column)?
            .as_bytes_or_null()
            .ok()
            .flatten()
            .unwrap_or_default()
            .to_vec())
    };
    Ok(connection
        .prepare_cached("SELECT meta, body FROM inbox_body WHERE id = ?1")?
        .query_row([id], |row| {
            Ok(Stored {
                meta: bytes(row, 0)?,
                body: bytes(row, 1)?,
            })
        })
        .optional()?)
}

fn look_in(search: &PersonSearch, meta: &[u8], body: &[u8]) -> Look {
    let read: causeway_core::envelope::Meta = std::str::from_utf8(meta)
        .ok()
        .and_then(|meta| from_json(meta).ok())
        .unwrap_or_default();
    let query = read.query.unwrap_or_default();
    let is_named = [query.as_bytes(), meta]
        .into_iter()
        .any(|bytes| search.look_in(bytes, Hint { is_form: true }) == Look::Named);
    if is_named {
        return Look::Named;
    }
    search.look_in(body, Hint::of(read.content_type.as_deref(), body))
}

/// Deletes the bodies of messages that name an erased person. A dead message becomes skipped, because there
/// is nothing to replay.
pub(crate) fn delete(tx: &mut Tx<'_>, named: &[InboxId]) -> Result<u64, Error> {
    let mut deleted = 0;
    for id in named {
        let found: Option<(SourceRowId, String, bool)> = tx
            .connection
            .prepare_cached(
                "SELECT source_id, state, code IS 'erasing' FROM inbox
                 WHERE id = ?1 AND (state = 'dead' OR state = 'skipped' OR state = 'duplicate')",
            )?
            .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        // A person had it replayed meanwhile.
        let Some((source, state, is_postponed)) = found else {
            continue;
        };
        let gone = tx
            .connection
            .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
            .execute([id.0])?;
        deleted += u64::try_from(gone).unwrap_or(0);
        let is_dead = state == InboxState::Dead.as_str();
        if is_dead || is_postponed {
            tx.connection
                .prepare_cached("UPDATE inbox SET state = 'skipped', code = NULL, reason = ?2 WHERE id = ?1")?
                .execute(params![id.0, NAMED])?;
        }
        if is_dead {
            tx.state.counters.add(source, InboxState::Dead.as_str(), -1);
            tx.state.counters.add(source, InboxState::Skipped.as_str(), 1);
        }
    }
    mark_log(tx)?;
    Ok(deleted)
}
