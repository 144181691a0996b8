//! The result of a comparison.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    id::{InboxId, Name},
};
use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Messages that were compared.
    pub records: u64,
    /// Earlier messages, which were run so that both configurations know the contacts.
    pub earlier: u64,
    /// Messages that were pruned or erased.
    pub not_available: u64,
    /// Messages that arrived more than once.
    pub repeats: u64,
    /// Messages of the hub's own: scheduled runs, which both configurations repeat, and responses of destinations.
    pub own: u64,
    /// Messages with another resulting state: "dead → done" = number of messages.
    pub read_otherwise: BTreeMap<String, u64>,
    /// Messages with any change.
    pub records_changed: u64,
    /// People with a changed delivery.
    pub people_changed: u64,
    pub destinations: BTreeMap<Name, Deliveries>,
}

impl Counts {
    /// Whether there is any change.
    pub fn changes(&self) -> bool {
        let of_any = |of: &Deliveries| of.added + of.removed + of.changed > 0;
        self.records_changed > 0 || self.destinations.values().any(of_any)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    pub old: u64,
    pub new: u64,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Reason = number of deliveries skipped for it, by the old and by the new configuration.
    pub skipped: BTreeMap<String, OldNew>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OldNew {
    pub old: u64,
    pub new: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Added,
    Removed,
    Changed,
    /// The message itself has another resulting state.
    ReadOtherwise,
}

/// One change. It holds personal data.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `None` for a scheduled run of an automation.
    pub record: Option<InboxId>,
    pub received_at: Timestamp,
    pub source: Name,
    pub change: Change,
    /// `None` for [`Change::ReadOtherwise`].
    pub destination: Option<Name>,
    pub email: Option<String>,
    pub old: Side,
    pub new: Side,
}

/// The result in one of the configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub request: Option<String>,
    /// Why there is no request, or a note about it.
    pub why: Option<String>,
}
