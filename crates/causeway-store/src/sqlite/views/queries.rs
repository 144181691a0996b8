//! Read-only queries for people. Each is one snapshot on a connection that cannot write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use causeway_core::{
    clock::Timestamp,
    consent::ConsentState,
    contact::{Contact, Identity, normal_email},
    id::{ContactId, InboxId, Name},
    rules::Rules,
    store::{
        Audit, Conflict, ContactView, DeliveryFilter, DeliveryRow, Erasure, GoneContact, InboxFilter,
        InboxRow, LaneState, Named, Overview, Progress, SourceUrl, StoreError, StoreHealth, Trace, Unlisted,
        UnlistedAction, Views,
    },
};
use rusqlite::{Connection, Row, params};

use crate::sqlite::{
    SqliteStore,
    base::{
        error::Error,
        ids::ActionRowId,
        rows::{DELIVERY_COLUMNS, at, delivery_row, inbox_state, name},
        schema,
    },
    inbox::{follow, progress, unlisted, urls},
    outbox::{
        commands::{delivery_where, inbox_where},
        destinations,
    },
    people::{erasure, identity, person},
    upkeep::redate,
    views::{audit, by_hand, overview, trace},
};

#[async_trait]
impl Views for SqliteStore {
    async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        self.readers
            .read(move |connection| overview::overview(connection, now))
            .await
    }

    async fn lanes(&self) -> Result<BTreeMap<Name, LaneState>, StoreError> {
        self.readers.read(lanes).await
    }

    async fn source_urls(&self) -> Result<Vec<SourceUrl>, StoreError> {
        self.readers.read(urls::all).await
    }

    async fn deliveries(&self, filter: DeliveryFilter, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
        self.readers
            .read(move |connection| deliveries(connection, &filter, limit))
            .await
    }

    async fn inbox(&self, filter: InboxFilter, limit: u32) -> Result<Vec<InboxRow>, StoreError> {
        self.readers
            .read(move |connection| inbox(connection, &filter, limit))
            .await
    }

    async fn progress(
        &self,
        id: InboxId,
        destination: Option<Name>,
        history: bool,
    ) -> Result<Option<Progress>, StoreError> {
        let rules = self.rules();
        self.readers
            .read(move |connection| {
                progress::progress(connection, &rules, id, destination.as_deref(), history)
            })
            .await
    }

    async fn trace(&self, id: InboxId) -> Result<Option<Trace>, StoreError> {
        let rules = self.rules();
        self.readers
            .read(move |connection| trace::trace(connection, &rules, id))
            .await
    }

    async fn find_named(&self, words: &str) -> Result<Vec<Named>, StoreError> {
        let words = words.to_owned();
        self.readers
            .read(move |connection| find_named(connection, &words))
            .await
    }

    async fn consent_of(
        &self,
        workspace: &str,
        identities: &[Identity],
    ) -> Result<Vec<BTreeMap<String, ConsentState>>, StoreError> {
        let (workspace, identities) = (workspace.to_owned(), identities.to_vec());
        self.readers
            .read(move |connection| person::consent_of(connection, &workspace, &identities))
            .await
    }

    async fn contacts(
        &self,
        workspace: &str,
        after: ContactId,
        limit: u32,
    ) -> Result<Vec<(ContactId, Contact)>, StoreError> {
        let workspace = workspace.to_owned();
        self.readers
            .read(move |connection| person::page(connection, &workspace, after, limit))
            .await
    }

    async fn last_run(&self, workspace: &str, automation: &str) -> Result<Option<Timestamp>, StoreError> {
        let (workspace, automation) = (workspace.to_owned(), automation.to_owned());
        self.readers
            .read(move |connection| Ok(follow::last_run(connection, &workspace, &automation)?.map(at)))
            .await
    }

    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers
            .read(|connection| Ok(follow::next_timer(connection)?.map(at)))
            .await
    }

    async fn contact(&self, id: ContactId) -> Result<Option<ContactView>, StoreError> {
        self.readers
            .read(move |connection| person::contact(connection, id))
            .await
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.readers.read(erasure::all).await
    }

    async fn conflicts(&self) -> Result<Vec<Conflict>, StoreError> {
        self.readers.read(identity::conflicts).await
    }

    async fn left_behind(&self, configured: Vec<(Name, Name)>) -> Result<BTreeMap<Name, u64>, StoreError> {
        self.readers
            .read(move |connection| destinations::left_behind(connection, &configured))
            .await
    }

    async fn namespaces(&self) -> Result<BTreeSet<Name>, StoreError> {
        self.readers.read(namespaces).await
    }

    async fn by_hand(&self, rules: Arc<Rules>) -> Result<BTreeMap<Name, u64>, StoreError> {
        self.readers
            .read(move |connection| by_hand::by_hand(connection, &rules))
            .await
    }

    async fn dead_withdrawals(&self) -> Result<BTreeMap<Name, u64>, StoreError> {
        self.readers.read(dead_withdrawals).await
    }

    async fn unlisted(&self, asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        let (mut all, mut after) = (Vec::new(), Some(ActionRowId(0)));
        while let Some(row) = after {
            let asked = asked.clone();
            let (some, next) = self
                .readers
                .read(move |connection| unlisted::chunk(connection, &asked, row))
                .await?;
            all.extend(some);
            after = next;
        }
        Ok(all)
    }

    async fn gone_contacts(&self, noticed_after: Timestamp) -> Result<Vec<GoneContact>, StoreError> {
        self.readers
            .read(move |connection| unlisted::gone(connection, noticed_after))
            .await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.readers.read(audit::audit).await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        if let Some(writer) = &self.writer {
            writer
                .write(1, |tx| {
                    tx.connection
                        .prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'pulse'")?
                        .execute([])?;
                    Ok(())
                })
                .await?;
        }
        let size = |suffix: &str| {
            let mut path = self.path.as_os_str().to_owned();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        let (newest, clock_alarm) = self
            .readers
            .read(|connection| Ok((redate::newest(connection)?.map(at), redate::alarm(connection)?)))
            .await?;
        Ok(StoreHealth {
            schema_version: schema::VERSION,
            bytes: size("").saturating_add(size("-wal")),
            free_bytes: fs4::available_space(&self.path).ok(),
            newest,
            clock_alarm,
        })
    }
}

/// Every destination that was ever named, with the state of its lane.
pub(crate) fn lanes(connection: &Connection) -> Result<BTreeMap<Name, LaneState>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, coalesce(lane.paused, 0), lane.halted
         FROM name LEFT JOIN lane ON lane.destination_id = name.id WHERE name.kind = 'destination'",
    )?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let lane = LaneState {
            paused: row.get(1)?,
            halted: row.get(2)?,
        };
        all.insert(name(row, 0)?, lane);
    }
    Ok(all)
}

pub(crate) fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    limit: u32,
) -> Result<Vec<DeliveryRow>, Error> {
    let chosen = delivery_where(filter, &[]);
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM delivery d JOIN inbox i ON i.id = d.inbox_id
         WHERE {} ORDER BY d.id DESC LIMIT {limit}",
        chosen.sql()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(chosen.values.iter()))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(delivery_row(row)?);
    }
    Ok(all)
}

pub(crate) const INBOX_COLUMNS: &str =
    "i.id, (SELECT name FROM name WHERE id = i.source_id), i.state, i.received_at,
    i.processed_at, i.code, i.reason, i.bytes";

pub(crate) fn inbox_row(row: &Row<'_>) -> Result<InboxRow, Error> {
    Ok(InboxRow {
        id: InboxId(row.get(0)?),
        source: name(row, 1)?,
        state: inbox_state(crate::sqlite::base::rows::text(row, 2)?)?,
        received_at: at(row.get(3)?),
        processed_at: row.get::<_, Option<i64>>(4)?.map(at),
        code: row.get(5)?,
        reason: row.get(6)?,
        bytes: row.get::<_, i64>(7)?.try_into().unwrap_or(0),
    })
}

fn inbox(connection: &Connection, filter: &InboxFilter, limit: u32) -> Result<Vec<InboxRow>, Error> {
    let chosen = inbox_where(filter);
    let sql = format!(
        "SELECT {INBOX_COLUMNS} FROM inbox i WHERE {} ORDER BY i.id DESC LIMIT {limit}",
        chosen.sql()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(chosen.values.iter()))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(inbox_row(row)?);
    }
    Ok(all)
}

/// Looks up the words in every workspace, kind and namespace. Each is one look-up in the index.
pub(crate) fn find_named(connection: &Connection, words: &str) -> Result<Vec<Named>, Error> {
    let words = words.trim();
    let owned = words.strip_prefix("email:").and_then(normal_email);
    let used = normal_email(words);
    let address = owned.as_deref().or(used.as_deref()).unwrap_or(words);
    // Ids may contain colons, so the words are tried with and without a prefix.
    let (kind, qualified) = match words.split_once(':') {
        Some((kind @ ("contact_ref" | "foreign_id"), rest)) => (Some(kind), rest),
        _ => (None, words),
    };
    let mut statement = connection.prepare_cached(
        "SELECT identity.kind, n.name, identity.value, identity.contact_id, w.name
         FROM name w CROSS JOIN name n CROSS JOIN identity
         WHERE w.kind = 'workspace' AND n.kind = 'namespace' AND identity.workspace_id = w.id
           AND identity.namespace_id = n.id
           AND ((identity.kind = 'email' AND identity.value = ?1)
                OR (identity.kind = 'contact_ref' AND identity.value = ?2)
                OR (identity.kind = 'foreign_id' AND identity.value = ?2)
                OR (identity.kind = 'contact_ref' AND ?4 IS NOT 'foreign_id'
                    AND identity.value = substr(?3, length(n.name) + 2)
                    AND substr(?3, 1, length(n.name) + 1) = n.name || ':')
                OR (identity.kind = 'foreign_id' AND ?4 IS NOT 'contact_ref'
                    AND identity.value = substr(?3, length(n.name) + 2)
                    AND substr(?3, 1, length(n.name) + 1) = n.name || ':'))
         ORDER BY identity.contact_id, identity.kind, n.name, identity.value",
    )?;
    let mut rows = statement.query(params![address, words, qualified, kind])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let identity = crate::sqlite::base::rows::identity(row, 0)?;
        found.push(Named {
            own: identity.clone(),
            identity,
            contact: ContactId(row.get(3)?),
            workspace: name(row, 4)?,
        });
    }
    if used.is_some() {
        add_users(connection, address, &mut found)?;
    }
    Ok(found)
}

/// Adds the other users of an address, and names each by an identity that is theirs alone.
fn add_users(connection: &Connection, address: &str, found: &mut Vec<Named>) -> Result<(), Error> {
    let identity = Identity::Email {
        address: address.to_owned(),
    };
    let mut statement = connection.prepare_cached(
        "SELECT shared_address.contact_id, w.name FROM name w CROSS JOIN shared_address
         WHERE w.kind = 'workspace' AND shared_address.workspace_id = w.id AND shared_address.address = ?1",
    )?;
    let mut rows = statement.query([address])?;
    while let Some(row) = rows.next()? {
        let contact = ContactId(row.get(0)?);
        let is_known = |named: &Named| named.contact == contact && named.identity == identity;
        if !found.iter().any(is_known) {
            found.push(Named {
                contact,
                workspace: name(row, 1)?,
                own: identity.clone(),
                identity: identity.clone(),
            });
        }
    }
    found.sort_by_key(|named| named.contact);
    let users: BTreeSet<(Name, ContactId)> = found
        .iter()
        .filter(|named| named.identity == identity)
        .map(|named| (named.workspace.clone(), named.contact))
        .collect();
    for named in found.iter_mut().filter(|named| named.identity == identity) {
        let of_workspace = users
            .iter()
            .filter(|(workspace, _)| *workspace == named.workspace);
        if of_workspace.count() > 1 {
            let all = crate::sqlite::people::contact::identities(connection, named.contact.into())?;
            let best = all.into_iter().min_by_key(|own| match own {
                own if own.is_visitor() => 4,
                Identity::ForeignId { .. } => 0,
                Identity::ContactRef { .. } => 1,
                own if *own == identity => 3,
                Identity::Email { .. } => 2,
            });
            named.own = best.unwrap_or_else(|| identity.clone());
        }
    }
    Ok(())
}

/// Looks each namespace up by the primary key of `identity`; reads no id.
fn namespaces(connection: &Connection) -> Result<BTreeSet<Name>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT namespace.name FROM name AS namespace WHERE namespace.kind = 'namespace' AND EXISTS
           (SELECT 1 FROM name AS workspace JOIN identity ON identity.workspace_id = workspace.id
              AND identity.kind IN ('contact_ref', 'foreign_id') AND identity.namespace_id = namespace.id
            WHERE workspace.kind = 'workspace')",
    )?;
    let mut rows = statement.query([])?;
    let mut all = BTreeSet::new();
    while let Some(row) = rows.next()? {
        all.insert(name(row, 0)?);
    }
    Ok(all)
}

fn dead_withdrawals(connection: &Connection) -> Result<BTreeMap<Name, u64>, Error> {
    by_destination(
        connection,
        "SELECT name.name, count(*) FROM delivery INDEXED BY delivery_dead
         JOIN name ON name.id = delivery.destination_id
         WHERE delivery.state = 'dead' AND delivery.kind = 'withdrawal' GROUP BY delivery.destination_id",
    )
}

/// Reads names and numbers.
fn by_destination(connection: &Connection, sql: &str) -> Result<BTreeMap<Name, u64>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        all.insert(name(row, 0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
    }
    Ok(all)
}
