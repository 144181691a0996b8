//! The preset `sync-to-third-party`: a marketing platform's data about one contact, as form, JSON or GET.

pub(crate) mod history;
mod payload;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) use payload::scalar;
pub use payload::{Click, LeadStatus, ListField, Occurrence, Score, SyncContact, SyncPayload, Visit};
pub(super) use payload::{is_empty, list_fields, plain_number};

use super::{
    body::{Body, BodyError, Format, Limits, Spelling},
    consent_from::{self, ConsentFrom, When},
    generic,
    names::{canonical, free, gather, kept_names, named_as_ours, settle, unfolded_or},
    parts::{self, Record},
    placeholders::{Placeholders, unreplaced},
};
use crate::{
    consent::{ConsentFact, EMAIL, What},
    contact::{Identity, LIST_FIELD_IDS, is_internal, normal_email},
    envelope::{Envelope, MessageKey, digest},
    event::{DeadCode, Decode, Decoded, Event, EventKind},
    id::Name,
};

/// What the arrival of a platform's contact means for consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalConsent {
    /// Nothing: consent comes from elsewhere.
    #[default]
    None,
    /// The person agreed to mail at the time of arrival. Only for an automation that fires because somebody
    /// joined or confirmed: a later arrival ends an earlier opt-out.
    OptIn,
}

impl ArrivalConsent {
    pub(super) fn facts(self, at: Timestamp, preset: &str) -> Vec<ConsentFact> {
        match self {
            Self::None => Vec::new(),
            Self::OptIn => vec![ConsentFact::new(
                EMAIL,
                What::OptIn,
                at,
                format!("{preset}: the contact arrived"),
            )],
        }
    }
}

#[derive(Debug, Clone)]
pub struct SyncDecoder {
    /// The scope in which the platform's contact ids are unique.
    pub namespace: Name,
    /// The time zone of the platform's account. Its dates name none.
    pub time_zone: TimeZone,
    pub consent: ArrivalConsent,
    pub consent_from: Vec<ConsentFrom>,
    /// The path to the list of contacts, if a message may hold several; [`parts::WHOLE`] if the body is that
    /// list.
    pub each: Option<String>,
    pub placeholders: Placeholders,
    pub limits: Limits,
    pub spelling: Spelling,
}

impl Decode for SyncDecoder {
    fn decode(&self, envelope: &Envelope) -> Decoded {
        let read = || {
            self.spelling
                .read(&envelope.meta, &envelope.body, self.limits)
                .map_err(|error| unreadable(&error))
        };
        parts::decode(envelope, self.each.as_deref(), read, |record| {
            self.decode_record(record, envelope.received_at)
        })
    }

    /// Only the consent rules can find an opt-out in a sync, and they may read any of its values.
    fn may_opt_out(&self, _envelope: &Envelope) -> bool {
        !self.consent_from.is_empty()
    }
}

/// The result for a body that cannot be read: it is kept as dead.
pub(super) fn unreadable(error: &BodyError) -> Decoded {
    let code = match error {
        BodyError::Unsupported(_) => DeadCode::Unknown,
        BodyError::Empty | BodyError::OverLimit(..) | BodyError::Malformed(_) => DeadCode::Malformed,
    };
    Decoded::Dead {
        code,
        reason: error.to_string(),
    }
}

/// The record, or the only record of a list.
pub(super) fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::Array(items) => match <[Value; 1]>::try_from(items) {
            Ok([Value::Object(object)]) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// The key that two syncs of the same transaction share; `None` if the sender gave no `transactionid`.
/// `value` comes from [`body::read`].
pub fn dedup(value: &Value) -> Option<MessageKey> {
    let payload = SyncPayload::from_value(object(value.clone())?, &mut Vec::new());
    // Senders write an empty text or 0 for an unknown id.
    let transaction = payload.transactionid.filter(|id| id != "0")?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (id, email) = (text(&payload.contact.id), text(&payload.contact.email));
    Some(digest(&[
        b"sync",
        transaction.as_bytes(),
        id.as_bytes(),
        email.as_bytes(),
    ]))
}

/// Fields of the contact, and their names beside the groups.
const BESIDE: [(&str, &[&str]); 2] = [("phone", generic::PHONE_NAMES), ("profile_url", &["profileurl"])];

impl SyncDecoder {
    /// Decodes a body that is one contact.
    pub fn decode_body(&self, body: Body, received_at: Timestamp) -> Decoded {
        let around = Map::new();
        self.decode_record(Record { body, around }, received_at)
    }

    fn decode_record(&self, record: Record, received_at: Timestamp) -> Decoded {
        let Record { body, around } = record;
        let Body {
            value,
            format,
            mut notes,
        } = body;
        let Some(object) = object(value) else {
            return Decoded::Dead {
                code: DeadCode::Malformed,
                reason: "not one record: the body is no object".to_owned(),
            };
        };
        // Rules may also name their fields by paths through the sent data.
        let whole = if self.consent_from.is_empty() {
            Map::new()
        } else {
            object.clone()
        };
        if let Some(count) = contacts(&object) {
            return parts::several(count, "contact");
        }
        let mut payload = SyncPayload::from_value(object, &mut notes);
        self.adopt_other_names(&mut payload);
        repair(&mut payload.contact, format, &mut notes);

        let mut event = Event::new(EventKind::ContactSync, self.namespace.clone(), received_at);
        event.identities = self.identities(&payload.contact, &mut notes);
        if event.identities.is_empty() {
            let names: Vec<String> = payload.extra.keys().cloned().collect();
            if let Some((path, count)) = parts::contacts_in(&Value::Object(payload.extra)) {
                return parts::several(count, &path);
            }
            return Decoded::Dead {
                code: DeadCode::Unknown,
                reason: format!(
                    "nobody is named: no contact[id], no usable contact[email] or contact[phone]{}{}",
                    unnamed(&names),
                    in_brackets(&notes)
                ),
            };
        }
        event.engagements = history::engagements(&payload, &self.time_zone, &mut notes);
        let sent = self.set_fields(&mut event, payload, &mut notes);
        event.consent = self.consent.facts(received_at, "sync-to-third-party");
        event.notes = notes;
        let rules = consent_from::Reader {
            rules: &self.consent_from,
            placeholders: &self.placeholders,
            zone: &self.time_zone,
        };
        rules.read(
            &[&around, &sent, &whole],
            When::at(received_at, received_at),
            &mut event,
        );
        Decoded::Event(Box::new(event))
    }

    /// Fills members of the group `contact` that are missing or placeholders: first from its keys in another
    /// spelling, then from keys beside the groups. A GET template names its parameters freely, and one called
    /// `email` is the contact's.
    fn adopt_other_names(&self, payload: &mut SyncPayload) {
        let SyncPayload { contact, extra, .. } = payload;
        for (field, names) in BESIDE {
            let values = generic::keys(extra, names).filter_map(|key| extra.get(key));
            let empty = values.filter(|value| is_empty(value));
            contact.emptied.extend(empty.map(|value| (field, value.clone())));
        }
        let rest = &mut contact.rest;
        let mut adopt = |slot: &mut Option<String>, own: &[&str], names: &[&str]| {
            let stands_for_nothing =
                |text: &String| self.placeholders.is_empty_text(text) || self.placeholders.names_nobody(text);
            for (place, names) in [(&mut *rest, own), (&mut *extra, names)] {
                let keys: Vec<String> = generic::keys(place, names).cloned().collect();
                for key in keys {
                    if slot.as_ref().is_some_and(|text| !stands_for_nothing(text)) {
                        return;
                    }
                    let text = place.get(&key).and_then(payload::id);
                    if slot.is_none() || text.as_ref().is_some_and(|text| !stands_for_nothing(text)) {
                        place.shift_remove(&key);
                        *slot = text.or_else(|| slot.take());
                    }
                }
            }
        };
        adopt(&mut contact.email, generic::EMAIL_NAMES, generic::EMAIL_NAMES);
        // Beside the groups of one contact, or among the parameters of a GET, an `id` is the contact's.
        let ids: Vec<&str> = generic::CONTACT_ID_NAMES.iter().copied().chain(["id"]).collect();
        adopt(&mut contact.id, &["id"], &ids);
        let [(_, phone), (_, profile_url)] = BESIDE;
        adopt(&mut contact.phone, &[], phone);
        adopt(&mut contact.profile_url, &[], profile_url);
    }

    fn identities(&self, contact: &SyncContact, notes: &mut Vec<String>) -> Vec<Identity> {
        let mut identities = Vec::new();
        let email = contact.email.as_ref();
        let is_given = |email: &&String| {
            !self.placeholders.is_empty_text(email) && !self.placeholders.names_nobody(email)
        };
        if let Some(email) = email.filter(is_given) {
            match normal_email(email) {
                Some(address) => identities.push(Identity::Email { address }),
                None => notes.push("contact[email]: not an address".to_owned()),
            }
        }
        let id = contact.id.as_deref().map(Value::from);
        if let Some(id) = self.placeholders.id("contact[id]", id.as_ref(), notes) {
            let namespace = self.namespace.clone();
            identities.push(Identity::ForeignId { namespace, id });
        }
        if identities.is_empty() {
            let phone = contact.phone.as_deref();
            let phone = phone.filter(|phone| !self.placeholders.names_nobody(phone));
            identities.extend(phone.and_then(|phone| Identity::phone(&self.namespace, phone)));
        }
        identities
    }

    /// Sets the fields. Returns everything that was sent by its name, including empty values.
    fn set_fields(
        &self,
        event: &mut Event,
        payload: SyncPayload,
        notes: &mut Vec<String>,
    ) -> Map<String, Value> {
        let SyncPayload {
            contact,
            fields: list_fields,
            lead_status,
            extra,
            ..
        } = payload;
        let mut sent = Map::new();
        let texts = [
            &contact.phone,
            &contact.profile_url,
            &lead_status.label,
            &lead_status.score,
        ];
        let texts: Vec<Value> = texts.into_iter().flatten().cloned().map(Value::from).collect();
        let fields = &mut event.fields;
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !self.placeholders.is_nothing(value)) {
                sent.insert(name.to_owned(), value.clone());
                fields.insert(name.to_owned(), value);
            }
        };
        put(
            "email",
            contact.email.as_deref().and_then(normal_email).map(Value::from),
        );
        put("phone", contact.phone.map(|phone| phone.trim().into()));
        put("profile_url", contact.profile_url.map(Value::from));
        put("lead_status", lead_status.label.map(Value::from));
        let score = lead_status.score;
        if let Some(score) = score.filter(|score| !self.placeholders.is_empty_text(score)) {
            match history::number(&score) {
                Some(score) => put("lead_score", Some(score)),
                None => notes.push("lead-status: the score is no number".to_owned()),
            }
        }

        for (name, value) in contact.emptied {
            if !fields.contains_key(name) {
                fields.extend(
                    self.placeholders
                        .taken(value)
                        .map(|value| (name.to_owned(), value)),
                );
            }
        }

        let (ids, mut refused) = self.list_fields(list_fields, fields, &mut sent);
        if !contact.rest.is_empty() {
            // Also under the path that it would have in a list with one contact.
            let group = Value::Object(contact.rest.clone());
            sent.entry("contact").or_insert(group);
        }
        let mut others = Vec::new();
        for (key, value) in contact.rest.into_iter().chain(extra) {
            gather(&mut sent, &key, Some(&value));
            if is_internal(&key) {
                refused += 1;
            } else if key != "email"
                && let Some(value) = self.placeholders.taken(value)
            {
                others.push((key, value));
            }
        }
        settle(fields, others);
        notes.extend(unreplaced(texts.iter().chain(sent.values())));
        notes.extend(kept_names(refused));
        notes.extend(named_as_ours(fields));
        if !ids.is_empty() {
            // The platform's API needs these ids to write a field back.
            fields.insert(format!("{LIST_FIELD_IDS}{}", event.namespace), json!(ids));
        }
        sent
    }

    /// Takes in the custom fields of the list. Returns the numbers that the platform gave them, and how many
    /// have names that the hub reserves.
    fn list_fields(
        &self,
        list_fields: Vec<ListField>,
        fields: &mut BTreeMap<String, Value>,
        sent: &mut Map<String, Value>,
    ) -> (Map<String, Value>, usize) {
        let (mut ids, mut refused) = (Map::new(), 0);
        // Our name goes to the field with exactly this name, or else to the first field with this meaning.
        let spelled: Vec<String> = list_fields
            .iter()
            .filter_map(|field| field.name.clone())
            .collect();
        for field in joined(list_fields) {
            let id = field.id.as_deref().unwrap_or("?");
            let label = field.name.unwrap_or_else(|| format!("Field {id}"));
            if is_internal(&label) {
                refused += 1;
                continue;
            }
            // A cleared field has less weight than any other value.
            let has = |name: &str| fields.get(name).is_some_and(|known| !known.is_null());
            let known = canonical(&label)
                .filter(|name| *name == label || !spelled.iter().any(|other| other == name))
                .filter(|name| !has(name));
            let mut label = known.map_or(label, str::to_owned);
            let sent_value = field.value.as_ref().filter(|value| !is_empty(value));
            gather(sent, &label, sent_value);
            if has(&label) || label == "email" {
                // The name belongs to the contact's own data or to another field, so keep both. Only an
                // address may become the contact's `email`.
                label = free(fields, format!("{label} ({id})"));
                gather(sent, &label, sent_value);
            }
            // Form encoders leave out a null value, so a field with only a number was emptied.
            let unsaid = || field.id.is_some().then(|| Value::from(""));
            let value = field.value.clone().or_else(unsaid);
            let value = value.and_then(|value| self.placeholders.taken(value));
            if let Some(id) = field.id {
                ids.insert(label.clone(), id.into());
            }
            fields.extend(value.map(|value| (label, value)));
        }
        (ids, refused)
    }
}

/// The choices of a list field may come as rows of their own: the same field, which has several values.
fn joined(fields: Vec<ListField>) -> Vec<ListField> {
    let mut joined: Vec<ListField> = Vec::with_capacity(fields.len());
    for field in fields {
        let same =
            |other: &&mut ListField| other.name.is_some() && other.name == field.name && other.id == field.id;
        let Some(first) = joined.iter_mut().find(same) else {
            joined.push(field);
            continue;
        };
        let Some(value) = field.value.filter(|value| !is_empty(value)) else {
            continue;
        };
        match &mut first.value {
            Some(Value::Array(values)) => {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            Some(known) if *known == value => {}
            Some(known) if !is_empty(known) => *known = Value::Array(vec![std::mem::take(known), value]),
            empty => *empty = Some(value),
        }
    }
    joined
}

/// The hint for a message that does not name the contact: it lists the unknown fields, since the sender may use
/// names of its own.
fn unnamed(names: &[String]) -> String {
    let is_plain = |name: &&String| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        name.len() <= 30 && name.bytes().all(is_of_name)
    };
    let shown: Vec<&str> = names
        .iter()
        .filter(is_plain)
        .take(5)
        .map(String::as_str)
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    format!(
        "; the message has {}: say with `params` (or `preset = 'generic'`) which of them is the e-mail address or the id",
        shown.join(", ")
    )
}

pub(super) fn in_brackets(notes: &[String]) -> String {
    if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join("; "))
    }
}

/// How many contacts the group `contact` holds, if its rows name several addresses or ids.
fn contacts(object: &Map<String, Value>) -> Option<usize> {
    let rows: Vec<Value> = match object.get("contact").cloned().map(unfolded_or)? {
        Value::Array(rows) => rows.into_iter().map(unfolded_or).collect(),
        Value::Object(rows) => {
            let rows: Vec<Value> = rows.into_iter().map(|(_, row)| unfolded_or(row)).collect();
            if !rows.iter().all(Value::is_object) {
                return None;
            }
            rows
        }
        _ => return None,
    };
    let mut people: Vec<[Option<String>; 2]> = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        let text = |name: &str| row.get(name).and_then(payload::id);
        let person = [text("id"), text("email")];
        if person != [None, None] && !people.contains(&person) {
            people.push(person);
        }
    }
    Some(people.len()).filter(|count| *count > 1)
}

/// Repairs values of a sender that does not encode `+`, which is then read as a space.
fn repair(contact: &mut SyncContact, format: Format, notes: &mut Vec<String>) {
    if !format.reads_plus_as_space() {
        return;
    }
    if let Some(email) = &mut contact.email
        && normal_email(email).is_none()
        && let Some((local, domain)) = email.trim().rsplit_once('@')
        && let repaired = format!("{}@{domain}", local.replace(' ', "+"))
        && local.contains(' ')
        && normal_email(&repaired).is_some()
    {
        *email = repaired;
        notes.push(
            "contact[email]: a space before the @ was read as the + that the sender did not encode"
                .to_owned(),
        );
    }
    if let Some(phone) = &mut contact.phone
        && let Some(number) = phone.strip_prefix(' ')
        && number.starts_with(|first: char| first.is_ascii_digit())
    {
        *phone = format!("+{number}");
        notes.push(
            "contact[phone]: a leading space was read as the + that the sender did not encode".to_owned(),
        );
    }
}
