//! The read-only queries of the console and the command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    DeliveryFilter, GoneContact, InboxFilter, InboxState, LaneState, StoreError, Unlisted, UnlistedAction,
};
use crate::{
    automation::Explained,
    clock::ClockAlarm,
    consent::{Change, ConsentFact, ConsentState},
    contact::{Contact, Identity},
    envelope::Envelope,
    event::{Due, Organisation},
    id::{ActionId, ContactId, DeliveryId, IdempotencyKey, InboxId, Name},
    record::Record,
    rules::Rules,
};

#[async_trait]
pub trait Views: Send + Sync {
    /// Counts and ages for the overview and the metrics. Cheap enough for every second, even with millions of
    /// rows.
    async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError>;

    async fn lanes(&self) -> Result<BTreeMap<Name, LaneState>, StoreError>;

    /// The minted addresses of all sources, including invalid ones: by source, label and age.
    async fn source_urls(&self) -> Result<Vec<SourceUrl>, StoreError>;

    /// Newest first.
    async fn deliveries(&self, filter: DeliveryFilter, limit: u32) -> Result<Vec<DeliveryRow>, StoreError>;

    /// Newest first.
    async fn inbox(&self, filter: InboxFilter, limit: u32) -> Result<Vec<InboxRow>, StoreError>;

    /// The progress of a message, and its delivery to this destination. With `history`, its record contains
    /// the contact's engagements.
    async fn progress(
        &self,
        id: InboxId,
        destination: Option<Name>,
        history: bool,
    ) -> Result<Option<Progress>, StoreError>;

    /// Everything that became of one message.
    async fn trace(&self, id: InboxId) -> Result<Option<Trace>, StoreError>;

    /// Every identity that these words name, in every workspace: an e-mail address, an id or a contact
    /// reference. The words may be bare, with a namespace (`platform:8812`), or with a kind in front of that
    /// (`contact_ref:proca:…`). An address names every contact that uses it; with `email:` in front, only the
    /// contact that it belongs to.
    async fn find_named(&self, words: &str) -> Result<Vec<Named>, StoreError>;

    /// The contacts of [`Views::find_named`], ascending. They may be different people.
    async fn find_contacts(&self, words: &str) -> Result<Vec<ContactId>, StoreError> {
        let found = self.find_named(words).await?;
        let contacts: BTreeSet<ContactId> = found.iter().map(|named| named.contact).collect();
        Ok(contacts.into_iter().collect())
    }

    /// The consent states of each contact of a workspace that one of these identities names, for the address
    /// among them. People who are being erased are left out.
    async fn consent_of(
        &self,
        workspace: &str,
        identities: &[Identity],
    ) -> Result<Vec<BTreeMap<String, ConsentState>>, StoreError>;

    /// Up to `limit` contacts of a workspace with an id above `after`, ascending.
    async fn contacts(
        &self,
        workspace: &str,
        after: ContactId,
        limit: u32,
    ) -> Result<Vec<(ContactId, Contact)>, StoreError>;

    /// The last due time for which a scheduled automation has run; `None` = it never ran.
    async fn last_run(&self, workspace: &str, automation: &str) -> Result<Option<Timestamp>, StoreError>;

    /// When the next timer of an automation is due.
    async fn next_timer(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Everything about a person.
    async fn contact(&self, id: ContactId) -> Result<Option<ContactView>, StoreError>;

    /// Pending erasures: people whose destinations are still being asked.
    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError>;

    /// Foreign ids that came with more addresses than one person has, the latest first.
    async fn conflicts(&self) -> Result<Vec<Conflict>, StoreError>;

    /// The namespaces of all ids that name a contact.
    async fn namespaces(&self) -> Result<BTreeSet<Name>, StoreError>;

    /// Destinations with withdrawals that they cannot receive, and how many. A person has to update them by
    /// hand. Those of people who gave their consent again since are left out.
    async fn by_hand(&self, rules: Arc<Rules>) -> Result<BTreeMap<Name, u64>, StoreError>;

    /// Destinations with dead withdrawals, and how many. They still assume that they may use these people's
    /// data.
    async fn dead_withdrawals(&self) -> Result<BTreeMap<Name, u64>, StoreError>;

    /// Destinations that hold people whose opt-outs can no longer reach them, and how many. For a destination
    /// that is not configured any more: all people that it was not asked to remove. For a configured one:
    /// people of workspaces other than its own.
    async fn left_behind(&self, configured: Vec<(Name, Name)>) -> Result<BTreeMap<Name, u64>, StoreError>;

    /// Stored actions that the system of origin does not list.
    async fn unlisted(&self, asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError>;

    /// Contacts that reconciliation found missing in the system of origin, newest first.
    async fn gone_contacts(&self, noticed_after: Timestamp) -> Result<Vec<GoneContact>, StoreError>;

    /// The counts of messages and deliveries, which must balance.
    async fn audit(&self) -> Result<Audit, StoreError>;

    /// Whether the store can write. Runs a write, unless the store was opened for reading only.
    async fn health(&self) -> Result<StoreHealth, StoreError>;
}

/// The progress of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub state: InboxState,
    /// The first message, if this one is a duplicate.
    pub duplicate_of: Option<InboxId>,
    /// The event and its contact as they are now, including values of the destination's response that still
    /// wait to be processed. `None` until the message is processed, and if no contact follows from it.
    pub record: Option<Record>,
    /// The delivery of its contact to the requested destination: its own, or the newer one that replaced it.
    pub delivery: Option<ProgressOfDelivery>,
}

/// The progress of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressOfDelivery {
    pub id: DeliveryId,
    /// `waiting`, `blocked`, `delivered`, `dead`, `skipped`.
    pub state: String,
    /// When it may be sent, while it waits.
    pub due_at: Option<Timestamp>,
    pub remote_id: Option<String>,
}

/// A foreign id that came with a third address. Its sender may use one id for several people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    pub workspace: Name,
    pub namespace: Name,
    pub id: String,
    /// The contact that has the id.
    pub contact: ContactId,
    /// Messages in which the id was ignored.
    pub messages: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// The last of these messages.
    pub last: InboxId,
}

/// An identity that was found, and its contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub contact: ContactId,
    pub workspace: Name,
    /// For a mailbox that several contacts use, each of them has the address here.
    pub identity: Identity,
    /// An identity that names this contact and no other. It differs from `identity` only for users of one
    /// mailbox.
    pub own: Identity,
}

/// A pending erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    pub contact: ContactId,
    pub workspace: Name,
    /// The message that shows which destinations were asked.
    pub record: InboxId,
    pub asked_at: Timestamp,
    /// When the person is erased at the latest, whatever became of the deliveries.
    pub at_latest: Timestamp,
    /// Deliveries that have not ended, and removals that need a person.
    pub open: u64,
    /// The removals that have not arrived, in the order of their numbers.
    pub removals: Vec<OpenRemoval>,
}

/// A removal that a destination has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenRemoval {
    pub delivery: DeliveryId,
    pub destination: Name,
    /// `waiting`, `blocked`, `dead` (rejected), or `skipped` (the destination cannot receive it).
    pub state: String,
}

/// An address that was minted for one sync of another platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUrl {
    /// SHA-256 of its token.
    pub hash: [u8; 32],
    pub source: Name,
    pub label: String,
    pub made_at: Timestamp,
    /// When it becomes (or became) invalid; `None` until somebody rotates or revokes it.
    pub valid_until: Option<Timestamp>,
}

impl SourceUrl {
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Overview {
    pub sources: BTreeMap<Name, SourceCounts>,
    pub destinations: BTreeMap<Name, DestinationCounts>,
    pub clock_alarm: Option<ClockAlarm>,
}

/// Counts since the store was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceCounts {
    pub received: u64,
    /// Waiting to be processed.
    pub new: u64,
    pub done: u64,
    pub skipped: u64,
    pub dead: u64,
    pub duplicate: u64,
    /// The arrival of the oldest message that waits.
    pub oldest_new_at: Option<Timestamp>,
    pub last_received_at: Option<Timestamp>,
    /// Those of the skipped messages that name an erased person ([`crate::after_erasure`]).
    pub turned_away: u64,
    /// Those of `turned_away` in the last seven days.
    pub turned_away_lately: u64,
    /// Messages that name an erased person, are dated after the erasure, and made a new contact.
    pub began_anew: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DestinationCounts {
    pub planned: u64,
    /// Waiting deliveries, including those in flight, those that wait for a retry, and those behind another
    /// delivery of their contact.
    pub waiting: u64,
    /// Those of the waiting deliveries that failed at least once.
    pub retrying: u64,
    pub delivered: u64,
    pub skipped: u64,
    pub dead: u64,
    pub oldest_waiting_at: Option<Timestamp>,
    pub last_delivered_at: Option<Timestamp>,
    pub lane: LaneState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub inbox_id: InboxId,
    pub contact_id: Option<ContactId>,
    pub destination: Name,
    pub source: Name,
    pub kind: String,
    pub state: String,
    pub attempts: u32,
    pub due_at: Option<Timestamp>,
    pub planned_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// The reason of the last attempt, or why it was skipped.
    pub reason: Option<String>,
    pub remote_id: Option<String>,
    /// The address that a withdrawal is about; `None` = the one in use when it is sent.
    pub address: Option<String>,
    /// A withdrawal that the destination cannot receive, until a person discards it.
    pub by_hand: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InboxRow {
    pub id: InboxId,
    pub source: Name,
    pub state: InboxState,
    pub received_at: Timestamp,
    pub processed_at: Option<Timestamp>,
    pub code: Option<String>,
    pub reason: Option<String>,
    pub bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Trace {
    pub inbox: InboxRow,
    /// `None` after it was pruned or erased.
    #[serde(skip)]
    pub envelope: Option<Envelope>,
    pub duplicate_of: Option<InboxId>,
    pub workspace: Name,
    /// `action`, `email_status`, …; `None` until it is processed.
    pub event: Option<String>,
    pub event_at: Option<Timestamp>,
    pub decision: Option<String>,
    pub notes: Vec<String>,
    pub contact_id: Option<ContactId>,
    /// Contacts that this event showed to be the same person.
    pub merged: Vec<ContactId>,
    pub action: Option<(ActionId, crate::event::Action)>,
    pub consent: Vec<ConsentFact>,
    /// Why automations ran or did not. Personal data.
    pub automations: Option<Explained>,
    /// Delayed steps of automations that this message triggered.
    pub timers: Vec<TimerRow>,
    /// The message that this one follows from.
    pub about: Option<InboxId>,
    /// The messages that follow from it.
    pub follow_ups: Vec<InboxId>,
    /// The hubs that it passed through.
    pub via: Vec<String>,
    pub deliveries: Vec<DeliveryTrace>,
}

/// A delayed step of an automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimerRow {
    pub automation: Name,
    pub due: Due,
    pub due_at: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
pub struct DeliveryTrace {
    pub delivery: DeliveryRow,
    pub key: IdempotencyKey,
    pub attempts: Vec<AttemptRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRow {
    pub number: u32,
    pub started_at: Timestamp,
    pub took_ms: u32,
    pub outcome: String,
    pub reason: Option<String>,
    pub status: Option<u16>,
    pub excerpt: Option<String>,
    /// What was sent, without secrets.
    pub request: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ContactView {
    pub id: ContactId,
    pub workspace: Name,
    pub identities: Vec<Identity>,
    pub contact: Contact,
    pub consent_state: BTreeMap<String, ConsentState>,
    /// What each destination was given, by destination and address.
    pub given: Vec<GivenRow>,
    /// Oldest first.
    pub ledger: Vec<LedgerRow>,
    /// Facts about mail from other users of the contact's mailboxes, with the time that the contact's own
    /// state dates from.
    #[serde(skip)]
    pub others: Vec<LedgerRow>,
    /// See [`crate::consent::Terms::click_grace`].
    #[serde(skip)]
    pub click_grace: std::time::Duration,
    pub actions: Vec<crate::event::Action>,
    pub engagements: Vec<crate::event::Engagement>,
    pub deliveries: Vec<DeliveryRow>,
    /// Messages that name the person.
    pub inbox: Vec<InboxId>,
    /// The messages about the person and those that brought the ledger's facts, ascending. Pruned ones are
    /// missing.
    pub messages: Vec<MessageRow>,
    /// When the pending erasure was requested.
    pub erasing_since: Option<Timestamp>,
    /// The bodies of those envelopes as they came, for an export.
    pub envelopes: Vec<Value>,
}

impl ContactView {
    /// `None` once it was pruned.
    pub fn message(&self, id: InboxId) -> Option<&MessageRow> {
        let place = self
            .messages
            .binary_search_by_key(&id, |message| message.id)
            .ok()?;
        self.messages.get(place)
    }
}

/// Where a message came from, and what it was about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageRow {
    pub id: InboxId,
    pub source: Name,
    pub received_at: Timestamp,
    /// `action`, `email_status`, …; `None` if the message gave no event.
    pub event: Option<String>,
    /// The name of the campaign.
    pub campaign: Option<String>,
    pub action_type: Option<String>,
    /// The organisation that owns the page.
    pub organisation: Option<Organisation>,
}

/// A contact that a destination was given under an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenRow {
    pub destination: Name,
    /// In its normal form; empty for a contact without one.
    pub address: String,
    pub since: Timestamp,
    /// When the last request started, whatever its outcome.
    pub last_sent: Timestamp,
    /// What the destination received last, or may have received.
    pub change: Change,
    /// When the last request started that the destination confirmed; `None` if there is none.
    pub received: Option<Timestamp>,
    /// When the last request started, if it may have arrived and nothing confirms it.
    pub unconfirmed: Option<Timestamp>,
    /// Whether other contacts use the address, too: what the destination has of it may be about them.
    pub shared: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct LedgerRow {
    #[serde(flatten)]
    pub fact: ConsentFact,
    pub inbox_id: InboxId,
}

/// The counts of messages and deliveries. `received` and `planned` are counted when a row is made. The other
/// figures come from the rows as they are and, for pruned rows, from what was counted before. If they differ,
/// something was lost.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audit {
    pub sources: BTreeMap<Name, SourceBooks>,
    pub destinations: BTreeMap<Name, DestinationBooks>,
    /// Ranges of Proca action ids that never arrived, for each source and owner of campaign pages: a hint at
    /// losses before this hub.
    pub gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceBooks {
    pub received: i64,
    pub new: i64,
    pub done: i64,
    pub skipped: i64,
    pub dead: i64,
    pub duplicate: i64,
    /// received − (new + done + skipped + dead + duplicate)
    pub difference: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DestinationBooks {
    pub planned: i64,
    pub waiting: i64,
    pub delivered: i64,
    pub skipped: i64,
    pub dead: i64,
    /// planned − (waiting + delivered + skipped + dead)
    pub difference: i64,
}

/// Action ids that are missing between two that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub source: Name,
    pub from: i64,
    pub to: i64,
}

#[derive(Debug, Clone, Serialize)]
pub struct StoreHealth {
    pub schema_version: u32,
    /// Size of the database with its log.
    pub bytes: u64,
    /// Free space on the disk that holds it, if the system reports it.
    pub free_bytes: Option<u64>,
    /// The newest time that the hub set: of a received message, or of a delivery that succeeded.
    pub newest: Option<Timestamp>,
    pub clock_alarm: Option<ClockAlarm>,
}
