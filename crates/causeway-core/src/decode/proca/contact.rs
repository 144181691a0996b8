//! Converts the contact of a message, clear and decrypted, to identities and flat fields.
//!
//! Field names are Proca's own (`firstName`, `postcode`, …). Values that are nested in one schema and flat in
//! another become flat: `street`, `streetNumber`, `locality` (also for `city`), `region`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    contact::{Identity, is_internal, normal_email},
    decode::{names::kept_names, placeholders::Placeholders},
    id::Name,
};

/// The person that a message is about.
#[derive(Default)]
pub(super) struct Person {
    pub identities: Vec<Identity>,
    pub fields: BTreeMap<String, Value>,
    pub dupe_rank: Option<i64>,
    pub notes: Vec<String>,
    /// The number of fields whose names the hub reserves.
    refused: usize,
}

/// Decrypted values win over clear ones.
pub(super) fn person(
    contact: Option<Value>,
    decrypted: Option<Map<String, Value>>,
    namespace: &Name,
    placeholders: &Placeholders,
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
        reference = person.take_in(members, placeholders).or(reference);
    }
    person.notes.extend(kept_names(person.refused));
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
    /// Takes in the members; they replace those that are there. Returns the `contactRef`. Flat members win
    /// over nested ones, and `locality` over `city`, in whatever order they were written.
    fn take_in(&mut self, mut members: Map<String, Value>, placeholders: &Placeholders) -> Option<String> {
        let mut put = |name: String, value| {
            if is_internal(&name) {
                self.refused += 1;
            } else if let Some(value) = worth_keeping(value, placeholders) {
                self.fields.insert(name, value);
            }
        };
        match members.remove("address") {
            Some(Value::Object(parts)) => {
                for (name, value) in parts {
                    put(name, value);
                }
            }
            Some(other) => put("address".to_owned(), other),
            None => {}
        }
        if let Some(city) = members.remove("city") {
            put("locality".to_owned(), city);
        }
        let reference = members.remove("contactRef");
        // The number of a database row, which some replays carry. It identifies nothing here.
        members.remove("id");
        let dupe_rank = members.remove("dupeRank");
        for (name, value) in members {
            put(name, value);
        }
        self.dupe_rank = dupe_rank.and_then(|rank| rank.as_i64()).or(self.dupe_rank);
        placeholders.id("contactRef", reference.as_ref(), &mut self.notes)
    }
}

/// Drops null, texts without a meaning, and objects and arrays that contain nothing else.
fn worth_keeping(value: Value, placeholders: &Placeholders) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if placeholders.is_empty_text(&text) => None,
        Value::Object(members) => {
            let members: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, worth_keeping(value, placeholders)?)))
                .collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        Value::Array(items) if items.is_empty() => None,
        value => Some(value),
    }
}
