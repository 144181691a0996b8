//! The preset `generic`: a record of any shape, with paths that say where the contact is.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    at_format::{AtFormat, Dated, Span},
    body::{Body, Limits, Spelling},
    consent_from::{self, ConsentFrom, When},
    names::{canonical, gather, kept_names, look_up_all, named_as_ours, settle, unfolded},
    parts::{self, Record},
    path,
    placeholders::{Placeholders, shown, unreplaced},
    sync::{self, ArrivalConsent},
};
use crate::{
    contact::{Identity, is_internal, normal_email},
    envelope::Envelope,
    event::{DeadCode, Decode, Decoded, Event, EventKind},
    id::Name,
};

/// Names that are tried if no path is configured. They are compared without case, spaces, `_`, `-` and `.`.
pub(super) const EMAIL_NAMES: &[&str] = &["email", "emailaddress", "mail", "useremail", "contactemail"];
/// A bare `id` is not among these: it may be the event's id, and two people with one id would be merged.
/// Neither is `user_id`, which is often the member of staff who was logged in.
pub(super) const CONTACT_ID_NAMES: &[&str] = &["contactid", "personid", "subscriberid"];
pub(super) const PHONE_NAMES: &[&str] = &[
    "phone",
    "phonenumber",
    "mobile",
    "mobilephone",
    "telephone",
    "tel",
];
/// Only names for the time of the event. A contact's own `created_at` would make every later change look old.
const TIME_NAMES: &[&str] = &[
    "eventtime",
    "eventat",
    "occurredat",
    "timestamp",
    "firedat",
    "datetime",
];
/// Names of objects that may hold the contact.
pub(super) const WRAPPERS: &[&str] = &[
    "contact",
    "person",
    "subscriber",
    "user",
    "profile",
    "data",
    "payload",
];
/// Those of the wrappers whose `id` is the contact's.
const PERSON_WRAPPERS: &[&str] = &["contact", "person", "subscriber", "profile"];

/// Where the parts of a record are, as dotted paths with `[n]` for items: `data.people[0].email`. A name that
/// contains dots stands in quotes. If the path of `email`, `id` or `time` is not configured, common names are
/// tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// The list of records, if a message may hold several; [`parts::WHOLE`] if the body is that list. The
    /// other paths then begin at one record.
    pub each: Option<String>,
    pub email: Option<String>,
    /// The sender's id of the contact.
    pub id: Option<String>,
    /// An object of field name → value, or a list of `{name, value}`. Default: the whole record.
    pub fields: Option<String>,
    /// The time of the event, as [`AtFormat`] reads it.
    pub time: Option<String>,
}

#[derive(Debug, Clone)]
pub struct GenericDecoder {
    /// The scope in which the sender's contact ids are unique.
    pub namespace: Name,
    /// The time zone of dates that name none.
    pub time_zone: TimeZone,
    pub consent: ArrivalConsent,
    pub consent_from: Vec<ConsentFrom>,
    pub paths: Paths,
    /// The format of the time at `paths.time`.
    pub time_format: AtFormat,
    pub placeholders: Placeholders,
    pub limits: Limits,
    pub spelling: Spelling,
}

impl Decode for GenericDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let read = || {
            self.spelling
                .read(&envelope.meta, &envelope.body, self.limits)
                .map_err(|error| sync::unreadable(&error))
        };
        parts::decode(envelope, self.paths.each.as_deref(), read, |record| {
            self.decode_record(record, envelope.received_at)
        })
    }

    /// Only the consent rules can find an opt-out in a record, and they may read any of its values.
    fn may_opt_out(&self, _envelope: &Envelope) -> bool {
        !self.consent_from.is_empty()
    }
}

impl GenericDecoder {
    /// Decodes a body that is one record.
    pub fn decode_body(&self, body: Body, received_at: Timestamp) -> Decoded {
        let around = Map::new();
        self.decode_record(Record { body, around }, received_at)
    }

    fn decode_record(&self, record: Record, received_at: Timestamp) -> Decoded {
        let Record { body, around } = record;
        let mut notes = body.notes;
        let Some(sent) = sync::object(body.value) else {
            return Decoded::Dead {
                code: DeadCode::Malformed,
                reason: "not one record: the body is no object".to_owned(),
            };
        };
        let sent = Value::Object(sent);
        let followed = unfolded(&sent);
        let places = Places {
            record: followed.as_ref().unwrap_or(&sent),
            sent: &sent,
            around: Value::Object(around),
        };
        let who = match self.who(&places, &mut notes) {
            Ok(who) => who,
            Err(end) => return end,
        };
        let when = self.happened(&places, received_at, &mut notes);
        self.event(&places, who, when, notes)
    }

    /// The identities of the record's contact, or how decoding ends without any.
    fn who(&self, places: &Places<'_>, notes: &mut Vec<String>) -> Result<ContactIds, Decoded> {
        let record = places.record;
        for path in [&self.paths.email, &self.paths.id].into_iter().flatten() {
            if let Some((count, list)) = others_beside(record, path) {
                return Err(parts::several(count, &list));
            }
        }
        let values = |path: &Option<String>, guess: fn(&Value) -> Vec<&Value>| match path {
            Some(path) => found_all(record, path),
            None => guess(record),
        };
        let email = self
            .texts(values(&self.paths.email, guess_email))
            .find(|text| !self.placeholders.names_nobody(text));
        let address = email.as_deref().and_then(normal_email);
        if email.is_some() && address.is_none() {
            notes.push("email: not an address".to_owned());
        }
        let id = self
            .placeholders
            .first_id("id", values(&self.paths.id, guess_id), notes);
        let mut phone = None;
        if address.is_none() && id.is_none() {
            phone = self
                .texts(find(record, PHONE_NAMES))
                .find(|text| !self.placeholders.names_nobody(text));
            if let Some((path, count)) = parts::contacts_in(record) {
                return Err(parts::several(count, &path));
            }
        }
        let number = phone.and_then(|phone| Identity::phone(&self.namespace, &phone));
        if address.is_none() && id.is_none() && number.is_none() {
            return Err(Decoded::Dead {
                code: DeadCode::Unknown,
                reason: format!(
                    "nobody is named: no usable e-mail address, contact id or telephone number; set the paths of the source{}",
                    sync::in_brackets(notes)
                ),
            });
        }
        Ok(ContactIds { address, id, number })
    }

    /// The time of the record. If the record has none, a time beside the list of records counts.
    fn happened(&self, places: &Places<'_>, received_at: Timestamp, notes: &mut Vec<String>) -> When {
        let times = |record| match &self.paths.time {
            Some(path) => found_all(record, path),
            None => find(record, TIME_NAMES),
        };
        let own = self.texts(times(places.record)).next();
        let time = own.or_else(|| self.texts(times(&places.around)).next());
        time.map_or(When::at(received_at, received_at), |time| {
            self.when(&time, received_at, notes)
        })
    }

    fn event(&self, places: &Places<'_>, who: ContactIds, when: When, mut notes: Vec<String>) -> Decoded {
        let ContactIds { address, id, number } = who;
        let named = own_objects(places.record, address.as_deref(), id.as_deref());
        let at = when.begin.unwrap_or(when.received_at);
        let mut event = Event::new(EventKind::ContactSync, self.namespace.clone(), at);
        let email = address.clone().map(|address| Identity::Email { address });
        let namespace = self.namespace.clone();
        let id = id.map(|id| Identity::ForeignId { namespace, id });
        event.identities.extend(email.into_iter().chain(id).chain(number));
        let (mut sent, mut refused) = (Map::new(), 0);
        let mut fields = Vec::new();
        for (name, value) in self.fields(places, &named, &mut notes) {
            gather(&mut sent, &name, Some(&value));
            if is_internal(&name) {
                refused += 1;
            } else if name != "email"
                && let Some(value) = self.placeholders.taken(value)
            {
                fields.push((name, value));
            }
        }
        settle(&mut event.fields, fields);
        let is_noted = notes.iter().any(|note| note.starts_with("id: a placeholder"));
        notes.extend(unreplaced(sent.values()).filter(|_| !is_noted));
        notes.extend(kept_names(refused));
        notes.extend(named_as_ours(&event.fields));
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
        let all = places.around.as_object().into_iter();
        let places: Vec<_> = all
            .chain(self.places(&sent, places.record))
            .chain(named)
            .collect();
        rules.read(&places, when, &mut event);
        Decoded::Event(Box::new(event))
    }

    /// Skips empty values and words for "nothing", so that the next place is used.
    fn texts(&self, values: Vec<&Value>) -> impl Iterator<Item = String> {
        values
            .into_iter()
            .filter_map(sync::scalar)
            .filter(|text| !self.placeholders.is_empty_text(text))
    }

    /// The objects in which the consent rules look for their fields. The last ones are the objects that hold
    /// the contact's address and id.
    fn places<'a>(&self, sent: &'a Map<String, Value>, record: &'a Value) -> Vec<&'a Map<String, Value>> {
        let by_path = |path: &String| {
            if let Some(steps) = path::quoted(path) {
                let (_, holder) = steps.split_last()?;
                return path::follow(record, holder)?.as_object();
            }
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

    /// A time later than `received_at` becomes `received_at`. Otherwise this record would win over all later
    /// ones.
    fn when(&self, text: &str, received_at: Timestamp, notes: &mut Vec<String>) -> When {
        let mut arrival = |why: &str| {
            notes.push(format!("time: {why}; the time of arrival is used"));
        };
        let Span { begin, end } = match self.time_format.read(text, &self.time_zone) {
            Dated::Within(span) => span,
            Dated::Nothing => return When::at(received_at, received_at),
            unreadable @ (Dated::Ambiguous | Dated::Unreadable) => {
                arrival(if unreadable == Dated::Ambiguous {
                    "it can be read in two ways (set `time_format`)"
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

    fn fields(
        &self,
        places: &Places<'_>,
        named: &[&Map<String, Value>],
        notes: &mut Vec<String>,
    ) -> Vec<(String, Value)> {
        let Some(path) = &self.paths.fields else {
            return whole_record(places, named, notes);
        };
        match found(places.record, path) {
            Some(Value::Object(fields)) => fields
                .iter()
                .map(|(name, value)| (name.clone(), described(value).clone()))
                .collect(),
            Some(rows @ Value::Array(_)) => rows_of(rows, notes),
            _ => {
                notes.push("fields: nothing at the configured path".to_owned());
                Vec::new()
            }
        }
    }
}

/// The parts of a message that belong to one record.
struct Places<'a> {
    /// The record, including the JSON inside its texts.
    record: &'a Value,
    sent: &'a Value,
    /// An object with what is beside the list that contained the record.
    around: Value,
}

/// The identities of a record's contact. At least one is present.
struct ContactIds {
    address: Option<String>,
    id: Option<String>,
    number: Option<Identity>,
}

/// The fields of the whole record: everything that was sent, plus the members of the contact's own object and
/// those in a group `fields`. A wrapper does not change a field's name.
fn whole_record(
    places: &Places<'_>,
    holders: &[&Map<String, Value>],
    notes: &mut Vec<String>,
) -> Vec<(String, Value)> {
    let sent = places.sent.as_object().into_iter().flatten();
    let mut all: Vec<(String, Value)> = sent.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut inside: Vec<(String, Value)> = Vec::new();
    for holder in holders {
        let own = holder.iter().filter(|(name, _)| {
            let names = [EMAIL_NAMES, CONTACT_ID_NAMES, &["id"]];
            !names.iter().any(|names| is_one_of(name, names))
        });
        inside.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    }
    let groups = places
        .record
        .as_object()
        .into_iter()
        .chain(holders.iter().copied());
    for fields in groups.filter_map(|holder| holder.get("fields")) {
        if matches!(fields, Value::Object(_) | Value::Array(_)) {
            inside.extend(rows_of(fields, notes));
        }
    }
    for (name, value) in inside {
        let means_the_same = |other: &String| {
            *other == name || canonical(&name).is_some() && canonical(other) == canonical(&name)
        };
        if !all.iter().any(|(other, _)| means_the_same(other)) {
            all.push((name, value));
        }
    }
    all
}

/// Reads fields written as rows, or as names with their values.
fn rows_of(rows: &Value, notes: &mut Vec<String>) -> Vec<(String, Value)> {
    sync::list_fields("fields", rows.clone(), notes)
        .into_iter()
        .map(|field| {
            let id = field.id.as_deref().unwrap_or("?");
            let name = field.name.unwrap_or_else(|| format!("Field {id}"));
            (name, field.value.unwrap_or_else(|| "".into()))
        })
        .collect()
}

/// The value of a field that is sent with its description: `{"label": "City", "type": "text", "value":
/// "Bonn"}`.
fn described(value: &Value) -> &Value {
    let is_described = |members: &Map<String, Value>| {
        ["label", "alias", "name"]
            .iter()
            .any(|name| members.contains_key(*name))
    };
    match value {
        Value::Object(members) if is_described(members) => members.get("value").unwrap_or(value),
        _ => value,
    }
}

/// Checks whether a path with an index skips other records. If more than one item of the list has a value at
/// the rest of the path, returns their number and the path to the list.
fn others_beside(record: &Value, path: &str) -> Option<(usize, String)> {
    let steps = crate::path::names(path).ok()?;
    (0..steps.len()).find_map(|at| {
        let (before, rest) = steps.split_at_checked(at)?;
        let (index, rest) = rest.split_first()?;
        let items = path::follow(record, before)?.as_array()?;
        index.parse::<usize>().ok()?;
        let has_content = |item: &&Value| path::follow(item, rest).and_then(sync::scalar).is_some();
        let count = items.iter().filter(has_content).count();
        (count > 1).then(|| (count, before.join(".")))
    })
}

/// Follows a dotted path. A key that equals the whole path comes first. Digits also index lists.
pub fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(steps) = path::quoted(path) {
        return path::follow(value, &steps);
    }
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

/// The value at a configured path. Also finds a name as PHP's form encoding changes it.
fn found<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    found_all(record, path).into_iter().next()
}

/// All values that match the path, the exact one first.
fn found_all<'a>(record: &'a Value, path: &str) -> Vec<&'a Value> {
    let exact = at_path(record, path);
    let others = record.as_object().map(|record| look_up_all(record, path));
    exact.into_iter().chain(others.into_iter().flatten()).collect()
}

/// Why a path is invalid.
pub fn path_error(path: &str) -> Option<&'static str> {
    path::error(path)
}

/// The objects that hold the contact's address or id. The consent fields of all of them count, whichever of
/// them identified the contact.
fn own_objects<'a>(
    record: &'a Value,
    address: Option<&str>,
    id: Option<&str>,
) -> Vec<&'a Map<String, Value>> {
    let holds = |object: &Map<String, Value>, names: &[&str], is_it: &dyn Fn(&str) -> bool| {
        let mut values = keys(object, names).filter_map(|key| sync::scalar(object.get(key)?));
        values.any(|text| is_it(&text))
    };
    let has_address = |text: &str| address.is_some() && normal_email(text).as_deref() == address;
    let has_id = |text: &str| id == Some(shown(text));
    wrapped(record, WRAPPERS)
        .filter(|(wrapper, object)| {
            let ids: &[&str] = if PERSON_WRAPPERS.contains(wrapper) {
                &["id"]
            } else {
                &[]
            };
            holds(object, EMAIL_NAMES, &has_address)
                || holds(object, CONTACT_ID_NAMES, &has_id)
                || holds(object, ids, &has_id)
        })
        .map(|(_, object)| object)
        .collect()
}

fn guess_email(record: &Value) -> Vec<&Value> {
    find(record, EMAIL_NAMES)
}

fn guess_id(record: &Value) -> Vec<&Value> {
    let mut ids = find(record, CONTACT_ID_NAMES);
    for (_, person) in wrapped(record, PERSON_WRAPPERS) {
        ids.extend(keys(person, &["id"]).filter_map(|key| person.get(key)));
    }
    ids
}

/// The object whose `id` is the contact's.
fn person(record: &Value) -> Option<&Map<String, Value>> {
    wrapped(record, PERSON_WRAPPERS).next().map(|(_, person)| person)
}

/// The objects under these names.
fn wrapped<'a, 'w>(
    record: &'a Value,
    wrappers: &'w [&'w str],
) -> impl Iterator<Item = (&'w str, &'a Map<String, Value>)> {
    let record = record.as_object();
    wrappers.iter().flat_map(move |wrapper| {
        let found = record.into_iter().flat_map(move |record| {
            keys(record, std::slice::from_ref(wrapper)).filter_map(|key| record.get(key)?.as_object())
        });
        found.map(move |object| (*wrapper, object))
    })
}

/// The values under these names at the top level, then in the usual wrappers.
fn find<'a>(record: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    let wrappers = wrapped(record, WRAPPERS).map(|(_, object)| object);
    let holders = record.as_object().into_iter().chain(wrappers);
    holders
        .flat_map(|holder| keys(holder, names).filter_map(|key| holder.get(key)))
        .collect()
}

/// The first object that has one of these names.
fn holder<'a>(record: &'a Value, names: &[&str]) -> Option<&'a Map<String, Value>> {
    let wrappers = wrapped(record, WRAPPERS).map(|(_, object)| object);
    let mut holders = record.as_object().into_iter().chain(wrappers);
    holders.find(|object| keys(object, names).next().is_some())
}

/// The keys that equal one of `names` apart from case and separators, in the order of `names`.
pub(super) fn keys<'a>(object: &'a Map<String, Value>, names: &[&str]) -> std::vec::IntoIter<&'a String> {
    let mut keys = Vec::new();
    for name in names {
        keys.extend(object.keys().filter(|key| folded(key).eq(name.chars())));
    }
    keys.into_iter()
}

/// Whether the key equals one of `names` apart from case and separators.
pub(super) fn is_one_of(key: &str, names: &[&str]) -> bool {
    names.iter().any(|name| folded(key).eq(name.chars()))
}

fn folded(key: &str) -> impl Iterator<Item = char> {
    let kept = key.chars().filter(|char| !matches!(char, ' ' | '_' | '-' | '.'));
    kept.map(|char| char.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
