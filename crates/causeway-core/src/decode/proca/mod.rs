//! Proca's queue messages: actions of both versions, events, and what only looks like an action.
//!
//! Here: which kind a message is, and the parts that all kinds share. What its consent means is in
//! [`consent`]. Invariant: no reason and no note contains personal data, ciphertext or a confirm code.

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

/// What becomes of actions that were taken to try a page out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Testing {
    #[default]
    Skip,
    /// Kept apart from real people, for sandbox destinations.
    Sandbox,
    /// As if they were real.
    Deliver,
}

/// Reads the messages of one Proca queue.
#[derive(Debug)]
pub struct ProcaDecoder {
    /// Names the Proca instance; queues of one instance share it.
    pub namespace: Name,
    /// Ids of the organisations that are us: a double opt-in on their pages is consent to us.
    pub own_orgs: BTreeSet<String>,
    pub keystore: Arc<SharedKeystore>,
    pub testing: Testing,
    pub opt_in: OptInMode,
    /// What the consent is for; see [`crate::consent::EMAIL`].
    pub purpose: Name,
    /// What custom fields of an action say about other purposes.
    pub consent_from: Vec<ConsentFrom>,
    pub placeholders: Placeholders,
}

/// An event, or the end that it came to instead.
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
        // Fields of the form may say anything, a compressed or escaped text shows nothing, and what reconciliation finds may
        // be that somebody withdrew. Settings of a campaign go before the message that they were asked for, which may be such.
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

/// What stands in each message that may end consent: a status in any case, or an escape that may hide one.
const OPT_OUT_WORDS: [&[u8]; 6] = [b"bounce", b"blocked", b"spam", b"unsub", b"inactive", b"\\u"];

/// The routing key of what was not brought by the queue but found in Proca's API.
pub const RECONCILIATION: &str = "reconciliation";

/// The routing key of a `campaign_updated` that was made of what Proca's API answered.
pub const CAMPAIGN_SETTINGS: &str = "api.campaign_updated";

/// Clocks may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// An opt-in dated tomorrow would outweigh an opt-out of today: it counts from its arrival.
fn not_from_the_future(event: &mut Event, received_at: Timestamp) {
    for fact in &mut event.consent {
        if fact.what.is_yes() && fact.at.duration_since(received_at) > SKEW {
            fact.at = received_at;
            event
                .notes
                .push("consent dated in the future counts from when it came".to_owned());
        }
    }
}

impl ProcaDecoder {
    /// What a malformed message ends as. A part of the wrong type that is not about the person does not stop an opt-out.
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

/// A message that is no strict JSON, or has a member twice, as strict JSON, and what was odd about it. `None` for one that needs
/// none, which are nearly all, and for one that cannot be read.
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
    // Asked before parsing, because an array would pass for a struct.
    if !start.starts_with('{') {
        return Err(malformed("not a JSON object".to_owned()));
    }
    // The parser's own text may quote the message: only the place is reported.
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

/// The message without parts that should be an object and are none; `None` if it has no such part. Who it is about, and what
/// they said, is never left out.
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

/// What is applied at once of a message whose personal data, or another part, cannot be read (`end` says why): that the address must not be used
/// any more, by the reference that is in clear. `end` when it says nothing like that.
fn without_fields(mut event: Event, consent: Vec<ConsentFact>, end: Decoded) -> Decoded {
    event.consent = consent;
    event.consent.retain(|fact| fact.what.is_opt_out());
    match end {
        Decoded::Dead { code, reason } if !event.consent.is_empty() && !event.identities.is_empty() => {
            // The action, if it is one, must still be new when it can be read.
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

/// A name from a message, short. Anything else is not shown: it may be an address.
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
