//! What the writer keeps in memory between transactions. All of it can be read from the file again, except
//! for the leases. These end with the process that holds them, and only the process that serves takes any.

use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

use causeway_core::{
    clock::{TOLERANCE, Timestamp},
    consent::{CLICK_GRACE, OwnPages, Terms, page_key},
    rules::Rules,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        counters::Counters,
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, WorkspaceRowId},
        names::Names,
        rows::{at, ms},
    },
    inbox::facts::Facts,
    outbox::recent::Recent,
    people::identity,
    upkeep::redate,
};

#[derive(Default)]
pub(crate) struct State {
    pub rules: Arc<Rules>,
    pub names: Names,
    /// Workspace -> the terms by which its consent is evaluated.
    pub terms: HashMap<WorkspaceRowId, Arc<Terms>>,
    pub facts: Facts,
    pub recent: Recent,
    pub counters: Counters,
    pub leases: Leases,
    /// False only while no address is shared. Saves several look-ups for each message.
    pub any_shared: Cell<bool>,
    /// The newest time that was stamped, in milliseconds: see [`State::stamp`].
    pub newest: i64,
    /// SQLite's `data_version`, which changes when another connection changed the file.
    data_version: i64,
}

impl State {
    /// Reads again what another process may have changed. Called inside a transaction, so that nothing can
    /// change between this and the commands.
    pub(crate) fn refresh(&mut self, connection: &Connection) -> Result<(), Error> {
        let version = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.reload(connection)?;
            self.data_version = version;
        }
        Ok(())
    }

    /// Drops what a rolled-back transaction may have left in memory, and reads it again.
    pub(crate) fn reload(&mut self, connection: &Connection) -> Result<(), Error> {
        self.facts = Facts::default();
        self.recent = Recent::default();
        self.names = Names::load(connection)?;
        self.terms = terms(connection)?;
        self.any_shared = Cell::new(identity::is_any_shared(connection)?);
        self.newest = redate::newest(connection)?.unwrap_or(i64::MIN);
        Ok(())
    }

    /// The time of receipt, for a clock that may have been set back a little. It is never before the message
    /// that was received last; otherwise a new fact could seem older than an earlier one. A clock that was
    /// set back by more than the tolerance is handled by `redate`.
    pub(crate) fn stamp(&mut self, received_at: Timestamp) -> Timestamp {
        let ms = ms(received_at);
        let behind = self.newest.saturating_sub(ms);
        if behind > 0 && i128::from(behind) <= TOLERANCE.as_millis() {
            return at(self.newest);
        }
        self.newest = self.newest.max(ms);
        received_at
    }

    /// Makes the next transaction read everything again.
    pub(crate) fn invalidate(&mut self) {
        self.data_version = 0;
    }

    pub(crate) fn terms_of(&self, workspace: WorkspaceRowId) -> Arc<Terms> {
        let found = self
            .terms
            .get(&workspace)
            .or_else(|| self.terms.get(&ANY_WORKSPACE));
        found.cloned().unwrap_or_default()
    }
}

/// The entry for workspaces without own pages.
pub(crate) const ANY_WORKSPACE: WorkspaceRowId = WorkspaceRowId(0);

pub(crate) fn terms(connection: &Connection) -> Result<HashMap<WorkspaceRowId, Arc<Terms>>, Error> {
    let grace: Option<i64> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'click_grace_ms'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let terms = |own_pages| Terms {
        own_pages,
        click_grace: grace
            .and_then(|grace| u64::try_from(grace).ok())
            .map_or(CLICK_GRACE, Duration::from_millis),
    };
    let mut statement = connection.prepare_cached(
        "SELECT page.workspace_id, name.name, page.external_id
         FROM page JOIN name ON name.id = page.namespace_id WHERE page.own = 1",
    )?;
    let mut rows = statement.query(params![])?;
    let mut all: HashMap<WorkspaceRowId, OwnPages> = HashMap::from([(ANY_WORKSPACE, OwnPages::new())]);
    while let Some(row) = rows.next()? {
        let key = page_key(
            crate::sqlite::base::rows::text(row, 1)?,
            crate::sqlite::base::rows::text(row, 2)?,
        );
        all.entry(row.get(0)?).or_default().insert(key);
    }
    Ok(all
        .into_iter()
        .map(|(id, pages)| (id, Arc::new(terms(pages))))
        .collect())
}

/// The leases: which deliveries are in flight, and until when. They are kept in memory, because a lease ends
/// with the process that took it, and storing it would cost as much as the delivery itself.
#[derive(Default)]
pub(crate) struct Leases {
    held: HashMap<DeliveryRowId, Lease>,
    /// Destination and contact -> the deliveries in flight.
    of_contact: HashMap<(DestinationRowId, ContactRowId), Vec<DeliveryRowId>>,
    /// The leases to restore when the transaction fails, newest last.
    undo: Vec<(DeliveryRowId, Option<Lease>)>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    destination: DestinationRowId,
    contact: Option<ContactRowId>,
    until: Timestamp,
}

impl Leases {
    pub(crate) fn is_held(&self, delivery: DeliveryRowId, now: Timestamp) -> bool {
        self.held.get(&delivery).is_some_and(|lease| lease.until > now)
    }

    /// Whether a delivery of the contact is in flight to the destination.
    pub(crate) fn is_busy(
        &self,
        destination: DestinationRowId,
        contact: Option<ContactRowId>,
        now: Timestamp,
    ) -> bool {
        contact
            .and_then(|contact| self.of_contact.get(&(destination, contact)))
            .is_some_and(|deliveries| deliveries.iter().any(|delivery| self.is_held(*delivery, now)))
    }

    pub(crate) fn take(
        &mut self,
        delivery: DeliveryRowId,
        destination: DestinationRowId,
        contact: Option<ContactRowId>,
        until: Timestamp,
    ) {
        let lease = Lease {
            destination,
            contact,
            until,
        };
        let before = self.put(delivery, Some(lease));
        self.undo.push((delivery, before));
    }

    pub(crate) fn give_back(&mut self, delivery: DeliveryRowId) {
        if let Some(before) = self.put(delivery, None) {
            self.undo.push((delivery, Some(before)));
        }
    }

    /// After a merge, the leases of `from` belong to `into`.
    pub(crate) fn merge(&mut self, from: ContactRowId, into: ContactRowId) {
        self.hand_over(into, |_, lease| lease.contact == Some(from));
    }

    /// After a split, the leases of these deliveries belong to `into`.
    pub(crate) fn split(&mut self, deliveries: &[DeliveryRowId], into: ContactRowId) {
        self.hand_over(into, |delivery, _| deliveries.contains(&delivery));
    }

    fn hand_over(&mut self, into: ContactRowId, is_moved: impl Fn(DeliveryRowId, &Lease) -> bool) {
        let moved: Vec<(DeliveryRowId, Lease)> = self
            .held
            .iter()
            .filter(|(delivery, lease)| is_moved(**delivery, lease))
            .map(|(delivery, lease)| (*delivery, *lease))
            .collect();
        for (delivery, lease) in moved {
            self.take(delivery, lease.destination, Some(into), lease.until);
        }
    }

    fn put(&mut self, delivery: DeliveryRowId, lease: Option<Lease>) -> Option<Lease> {
        let before = match lease {
            Some(lease) => self.held.insert(delivery, lease),
            None => self.held.remove(&delivery),
        };
        if let Some(Lease {
            destination,
            contact: Some(contact),
            ..
        }) = before
            && let Some(deliveries) = self.of_contact.get_mut(&(destination, contact))
        {
            deliveries.retain(|other| *other != delivery);
            if deliveries.is_empty() {
                self.of_contact.remove(&(destination, contact));
            }
        }
        if let Some(Lease {
            destination,
            contact: Some(contact),
            ..
        }) = lease
        {
            self.of_contact
                .entry((destination, contact))
                .or_default()
                .push(delivery);
        }
        before
    }

    /// When the first lease at this destination expires.
    pub(crate) fn next_end(&self, destination: DestinationRowId) -> Option<Timestamp> {
        self.held
            .values()
            .filter(|lease| lease.destination == destination)
            .map(|lease| lease.until)
            .min()
    }

    /// Drops expired leases: their deliveries ended otherwise, or are about to be claimed again.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let ended: Vec<DeliveryRowId> = self
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
            if let Some((delivery, lease)) = self.undo.pop() {
                self.put(delivery, lease);
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        self.undo.clear();
    }
}
