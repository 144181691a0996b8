//! What comes out of a comparison.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    id::{InboxId, Name},
};
use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Compared.
    pub records: u64,
    /// Earlier ones that were only run, so that both know the contacts.
    pub earlier: u64,
    /// Pruned or erased.
    pub not_available: u64,
    /// Came more than once.
    pub repeats: u64,
    /// Rows that the hub made itself: turns of automations, which both take anew, and what destinations answered.
    pub own: u64,
    /// Records that would be read in another way: "dead → done" = how many.
    pub read_otherwise: BTreeMap<String, u64>,
    /// Records for which anything would change.
    pub records_changed: u64,
    /// People for whom a delivery would change.
    pub people_changed: u64,
    pub destinations: BTreeMap<Name, Deliveries>,
}

impl Counts {
    /// Whether anything would change.
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
    /// Reason = how many are skipped for it, by the old and by the new.
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
    /// The message itself is read in another way.
    ReadOtherwise,
}

/// One change. Holds personal data.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `None` for the turn of an automation, which follows from an earlier one.
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

/// What one of the two would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub request: Option<String>,
    /// Why there is no request, or what is to be said about it.
    pub why: Option<String>,
}
