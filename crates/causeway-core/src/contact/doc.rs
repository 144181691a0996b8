//! The document in which the store keeps a contact.
//!
//! Most fields of a contact come with one message and share its time and number. The document writes both
//! once for all of them; the contact's own JSON, which people read, repeats them for each field. The document
//! is read and written for nearly every message, so its size matters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::{
    consent::{AddressesOfIds, Consent},
    contact::{Contact, Field, is_zero, millis},
    id::Name,
};

/// Fields of one message: its time, its number, the values by name.
type Group<V> = (Millis, i64, V);

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Millis(#[serde(with = "millis")] Timestamp);

/// Writes a contact as the document of the store.
#[derive(Serialize)]
pub struct ContactDoc<'a> {
    f: Vec<Group<Ordered<'a>>>,
    /// Fields that hold several values although the present value is not a list (`Field::was_list`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    consent: &'a BTreeMap<String, Consent>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "millis::map")]
    addresses: &'a BTreeMap<Name, Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "millis::maps")]
    ids: &'a AddressesOfIds,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gave_data: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", with = "millis::map")]
    ran: &'a BTreeMap<Name, Timestamp>,
    #[serde(skip_serializing_if = "is_zero")]
    points: f64,
}

struct Ordered<'a>(Vec<(&'a str, &'a Value)>);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'a> From<&'a Contact> for ContactDoc<'a> {
    fn from(contact: &'a Contact) -> Self {
        let mut f: Vec<Group<Ordered<'a>>> = Vec::new();
        let mut lists = Vec::new();
        for (name, field) in &contact.fields {
            let (at, arrival) = (Millis(field.at), field.arrival);
            let value = (name.as_str(), &field.value);
            match f.iter_mut().find(|group| (group.0, group.1) == (at, arrival)) {
                Some(group) => group.2.0.push(value),
                None => f.push((at, arrival, Ordered(vec![value]))),
            }
            if field.was_list {
                lists.push(name.as_str());
            }
        }
        Self {
            f,
            lists,
            consent: &contact.consent,
            addresses: &contact.addresses,
            ids: &contact.ids,
            gave_data: contact.gave_data,
            ran: &contact.ran,
            points: contact.points,
        }
    }
}

/// What [`ContactDoc`] wrote, and also the contact's own JSON, which earlier versions stored.
#[derive(Deserialize)]
pub struct StoredContact {
    #[serde(default)]
    f: Vec<Group<Values>>,
    #[serde(default)]
    lists: Vec<String>,
    /// As the contact's own JSON has them.
    #[serde(default)]
    fields: BTreeMap<String, Field>,
    #[serde(default)]
    consent: BTreeMap<String, Consent>,
    #[serde(default, with = "millis::map")]
    addresses: BTreeMap<Name, Timestamp>,
    #[serde(default, with = "millis::maps")]
    ids: AddressesOfIds,
    #[serde(default)]
    gave_data: bool,
    #[serde(default, with = "millis::map")]
    ran: BTreeMap<Name, Timestamp>,
    #[serde(default)]
    points: f64,
}

type Values = BTreeMap<String, Value>;

impl From<StoredContact> for Contact {
    fn from(stored: StoredContact) -> Self {
        let mut fields = stored.fields;
        for (Millis(at), arrival, values) in stored.f {
            for (name, value) in values {
                let was_list = stored.lists.contains(&name);
                let field = Field {
                    value,
                    at,
                    arrival,
                    was_list,
                };
                fields.insert(name, field);
            }
        }
        Self {
            id: None,
            fields,
            consent: stored.consent,
            addresses: stored.addresses,
            ids: stored.ids,
            gave_data: stored.gave_data,
            ran: stored.ran,
            points: stored.points,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::consent::{ConsentFact, What};

    fn contact() -> Contact {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut contact = Contact::default();
        let fields = |pairs: Value| serde_json::from_value(pairs).unwrap();
        contact.take_fields(
            &fields(json!({"email": "a@example.org", "age": 7, "Topics": ["x"]})),
            at(1),
            3,
        );
        contact.take_fields(&fields(json!({"city": "Ulm", "Topics": null})), at(2), 0);
        contact.add_address("a@example.org", at(1));
        contact.add_consent(&ConsentFact {
            purpose: "email".to_owned(),
            what: What::OptIn,
            at: at(1),
            basis: String::new(),
            address: None,
        });
        contact.ran.insert("welcome".into(), at(2));
        contact.points = 1.5;
        contact.gave_data = true;
        contact
    }

    #[test]
    fn a_contact_is_read_as_it_was_written() {
        let contact = contact();
        let text = serde_json::to_string(&ContactDoc::from(&contact)).unwrap();
        assert!(
            text.starts_with(
                r#"{"f":[[2000,0,{"Topics":null,"city":"Ulm"}],[1000,3,{"age":7,"email":"a@example.org"}]],"lists":["Topics"]"#
            ),
            "{text}"
        );
        let read: StoredContact = serde_json::from_str(&text).unwrap();
        assert_eq!(Contact::from(read), contact);
    }

    #[test]
    fn documents_of_earlier_versions_are_read() {
        let mut contact = contact();
        let declared = BTreeSet::from(["city".to_owned()]);
        contact.hold_several(declared.iter(), &declared);
        let text = serde_json::to_string(&contact).unwrap();
        let read: StoredContact = serde_json::from_str(&text).unwrap();
        assert_eq!(Contact::from(read), contact);
    }
}
