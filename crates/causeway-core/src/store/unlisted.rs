//! A question of reconciliation to the store: which stored actions are no longer listed by their system of
//! origin?

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;

use crate::id::{ContactId, InboxId, Name};

/// Asks for actions of a source that are missing in a list of its system of origin. Excludes test actions,
/// and actions for which a finding was accepted before.
#[derive(Debug, Clone)]
pub struct Unlisted {
    pub source: Name,
    /// The numbers in the list.
    pub listed: Arc<HashSet<i64>>,
    /// The beginning of the list: only actions that were created after this.
    pub created_after: Timestamp,
    /// When the list was requested. Actions that arrived later may be missing in it.
    pub asked_at: Timestamp,
    /// Only actions that the queue brought before this, because the system of origin sends an action before
    /// it lists it. For actions from an earlier list, `asked_at` is enough.
    pub sent_before: Timestamp,
    /// Includes test actions.
    pub include_testing: bool,
}

/// A stored action that is missing in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedAction {
    pub number: i64,
    pub contact: ContactId,
    /// All addresses that the contact has had.
    pub addresses: Vec<String>,
    /// The contact's `contactRef`s in the namespace of the action.
    pub references: Vec<String>,
    /// Whether an earlier list contained it.
    pub was_listed: bool,
    /// Whether it was taken on an own page.
    pub on_own_page: bool,
    /// Whether the contact's address was reported as suppressed since the action was taken.
    pub was_suppressed: bool,
    /// The last undated status of the address that was reported for this action.
    pub undated: Option<UndatedStatus>,
}

/// A status of an address that the system of origin gives without a date. It counts from the time when it was
/// noticed, so it must be reported only once: a second report would have a later date, and end consent that
/// the person gave since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndatedStatus {
    /// In small letters.
    pub status: String,
    /// The message that reported it.
    pub message: InboxId,
    /// Whether it still holds: since then the action did not return to the list, and no dated status of it
    /// was reported.
    pub is_current: bool,
}

/// A contact that the system of origin no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneContact {
    pub contact: ContactId,
    pub source: Name,
    /// The message that reported it.
    pub message: InboxId,
    pub noticed_at: Timestamp,
}
