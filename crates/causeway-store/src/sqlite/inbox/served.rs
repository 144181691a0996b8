//! The configuration that the running hub has read, for the commands beside it.

use std::{collections::BTreeMap, path::PathBuf};

use causeway_core::{clock::Timestamp, store::StoreError};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::sqlite::{
    SqliteStore,
    base::{
        error::Error,
        rows::{from_json, to_json},
    },
};

/// The configuration that is in force in the hub that runs, or ran last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// 1 since the start of the hub; each reload that changed something adds 1.
    pub generation: u32,
    /// When the hub began to use it.
    pub since: Timestamp,
    /// The path of the file.
    pub file: PathBuf,
    /// A digest of the file.
    pub config: String,
    /// A digest of each source's part.
    pub sources: BTreeMap<String, String>,
    /// The last [`SqliteStore::ask_reload`] that was answered; 0 if there was none.
    pub answered: u64,
    /// Why the last reload was refused; `None` if it was not.
    pub refused: Option<String>,
}

impl SqliteStore {
    /// Notes what the hub has read.
    pub async fn note_served(&self, served: Served) -> Result<(), StoreError> {
        self.writer()?
            .write(1, move |tx| {
                tx.connection
                    .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('served', ?1)")?
                    .execute([to_json(&served)?])?;
                Ok(())
            })
            .await
    }

    /// What [`SqliteStore::note_served`] noted last.
    pub async fn served(&self) -> Result<Option<Served>, StoreError> {
        self.readers.read(served).await
    }

    /// Asks the running hub to read its configuration again. Returns the number of the request, for
    /// [`Served::answered`].
    pub async fn ask_reload(&self) -> Result<u64, StoreError> {
        self.writer()?
            .write(1, |tx| {
                let next = asked(tx.connection)?.saturating_add(1);
                tx.connection
                    .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('reload_asked', ?1)")?
                    .execute([next.to_string()])?;
                Ok(next)
            })
            .await
    }

    /// The number of the last request of [`SqliteStore::ask_reload`]; 0 if there was none.
    pub async fn reload_asked(&self) -> Result<u64, StoreError> {
        self.readers.read(asked).await
    }
}

fn served(connection: &Connection) -> Result<Option<Served>, Error> {
    let found: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'served'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    found.map(|text| from_json(&text)).transpose()
}

fn asked(connection: &Connection) -> Result<u64, Error> {
    let found: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'reload_asked'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(found.and_then(|text| text.parse().ok()).unwrap_or(0))
}
