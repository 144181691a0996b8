//! The seam to what is kept: use cases, each one transaction. Nobody outside can hold a transaction open,
//! because there is no way to say it.

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

/// Why the store could not do it, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again later: the disk is full, the database is busy or not reachable. Nothing was changed.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Trying again will not help: a bug, or a broken file. Nothing was changed.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What became of one envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The row of the message; for a duplicate, the row of the *first* one.
    pub id: InboxId,
    /// Whether it is certainly a duplicate. If other messages wait between it and the first one, `process` decides:
    /// then it is accepted with a row of its own, and may become [`InboxState::Duplicate`].
    pub duplicate: bool,
}

/// What became of one inbox row in `process`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    pub id: InboxId,
    pub state: InboxState,
    /// Destinations that got a waiting delivery.
    pub planned: Vec<Name>,
    /// Destinations whose delivery was skipped at once, for want of consent.
    pub skipped: Vec<Name>,
    /// Known contacts that may stand elsewhere now: what was claimed for them before must be asked again.
    pub contacts: Vec<ContactId>,
    /// Skipped because it names a person who was erased.
    pub turned_away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxState {
    /// Accepted, waits to be processed.
    New,
    Done,
    /// Understood and left alone, with the reason.
    Skipped,
    /// Not understood; with the code and reason. Replayable.
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

/// Asks for deliveries to send.
#[derive(Debug, Clone)]
pub struct Claim {
    pub destination: Name,
    /// The maximum: no more than can start at once, or leases expire while deliveries wait.
    pub limit: u32,
    /// Who does not report back until then has lost them, and they are due again.
    pub leased_until: Timestamp,
    pub now: Timestamp,
    /// Deliveries whose senders wait for their outcome. While one of these can go, only withdrawals and these are handed out;
    /// of a contact with earlier deliveries the earliest goes in its place.
    pub first: Vec<DeliveryId>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub deliveries: Vec<Delivery>,
    /// How many were found to be without consent now, and set to `skipped`, while claiming.
    pub skipped: u32,
    /// How many were replaced by a newer one of the same contact (`coalesce`).
    pub superseded: u32,
    /// When the next one is due, if none is due now.
    pub next_due: Option<Timestamp>,
}

/// One attempt, to be recorded with what follows from it.
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
    pub remote_id: Option<String>,
    /// What the destination was to do about consent, and for which address, in its normal form.
    pub change: Change,
    pub address: Option<String>,
    /// What the response says about the contact. It becomes a message of its own, so that it is processed, explained
    /// and stored like every other message about a person.
    pub writes: BTreeMap<String, Value>,
    pub next: Next,
}

/// Whether a destination's lane moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// Paused by a person.
    pub paused: bool,
    /// Halted by an [`crate::destination::Outcome::Halt`], with its reason, until a person resumes it.
    pub halted: Option<String>,
}

/// Chooses deliveries for a person's command. All that is set must match.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub ids: Vec<DeliveryId>,
    pub destination: Option<Name>,
    /// `waiting`, `blocked`, `delivered`, `dead`, `skipped`.
    pub state: Option<String>,
    /// Part of the last reason.
    pub reason: Option<String>,
    pub contact: Option<ContactId>,
    /// Only rows with a smaller id: for paging.
    pub before: Option<DeliveryId>,
}

/// Chooses dead (or skipped) inbox rows to be processed once more.
#[derive(Debug, Clone, Default)]
pub struct InboxFilter {
    pub ids: Vec<InboxId>,
    pub source: Option<Name>,
    pub state: Option<InboxState>,
    pub code: Option<DeadCode>,
    pub before: Option<InboxId>,
}

/// How long to keep what is finished, in days; `None` = for ever.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// Bodies of finished envelopes, and answers of their attempts.
    pub payload_days: Option<u32>,
    /// Answers of attempts, where they are to go before the bodies.
    pub answer_days: Option<u32>,
    /// Finished inbox rows, deliveries and attempts. The newest delivered one of each contact and
    /// destination stays: it says that the destination has the person.
    pub history_days: Option<u32>,
    /// What contacts did with mails and pages.
    pub engagement_days: Option<u32>,
    /// Actions with their fields.
    pub action_days: Option<u32>,
    /// Minted addresses that work no more.
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

/// How much was moved back, because it was dated while the clock was ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Redated {
    pub contacts: u64,
    pub messages: u64,
    pub deliveries: u64,
    pub timers: u64,
}

/// What becomes of an address that was minted for one sync of another platform. Only the SHA-256 of its token is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlChange {
    Mint {
        hash: [u8; 32],
    },
    /// A new one; the old one is taken until then.
    Rotate {
        hash: [u8; 32],
        old_until: Timestamp,
    },
    Revoke,
}

/// Rows that wait to be processed, whoever accepted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprocessed {
    pub rows: Vec<InboxId>,
    /// Everything up to this row was looked at.
    pub until: InboxId,
}

/// Everything that changes what is kept. Hot-path methods take batches.
#[async_trait]
pub trait Store: Send + Sync {
    /// Sets the rules that `process` and `claim` follow, and brings what is stored in line with them. Called at start and when
    /// the configuration is reloaded, by the process that serves: it fails in any other.
    async fn set_rules(&self, rules: Arc<Rules>) -> Result<(), StoreError>;

    /// Makes envelopes durable, all or none; the answers are in their order. On return they are on disk. Without envelopes it
    /// proves that the disk can be written.
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError>;

    /// Up to `limit` rows in state `new` with an id above `after`, in the order of acceptance. Takes no lease:
    /// `process` ignores rows that are no longer `new`. Rows that cannot be read become dead and are left out.
    async fn fetch_new(&self, after: InboxId, limit: u32) -> Result<Vec<(InboxId, Envelope)>, StoreError>;

    /// The same for these rows, as far as they are in state `new`, in ascending order.
    async fn fetch_rows(&self, rows: Vec<InboxId>) -> Result<Vec<(InboxId, Envelope)>, StoreError>;

    /// Up to `limit` ids above `after` of rows in state `new`, ascending; without `after`, only where to go on from. Sees what
    /// every process accepted, and looks at no message.
    async fn unprocessed(&self, after: Option<InboxId>, limit: u32) -> Result<Unprocessed, StoreError>;

    /// Finds the contacts, asks [`crate::plan::plan`], and writes contact, consent, action, deliveries and the row's
    /// new state: one transaction for the batch, in its order. A row on which it fails alone becomes dead
    /// ([`DeadCode::Internal`]) and holds nobody up.
    async fn process(
        &self,
        batch: Vec<(InboxId, Decoded)>,
        now: Timestamp,
    ) -> Result<Vec<Processed>, StoreError>;

    /// Turns due timers of automations into inbox rows, up to `limit`; returns how many. If one cannot be read, its row
    /// says so and will be dead.
    async fn ring(&self, limit: u32, now: Timestamp) -> Result<u64, StoreError>;

    /// Notes that an automation that the clock starts has had its turns up to then.
    async fn set_turn(&self, workspace: &str, automation: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Leases due deliveries of one destination, asking [`crate::rules::DestinationRule::gate`] again.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// Records attempts and moves their deliveries on.
    async fn record(&self, attempts: Vec<Attempt>) -> Result<(), StoreError>;

    /// Gives leased deliveries back untried; they are due again at `due_at`.
    async fn release(&self, deliveries: Vec<DeliveryId>, due_at: Timestamp) -> Result<(), StoreError>;

    async fn set_lane(&self, destination: &str, state: LaneState) -> Result<(), StoreError>;

    /// Dead deliveries (or those that the filter names) become due now, with a fresh retry schedule. Returns how many.
    async fn retry_deliveries(&self, filter: DeliveryFilter, now: Timestamp) -> Result<u64, StoreError>;

    /// Waiting, blocked and dead deliveries that match become `skipped` with this reason. Returns how many.
    async fn discard_deliveries(
        &self,
        filter: DeliveryFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Forgets what a destination was given of whom, since nobody there can be asked any more; of one that is configured, only
    /// of people in other workspaces than this one, which it is in. Returns the number of people.
    async fn forget_destination(&self, destination: &str, workspace: Option<Name>)
    -> Result<u64, StoreError>;

    /// Dead or skipped inbox rows that match become `new` again. Returns how many.
    async fn replay(&self, filter: InboxFilter) -> Result<u64, StoreError>;

    /// Dead inbox rows that match become `skipped` with this reason, and may grow old from `now` on. Returns how many.
    async fn discard_messages(
        &self,
        filter: InboxFilter,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Plans a removal for every destination that was sent the person. From now on nothing else about them is accepted
    /// or sent. [`Store::finish_erasures`] erases them. A second call returns the same and changes nothing.
    async fn begin_erasure(
        &self,
        contact: ContactId,
        at_latest: Timestamp,
        now: Timestamp,
    ) -> Result<Parting, StoreError>;

    /// Erases those whose last deliveries have arrived, or whose time has come, as [`Store::erase`] does; and empties the log
    /// of what was erased before, where a reader prevented it. Returns how many people were erased.
    async fn finish_erasures(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Mints, rotates or revokes the address that a source has under a label. False, and nothing changed, when there is one
    /// already (to mint) or none (to rotate or revoke).
    async fn change_source_url(
        &self,
        source: &str,
        label: &str,
        change: UrlChange,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes a person: contact, identities, consent, actions, engagements, bodies of their envelopes, answers
    /// of attempts, waiting deliveries, and messages that nobody could read and that name them. Keeps a keyed hash of their
    /// identities with the time, so that what is dated before brings nobody back ([`crate::after_erasure`]).
    async fn erase(&self, contact: ContactId, now: Timestamp) -> Result<Erased, StoreError>;

    /// Takes these identities out of a contact, with everything that came by them, and makes a contact of its own of them:
    /// undoes a wrong merge. `read` are the contact's messages as far as they can still be decoded. `None`, and nothing
    /// changed, when the contact has not all of the identities or would be left without any.
    async fn split(
        &self,
        contact: ContactId,
        taken: BTreeSet<Identity>,
        read: BTreeMap<InboxId, Event>,
        now: Timestamp,
    ) -> Result<Option<Split>, StoreError>;

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;

    /// Moves back by `back` what lies in the future of `now`, because the hub dated it while its clock was ahead. What a contact
    /// said keeps its order.
    async fn redate(&self, back: Duration, now: Timestamp) -> Result<Redated, StoreError>;

    /// Remembers that the system clock is or was wrong, or that this has passed.
    async fn set_clock_alarm(&self, alarm: Option<ClockAlarm>) -> Result<(), StoreError>;

    /// Writes a consistent copy to a file that must not exist, while everything runs.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;
}

/// Which destinations are asked to remove a person, and what the erasure will find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Parting {
    pub told: Vec<(Name, Change)>,
    /// With the reason: somebody has to see to it by hand.
    pub untold: Vec<(Name, String)>,
    pub unread: Unread,
}

/// What became of a contact that was split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Split {
    pub kept: ContactId,
    pub new: ContactId,
    /// Messages that went with the identities.
    pub messages: u64,
    /// The row that the corrections at destinations hang on.
    pub record: InboxId,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    pub actions: u64,
    pub consent: u64,
    pub deliveries: u64,
    /// Messages whose bodies are deleted, those of [`Unread`] included.
    pub envelopes: u64,
    pub unread: Unread,
    /// Destinations that have the person and were not asked to remove them.
    pub given: Vec<Name>,
}

/// What looking for a person gave in the messages that became no event: dead, skipped and duplicate ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// They name the person: their bodies go.
    pub named: Vec<InboxId>,
    /// A part of each is encrypted.
    pub sealed: Vec<InboxId>,
    /// Compressed, pictures and the like.
    pub binary: Vec<InboxId>,
    /// How many bodies there are, all of these included.
    pub searched: u64,
}
