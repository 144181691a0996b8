//! The contact of a message, clear and decrypted, to identities and flat fields.
//!
//! Field names are Proca's own (`firstName`, `postcode`, …). What is nested in one schema and flat in
//! another becomes flat: `street`, `streetNumber`, `locality` (also for `city`), `region`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    contact::{Identity, normal_email},
    id::Name,
};

/// Who a message is about.
#[derive(Default)]
pub(super) struct Person {
    pub identities: Vec<Identity>,
    pub fields: BTreeMap<String, Value>,
    pub dupe_rank: Option<i64>,
    pub notes: Vec<String>,
}

/// Decrypted values win over clear ones.
pub(super) fn person(
    contact: Option<Value>,
    decrypted: Option<Map<String, Value>>,
    namespace: &Name,
) -> Person {
    let mut person = Person::default();
    let mut reference = None;
    let clear = match contact {
        Some(Value::Object(clear)) => clear,
        None | Some(Value::Null) => Map::new(),
        Some(_) => {
            person.notes.push("contact is not an object".to_owned());
            Map::new()
        }
    };
    for members in [clear, decrypted.unwrap_or_default()] {
        reference = person.take_in(members).or(reference);
    }
    if let Some(address) = person.fields.remove("email") {
        match address.as_str().and_then(normal_email) {
            Some(address) => {
                person.fields.insert("email".to_owned(), address.clone().into());
                person.identities.push(Identity::Email { address });
            }
            None => person.notes.push("contact.email is not an address".to_owned()),
        }
    }
    if let Some(reference) = reference {
        person.identities.push(Identity::ContactRef {
            namespace: namespace.clone(),
            reference,
        });
    }
    person
}

impl Person {
    /// Takes the members over those that are there; returns the contactRef. What is flat wins over what is nested,
    /// `locality` over `city`, in whatever order they were written.
    fn take_in(&mut self, mut members: Map<String, Value>) -> Option<String> {
        match members.remove("address") {
            Some(Value::Object(parts)) => {
                for (name, value) in parts {
                    self.put(name, value);
                }
            }
            Some(other) => self.put("address".to_owned(), other),
            None => {}
        }
        if let Some(city) = members.remove("city") {
            self.put("locality".to_owned(), city);
        }
        let mut reference = None;
        for (name, value) in members {
            match (name.as_str(), value) {
                ("contactRef", Value::String(text)) if !text.is_empty() => reference = Some(text),
                // `id`: a database row number that some replays carry; it names nothing for us.
                ("contactRef" | "id", _) => {}
                ("dupeRank", value) => self.dupe_rank = value.as_i64().or(self.dupe_rank),
                (_, value) => self.put(name, value),
            }
        }
        reference
    }

    fn put(&mut self, name: String, value: Value) {
        if let Some(value) = worth_keeping(value) {
            self.fields.insert(name, value);
        }
    }
}

/// Drops null, blank text, and objects and arrays with nothing else inside.
fn worth_keeping(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::Object(members) => {
            let members: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, worth_keeping(value)?)))
                .collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Value::Array(items) if items.is_empty() => None,
        value => Some(value),
    }
}
