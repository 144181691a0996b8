//! Decodes items of `POST /v1/events`: an engagement with a mail or a page, a tag, a score, a consent. One
//! envelope holds one item.

pub mod keys;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use self::keys::{COMMON, Sort, text, time, whole};
use super::{
    at_format::Span,
    json::{self, JsonError},
    names::{named_as_ours, settle},
    placeholders::{Placeholders, unreplaced},
};
use crate::{
    charset::Texts,
    consent::{ConsentFact, EMAIL, What},
    contact::{Identity, LIST, TAG, normal_email},
    envelope::{Dedup, Envelope, Memory, MessageKey, digest},
    event::{DeadCode, Decode, Decoded, Engagement, EngagementKind, Event, EventKind},
    id::Name,
};

#[derive(Debug, Clone)]
pub struct EventsDecoder {
    /// The scope in which the sender's ids of contacts and visitors are unique.
    pub namespace: Name,
    /// The Proca instance that `contactRef` belongs to.
    pub proca: Name,
    pub placeholders: Placeholders,
}

impl Decode for EventsDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let dead = |code, reason| Decoded::Dead { code, reason };
        match read(&envelope.body) {
            Err(wrong) => dead(DeadCode::Malformed, wrong),
            Ok((item, notes)) => match self.item(&item, envelope.received_at) {
                Ok(mut event) => {
                    event.notes.extend(notes);
                    Decoded::Event(Box::new(event))
                }
                Err(wrong) => dead(DeadCode::Unknown, wrong),
            },
        }
    }

    /// Only items of type `consent` contain an opt-out. Their bytes contain this word, unless an escape hides
    /// it.
    fn may_opt_out(&self, envelope: &Envelope) -> bool {
        let has = |word: &[u8]| memchr::memmem::find(&envelope.body, word).is_some();
        has(b"consent") || has(b"\\u")
    }
}

/// Parses the JSON of an item or a request. Returns notes about what was odd, or what is wrong.
pub fn read(json: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut texts = Texts::default();
    let (value, mut notes) =
        json::read_bytes(json, &mut texts, json::DEEPEST).map_err(|error| match error {
            JsonError::Malformed { line, column, what } => {
                format!("not JSON (line {line}, column {column}): {what}")
            }
            JsonError::TooDeep(_) => error.to_string(),
        })?;
    notes.extend(texts.notes("JSON"));
    Ok((value, notes))
}

/// The items of a request whose JSON is odd or broken, each as it is written. A broken item must not cause
/// the others to be refused.
pub fn pieces(request: &[u8]) -> Vec<&[u8]> {
    json::items(request).unwrap_or_else(|| vec![request])
}

/// How a duplicate of an item is recognised: by its whole content. Without an id and a time, the same event
/// may happen twice, so it is a duplicate only within `window_ms`.
pub fn dedup(item: &Value, event: &Event, received_at: Timestamp, window_ms: i64) -> Dedup {
    let content = dedup_of_bytes(sorted(item).to_string().as_bytes());
    let id = item
        .get("id")
        .and_then(text)
        .map(|id| digest(&[b"event id", id.as_bytes()]));
    // A future time is replaced by the time of arrival, so it does not date the item.
    let is_dated = item
        .get("at")
        .and_then(time)
        .is_some_and(|at| at.begin <= received_at);
    Dedup {
        key: content,
        id,
        memory: if is_dated || (id.is_some() && !event.brings_data()) {
            Memory::Dated
        } else {
            Memory::Window(window_ms)
        },
    }
}

/// The key of bytes that are no valid item.
pub fn dedup_of_bytes(bytes: &[u8]) -> MessageKey {
    digest(&[b"event", bytes])
}

/// Sorts the keys of objects, since senders may write the same item in any order.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members
                .iter()
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

impl EventsDecoder {
    /// Reads one item. The error says what is wrong, for its sender.
    pub fn item(&self, item: &Value, received_at: Timestamp) -> Result<Event, String> {
        let Value::Object(item) = item else {
            return Err("not an object".to_owned());
        };
        let sort = item
            .get("type")
            .and_then(Value::as_str)
            .and_then(keys::sort)
            .ok_or_else(|| {
                let names: Vec<&str> = keys::SORTS.iter().map(|sort| sort.name).collect();
                format!("`type` must be one of {}", names.join(", "))
            })?;
        keys::check("", item, COMMON.iter().chain(sort.keys))?;
        let mut notes = Vec::new();
        let Span { begin: at, end } = item.get("at").and_then(time).map_or(
            Span {
                begin: received_at,
                end: received_at,
            },
            |at| not_later(at, received_at, &mut notes),
        );
        let mut event = Event::new(EventKind::Engagement, self.namespace.clone(), at);
        let contact = item.get("contact").and_then(Value::as_object);
        self.set_contact(&mut event, contact, &mut notes)?;
        if let Some(fields) = item.get("fields").and_then(Value::as_object) {
            self.set_fields(&mut event, fields, &mut notes);
        }
        self.read_kind(&mut event, sort, item, end, &mut notes)?;
        event.notes = notes;
        Ok(event)
    }

    fn set_contact(
        &self,
        event: &mut Event,
        contact: Option<&Map<String, Value>>,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut given = |name: &str| {
            let id = contact?.get(name);
            self.placeholders.id(&format!("contact.{name}"), id, notes)
        };
        if let Some(email) = given("email") {
            let address = normal_email(&email).ok_or("`contact.email` is not an address")?;
            event.fields.insert("email".to_owned(), address.as_str().into());
            event.identities.push(Identity::Email { address });
        }
        let foreign = |namespace: Name, id| Identity::ForeignId { namespace, id };
        event
            .identities
            .extend(given("id").map(|id| foreign(self.namespace.clone(), id)));
        event
            .identities
            .extend(given("contactRef").map(|reference| Identity::ContactRef {
                namespace: self.proca.clone(),
                reference,
            }));
        event
            .identities
            .extend(given("visitor").map(|id| Identity::visitor(&self.namespace, id)));
        if event.identities.is_empty() {
            return Err("`contact` names nobody: give email, id, contactRef or visitor (0, null and the like name nobody)".to_owned());
        }
        Ok(())
    }

    fn set_fields(&self, event: &mut Event, fields: &Map<String, Value>, notes: &mut Vec<String>) {
        let mut empty = 0;
        let mut sent = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            match self.placeholders.taken(value.clone()) {
                Some(value) => sent.push((name.clone(), value)),
                None => empty += 1,
            }
        }
        settle(&mut event.fields, sent);
        notes.extend(unreplaced(fields.values()));
        notes.extend(named_as_ours(&event.fields));
        if empty > 0 {
            notes.push(format!(
                "fields: {empty} without a value were left out; what is known stays"
            ));
        }
    }

    /// Reads the keys of this kind of item into the event.
    fn read_kind(
        &self,
        event: &mut Event,
        sort: &Sort,
        item: &Map<String, Value>,
        end: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let given = |name: &str| item.get(name).and_then(text).map(|text| text.trim().to_owned());
        let kind = match sort.name {
            "email_open" => EngagementKind::EmailOpen,
            "link_click" => EngagementKind::LinkClick,
            "page_visit" => EngagementKind::PageVisit,
            "goal" => EngagementKind::Goal,
            "popup" => EngagementKind::Popup,
            "automation" => EngagementKind::Automation,
            "custom" => EngagementKind::Custom,
            "score" => {
                let score = item.get("score").cloned().unwrap_or_default();
                event.fields.insert("lead_score".to_owned(), score);
                if let Some(status) = given("status").filter(|text| !self.placeholders.is_empty_text(text)) {
                    event.fields.insert("lead_status".to_owned(), status.into());
                }
                return Ok(());
            }
            "tag" => {
                member(
                    event,
                    TAG,
                    given("tag"),
                    given("change").is_none_or(|change| change == "add"),
                );
                return Ok(());
            }
            "list" => {
                member(
                    event,
                    LIST,
                    given("list"),
                    given("change").is_none_or(|change| change == "join"),
                );
                return Ok(());
            }
            "contact" => {
                let has_content =
                    event.fields.keys().any(|name| name != "email") || event.identities.len() > 1;
                return if has_content {
                    Ok(())
                } else {
                    Err(
                        "has no effect: give `fields`, or two names of the same person in `contact`"
                            .to_owned(),
                    )
                };
            }
            _ => return consent(event, item, end, notes),
        };
        let name = given("name");
        let key = given("key").or_else(|| name.clone()).unwrap_or_default();
        event.engagements.push(Engagement {
            kind,
            key,
            name,
            at: Some(event.at),
            raw_at: None,
            count: item.get("count").and_then(whole),
            score: item.get("score").and_then(Value::as_f64),
        });
        Ok(())
    }
}

/// Cuts a time after `received_at`, because it would make this item win over all later ones.
fn not_later(at: Span, received_at: Timestamp, notes: &mut Vec<String>) -> Span {
    if at.begin.duration_since(received_at) > SignedDuration::from_mins(1) {
        notes.push("at: in the future; the time of arrival is used".to_owned());
    }
    Span {
        begin: at.begin.min(received_at),
        end: at.end.min(received_at),
    }
}

fn member(event: &mut Event, prefix: &str, name: Option<String>, is_in: bool) {
    let name = name.unwrap_or_default();
    event.fields.insert(format!("{prefix}{name}"), is_in.into());
}

/// Adds the facts of an item `consent`. `end` is the latest time at which it may have been said; an opt-out
/// counts from then.
fn consent(
    event: &mut Event,
    item: &Map<String, Value>,
    end: Timestamp,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let what = item
        .get("what")
        .and_then(Value::as_str)
        .and_then(What::plain)
        .ok_or("`what` must be one of the listed words")?;
    let purposes = match item.get("purpose").and_then(text) {
        None => vec![EMAIL.to_owned()],
        Some(text) => purposes(&text, &what, notes)?,
    };
    let basis = match item.get("basis").and_then(text) {
        Some(basis) => format!("events: {}, {}", what.as_str(), basis.trim()),
        None => format!("events: {}", what.as_str()),
    };
    let at = if what.is_opt_out() { end } else { event.at };
    let facts = purposes
        .into_iter()
        .map(|purpose| ConsentFact::new(purpose, what.clone(), at, &*basis));
    event.consent.extend(facts);
    Ok(())
}

/// The purposes that an opt-out from everything ends: all that have a fixed name.
const EVERYTHING: &[&str] = &[EMAIL, "phone", "sms", "post", "ads"];

/// The purposes of an item's consent.
///
/// Invariant: an opt-out from e-mail reaches the purpose `email`, however the sender spells it.
fn purposes(text: &str, what: &What, notes: &mut Vec<String>) -> Result<Vec<String>, &'static str> {
    let spelt: String = text
        .trim()
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    match spelt.as_str() {
        "email" | "emails" | "mail" | "mails" => Ok(vec![EMAIL.to_owned()]),
        "all" | "any" | "*" | "everything" if what.is_opt_in() => Err(
            "`purpose` must name one purpose of an opt-in: `email`, `phone`, `sms`, `post`, `ads` or a word of your own",
        ),
        // A suppression is about the address.
        "all" | "any" | "*" | "everything" if what.is_suppression() => Ok(vec![EMAIL.to_owned()]),
        "all" | "any" | "*" | "everything" => {
            notes.push(format!(
                "purpose: names no single purpose, so it counts for {}; a purpose of your own needs an item that \
                 names it",
                EVERYTHING.join(", ")
            ));
            Ok(EVERYTHING.iter().map(|purpose| (*purpose).to_owned()).collect())
        }
        _ => crate::consent::purpose(text)
            .map(|purpose| vec![purpose])
            .ok_or("`purpose` must be one word of lower-case letters, digits, `-` and `_`"),
    }
}
