//! What an envelope means: facts, in one form for all sources.
//!
//! Decoders turn bytes into an [`Event`]. The code after them ([`crate::plan`]) knows only this form.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    consent::{ConsentFact, What},
    contact::Identity,
    envelope::Envelope,
    id::{ContactId, InboxId, Name},
};

/// The result of decoding.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    Event(Box<Event>),
    /// The readable part is applied at once: an opt-out does not wait for a missing key. The row is dead with
    /// this code and reason, so that a person sees it, and a replay reads it as a whole.
    Partial {
        event: Box<Event>,
        code: DeadCode,
        reason: String,
    },
    /// Several records, each with its envelope. Each becomes a message of its own.
    Parts(Vec<(Envelope, Decoded)>),
    /// The message was understood, and the rules say to do nothing with it (a test action, a staff account).
    Skip {
        reason: String,
    },
    /// The message was not understood, or cannot be read now. It is kept, shown and can be replayed.
    Dead {
        code: DeadCode,
        reason: String,
    },
}

impl Decoded {
    /// The event that is applied now, if any.
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

    /// Applies `change` to each part, or to the message itself if it has no parts.
    fn each(self, change: &dyn Fn(Self) -> Self) -> Self {
        match self {
            Self::Parts(parts) => {
                let changed = parts.into_iter().map(|(envelope, part)| (envelope, change(part)));
                Self::Parts(changed.collect())
            }
            one => change(one),
        }
    }

    /// Marks the event as a record of that message.
    #[must_use]
    pub fn part_of(mut self, message: InboxId) -> Self {
        if let Some(event) = self.event_mut() {
            event.part_of = Some(message);
        }
        self
    }

    /// Sets the hubs that the event passed through, as the sending hub reported them beside the message.
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

    /// Marks the event as a row of a file.
    #[must_use]
    pub fn of_file(mut self) -> Self {
        if let Some(event) = self.event_mut() {
            event.imported = true;
        }
        self
    }

    /// Removes opt-ins, and adds `why` to the notes if there were any.
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

    /// Keeps only the opt-outs of a message that is refused for now. `reason` gets whether there are any.
    #[must_use]
    pub fn only_opt_outs(self, code: DeadCode, reason: &dyn Fn(bool) -> String) -> Self {
        self.each(&|one| {
            let (Self::Event(mut event) | Self::Partial { mut event, .. }) = one else {
                return Self::Dead {
                    code,
                    reason: reason(false),
                };
            };
            let any = event.keep_only_opt_outs();
            let reason = reason(any);
            if any {
                Self::Partial { event, code, reason }
            } else {
                Self::Dead { code, reason }
            }
        })
    }
}

/// Why an inbox row is dead. The code is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadCode {
    /// Not in the expected format: broken JSON, empty body, invalid UTF-8.
    Malformed,
    /// Well-formed, but of an unknown schema or kind.
    Unknown,
    /// Encrypted for a key that is not in the keystore. It is retried when the keystore is reloaded.
    KeyMissing,
    /// The key is there, but the ciphertext does not open, or its content is not a JSON object.
    Undecryptable,
    /// A delayed automation could not compute its condition or a value.
    Automation,
    /// The signature is genuine, but the signed time is too far off.
    Late,
    /// A rule of the hub failed on it (a bug: please report).
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
    /// The state of a person's address or consent changed (double opt-in, bounce, …).
    EmailStatus,
    /// A platform sent its data about a contact.
    ContactSync,
    /// An action waits until the supporter is confirmed. Nobody knows yet whether it is theirs.
    SupporterConfirm,
    /// An action waits until it is confirmed itself, by a moderator.
    ActionConfirm,
    /// A campaign's data changed.
    CampaignUpdated,
    /// A contact did something with a mail or a page, or a tag, a score or a consent changed, as sent to
    /// `POST /v1/events`.
    Engagement,
    /// A destination's response holds values for the contact.
    Response,
    /// A delay or schedule of an automation is due.
    Schedule,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::EmailStatus => "email_status",
            Self::ContactSync => "contact_sync",
            Self::SupporterConfirm => "supporter_confirm",
            Self::ActionConfirm => "action_confirm",
            Self::CampaignUpdated => "campaign_updated",
            Self::Engagement => "engagement",
            Self::Response => "response",
            Self::Schedule => "schedule",
        }
    }

    /// Whether an action waits for a confirmation. Until it comes, the action counts for nothing else.
    pub fn is_confirmation(self) -> bool {
        matches!(self, Self::SupporterConfirm | Self::ActionConfirm)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// The scope in which ids of actions, campaigns, pages and contacts are unique: the Proca instance, or
    /// the source. Two queues of one Proca instance share it.
    pub namespace: Name,
    /// When it happened, by the source's clock. If the source gives no time, when we received it.
    pub at: Timestamp,
    /// The identities of the person. Empty for events about no person.
    pub identities: Vec<Identity>,
    /// The contact's fields: name → value, all as of [`Event::fields_time`]. Null clears the field. A value
    /// is never an empty text.
    pub fields: BTreeMap<String, Value>,
    /// When the person gave the fields, if that is not `at`: a bounce today repeats the name that was typed
    /// last year. `None` = at `at`.
    pub fields_at: Option<Timestamp>,
    /// For news about an address: when the action was taken that the mail belongs to.
    pub acted_at: Option<Timestamp>,
    pub action: Option<Action>,
    pub campaign: Option<Campaign>,
    pub page: Option<Page>,
    pub consent: Vec<ConsentFact>,
    pub engagements: Vec<Engagement>,
    /// The origin of a message that Causeway made itself.
    pub follow_up: Option<Box<FollowUp>>,
    /// The message that this is a record of.
    pub part_of: Option<InboxId>,
    /// The hubs that this passed through, the first one first. If our own is among them, the event is an
    /// echo.
    pub via: Vec<String>,
    pub testing: bool,
    /// Whether it is a row of a file. Such a row only states what is known; nothing happened to the person.
    pub imported: bool,
    /// Whether deliveries may follow. False for events that only add to what is known. The confirm stages of
    /// Proca are sent to destinations that confirm, and nowhere else.
    pub deliver: bool,
    /// Notes about input that looked wrong but could be handled; the trace shows them. No personal data.
    pub notes: Vec<String>,
    /// How the source's consent rules matched, for reports. It is not stored.
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

    /// Whether the event is about a person.
    pub fn names_somebody(&self) -> bool {
        !self.identities.is_empty() || self.follow_up.is_some()
    }

    /// Whether the event contains an explicit opt-in or click.
    pub fn has_opt_in(&self) -> bool {
        self.consent
            .iter()
            .any(|fact| matches!(fact.what, What::OptIn | What::OptInPending | What::DoubleOptIn))
    }

    /// Whether it brings data or consent of a contact from outside, which a duplicate of an earlier message
    /// would overwrite. Engagements only add to what is known, so they do not count.
    pub fn brings_data(&self) -> bool {
        match self.kind {
            EventKind::Action | EventKind::EmailStatus | EventKind::ContactSync => true,
            // Every event of this kind carries the contact's address, so the address does not count.
            EventKind::Engagement => {
                !self.consent.is_empty() || self.fields.keys().any(|name| name != "email")
            }
            EventKind::SupporterConfirm
            | EventKind::ActionConfirm
            | EventKind::CampaignUpdated
            | EventKind::Response
            | EventKind::Schedule => false,
        }
    }

    /// Removes the facts that may allow mailing. Returns whether there were any.
    pub fn remove_opt_ins(&mut self) -> bool {
        let before = self.consent.len();
        self.consent.retain(|fact| !fact.what.is_opt_in());
        self.consent.len() < before
    }

    /// Removes everything but opt-outs, suppressions and declines. Returns whether anything is left.
    pub fn keep_only_opt_outs(&mut self) -> bool {
        self.remove_opt_ins();
        // This kind fits what is left; the other kinds stand for what is removed.
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

/// The origin of a message that Causeway made itself: a destination's response, or a due automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    pub workspace: Name,
    pub contact: ContactId,
    /// The message that the delivery or the automation came from. This message shares its action, campaign
    /// and page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<InboxId>,
    /// The destination that responded. It is not sent its own values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automation: Option<(Name, Due)>,
    /// How many responses led to this one, each to the next.
    #[serde(default)]
    pub hops: u8,
    /// For a delayed step: the automations whose delays led to it, each to the next. The step's own
    /// automation is added when it is due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Name>,
}

/// Which part of an automation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Its schedule: the condition is checked.
    Clock,
    /// It was postponed to this hour: all its steps run.
    Postponed,
    /// The delay of the step with this index (from 0) is over.
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

/// Something that a person did, with the id that the source gave it.
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
    /// Whether it included the form with the person's data (`withConsent`).
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
    /// The campaign's number in the organisation's own system (`campaign.externalId`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crm_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_schema: Option<String>,
    /// `campaign.config`, only from `campaign_updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

/// The web page where an action was taken, and its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    pub external_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The organisation that owns the page. Events do not contain it.
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

/// What a contact did with mails and pages. The set of a contact's engagements only grows. Of two with the
/// same `(kind, key, at)`, the greater `count` and `score` are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engagement {
    pub kind: EngagementKind,
    /// The source's id of the mail, link or page, or its URL if it has no id.
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The date as it was sent, if it could not be read.
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
    /// An event that the sender defined, by its name.
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

/// Reads the envelopes of one source. Pure; the program builds it from the source's configuration.
pub trait Decode: Send + Sync {
    fn decode(&self, envelope: &Envelope) -> Decoded;

    /// Whether the message may contain an opt-out, judged by a quick look at its bytes. Such messages are
    /// processed before all others, and no request starts while one waits. Invariant: never false for a
    /// message that contains an opt-out.
    fn may_opt_out(&self, envelope: &Envelope) -> bool {
        let _ = envelope;
        true
    }
}

/// Name → decoder, as the engine uses it.
pub type Decoders = BTreeMap<Name, std::sync::Arc<dyn Decode>>;

/// How a rule matched in one message, for reports about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    pub field: String,
    pub purpose: String,
    /// Whether the message contains the field.
    pub met: bool,
    /// How many values the rule does not list.
    pub unlisted: usize,
    /// How many values had a missing, unreadable or ambiguous date, or are opt-ins dated in the future.
    pub undated: usize,
}
