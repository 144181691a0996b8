//! What we understood of an envelope: facts, whichever system they came from.
//!
//! Decoders turn bytes into an [`Event`]; everything behind them ([`crate::plan`]) knows only this.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    consent::{ConsentFact, What},
    contact::Identity,
    decode::consent_from::RuleReport,
    envelope::Envelope,
    id::{ContactId, InboxId, Name},
};

/// How decoding ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Event(Box<Event>),
    /// What can be understood now is applied: an opt-out does not wait for a missing key. The row is dead with this code and
    /// reason, so that it is seen, and read as a whole when it is replayed.
    Partial {
        event: Box<Event>,
        code: DeadCode,
        reason: String,
    },
    /// Several records, each with its envelope: they become messages of their own.
    Parts(Vec<(Envelope, Decoded)>),
    /// Understood, and by the rules nothing is to be done with it (a test action, a staff account).
    Skip {
        reason: String,
    },
    /// Not understood, or not readable now. Kept, shown, replayable.
    Dead {
        code: DeadCode,
        reason: String,
    },
}

impl Decoded {
    /// What is applied of it now.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) | Self::Partial { event, .. } => Some(event),
            Self::Parts(_) | Self::Skip { .. } | Self::Dead { .. } => None,
        }
    }

    pub(crate) fn event_mut(&mut self) -> Option<&mut Event> {
        match self {
            Self::Event(event) | Self::Partial { event, .. } => Some(event),
            Self::Parts(_) | Self::Skip { .. } | Self::Dead { .. } => None,
        }
    }

    /// The same of each of its parts, or of itself if it has none.
    fn each(self, change: &dyn Fn(Self) -> Self) -> Self {
        match self {
            Self::Parts(parts) => {
                let changed = parts.into_iter().map(|(envelope, part)| (envelope, change(part)));
                Self::Parts(changed.collect())
            }
            one => change(one),
        }
    }

    /// The same, as a part of that message.
    #[must_use]
    pub fn part_of(mut self, message: InboxId) -> Self {
        if let Some(event) = self.event_mut() {
            event.part_of = Some(message);
        }
        self
    }

    /// The same, with the hubs that it passed, as the sending hub reported beside the message.
    #[must_use]
    pub fn come_through(self, hubs: &[String]) -> Self {
        self.each(&|mut one| {
            if let Some(event) = one.event_mut()
                && event.via.is_empty()
            {
                event.via = hubs.to_vec();
            }
            one
        })
    }

    /// The same, as a row of a file.
    #[must_use]
    pub fn of_file(mut self) -> Self {
        if let Some(event) = self.event_mut() {
            event.imported = true;
        }
        self
    }

    /// The same without opt-ins, with `why` among the notes if there were any.
    #[must_use]
    pub fn without_opt_ins(self, why: &str) -> Self {
        self.each(&|mut one| {
            if let Some(event) = one.event_mut()
                && event.remove_opt_ins()
            {
                event.notes.push(why.to_owned());
            }
            one
        })
    }
}

/// Why an inbox row is dead. The words are stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadCode {
    /// Not the format at all: broken JSON, empty body, invalid UTF-8.
    Malformed,
    /// Well-formed, of a schema or kind that we do not know.
    Unknown,
    /// Encrypted for a key that is not in the keystore; retried when the keystore is reloaded.
    KeyMissing,
    /// The key is there and the ciphertext does not open, or opens to something else than a JSON object.
    Undecryptable,
    /// An automation could not work out its condition or a value when its time came.
    Automation,
    /// Its signature is genuine, and the time that was signed is too far off.
    Late,
    /// A rule of ours failed on it (a bug: please report).
    Internal,
}

impl DeadCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::KeyMissing => "key_missing",
            Self::Undecryptable => "undecryptable",
            Self::Automation => "automation",
            Self::Late => "late",
            Self::Internal => "internal",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A person did something (signed, shared, donated).
    Action,
    /// What became of a person's address or consent (double opt-in, bounce, …).
    EmailStatus,
    /// A platform sent its picture of a contact.
    ContactSync,
    /// A campaign's data changed.
    CampaignUpdated,
    /// What a contact did with a mail or a page, a tag, a score, a consent: reported to `POST /v1/events`.
    Engagement,
    /// A destination answered with values for the contact.
    Response,
    /// The time of an automation came.
    Schedule,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::EmailStatus => "email_status",
            Self::ContactSync => "contact_sync",
            Self::CampaignUpdated => "campaign_updated",
            Self::Engagement => "engagement",
            Self::Response => "response",
            Self::Schedule => "schedule",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// Where the ids of actions, campaigns, pages and foreign contact ids are unique: the Proca instance,
    /// or the source. Two queues of one Proca instance share it.
    pub namespace: Name,
    /// When it happened, by the source's clock if it gives a time, else the arrival.
    pub at: Timestamp,
    /// Who. Empty for events about no person.
    pub identities: Vec<Identity>,
    /// What it says of the contact: field name → value, all as of [`Event::fields_time`]. Null clears the field; never
    /// an empty text.
    pub fields: BTreeMap<String, Value>,
    /// When the person gave the fields, where that is another time than `at`: a bounce today carries the name that was
    /// entered last year. `None` = at `at`.
    pub fields_at: Option<Timestamp>,
    /// For the status of an address: when the action was taken that the mail belongs to.
    pub acted_at: Option<Timestamp>,
    pub action: Option<Action>,
    pub campaign: Option<Campaign>,
    pub page: Option<Page>,
    pub consent: Vec<ConsentFact>,
    pub engagements: Vec<Engagement>,
    /// For rows that Causeway makes itself: what they follow from.
    pub follow_up: Option<Box<FollowUp>>,
    /// The message that this is one record of.
    pub part_of: Option<InboxId>,
    /// The hubs that this came through, the first one first. With our own among them it is an echo.
    pub via: Vec<String>,
    pub testing: bool,
    /// Whether it is a row of a file: it says what is known, and nothing happened to the person.
    pub imported: bool,
    /// Whether deliveries may follow. False for what only changes our knowledge (Proca's confirm stages).
    pub deliver: bool,
    /// What looked wrong but was coped with; shown in the trace. No personal data.
    pub notes: Vec<String>,
    /// What the source's rules about consent found; for reports, kept nowhere.
    pub rules: Vec<RuleReport>,
}

impl Event {
    pub fn new(kind: EventKind, namespace: Name, at: Timestamp) -> Self {
        Self {
            kind,
            namespace,
            at,
            identities: Vec::new(),
            fields: BTreeMap::new(),
            fields_at: None,
            acted_at: None,
            action: None,
            campaign: None,
            page: None,
            consent: Vec::new(),
            engagements: Vec::new(),
            follow_up: None,
            part_of: None,
            via: Vec::new(),
            testing: false,
            imported: false,
            deliver: true,
            notes: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Whether it is about a person at all.
    pub fn names_somebody(&self) -> bool {
        !self.identities.is_empty() || self.follow_up.is_some()
    }

    /// Whether the person explicitly agreed to something.
    pub fn says_yes(&self) -> bool {
        self.consent
            .iter()
            .any(|fact| matches!(fact.what, What::OptIn | What::OptInPending | What::DoubleOptIn))
    }

    /// Whether it brings data or consent of a contact from outside: something that a duplicate of an earlier message
    /// would replace. What a contact did with mails and pages only adds to what is known.
    pub fn brings_data(&self) -> bool {
        match self.kind {
            EventKind::Action | EventKind::EmailStatus | EventKind::ContactSync => true,
            // Every event names its contact by the address.
            EventKind::Engagement => {
                !self.consent.is_empty() || self.fields.keys().any(|name| name != "email")
            }
            EventKind::CampaignUpdated | EventKind::Response | EventKind::Schedule => false,
        }
    }

    /// Removes what may let somebody be written to. Whether there was any.
    pub fn remove_opt_ins(&mut self) -> bool {
        let before = self.consent.len();
        self.consent.retain(|fact| !fact.what.is_yes());
        self.consent.len() < before
    }

    /// Removes everything but consent that was refused or taken back. Whether anything is left.
    pub fn keep_only_opt_outs(&mut self) -> bool {
        self.remove_opt_ins();
        // What becomes of an address or a consent; the other kinds stand for what is removed.
        self.kind = EventKind::EmailStatus;
        self.fields.clear();
        self.action = None;
        self.engagements.clear();
        !self.consent.is_empty()
    }

    pub fn fields_time(&self) -> Timestamp {
        self.fields_at.unwrap_or(self.at)
    }
}

/// What a row of our own making follows from: an answer of a destination, or the time of an automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    pub workspace: Name,
    pub contact: ContactId,
    /// The row that the delivery or the automation came from: its action, campaign and page are ours, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<InboxId>,
    /// The destination that responded: its own response is not sent back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automation: Option<(Name, Due)>,
    /// How many answers led to this one, each to the next.
    #[serde(default)]
    pub hops: u8,
    /// For a timer: the automations whose delays led to it, in order. Its own is added when it fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Name>,
}

/// What of an automation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Its clock came round: its condition is asked.
    Clock,
    /// It was admitted to this hour: all its steps.
    Postponed,
    /// The delay of this step is over, from 0.
    Step(u16),
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clock => f.write_str("scheduled run"),
            Self::Postponed => f.write_str("all steps"),
            Self::Step(step) => write!(f, "step {}", step.saturating_add(1)),
        }
    }
}

/// Something a person did, under the id that its source gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Unique within the source's instance: `"887588"`.
    pub external_id: String,
    pub action_type: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub custom_fields: serde_json::Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub donation: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Value>,
    /// Whether the form with the person's data was part of it (`withConsent`).
    #[serde(default)]
    pub with_consent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dupe_rank: Option<i64>,
    #[serde(default)]
    pub testing: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Unique within the source's instance: `"204"`.
    pub external_id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The number that the campaign has in the organisation's own system (`campaign.externalId`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_schema: Option<String>,
    /// `campaign.config`, only from `campaign_updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// The web page where an action was taken, and who owns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    pub external_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The organisation that owns the page; events do not hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Organisation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organisation {
    pub external_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What a contact did with our mails and pages. The set of a contact's engagements only grows; of two with
/// the same `(kind, key, at)` the greater `count` and `score` stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engagement {
    pub kind: EngagementKind,
    /// The source's id of the thing, or its URL where it has none.
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The date as it was sent, when it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngagementKind {
    EmailOpen,
    LinkClick,
    PageVisit,
    Automation,
    Goal,
    Popup,
    LeadScore,
    /// An event of the sender's own making, by its name.
    Custom,
}

impl EngagementKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmailOpen => "email_open",
            Self::LinkClick => "link_click",
            Self::PageVisit => "page_visit",
            Self::Automation => "automation",
            Self::Goal => "goal",
            Self::Popup => "popup",
            Self::LeadScore => "lead_score",
            Self::Custom => "custom",
        }
    }
}

/// Reads an envelope of one source. Pure; made by the program from the source's configuration.
pub trait Decode: Send + Sync {
    fn decode(&self, envelope: &Envelope) -> Decoded;

    /// Whether the message may end somebody's consent, as far as a glance at its bytes says. Such messages are processed
    /// before all others, and no call starts while one waits. Never false for one that does.
    fn may_opt_out(&self, envelope: &Envelope) -> bool {
        let _ = envelope;
        true
    }
}

/// Name → decoder, as the engine uses it.
pub type Decoders = BTreeMap<Name, std::sync::Arc<dyn Decode>>;
