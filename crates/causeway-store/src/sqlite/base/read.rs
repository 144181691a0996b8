//! A few read-only connections, used on threads that may block.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use causeway_core::{
    envelope::{Dedup, Envelope, Meta},
    id::InboxId,
    store::{StoreError, Unprocessed},
};
use rusqlite::{Connection, params};
use tokio::sync::Semaphore;

use crate::sqlite::base::{
    error::Error,
    ids::{InboxRowId, SourceRowId},
    rows::{at, from_json, memory, name},
    schema,
};

/// Queries that run at once; further ones wait.
const READERS: usize = 3;

#[derive(Clone)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    free: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: Arc::new(path.to_owned()),
            free: Arc::default(),
            turns: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Runs `question` on one snapshot of the database.
    pub(crate) async fn read<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let stopped = |_| StoreError::Failed("the store has stopped".to_owned());
        let turn = self.turns.clone().acquire_owned().await.map_err(stopped)?;
        let readers = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = readers.ask(question);
            drop(turn);
            answer
        });
        let stopped = |_| StoreError::Failed("a question to the store panicked".to_owned());
        Ok(answer.await.map_err(stopped)??)
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let known = free().pop();
        let mut connection = match known {
            Some(connection) => connection,
            None => schema::reader(&self.path)?,
        };
        let answer = {
            let snapshot = connection.transaction()?;
            question(&snapshot)?
        };
        free().push(connection);
        Ok(answer)
    }
}

/// Rows that wait to be processed.
#[derive(Default)]
pub(crate) struct Waiting {
    /// In the order of acceptance.
    pub rows: Vec<(InboxId, Envelope)>,
    /// The rows that cannot be read, and why.
    pub broken: Vec<(InboxId, String)>,
}

pub(crate) fn fetch_new(connection: &Connection, after: InboxId, limit: u32) -> Result<Waiting, Error> {
    let mut ids = Vec::new();
    // Read source by source, since the index is by source, then sorted into one order.
    let sources: Vec<SourceRowId> = connection
        .prepare_cached("SELECT id FROM name WHERE kind = 'source'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for source in sources {
        let mut statement = connection.prepare_cached(
            "SELECT id FROM inbox WHERE source_id = ?1 AND state = 'new' AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let mut rows = statement.query(params![source, after.0, limit])?;
        while let Some(row) = rows.next()? {
            ids.push(row.get(0)?);
        }
    }
    ids.sort_unstable();
    ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    envelopes(connection, ids)
}

pub(crate) fn fetch_rows(connection: &Connection, rows: &[InboxId]) -> Result<Waiting, Error> {
    let mut new = Vec::with_capacity(rows.len());
    for row in rows.iter().copied().map(InboxRowId::from) {
        let is_new = connection
            .prepare_cached("SELECT 1 FROM inbox WHERE id = ?1 AND state = 'new'")?
            .exists([row])?;
        if is_new {
            new.push(row);
        }
    }
    new.sort_unstable();
    envelopes(connection, new)
}

pub(crate) fn unprocessed(
    connection: &Connection,
    after: Option<InboxId>,
    limit: u32,
) -> Result<Unprocessed, Error> {
    let newest = connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM inbox")?
        .query_row([], |row| row.get(0))
        .map(InboxId)?;
    // Numbers are given again after the newest rows were deleted.
    let after = after.unwrap_or(newest).min(newest);
    // By the primary key: the index of new rows would be read from the start of the backlog.
    let rows: Vec<InboxId> = connection
        .prepare_cached(
            "SELECT id FROM inbox NOT INDEXED WHERE id > ?1 AND state = 'new' ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after.0, limit], |row| row.get(0).map(InboxId))?
        .collect::<Result<_, _>>()?;
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let until = match rows.last() {
        Some(last) if is_full => *last,
        None if is_full => after,
        _ => newest,
    };
    Ok(Unprocessed { rows, until })
}

fn envelopes(connection: &Connection, ids: Vec<InboxRowId>) -> Result<Waiting, Error> {
    let mut found = Waiting::default();
    found.rows.reserve(ids.len());
    for id in ids {
        match envelope(connection, id) {
            Ok(Some(envelope)) => found.rows.push((id.into(), envelope)),
            Ok(None) => {}
            Err(error) if error.is_of_one_row() => found.broken.push((id.into(), error.text())),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The envelope of a row. If its body was deleted, the envelope has an empty body.
pub(crate) fn envelope(connection: &Connection, id: InboxRowId) -> Result<Option<Envelope>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, coalesce(inbox.dedup, inbox.key), inbox.window_ms, inbox.received_at,
                inbox_body.meta, inbox_body.body, inbox.sender_id
         FROM inbox JOIN name ON name.id = inbox.source_id LEFT JOIN inbox_body ON inbox_body.id = inbox.id
         WHERE inbox.id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let meta: Option<String> = row.get(4)?;
    let body: Option<Vec<u8>> = row.get(5)?;
    Ok(Some(Envelope {
        source: name(row, 0)?,
        dedup: Dedup {
            key: row.get(1)?,
            id: row.get(6)?,
            memory: memory(row.get(2)?),
        },
        received_at: at(row.get(3)?),
        meta: meta.map_or_else(|| Ok(Meta::default()), |meta| from_json(&meta))?,
        body: body.unwrap_or_default().into(),
    }))
}
