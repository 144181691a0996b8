//! A person as a workspace knows them: identities, fields with the time of each value, and consent.
//!
//! Invariant: a contact does not depend on the order in which its messages came. Every part is a join:
//! commutative, associative, idempotent.

pub mod doc;
#[cfg(test)]
mod tests;
mod times;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::{address::normal_email, identity::Identity, millis};
use crate::{
    charset::has_holes,
    consent::{AddressesOfIds, At, Consent, ConsentFact, ConsentState, EMAIL, Terms, id_in_place, of_id},
    id::{ContactId, Name},
};

/// Prefix of fields that are tags. A tag is a field of its own, true or false, so that adding and removing it
/// follow the rule of all fields: the newest value counts.
pub const TAG: &str = "tag:";
/// Prefix of fields that record membership of a list. They work like tags.
pub const LIST: &str = "list:";
/// Prefix of fields that hold the numbers which a platform gave its list fields, by label. Each source has a
/// field of its own.
pub const LIST_FIELD_IDS: &str = "list_field_ids:";

/// Whether a field is internal, because its content has a place of its own in a record: a tag, a list, the
/// platform's numbers.
pub fn is_internal(field: &str) -> bool {
    [TAG, LIST, LIST_FIELD_IDS]
        .iter()
        .any(|prefix| field.starts_with(prefix))
}

/// A value, its time, and the number of the message that brought it.
///
/// Null is a value like others: the field was cleared. A field that no message mentioned is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    #[serde(rename = "v")]
    pub value: Value,
    #[serde(rename = "t", with = "millis")]
    pub at: Timestamp,
    /// Decides between values of the same time: the later arrival wins.
    #[serde(rename = "n", default, skip_serializing_if = "is_first")]
    pub arrival: i64,
    /// Whether an earlier value was a list and the current one (null or an object) does not show that.
    /// Invariant: false if the value is a list, so that equal fields compare equal.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) was_list: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_first(arrival: &i64) -> bool {
    *arrival == 0
}

impl Field {
    pub fn new(value: Value, at: Timestamp) -> Self {
        Self {
            value,
            at,
            arrival: 0,
            was_list: false,
        }
    }

    /// Keeps the newer value. At the same time the later arrival wins; within one message, the greater JSON
    /// text. The order is total, so `join` is commutative, associative and idempotent. The result is a list
    /// if either field was one.
    fn join(&mut self, other: Self) -> bool {
        let is_list = self.is_list() || other.is_list();
        let newer = (other.at, other.arrival)
            .cmp(&(self.at, self.arrival))
            .then_with(|| order(&other.value).cmp(&order(&self.value)))
            .is_gt();
        if newer {
            *self = other;
        }
        let changed = is_list && self.hold_several();
        newer || changed
    }

    /// Joins the numbers that a platform gave its list fields ([`LIST_FIELD_IDS`]): a message names only the
    /// fields that have a value. Of two numbers for one label the greater counts, since platforms count upwards;
    /// so the order of arrival does not matter.
    fn join_numbers(&mut self, other: Self) -> bool {
        let (Value::Object(own), Value::Object(others)) = (&mut self.value, &other.value) else {
            return self.join(other);
        };
        let rank = |number: &Value| {
            (
                number.as_str().and_then(|text| text.parse::<u64>().ok()),
                order(number),
            )
        };
        let mut changed = false;
        for (label, number) in others {
            if own.get(label).is_none_or(|known| rank(known) < rank(number)) {
                own.insert(label.clone(), number.clone());
                changed = true;
            }
        }
        if changed {
            own.sort_keys();
        }
        let is_newer = (other.at, other.arrival) > (self.at, self.arrival);
        if is_newer {
            (self.at, self.arrival) = (other.at, other.arrival);
        }
        changed || is_newer
    }

    fn is_list(&self) -> bool {
        self.was_list || self.value.is_array()
    }

    /// Turns a single value into a list. For null and objects it remembers that the field is a list. Returns
    /// whether anything changed.
    fn hold_several(&mut self) -> bool {
        match &mut self.value {
            Value::Array(_) => std::mem::take(&mut self.was_list),
            Value::Null | Value::Object(_) => !std::mem::replace(&mut self.was_list, true),
            one => {
                *one = Value::Array(vec![std::mem::take(one)]);
                self.was_list = false;
                true
            }
        }
    }
}

/// The order of two values of one message. A list of one value ranks like that value.
fn order(value: &Value) -> String {
    match value {
        Value::Array(items) if let [one] = items.as_slice() => one.to_string(),
        other => other.to_string(),
    }
}

/// The time of a value with replacement characters: every intact value replaces it.
const BEFORE_ALL: Timestamp = Timestamp::UNIX_EPOCH;

/// Whether a text in the value lost letters on its way.
fn is_broken(value: &Value) -> bool {
    match value {
        Value::String(text) => has_holes(text),
        Value::Array(items) => items.iter().any(is_broken),
        Value::Object(members) => members.values().any(is_broken),
        _ => false,
    }
}

/// The part of a contact that the store keeps as one document ([`doc`]).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    #[serde(skip)]
    pub id: Option<ContactId>,
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// Purpose (`"email"`) → consent.
    #[serde(default)]
    pub consent: BTreeMap<String, Consent>,
    /// Each address that the contact was known by, in its normal form → since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "millis::map")]
    pub addresses: BTreeMap<Name, Timestamp>,
    /// Each id that came together with an address → these addresses → since when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "millis::maps")]
    pub ids: AddressesOfIds,
    /// Whether the person ever gave their data on a form, or a platform sent their contact.
    #[serde(default)]
    pub gave_data: bool,
    /// Automation → when it first ran for this contact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "millis::map")]
    pub ran: BTreeMap<Name, Timestamp>,
    /// The sum of the points that our own scoring rules gave.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(crate) fn is_zero(points: &f64) -> bool {
    *points == 0.0
}

impl Contact {
    /// Takes over the fields as of `at`; returns whether anything changed.
    pub fn set_fields(&mut self, fields: &BTreeMap<String, Value>, at: Timestamp) -> bool {
        self.take_fields(fields, at, 0)
    }

    /// As [`Contact::set_fields`], for the message with number `arrival`.
    pub fn take_fields(&mut self, fields: &BTreeMap<String, Value>, at: Timestamp, arrival: i64) -> bool {
        let at = millis::floor(at);
        let mut changed = false;
        for (name, value) in fields {
            // Consent belongs to the address, and the address identifies the contact. So it can be replaced,
            // but never cleared.
            if value.is_null() && name == "email" {
                continue;
            }
            // A value with lost letters is better than none, but never replaces a whole one, whichever comes
            // first.
            let at = if is_broken(value) { BEFORE_ALL } else { at };
            let field = Field {
                arrival,
                ..Field::new(value.clone(), at)
            };
            changed |= self.set_field(name, field);
        }
        changed
    }

    /// Converts each field in `named` that the configuration declares as multi-value into a list. Returns
    /// whether anything changed.
    pub fn hold_several<'n>(
        &mut self,
        named: impl Iterator<Item = &'n String>,
        declared: &BTreeSet<String>,
    ) -> bool {
        let mut changed = false;
        for name in named.filter(|name| declared.contains(*name)) {
            changed |= self.fields.get_mut(name).is_some_and(Field::hold_several);
        }
        changed
    }

    /// Whether this value differs from the field's. Clearing a field that was never known is no difference.
    pub fn has_other_value(&self, name: &str, value: &Value) -> bool {
        match self.fields.get(name) {
            Some(known) => known.value != *value,
            None => !value.is_null(),
        }
    }

    fn set_field(&mut self, name: &str, field: Field) -> bool {
        if let Some(known) = self.fields.get_mut(name) {
            return if name.starts_with(LIST_FIELD_IDS) {
                known.join_numbers(field)
            } else {
                known.join(field)
            };
        }
        self.fields.insert(name.to_owned(), field);
        true
    }

    /// Sets a field because a rule of the hub says so. Unlike a value that arrives, it wins at the same time,
    /// because it follows from the very event that may have brought the other value. Returns the former value
    /// if it differs. Setting the same value again raises its time, so that an older message cannot undo it
    /// later.
    pub fn put(&mut self, name: &str, value: Value, at: Timestamp) -> Option<Option<Value>> {
        let at = millis::floor(at);
        let value = match self.fields.get(name) {
            Some(known)
                if known.is_list() && !matches!(value, Value::Array(_) | Value::Object(_) | Value::Null) =>
            {
                Value::Array(vec![value])
            }
            _ => value,
        };
        match self.fields.get_mut(name) {
            Some(known) if known.at > at => None,
            Some(known) if known.value == value => {
                known.at = at;
                None
            }
            Some(known) => {
                known.at = at;
                known.was_list = known.is_list() && !value.is_array();
                Some(Some(std::mem::replace(&mut known.value, value)))
            }
            None => {
                self.fields.insert(name.to_owned(), Field::new(value, at));
                Some(None)
            }
        }
    }

    /// Adds or removes a tag, with the rule of [`Contact::put`]. Removing an absent tag is stored but is no
    /// change: an older message that adds the tag may still come.
    pub fn set_tag(&mut self, tag: &str, on: bool, at: Timestamp) -> Option<Option<Value>> {
        let name = [TAG, tag].concat();
        let is_change = on || self.fields.contains_key(&name);
        self.put(&name, Value::Bool(on), at).filter(|_| is_change)
    }

    /// Notes that the contact is known by this address since `since`; returns whether that is news.
    pub fn add_address(&mut self, address: &str, since: Timestamp) -> bool {
        is_earlier(&mut self.addresses, address, since)
    }

    /// Notes that the address came with these ids; returns whether that is news.
    pub fn add_address_of(&mut self, ids: &[Identity], address: &str, since: Timestamp) -> bool {
        let mut is_news = false;
        for id in ids.iter().filter(|id| id.is_of_contact()) {
            let own = self.ids.entry(of_id(id).into()).or_default();
            is_news |= is_earlier(own, address, since);
        }
        is_news
    }

    /// The addresses that a fact is about: the one that it names, or those of the id that it names.
    pub fn addresses_of(&self, fact: &ConsentFact) -> Vec<Name> {
        let Some(place) = fact.address.as_deref() else {
            return Vec::new();
        };
        if id_in_place(place).is_none() {
            return vec![place.into()];
        }
        let ids = Some(&self.ids);
        let is_of = |address: &Name| {
            let since = self.since(address);
            let at = At {
                address: Some(address),
                since,
                ids,
            };
            at.is_of(place, fact.at)
        };
        self.addresses
            .keys()
            .filter(|address| is_of(address))
            .cloned()
            .collect()
    }

    /// Since when the contact is known by the address. `None` for the first known address: earlier facts
    /// without an address count for it, too.
    fn since(&self, address: &str) -> Option<Timestamp> {
        let first = self.addresses.values().min();
        let since = self.addresses.get(address);
        since.filter(|since| Some(*since) != first).copied()
    }

    /// The address in use, in its normal form.
    pub fn address(&self) -> Option<String> {
        self.text("email").and_then(normal_email)
    }

    /// Takes in a consent fact; returns whether anything changed.
    pub fn add_consent(&mut self, fact: &ConsentFact) -> bool {
        let consent = self.consent.entry(fact.purpose.clone()).or_default();
        consent.add(&fact.what, fact.at, fact.address.as_deref())
    }

    /// The consent state for the address in use.
    pub fn consent_state(&self, purpose: &str, terms: &Terms) -> ConsentState {
        self.consent_state_at(purpose, self.address().as_deref(), terms)
    }

    /// The consent state for one of the contact's addresses.
    pub fn consent_state_at(&self, purpose: &str, address: Option<&str>, terms: &Terms) -> ConsentState {
        let Some(consent) = self.consent.get(purpose) else {
            return ConsentState::Unknown;
        };
        if purpose != EMAIL {
            // For purposes such as calls no address is known.
            return consent.state(At::default(), terms);
        }
        let since = address.and_then(|address| self.since(address));
        let ids = Some(&self.ids);
        consent.state(At { address, since, ids }, terms)
    }

    /// The consent state of a shared mailbox that this contact no longer uses. It follows from its users'
    /// facts, from opt-outs that name it, and from suppressions.
    pub fn consent_state_of_mailbox(
        &self,
        purpose: &str,
        address: Option<&str>,
        terms: &Terms,
    ) -> ConsentState {
        let said = self.consent.get(purpose);
        let of_mailbox = said.and_then(|said| said.addresses.get(address?));
        of_mailbox.map_or(ConsentState::Unknown, |said| said.state(At::default(), terms))
    }

    /// As [`Contact::consent_state_at`], for each purpose that has facts.
    pub fn consent_states(&self, address: Option<&str>, terms: &Terms) -> BTreeMap<String, ConsentState> {
        self.consent
            .keys()
            .map(|purpose| (purpose.clone(), self.consent_state_at(purpose, address, terms)))
            .collect()
    }

    /// Merges a second contact that turned out to be the same person.
    pub fn join(&mut self, other: Self) -> bool {
        let mut changed = other.gave_data && !self.gave_data;
        self.gave_data |= other.gave_data;
        for (name, field) in other.fields {
            changed |= self.set_field(&name, field);
        }
        for (automation, at) in other.ran {
            let first = self.ran.entry(automation).or_insert(at);
            *first = at.min(*first);
        }
        // This is the lower bound. The store counts the points again from the rows of both contacts, which
        // may overlap.
        self.points = self.points.max(other.points);
        for (purpose, consent) in other.consent {
            changed |= self.consent.entry(purpose).or_default().join(&consent);
        }
        for (address, since) in other.addresses {
            changed |= self.add_address(&address, since);
        }
        for (id, addresses) in other.ids {
            let own = self.ids.entry(id).or_default();
            for (address, since) in addresses {
                changed |= is_earlier(own, &address, since);
            }
        }
        changed
    }

    /// The tags that the contact has.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.members(TAG)
    }

    /// The lists that the contact is on.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.members(LIST)
    }

    fn members<'a>(&'a self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        self.fields
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter(|(_, field)| field.value == Value::Bool(true))
            .filter_map(move |(name, _)| name.strip_prefix(prefix))
    }

    /// The value of a text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.value.as_str()
    }
}

/// Notes an address with the earliest time at which it is known; returns whether that is news.
fn is_earlier(known: &mut BTreeMap<Name, Timestamp>, address: &str, since: Timestamp) -> bool {
    let since = millis::floor(since);
    match known.get_mut(address) {
        Some(at) if *at <= since => return false,
        Some(at) => *at = since,
        None => {
            known.insert(address.into(), since);
        }
    }
    true
}
