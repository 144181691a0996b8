//! Decodes Proca's queue messages: actions of both versions, events, and messages that only look like an
//! action.
//!
//! This module decides which kind a message is, and reads the parts that all kinds share. [`consent`] decides
//! what its consent means.
//!
//! Invariant: no reason and no note contains personal data, ciphertext or a confirm code.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;

use super::{consent_from::ConsentFrom, json, placeholders::Placeholders};
use crate::{
    consent::ConsentFact,
    envelope::Envelope,
    event::{Campaign, DeadCode, Decode, Decoded, Event, EventKind, Organisation, Page},
    id::Name,
    keystore::SharedKeystore,
};

mod action;
mod consent;
mod contact;
mod event;
mod personal_info;
pub mod reconciled;
mod wire;

pub use consent::OptInMode;
use wire::Message;

/// What happens to test actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Testing {
    #[default]
    Skip,
    /// They are kept apart from real people, for sandbox destinations.
    Sandbox,
    /// They are treated as real.
    Deliver,
}

/// Decodes the messages of one Proca queue.
#[derive(Debug)]
pub struct ProcaDecoder {
    /// The name of the Proca instance. Queues of one instance share it.
    pub namespace: Name,
    /// Ids of our own organisations. A double opt-in on their pages is consent to us.
    pub own_orgs: BTreeSet<String>,
    pub keystore: Arc<SharedKeystore>,
    pub testing: Testing,
    pub opt_in: OptInMode,
    /// The purpose of the consent; see [`crate::consent::EMAIL`].
    pub purpose: Name,
    /// Rules about custom fields of an action that hold consent for other purposes.
    pub consent_from: Vec<ConsentFrom>,
    pub placeholders: Placeholders,
}

/// An event, or how decoding ended without one.
type Known<T> = Result<T, Decoded>;

impl Decode for ProcaDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let tidied = tidied(&envelope.body);
        let (body, odd) = match &tidied {
            Some((text, notes)) => (text.as_bytes(), notes.as_slice()),
            None => (&*envelope.body, &[][..]),
        };
        let read = parse(body)
            .and_then(|message| self.read(message, envelope.received_at))
            .map_err(|end| self.opt_out_of(body, envelope.received_at, end));
        let mut decoded = read.map_or_else(|end| end, |event| Decoded::Event(Box::new(event)));
        if let Some(event) = decoded.event_mut() {
            event.notes.extend_from_slice(odd);
            if let Some(routing_key) = &envelope.meta.routing_key {
                reconciled::explain(event, routing_key);
            }
            event.notes.extend(envelope.meta.note.clone());
            not_from_the_future(event, envelope.received_at);
        }
        decoded
    }

    fn may_opt_out(&self, envelope: &Envelope) -> bool {
        // Such messages cannot be ruled out by their bytes: fields of the form may hold any consent, a
        // compressed or escaped text hides its words, and reconciliation may report a withdrawal. Settings of
        // a campaign are processed before the message that they were fetched for, which may be an opt-out.
        !self.consent_from.is_empty()
            || envelope
                .meta
                .routing_key
                .as_deref()
                .is_some_and(|key| key.starts_with(RECONCILIATION) || key == CAMPAIGN_SETTINGS)
            || !envelope.body.trim_ascii_start().starts_with(b"{")
            || {
                let body = envelope.body.to_ascii_lowercase();
                let has = |word: &&[u8]| memchr::memmem::find(&body, word).is_some();
                OPT_OUT_WORDS.iter().any(has)
            }
    }
}

/// Words that each message with an opt-out contains: a status in any case, or an escape that may hide one.
const OPT_OUT_WORDS: [&[u8]; 6] = [b"bounce", b"blocked", b"spam", b"unsub", b"inactive", b"\\u"];

/// The routing key of a message that came from Proca's API by reconciliation, not from the queue.
pub const RECONCILIATION: &str = "reconciliation";

/// The routing key of a `campaign_updated` that was made from a response of Proca's API.
pub const CAMPAIGN_SETTINGS: &str = "api.campaign_updated";

/// The tolerated difference between clocks.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Cuts the time of opt-ins in the future to the time of arrival: one dated tomorrow would outweigh an
/// opt-out of today.
fn not_from_the_future(event: &mut Event, received_at: Timestamp) {
    for fact in &mut event.consent {
        if fact.what.is_opt_in() && fact.at.duration_since(received_at) > SKEW {
            fact.at = received_at;
            event
                .notes
                .push("consent dated in the future counts from when it came".to_owned());
        }
    }
}

impl ProcaDecoder {
    /// The result for a malformed message. If a part that is not about the person has the wrong type, the
    /// opt-outs in the rest of the message still count.
    fn opt_out_of(&self, body: &[u8], received_at: Timestamp, end: Decoded) -> Decoded {
        let is_malformed = matches!(&end, Decoded::Dead { code, .. } if *code == DeadCode::Malformed);
        let Some(rest) = is_malformed.then(|| without_invalid_parts(body)).flatten() else {
            return end;
        };
        match parse(rest.as_bytes()).and_then(|message| self.read(message, received_at)) {
            Ok(mut event) => {
                let consent = std::mem::take(&mut event.consent);
                without_fields(event, consent, end)
            }
            Err(partial @ Decoded::Partial { .. }) => partial,
            Err(_) => end,
        }
    }

    fn read(&self, message: Message<'_>, received_at: Timestamp) -> Known<Event> {
        let schema = message.schema.text();
        match schema.as_deref() {
            Some("proca:action:2") => action::decode(self, message, action::Version::Two, received_at),
            Some("proca:action:1") => action::decode(self, message, action::Version::One, received_at),
            Some("proca:event:2") => event::decode(self, message, received_at),
            other => Err(unknown("schema", other)),
        }
    }

    /// Row 3.
    fn refuse_testing(&self, testing: bool) -> Known<()> {
        if testing && self.testing == Testing::Skip {
            return Err(Decoded::Skip {
                reason: "a test action (row 3)".to_owned(),
            });
        }
        Ok(())
    }
}

/// Rewrites a message as strict JSON if it is not, or has a member twice. Also returns notes. `None` if that
/// is not necessary, as for nearly all messages, or not possible.
fn tidied(body: &[u8]) -> Option<(String, Vec<String>)> {
    if parse(body).is_ok() {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let (value, notes) = json::read(text, json::DEEPEST).ok()?;
    (!notes.is_empty()).then(|| (value.to_string(), notes))
}

fn parse(body: &[u8]) -> Known<Message<'_>> {
    if body.starts_with(&[0x1f, 0x8b]) {
        return Err(malformed(
            "compressed (gzip): the publisher must send plain JSON".to_owned(),
        ));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("invalid UTF-8 after {} bytes", error.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_ascii_start();
    if start.is_empty() {
        return Err(malformed("empty".to_owned()));
    }
    // Checked before parsing, because serde would accept an array as a struct.
    if !start.starts_with('{') {
        return Err(malformed("not a JSON object".to_owned()));
    }
    // The parser's error text may quote the message, so only the position is used.
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a member is of the wrong type",
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "broken JSON",
        };
        malformed(format!(
            "{what} (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// The message without parts that should be objects and are not; `None` if there is no such part. The person
/// and their consent are never left out.
fn without_invalid_parts(body: &[u8]) -> Option<String> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let before = members.len();
    members.retain(|name, value| {
        !["org", "campaign", "actionPage", "action"].contains(&name.as_str()) || value.get().starts_with('{')
    });
    if members.len() == before {
        return None;
    }
    serde_json::to_string(&members).ok()
}

/// The part that is applied at once if personal data or another part cannot be read (`end` says why): a
/// status that forbids use of the address, for the reference in clear. Returns `end` if there is no such
/// status.
fn without_fields(mut event: Event, consent: Vec<ConsentFact>, end: Decoded) -> Decoded {
    event.consent = consent;
    event.consent.retain(|fact| fact.what.is_opt_out());
    match end {
        Decoded::Dead { code, reason } if !event.consent.is_empty() && !event.identities.is_empty() => {
            // The action, if there is one, must still be new when it can be read.
            event.kind = EventKind::EmailStatus;
            event.fields.clear();
            event.deliver = false;
            event.notes.push(
                "a part of the message cannot be read: only the status of the address was applied (row 5)"
                    .to_owned(),
            );
            Decoded::Partial {
                event: Box::new(event),
                code,
                reason: format!("{reason}; the status of the address was applied already, the rest waits"),
            }
        }
        end => end,
    }
}

fn malformed(reason: String) -> Decoded {
    Decoded::Dead {
        code: DeadCode::Malformed,
        reason,
    }
}

/// Row 1.
fn unknown(what: &str, name: Option<&str>) -> Decoded {
    let reason = match name {
        Some(name) => format!("unknown {what} {}", quoted(name)),
        None => format!("no {what}"),
    };
    Decoded::Dead {
        code: DeadCode::Unknown,
        reason,
    }
}

/// Quotes a name from a message, shortened. A text that does not look like a name is not shown: it may be
/// anything, even an address.
fn quoted(name: &str) -> String {
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
    {
        return "(not a name)".to_owned();
    }
    let short: String = name.chars().take(40).collect();
    format!("\"{short}\"")
}

fn campaign(message: &Message<'_>) -> Option<Campaign> {
    let part = message.campaign.as_ref()?;
    Some(Campaign {
        external_id: message.campaign_id.string()?,
        name: part.name.string()?,
        title: part.title.string(),
        crm_id: part.external_id.int(),
        contact_schema: part.contact_schema.string(),
        config: part.config.clone().filter(|config| !config.is_null()),
    })
}

fn page(message: &Message<'_>) -> Option<Page> {
    let part = message.action_page.as_ref();
    let org = message.org.as_ref();
    Some(Page {
        external_id: message.action_page_id.string()?,
        name: part.and_then(|part| part.name.string()),
        locale: part.and_then(|part| part.locale.string()),
        org: message.org_id.string().map(|external_id| Organisation {
            external_id,
            name: org.and_then(|org| org.name.string()),
            title: org.and_then(|org| org.title.string()),
        }),
    })
}
