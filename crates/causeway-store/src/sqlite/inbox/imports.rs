//! Notes about imported files. They let an interrupted import continue, and recognise a file that is imported again.

use causeway_core::{clock::Timestamp, envelope::MessageKey, store::StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    SqliteStore,
    base::{
        error::Error,
        rows::{at, ms},
    },
};

/// A run of an import: the one in progress, or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportRun {
    pub began_at: Timestamp,
    /// `None` while it is in progress, and after an interruption.
    pub finished_at: Option<Timestamp>,
    /// When the same file was imported in full before this run.
    pub before_at: Option<Timestamp>,
}

impl SqliteStore {
    /// The last run of the file with this key.
    pub async fn import_run(&self, file: MessageKey) -> Result<Option<ImportRun>, StoreError> {
        self.readers
            .read(move |connection| import_run(connection, &file))
            .await
    }

    /// Notes the progress of an import.
    pub async fn note_import(&self, file: MessageKey, run: ImportRun) -> Result<(), StoreError> {
        self.writer()?
            .write(1, move |tx| {
                tx.connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO import (file, began_at, finished_at, before_at) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![
                        file,
                        ms(run.began_at),
                        run.finished_at.map(ms),
                        run.before_at.map(ms)
                    ])?;
                Ok(())
            })
            .await
    }

    /// For each key, whether the source has a message with it.
    pub async fn known(&self, source: &str, keys: Vec<MessageKey>) -> Result<Vec<bool>, StoreError> {
        let source = source.to_owned();
        self.readers
            .read(move |connection| known(connection, &source, &keys))
            .await
    }
}

fn import_run(connection: &Connection, file: &MessageKey) -> Result<Option<ImportRun>, Error> {
    type Found = (i64, Option<i64>, Option<i64>);
    let found: Option<Found> = connection
        .prepare_cached("SELECT began_at, finished_at, before_at FROM import WHERE file = ?1")?
        .query_row([file], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(found.map(|(began_at, finished_at, before_at)| ImportRun {
        began_at: at(began_at),
        finished_at: finished_at.map(at),
        before_at: before_at.map(at),
    }))
}

fn known(connection: &Connection, source: &str, keys: &[MessageKey]) -> Result<Vec<bool>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM inbox JOIN name ON name.id = inbox.source_id
                        WHERE name.kind = 'source' AND name.name = ?1 AND inbox.dedup = ?2)",
    )?;
    keys.iter()
        .map(|key| Ok(statement.query_row(params![source, key], |row| row.get(0))?))
        .collect()
}
