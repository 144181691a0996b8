//! What the writer remembers between transactions. All of it can be read from the file again, but the leases:
//! they end with the process that holds them, and only the one that serves hands any out.

use std::{collections::HashMap, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    consent::{OwnPages, page_key},
    rules::Rules,
};
use rusqlite::{Connection, params};

use super::{counters::Counters, facts::Facts, fault::Fault, names::Names, recent::Recent};

#[derive(Default)]
pub(crate) struct State {
    pub rules: Arc<Rules>,
    pub names: Names,
    /// Workspace -> its own pages.
    pub own_pages: HashMap<i64, Arc<OwnPages>>,
    pub facts: Facts,
    pub recent: Recent,
    pub counters: Counters,
    pub leases: Leases,
    /// Moves when another connection changed the file.
    data_version: i64,
}

impl State {
    /// Reads again what another process may have changed. Called inside a transaction, so that nothing can
    /// change between this and the commands.
    pub(crate) fn refresh(&mut self, connection: &Connection) -> Result<(), Fault> {
        let version = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.reload(connection)?;
            self.data_version = version;
        }
        Ok(())
    }

    /// Forgets what a transaction that was rolled back may have left in memory.
    pub(crate) fn reload(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.facts = Facts::default();
        self.recent = Recent::default();
        self.names = Names::load(connection)?;
        self.own_pages = own_pages(connection)?;
        Ok(())
    }

    /// So that the next transaction reads everything anew.
    pub(crate) fn distrust(&mut self) {
        self.data_version = 0;
    }

    pub(crate) fn own_pages_of(&self, workspace_id: i64) -> Arc<OwnPages> {
        self.own_pages.get(&workspace_id).cloned().unwrap_or_default()
    }
}

pub(crate) fn own_pages(connection: &Connection) -> Result<HashMap<i64, Arc<OwnPages>>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT page.workspace_id, name.name, page.external_id
         FROM page JOIN name ON name.id = page.namespace_id WHERE page.own = 1",
    )?;
    let mut rows = statement.query(params![])?;
    let mut all: HashMap<i64, OwnPages> = HashMap::new();
    while let Some(row) = rows.next()? {
        let key = page_key(super::rows::text(row, 1)?, super::rows::text(row, 2)?);
        all.entry(row.get(0)?).or_default().insert(key);
    }
    Ok(all.into_iter().map(|(id, pages)| (id, Arc::new(pages))).collect())
}

/// Who has what, until when. Kept in memory: a lease is over when the process that took it is over, and
/// writing it down would cost as much as the delivery itself.
#[derive(Default)]
pub(crate) struct Leases {
    held: HashMap<i64, Lease>,
    /// What to put back when the transaction fails, newest last.
    undo: Vec<(i64, Option<Lease>)>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    destination_id: i64,
    until: Timestamp,
}

impl Leases {
    pub(crate) fn is_held(&self, delivery: i64, now: Timestamp) -> bool {
        self.held.get(&delivery).is_some_and(|lease| lease.until > now)
    }

    pub(crate) fn take(&mut self, delivery: i64, destination_id: i64, until: Timestamp) {
        let before = self.held.insert(
            delivery,
            Lease {
                destination_id,
                until,
            },
        );
        self.undo.push((delivery, before));
    }

    pub(crate) fn give_back(&mut self, delivery: i64) {
        if let Some(before) = self.held.remove(&delivery) {
            self.undo.push((delivery, Some(before)));
        }
    }

    /// When the first lease at this destination runs out.
    pub(crate) fn next_end(&self, destination_id: i64) -> Option<Timestamp> {
        self.held
            .values()
            .filter(|lease| lease.destination_id == destination_id)
            .map(|lease| lease.until)
            .min()
    }

    /// Drops those that ran out: their deliveries ended in another way, or are about to be claimed again.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let ended: Vec<i64> = self
            .held
            .iter()
            .filter(|(_, lease)| lease.until <= now)
            .map(|(delivery, _)| *delivery)
            .collect();
        for delivery in ended {
            self.give_back(delivery);
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.undo.len()
    }

    pub(crate) fn undo_since(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some((delivery, Some(lease))) => self.held.insert(delivery, lease),
                Some((delivery, None)) => self.held.remove(&delivery),
                None => None,
            };
        }
    }

    pub(crate) fn commit(&mut self) {
        self.undo.clear();
    }
}
