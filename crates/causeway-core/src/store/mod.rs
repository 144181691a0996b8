//! The store's trait. Each method is a use case and one transaction. No caller can hold a transaction open,
//! because the trait offers no way to do so.

mod backfill;
mod credentials;
mod unlisted;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use backfill::{Backfill, Backfilled, Backfills};
pub use credentials::{Credential, Credentials};
pub use unlisted::{GoneContact, UndatedStatus, Unlisted, UnlistedAction};
pub use views::*;

use crate::{
    clock::ClockAlarm,
    consent::Change,
    contact::Identity,
    delivery::{Delivery, Next},
    envelope::Envelope,
    event::{DeadCode, Decoded, Event},
    id::{ContactId, DeliveryId, InboxId, Name},
    rules::Rules,
};

/// Why the store failed, by what the caller has to do next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again later: the disk is full, or the database is busy or out of reach. Nothing was changed.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Trying again will not help: a bug, or a broken file. Nothing was changed.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// The result of accepting one envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The row of the message. For a duplicate, the row of the *first* message.
    pub id: InboxId,
    /// Whether it is certainly a duplicate. If unprocessed messages lie between it and the first one,
    /// `process` decides: until then it has a row of its own, which may become [`InboxState::Duplicate`].
    pub duplicate: bool,
}

/// The result of processing one inbox row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    pub id: InboxId,
    pub state: InboxState,
    /// Destinations that got a waiting delivery.
    pub planned: Vec<Name>,
    /// Destinations whose delivery was skipped at once, because consent is missing.
    pub skipped: Vec<Name>,
    /// Known contacts whose consent state may have changed. Deliveries of theirs that are already claimed
    /// must be checked again.
    pub contacts: Vec<ContactId>,
    /// Whether it was skipped because it names an erased person.
    pub turned_away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxState {
    /// Accepted; waits to be processed.
    New,
    Done,
    /// Understood and left alone, with the reason.
    Skipped,
    /// Not understood; with code and reason. It can be replayed.
    Dead,
    /// A duplicate of another row.
    Duplicate,
}

impl InboxState {
    pub const ALL: [Self; 5] = [Self::New, Self::Done, Self::Skipped, Self::Dead, Self::Duplicate];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A request for deliveries to send.
#[derive(Debug, Clone)]
pub struct Claim {
    pub destination: Name,
    /// The maximum number of deliveries: no more than can start at once, or leases expire in the queue.
    pub limit: u32,
    /// The end of the lease. A delivery that is not reported by then is due again.
    pub leased_until: Timestamp,
    pub now: Timestamp,
    /// Deliveries whose senders wait for the outcome. While one of these can start, only they and withdrawals
    /// are handed out. If the contact has earlier deliveries, the earliest goes in its place.
    pub first: Vec<DeliveryId>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub deliveries: Vec<Delivery>,
    /// How many were set to `skipped` while claiming, because consent is missing now.
    pub skipped: u32,
    /// How many were replaced by a newer delivery of the same contact (`coalesce`).
    pub superseded: u32,
    /// When the next delivery is due, if none is due now.
    pub next_due: Option<Timestamp>,
}

/// One attempt, to be recorded together with the delivery's next state.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub delivery: DeliveryId,
    pub number: u32,
    pub started_at: Timestamp,
    pub took_ms: u32,
    /// [`crate::destination::Outcome::as_str`].
    pub outcome: &'static str,
    pub reason: Option<String>,
    pub status: Option<u16>,
    pub excerpt: Option<String>,
    /// [`crate::destination::AttemptResult::request`].
    pub request: Option<String>,
    /// [`crate::destination::AttemptResult::memory`].
    pub memory: Option<Value>,
    /// [`crate::destination::AttemptResult::ticket_is_void`].
    pub ticket_is_void: bool,
    pub remote_id: Option<String>,
    /// What the destination had to do about consent, and for which address, in its normal form.
    pub change: Change,
    pub address: Option<String>,
    /// The values that the response gives for the contact. They become an inbox row of their own, so that
    /// they are processed, explained and kept like every other message about a person.
    pub writes: BTreeMap<String, Value>,
    pub next: Next,
}

/// Whether a destination's lane sends deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// Paused by a person.
    pub paused: bool,
    /// The reason of the [`crate::destination::Outcome::Halt`] that halted the lane, until a person resumes
    /// it.
    pub halted: Option<String>,
}

/// Selects deliveries for a person's command. Everything that is set must match.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub ids: Vec<DeliveryId>,
    pub destination: Option<Name>,
    /// `waiting`, `blocked`, `delivered`, `dead`, `skipped`.
    pub state: Option<String>,
    /// A part of the last reason.
    pub reason: Option<String>,
    pub contact: Option<ContactId>,
    /// Only rows with a smaller id: for paging.
    pub before: Option<DeliveryId>,
    /// Leaves out withdrawals.
    pub without_withdrawals: bool,
}

/// The result of discarding deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discarded {
    pub deliveries: u64,
    /// Withdrawals that matched the filter but for [`DeliveryFilter::without_withdrawals`].
    pub withdrawals_left: u64,
}

/// Selects dead (or skipped) inbox rows to be replayed.
#[derive(Debug, Clone, Default)]
pub struct InboxFilter {
    pub ids: Vec<InboxId>,
    pub source: Option<Name>,
    pub state: Option<InboxState>,
    pub code: Option<DeadCode>,
    pub before: Option<InboxId>,
}

/// How long to keep finished data, in days; `None` = for ever.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// Bodies of finished envelopes, and responses of their attempts.
    pub payload_days: Option<u32>,
    /// Responses of attempts, if they are to be deleted before the bodies.
    pub answer_days: Option<u32>,
    /// Finished inbox rows, deliveries and attempts. The newest delivered one of each contact and destination
    /// is kept, because it shows that the destination has the person.
    pub history_days: Option<u32>,
    /// Engagements.
    pub engagement_days: Option<u32>,
    /// Actions with their fields.
    pub action_days: Option<u32>,
    /// Minted addresses that are no longer valid.
    pub url_days: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub bodies: u64,
    pub inbox: u64,
    pub deliveries: u64,
    pub answers: u64,
    pub engagements: u64,
    pub actions: u64,
    pub urls: u64,
}

/// How many rows were moved back, because they were dated while the clock was ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Redated {
    pub contacts: u64,
    pub messages: u64,
    pub deliveries: u64,
    pub timers: u64,
}

/// A change of an address that was minted for one sync of another platform. The store knows the SHA-256 of
/// its token only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlChange {
    Mint {
        hash: [u8; 32],
    },
    /// A new address. The old one remains valid until `old_until`.
    Rotate {
        hash: [u8; 32],
        old_until: Timestamp,
    },
    Revoke,
}

/// Rows that wait to be processed, whichever process accepted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprocessed {
    pub rows: Vec<InboxId>,
    /// Everything up to this row was looked at.
    pub until: InboxId,
}

/// Everything that changes stored data. Methods of the hot path take batches.
#[async_trait]
pub trait Store: Send + Sync {
    /// Sets the rules that `process` and `claim` follow, and brings stored data in line with them. The
    /// serving process calls it at start and when the configuration is reloaded; in any other process it
    /// fails.
    async fn set_rules(&self, rules: Arc<Rules>) -> Result<(), StoreError>;

    /// Stores envelopes durably, all or none. The results are in their order, and the envelopes are on disk
    /// on return. Without envelopes it proves that the disk can be written.
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError>;

    /// Returns up to `limit` rows in state `new` with an id above `after`, in the order of acceptance. It
    /// takes no lease: `process` ignores rows that are no longer `new`. Rows that cannot be read become dead
    /// and are left out.
    async fn fetch_new(&self, after: InboxId, limit: u32) -> Result<Vec<(InboxId, Envelope)>, StoreError>;

    /// As [`Store::fetch_new`], for those of these rows that are in state `new`, in ascending order.
    async fn fetch_rows(&self, rows: Vec<InboxId>) -> Result<Vec<(InboxId, Envelope)>, StoreError>;

    /// Returns up to `limit` ids above `after` of rows in state `new`, ascending. Without `after` it returns
    /// only where to continue. It sees what every process accepted, and reads no message.
    async fn unprocessed(&self, after: Option<InboxId>, limit: u32) -> Result<Unprocessed, StoreError>;

    /// Finds the contacts, calls [`crate::plan::plan`], and writes contact, consent, action, deliveries and
    /// the row's new state: one transaction for the batch, in its order. A row that fails by itself becomes
    /// dead ([`DeadCode::Internal`]) and does not hold up the others.
    async fn process(
        &self,
        batch: Vec<(InboxId, Decoded)>,
        now: Timestamp,
    ) -> Result<Vec<Processed>, StoreError>;

    /// Turns up to `limit` due timers of automations into inbox rows, and returns how many. A timer that
    /// cannot be read becomes a row that says so and will be dead.
    async fn fire_due_timers(&self, limit: u32, now: Timestamp) -> Result<u64, StoreError>;

    /// Notes that a scheduled automation has run for all due times up to `at`.
    async fn set_last_run(&self, workspace: &str, automation: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Leases due deliveries of one destination, and checks [`crate::rules::DestinationRule::gate`] again.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Records attempts, and sets the next states of their deliveries.
    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError>;

    /// Returns leased deliveries untried. They are due again at `due_at`.
    async fn release(&self, deliveries: Vec<DeliveryId>, due_at: Timestamp) -> Result<(), StoreError>;

    async fn set_lane(&self, destination: &str, state: LaneState) -> Result<(), StoreError>;

    /// Makes dead deliveries (or those that the filter names) due now, with a fresh retry schedule. Returns
    /// how many.
    async fn retry_deliveries(&self, filter: DeliveryFilter, now: Timestamp) -> Result<u64, StoreError>;

    /// Sets matching waiting, blocked and dead deliveries to `skipped` with this reason.
    async fn discard_deliveries(
        &self,
        filter: DeliveryFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<Discarded, StoreError>;

    /// Deletes the notes about which people a destination was given, because it cannot be notified any more.
    /// For a configured destination, only those about people in other workspaces than `workspace`. Returns
    /// the number of people.
    async fn forget_destination(&self, destination: &str, workspace: Option<Name>)
    -> Result<u64, StoreError>;

    /// Sets matching dead or skipped inbox rows to `new` again. Returns how many.
    async fn replay(&self, filter: InboxFilter) -> Result<u64, StoreError>;

    /// Sets matching dead inbox rows to `skipped` with this reason. Their retention starts at `now`. Returns
    /// how many.
    async fn discard_messages(
        &self,
        filter: InboxFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Plans a removal for every destination that was given the person. From now on nothing else about the
    /// person is taken in or sent. [`Store::finish_erasures`] erases them. A second call returns the same and
    /// changes nothing.
    async fn begin_erasure(
        &self,
        contact: ContactId,
        at_latest: Timestamp,
        now: Timestamp,
    ) -> Result<ErasureStart, StoreError>;

    /// Erases, as [`Store::erase`] does, the people whose removals have arrived or whose time limit has
    /// passed. Also empties the log of earlier erased data, if a reader prevented that before. Returns how
    /// many people were erased.
    async fn finish_erasures(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Mints, rotates or revokes the address that a source has under a label. Returns false and changes
    /// nothing if there is one already (to mint) or none (to rotate or revoke).
    async fn change_source_url(
        &self,
        source: &str,
        label: &str,
        change: UrlChange,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Deletes a person: contact, identities, consent, actions, engagements, bodies of their envelopes,
    /// responses of attempts, waiting deliveries, and unreadable messages that name them. Keeps a keyed
    /// hash of their identities with the time, so that older messages do not bring the person back
    /// ([`crate::after_erasure`]).
    async fn erase(&self, contact: ContactId, now: Timestamp) -> Result<Erased, StoreError>;

    /// Undoes a wrong merge: moves these identities, with everything that came by them, to a new contact.
    /// `read` holds the contact's messages, as far as they can still be decoded. Returns `None` and changes
    /// nothing if the contact lacks one of the identities or would be left without any.
    async fn split(
        &self,
        contact: ContactId,
        taken: BTreeSet<Identity>,
        read: BTreeMap<InboxId, Event>,
        now: Timestamp,
    ) -> Result<Option<Split>, StoreError>;

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;

    /// Moves times after `now` back by `back`, because the hub's clock was ahead when it set them. A contact's
    /// facts keep their order.
    async fn redate(&self, back: Duration, now: Timestamp) -> Result<Redated, StoreError>;

    /// Stores that the system clock is or was wrong; `None` clears it.
    async fn set_clock_alarm(&self, alarm: Option<ClockAlarm>) -> Result<(), StoreError>;

    /// Writes a consistent copy to a file that must not exist yet, while the hub keeps running.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// The start of an erasure: which destinations are asked to remove the person, and what the erasure will
/// find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ErasureStart {
    pub asked: Vec<(Name, Change)>,
    /// Destinations that cannot be asked, with the reason: a person has to remove the data by hand.
    pub not_asked: Vec<(Name, String)>,
    pub unread: Unread,
}

/// The result of splitting a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Split {
    pub kept: ContactId,
    pub new: ContactId,
    /// Messages that moved with the identities.
    pub messages: u64,
    /// The message that the corrections at destinations belong to.
    pub record: InboxId,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    pub actions: u64,
    pub consent: u64,
    pub deliveries: u64,
    /// Messages whose bodies were deleted, including those of [`Unread`].
    pub envelopes: u64,
    pub unread: Unread,
    /// Destinations that have the person and were not asked to remove them.
    pub given: Vec<Name>,
    /// Destinations that a withdrawal or a removal of the person had not reached: it is not sent any more.
    pub unsent: Vec<Name>,
}

/// The result of searching for a person in messages that became no event: dead, skipped and duplicate ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Messages that name the person. Their bodies are deleted.
    pub named: Vec<InboxId>,
    /// Messages with an encrypted part.
    pub sealed: Vec<InboxId>,
    /// Messages with compressed or other binary content, such as pictures.
    pub binary: Vec<InboxId>,
    /// The number of searched bodies, including all of these.
    pub searched: u64,
}
