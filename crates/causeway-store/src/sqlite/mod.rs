//! The embedded store: one SQLite file in WAL mode, one writer thread, and a few read-only connections.
//!
//! A message goes through [`inbox`] (accepted, processed), finds its [`people`], and leaves deliveries in the
//! [`outbox`] (claimed, recorded). [`views`] reads without writing. [`upkeep`] runs beside all that, and
//! [`rehearsal`] leaves nothing behind. `store` says which module runs which command.

mod base;
mod inbox;
mod outbox;
mod people;
mod rehearsal;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;
mod views;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use causeway_core::{rules::Rules, store::StoreError};

pub use base::lock::is_served;
pub use inbox::{imports::ImportRun, served::Served};
pub use rehearsal::{
    rehearse::rehearse,
    trial::{TrialDelivery, TrialResult, TrialStep},
};
pub use views::stored::{EventsOf, Stored, StoredCount, StoredMessage};

use base::{error::Error, lock, read::Readers, schema, writer::Writer};
use inbox::pages;

/// How a database is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// To run the hub on the database. Only one process at a time may do that. Only this process claims
    /// deliveries, sets rules and migrates an older schema. Without it, a command works on the file beside
    /// the process that serves.
    pub serve: bool,
}

/// Opens the database at `path` for writing, and creates it if it does not exist.
pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Arc<SqliteStore>, StoreError> {
    let path = path.as_ref().to_owned();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(path, options));
    let store = opened
        .await
        .map_err(|_| StoreError::Failed("opening the database panicked".to_owned()))??;
    Ok(Arc::new(store))
}

/// Opens the database at `path` read-only: it writes nothing and waits for no writer. Refuses a database with
/// another schema than this program's.
pub async fn open_to_read(path: impl AsRef<Path>) -> Result<Arc<SqliteStore>, StoreError> {
    let path = path.as_ref().to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        schema::require_current(&path)?;
        Ok::<_, Error>(SqliteStore {
            writer: None,
            readers: Readers::new(&path),
            path,
            rules: RwLock::default(),
            lock: None,
        })
    });
    let store = opened
        .await
        .map_err(|_| StoreError::Failed("opening the database panicked".to_owned()))??;
    Ok(Arc::new(store))
}

/// See [`open`]. When the last reference is dropped, pending commands are finished and the file is closed.
pub struct SqliteStore {
    /// `None` if the store was opened read-only.
    writer: Option<Writer>,
    readers: Readers,
    path: PathBuf,
    /// The rules for queries; the writer has its own.
    rules: RwLock<Arc<Rules>>,
    /// Held while this process serves. Dropped after the writer.
    lock: Option<File>,
}

impl SqliteStore {
    fn open(path: PathBuf, options: Options) -> Result<Self, Error> {
        let lock = options.serve.then(|| lock::take(&path)).transpose()?;
        let steps = if options.serve {
            schema::Steps::All
        } else {
            schema::Steps::OfNew
        };
        let connection = schema::writer(&path, steps)?;
        Ok(Self {
            writer: Some(Writer::start(connection, &path)?),
            readers: Readers::new(&path),
            path,
            rules: RwLock::default(),
            lock,
        })
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer
            .as_ref()
            .ok_or_else(|| StoreError::Failed("the store is open for reading only".to_owned()))
    }

    /// Uses these rules in memory, for queries and for the order in which a command unblocks deliveries.
    /// Nothing is written: the rules in the database are those of the process that serves.
    pub async fn use_rules(&self, rules: Arc<Rules>) -> Result<(), StoreError> {
        if let Some(writer) = &self.writer {
            let held = rules.clone();
            writer
                .write(1, move |tx| {
                    tx.state.rules = pages::with_hub(tx.connection, Arc::clone(&held))?;
                    Ok(())
                })
                .await?;
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes a consistent copy of the database at `from` to `to`, which must not exist. Any schema is accepted,
/// because a copy is most useful before a newer program migrates the database.
pub async fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let done = tokio::task::spawn_blocking(move || upkeep::backup::backup(&schema::reader(&from)?, &to));
    let stopped = |_| StoreError::Failed("the backup panicked".to_owned());
    Ok(done.await.map_err(stopped)??)
}
