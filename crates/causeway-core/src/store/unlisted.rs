//! What reconciliation asks the store: which actions are here that their system of origin no longer lists.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;

use crate::id::{ContactId, InboxId, Name};

/// Asks for actions of a source that are not in a list of its system of origin. Test actions and those that a finding was already
/// accepted for are left out.
#[derive(Debug, Clone)]
pub struct Unlisted {
    pub source: Name,
    /// The numbers in the list.
    pub listed: Arc<HashSet<i64>>,
    /// Where the list begins: only actions that were created after this.
    pub created_after: Timestamp,
    /// When the list was asked for. What came here later may be missing from it.
    pub asked_at: Timestamp,
    /// Only actions that came by the queue before this: the system of origin sends an action before it lists it. For actions that
    /// an earlier list brought `asked_at` suffices.
    pub sent_before: Timestamp,
    /// Test actions too.
    pub include_testing: bool,
}

/// An action that is here and not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedAction {
    pub number: i64,
    pub contact: ContactId,
    /// All addresses that the contact has had.
    pub addresses: Vec<String>,
    /// The contact's `contactRef`s in the namespace of the action.
    pub references: Vec<String>,
    /// An earlier list had it.
    pub was_listed: bool,
    /// It was done on a page of ours.
    pub on_own_page: bool,
    /// The last status of the address without a date that was reported of this action.
    pub undated: Option<UndatedStatus>,
}

/// A status of an address that the system of origin gives without a date. It counts from when it was noticed, so it must be
/// reported once: a second time it would be dated later, and end what the person agreed to since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndatedStatus {
    /// In small letters.
    pub status: String,
    /// The message that reported it.
    pub message: InboxId,
    /// Neither did the action return to the list since, nor was a dated status of it reported.
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
