//! The preset `generic`: one record in any shape, with paths that say where the contact is.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    at_format::{AtFormat, Dated, Span},
    body::{self, Body, Limits},
    consent_from::{self, ConsentFrom, When},
    names::{canonical, gather, kept_names, look_up},
    placeholders::Placeholders,
    sync::{self, ArrivalConsent},
};
use crate::{
    contact::{Identity, is_internal, normal_email},
    envelope::Envelope,
    event::{DeadCode, Decode, Decoded, Event, EventKind},
    id::Name,
};

/// Names that are looked for when no path is given; compared without case, spaces, `_`, `-` and `.`.
pub(super) const EMAIL_NAMES: &[&str] = &["email", "emailaddress", "mail", "useremail", "contactemail"];
/// A bare `id` is not among them: it may be the event's, and two people of one id would become one. Neither is `user_id`: it
/// is often the member of staff who was logged in.
pub(super) const CONTACT_ID_NAMES: &[&str] = &["contactid", "personid", "subscriberid"];
/// Only names that tell of the event; a contact's own `created_at` would make every later change look old.
const TIME_NAMES: &[&str] = &[
    "eventtime",
    "eventat",
    "occurredat",
    "timestamp",
    "firedat",
    "datetime",
];
/// Objects in which the contact is looked for.
const WRAPPERS: &[&str] = &[
    "contact",
    "person",
    "subscriber",
    "user",
    "profile",
    "data",
    "payload",
];
/// Those whose `id` is the contact's.
const PERSON_WRAPPERS: &[&str] = &["contact", "person", "subscriber", "profile"];

/// Where to find what, as dotted paths with `[n]` for items: `data.people[0].email`. What is not given is
/// guessed from common names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    pub email: Option<String>,
    /// The sender's id of the contact.
    pub id: Option<String>,
    /// An object of field name → value, or a list of `{name, value}`; default: the whole record.
    pub fields: Option<String>,
    /// When it happened, as [`AtFormat`] reads it.
    pub time: Option<String>,
}

#[derive(Debug, Clone)]
pub struct GenericDecoder {
    /// Where the sender's contact ids are unique.
    pub namespace: Name,
    /// The zone of dates that name none.
    pub time_zone: TimeZone,
    pub consent: ArrivalConsent,
    pub consent_from: Vec<ConsentFrom>,
    pub paths: Paths,
    /// How the time at `paths.time` is written.
    pub time_format: AtFormat,
    pub placeholders: Placeholders,
    pub limits: Limits,
}

impl Decode for GenericDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        match body::read(&envelope.meta, &envelope.body, self.limits) {
            Ok(body) => self.decode_body(body, envelope.received_at),
            Err(error) => sync::unreadable(&error),
        }
    }
}

impl GenericDecoder {
    /// Decodes what [`body::read`] gave.
    pub fn decode_body(&self, body: Body, received_at: Timestamp) -> Decoded {
        let mut notes = body.notes;
        let Some(record) = sync::object(body.value) else {
            return Decoded::Dead {
                code: DeadCode::Malformed,
                reason: "not one record: the body is no object".to_owned(),
            };
        };
        let record = Value::Object(record);
        let value = |path: &Option<String>, guess: fn(&Value) -> Option<&Value>| match path {
            Some(path) => found(&record, path),
            None => guess(&record),
        };
        let text = |path: &Option<String>, guess: fn(&Value) -> Option<&Value>| {
            let text = value(path, guess).and_then(sync::scalar)?;
            (!self.placeholders.is_empty_text(&text)).then_some(text)
        };
        let email = text(&self.paths.email, guess_email);
        let address = email.as_deref().and_then(normal_email);
        if email.is_some() && address.is_none() {
            notes.push("email: not an address".to_owned());
        }
        let id = value(&self.paths.id, guess_id);
        let id = self.placeholders.id("id", id, &mut notes);
        if address.is_none() && id.is_none() {
            return Decoded::Dead {
                code: DeadCode::Unknown,
                reason:
                    "nobody is named: no usable e-mail address and no contact id; set the paths of the source"
                        .to_owned(),
            };
        }
        let time = text(&self.paths.time, |record| find(record, TIME_NAMES));
        let when = time.map_or(When::at(received_at, received_at), |time| {
            self.when(&time, received_at, &mut notes)
        });

        let mut event = Event::new(
            EventKind::ContactSync,
            self.namespace.clone(),
            when.begin.unwrap_or(received_at),
        );
        if let Some(address) = &address {
            event.identities.push(Identity::Email {
                address: address.clone(),
            });
        }
        if let Some(id) = id {
            let namespace = self.namespace.clone();
            event.identities.push(Identity::ForeignId { namespace, id });
        }
        let (mut sent, mut refused) = (Map::new(), 0);
        for (name, value) in self.fields(&record, &mut notes) {
            gather(&mut sent, &name, Some(&value));
            if is_internal(&name) {
                refused += 1;
            } else if !self.placeholders.is_nothing(&value) && name != "email" {
                let known = canonical(&name).filter(|known| !event.fields.contains_key(*known));
                event.fields.insert(known.map_or(name, str::to_owned), value);
            }
        }
        notes.extend(kept_names(refused));
        if let Some(address) = address {
            event.fields.insert("email".to_owned(), address.into());
        }
        event.notes = notes;
        match when.begin {
            Some(at) => event.consent = self.consent.facts(at, "generic"),
            None if self.consent == ArrivalConsent::OptIn => event
                .notes
                .push("time: cannot be read, so the opt-in of the arrival is not counted".to_owned()),
            None => {}
        }
        let rules = consent_from::Reader {
            rules: &self.consent_from,
            placeholders: &self.placeholders,
            zone: &self.time_zone,
        };
        rules.read(&self.places(&sent, &record), when, &mut event);
        Decoded::Event(Box::new(event))
    }

    /// Where the rules of consent look for their fields: last in the objects that hold the contact's address and id.
    fn places<'a>(&self, sent: &'a Map<String, Value>, record: &'a Value) -> Vec<&'a Map<String, Value>> {
        let by_path = |path: &String| {
            let (holder, _) = path.rsplit_once(['.', '['])?;
            found(record, holder)?.as_object()
        };
        let of = |path: &Option<String>, guess: Option<&'a Map<String, Value>>| match path {
            Some(path) => by_path(path),
            None => guess,
        };
        let by_id = holder(record, CONTACT_ID_NAMES).or_else(|| person(record));
        [
            Some(sent),
            record.as_object(),
            of(&self.paths.email, holder(record, EMAIL_NAMES)),
            of(&self.paths.id, by_id),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A time after `received_at` would make this record win over all that follow, so it is cut.
    fn when(&self, text: &str, received_at: Timestamp, notes: &mut Vec<String>) -> When {
        let mut arrival = |why: &str| {
            notes.push(format!("time: {why}; the time of arrival is used"));
        };
        let Span { begin, end } = match self.time_format.read(text, &self.time_zone) {
            Dated::Within(span) => span,
            Dated::Nothing => return When::at(received_at, received_at),
            unreadable @ (Dated::Ambiguous | Dated::Unreadable) => {
                arrival(if unreadable == Dated::Ambiguous {
                    "day and month could be exchanged (set `time_format`)"
                } else {
                    "cannot be read"
                });
                return When {
                    begin: None,
                    end: received_at,
                    received_at,
                };
            }
        };
        if begin.duration_since(received_at) > SignedDuration::from_mins(1) {
            arrival("in the future");
        }
        When {
            begin: Some(begin.min(received_at)),
            end: end.min(received_at),
            received_at,
        }
    }

    fn fields(&self, record: &Value, notes: &mut Vec<String>) -> Vec<(String, Value)> {
        let found = match &self.paths.fields {
            Some(path) => found(record, path),
            None => Some(record),
        };
        match found {
            Some(Value::Object(fields)) => fields
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            Some(rows @ Value::Array(_)) => sync::list_fields("fields", rows.clone(), notes)
                .into_iter()
                .map(|field| {
                    let id = field.id.as_deref().unwrap_or("?");
                    let name = field.name.unwrap_or_else(|| format!("Field {id}"));
                    (name, field.value.unwrap_or_default())
                })
                .collect(),
            _ => {
                notes.push("fields: nothing at the configured path".to_owned());
                Vec::new()
            }
        }
    }
}

/// The most digits of a time in seconds since 1970; more are milliseconds.
pub(super) const SECONDS_DIGITS: usize = 11;

/// Digits are seconds, or milliseconds from twelve digits on.
pub(crate) fn unix_time(text: &str) -> Option<Timestamp> {
    let number: i64 = text.trim().parse().ok()?;
    match text.trim().len() {
        9..=SECONDS_DIGITS => Timestamp::from_second(number).ok(),
        12..=14 => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}

/// Follows a dotted path. A key that is the whole path comes first; digits also name items of lists.
pub fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let steps = path
        .split(['.', '['])
        .map(|step| step.strip_suffix(']').unwrap_or(step));
    steps
        .filter(|step| !step.is_empty())
        .try_fold(value, |here, step| match here {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
}

/// What a configured path leads to, also where a form's names were rewritten.
fn found<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    at_path(record, path).or_else(|| look_up(record.as_object()?, path))
}

/// Why a path cannot lead anywhere.
pub fn path_fault(path: &str) -> Option<&'static str> {
    if path.trim().is_empty() {
        return Some("is empty");
    }
    // One at the end may belong to the name, as in `Tel.`.
    if path.trim_end_matches('.').split('.').any(str::is_empty) {
        return Some("has an empty step between dots");
    }
    let mut open = false;
    for letter in path.chars() {
        match letter {
            '[' if open => return Some("has a [ within brackets"),
            ']' if !open => return Some("has a ] without a ["),
            '[' => open = true,
            ']' => open = false,
            _ => {}
        }
    }
    open.then_some("has a [ that is not closed")
}

fn guess_email(record: &Value) -> Option<&Value> {
    find(record, EMAIL_NAMES)
}

fn guess_id(record: &Value) -> Option<&Value> {
    find(record, CONTACT_ID_NAMES).or_else(|| person(record)?.get("id"))
}

/// The object of which the `id` is the contact's.
fn person(record: &Value) -> Option<&Map<String, Value>> {
    let record = record.as_object()?;
    record.get(&find_key(record, PERSON_WRAPPERS)?)?.as_object()
}

/// Looks for one of the names at the top, then in the usual wrappers.
fn find<'a>(record: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let holder = holder(record, names)?;
    holder.get(&find_key(holder, names)?)
}

/// The object that [`find`] finds the name in.
fn holder<'a>(record: &'a Value, names: &[&str]) -> Option<&'a Map<String, Value>> {
    let record = record.as_object()?;
    let has = |object: &&'a Map<String, Value>| find_key(object, names).is_some();
    Some(record).filter(has).or_else(|| {
        let wrappers = WRAPPERS
            .iter()
            .filter_map(|wrapper| record.get(&find_key(record, &[wrapper])?)?.as_object());
        wrappers.into_iter().find(has)
    })
}

/// The key that is one of `names` but for case and separators.
pub(super) fn find_key(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| object.keys().find(|key| folded(key).eq(name.chars())).cloned())
}

fn folded(key: &str) -> impl Iterator<Item = char> {
    let kept = key.chars().filter(|char| !matches!(char, ' ' | '_' | '-' | '.'));
    kept.map(|char| char.to_ascii_lowercase())
}

#[cfg(test)]
#[path = "generic_tests.rs"]
mod tests;
