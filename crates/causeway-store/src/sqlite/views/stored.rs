//! Reads a database without changing it: no writer, no migration, no rules set.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    delivery::{Delivery, Kind},
    envelope::Envelope,
    id::{ContactId, InboxId, Name},
    rules::{DestinationRule, Rules},
    store::{ContactView, DeliveryFilter, DeliveryRow, InboxState, LaneState, Named, StoreError},
};
use rusqlite::{Connection, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId},
        read::{Readers, envelope},
        rows::{inbox_state, ms},
        schema,
        state::State,
        tx::Tx,
    },
    inbox::pages,
    outbox::preview,
    people::person,
    views::queries,
};

/// A database that another process may be serving from.
pub struct Stored {
    readers: Readers,
}

/// A message as it was accepted.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    pub id: InboxId,
    pub state: InboxState,
    pub received_at: Timestamp,
    /// `None` once its body was pruned or erased.
    pub envelope: Option<Envelope>,
}

/// The number of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredCount {
    pub before: u64,
    pub since: u64,
}

impl Stored {
    /// Fails if there is no database, or one with another schema than this program's.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Failed(format!(
                "there is no store at {}: nothing arrived yet, or `data_dir` names another folder",
                path.display()
            )));
        }
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            schema::require_current(&path)?;
            Ok::<_, Error>(Self {
                readers: Readers::new(&path),
            })
        });
        let stopped = |_| StoreError::Failed("opening the database panicked".to_owned());
        Ok(opened.await.map_err(stopped)??)
    }

    /// The next messages after `after`, in the order of acceptance.
    pub async fn records(&self, after: InboxId, limit: u32) -> Result<Vec<StoredMessage>, StoreError> {
        self.readers
            .read(move |connection| records(connection, after, limit))
            .await
    }

    pub async fn count(&self, since: Timestamp) -> Result<StoredCount, StoreError> {
        self.readers
            .read(move |connection| {
                let sql = "SELECT count(*), count(*) FILTER (WHERE received_at >= ?1) FROM inbox";
                let (all, since): (i64, i64) =
                    connection.query_row(sql, [ms(since)], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
                Ok(StoredCount {
                    before: count(all.saturating_sub(since)),
                    since: count(since),
                })
            })
            .await
    }

    /// See [`causeway_core::store::Views::find_named`].
    pub async fn find_named(&self, words: &str) -> Result<Vec<Named>, StoreError> {
        let words = words.to_owned();
        self.readers
            .read(move |connection| queries::find_named(connection, &words))
            .await
    }

    pub async fn contact(&self, id: ContactId) -> Result<Option<ContactView>, StoreError> {
        self.readers
            .read(move |connection| person::contact(connection, id))
            .await
    }

    /// Newest first.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.readers
            .read(move |connection| queries::deliveries(connection, &filter, limit))
            .await
    }

    pub async fn lanes(&self) -> Result<BTreeMap<Name, LaneState>, StoreError> {
        self.readers.read(queries::lanes).await
    }

    /// What the destination would be given now for the events of this contact, or for this one message: the
    /// newest event first, whether or not a delivery was planned. `kind` is the kind of delivery; `None`
    /// takes it from the event.
    pub async fn previews(
        &self,
        rules: Arc<Rules>,
        destination: &str,
        of: EventsOf,
        kind: Option<Kind>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let destination = destination.to_owned();
        self.readers
            .read(move |connection| {
                let rule = rules
                    .destinations
                    .get(destination.as_str())
                    .cloned()
                    .ok_or(Error::Broken("the name of a destination"))?;
                let mut state = State::default();
                pages::use_rules(connection, &mut state, rules)?;
                let mut tx = Tx {
                    connection,
                    state: &mut state,
                };
                previews(&mut tx, &rule, of, kind, limit)
            })
            .await
    }
}

/// Which events: those of a contact, or one message.
#[derive(Debug, Clone, Copy)]
pub enum EventsOf {
    Contact(ContactId),
    Message(InboxId),
}

fn previews(
    tx: &mut Tx<'_>,
    rule: &DestinationRule,
    of: EventsOf,
    kind: Option<Kind>,
    limit: u32,
) -> Result<Vec<Delivery>, Error> {
    let (column, id) = match of {
        EventsOf::Contact(id) => ("contact_id", id.0),
        EventsOf::Message(id) => ("inbox_id", id.0),
    };
    let sql = format!(
        "SELECT inbox_id, contact_id, kind FROM event WHERE {column} = ?1 ORDER BY at DESC, inbox_id DESC LIMIT ?2"
    );
    let events: Vec<(InboxRowId, Option<ContactRowId>, String)> = tx
        .connection
        .prepare_cached(&sql)?
        .query_map(params![id, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    events
        .into_iter()
        .map(|(inbox, contact, event)| {
            let by_event = match event.as_str() {
                "action" | "contact_sync" | "supporter_confirm" | "action_confirm" => Kind::Record,
                _ => Kind::Contact,
            };
            preview::event(tx, rule, inbox, contact, kind.unwrap_or(by_event))
        })
        .collect()
}

fn records(connection: &Connection, after: InboxId, limit: u32) -> Result<Vec<StoredMessage>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT inbox.id, inbox.state, inbox.received_at, inbox_body.id IS NOT NULL
         FROM inbox LEFT JOIN inbox_body ON inbox_body.id = inbox.id
         WHERE inbox.id > ?1 ORDER BY inbox.id LIMIT ?2",
    )?;
    let rows: Vec<(InboxRowId, String, i64, bool)> = statement
        .query_map(params![after.0, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(id, state, received_at, has_body)| {
            Ok(StoredMessage {
                id: id.into(),
                state: inbox_state(&state)?,
                received_at: crate::sqlite::base::rows::at(received_at),
                envelope: if has_body { envelope(connection, id)? } else { None },
            })
        })
        .collect()
}
