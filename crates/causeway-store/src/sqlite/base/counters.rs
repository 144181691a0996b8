//! Counters that change in the same transaction as what they count. They are written once per transaction.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::sqlite::base::{
    error::Error,
    ids::{DestinationRowId, NameRowId},
    rows::DeliveryState,
};

/// For times the greatest value is kept; all other values are added up.
pub(crate) const LAST_RECEIVED: &str = "last_received_at";
pub(crate) const LAST_DELIVERED: &str = "last_delivered_at";

#[derive(Default)]
pub(crate) struct Counters {
    /// Changes by the command that is running; dropped when it fails.
    command: Vec<(NameRowId, &'static str, i64)>,
    transaction: HashMap<(NameRowId, &'static str), i64>,
}

impl Counters {
    pub(crate) fn add(&mut self, name: impl Into<NameRowId>, what: &'static str, by: i64) {
        self.command.push((name.into(), what, by));
    }

    /// Counts the change of a delivery's state. A waiting delivery with `attempts` above zero counts as
    /// retrying.
    pub(crate) fn moved(
        &mut self,
        destination: DestinationRowId,
        from: Option<(DeliveryState, u32)>,
        to: (DeliveryState, u32),
    ) {
        for (by, (state, attempts)) in from.map(|from| (-1, from)).into_iter().chain([(1, to)]) {
            self.add(destination, state.counted_as(), by);
            if state == DeliveryState::Waiting && attempts > 0 {
                self.add(destination, "retrying", by);
            }
        }
    }

    pub(crate) fn mark(&self) -> usize {
        self.command.len()
    }

    pub(crate) fn forget_since(&mut self, mark: usize) {
        self.command.truncate(mark);
    }

    pub(crate) fn command_done(&mut self) {
        for (name_id, what, by) in self.command.drain(..) {
            let value = self.transaction.entry((name_id, what)).or_default();
            *value = if is_time(what) {
                by.max(*value)
            } else {
                *value + by
            };
        }
    }

    pub(crate) fn clear(&mut self) {
        self.command.clear();
        self.transaction.clear();
    }

    pub(crate) fn flush(&mut self, connection: &Connection) -> Result<(), Error> {
        let mut add = connection.prepare_cached(
            "INSERT INTO counter (name_id, what, value) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = value + excluded.value",
        )?;
        let mut raise = connection.prepare_cached(
            "INSERT INTO counter (name_id, what, value) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
        )?;
        for ((name_id, what), value) in self.transaction.drain() {
            if value != 0 {
                let statement = if is_time(what) { &mut raise } else { &mut add };
                statement.execute(params![name_id, what, value])?;
            }
        }
        Ok(())
    }
}

fn is_time(what: &str) -> bool {
    what == LAST_RECEIVED || what == LAST_DELIVERED
}
