//! Contacts and the values of their custom fields.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ActiveCampaign, Call, errors::Failure, loose, number};

/// What the API calls a contact in its errors.
pub(super) const CONTACT: &str = "Subscriber";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// In small letters.
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub phone: String,
    /// Number of the field → value.
    pub values: BTreeMap<u64, String>,
}

/// A custom field.
#[derive(Debug, Clone)]
pub struct Field {
    pub title: String,
    pub perstag: String,
}

impl ActiveCampaign {
    /// A custom field. Returns its number.
    pub fn add_field(&mut self, title: &str) -> u64 {
        let id = self.next_id();
        let field = Field {
            title: title.to_owned(),
            perstag: title.to_uppercase().replace(' ', "_"),
        };
        self.fields.insert(id, field);
        id
    }

    /// The contact with this address.
    pub fn contact(&self, email: &str) -> Option<(u64, &Contact)> {
        let email = email.to_lowercase();
        let found = self.contacts.iter().find(|(_, contact)| contact.email == email);
        found.map(|(id, contact)| (*id, contact))
    }

    pub(super) fn sync_contact(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let given = call.member("contact")?;
        let email = email(given)?;
        let known = self.contact(&email).map(|(id, _)| id);
        let (status, id) = match known {
            Some(id) => (200, id),
            None => (201, self.insert(email)?),
        };
        let written = self.write(id, given);
        Ok((
            status,
            json!({ "fieldValues": written, "contact": self.shown(id) }),
        ))
    }

    pub(super) fn create_contact(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let given = call.member("contact")?;
        let email = email(given)?;
        if self.contact(&email).is_some() {
            let title = "Email address already exists in the system";
            return Err(Failure::invalid(title, "duplicate", "email"));
        }
        let id = self.insert(email)?;
        let written = self.write(id, given);
        Ok((201, json!({ "fieldValues": written, "contact": self.shown(id) })))
    }

    pub(super) fn update_contact(&mut self, id: &str, call: &Call<'_>) -> Result<Value, Failure> {
        let id = self.known_contact(id)?;
        let given = call.member("contact")?;
        if given.get("email").is_some() {
            let email = email(given)?;
            if self.contact(&email).is_some_and(|(other, _)| other != id) {
                let title = "Email address already exists in the system";
                return Err(Failure::invalid(title, "duplicate", "email"));
            }
            self.contacts.get_mut(&id).unwrap().email = email;
        }
        let written = self.write(id, given);
        Ok(json!({ "fieldValues": written, "contact": self.shown(id) }))
    }

    pub(super) fn read_contact(&self, id: &str) -> Result<Value, Failure> {
        let id = self.known_contact(id)?;
        let values = self.values_of(id);
        Ok(json!({ "contact": self.shown(id), "fieldValues": values }))
    }

    pub(super) fn delete_contact(&mut self, id: &str) -> Result<Value, Failure> {
        let id = self.known_contact(id)?;
        self.contacts.remove(&id);
        self.memberships.retain(|(contact, _), _| *contact != id);
        self.contact_tags.retain(|_, (contact, _)| *contact != id);
        Ok(json!({}))
    }

    pub(super) fn list_contacts(&self, call: &Call<'_>) -> Value {
        let email = call.parameter("email").map(str::to_lowercase);
        let after = call.parameter("id_greater").and_then(|id| id.parse::<u64>().ok());
        let rows: Vec<Value> = self
            .contacts
            .iter()
            .filter(|(_, contact)| email.as_ref().is_none_or(|email| contact.email == *email))
            .filter(|(id, _)| after.is_none_or(|after| **id > after))
            .map(|(id, _)| self.shown(*id))
            .collect();
        let (contacts, meta) = call.page(&rows);
        json!({ "scoreValues": [], "contacts": contacts, "meta": meta })
    }

    pub(super) fn values_of_contact(&self, id: &str) -> Result<Value, Failure> {
        let id = self.known_contact(id)?;
        Ok(json!({ "fieldValues": self.values_of(id) }))
    }

    pub(super) fn list_fields(&self, call: &Call<'_>) -> Value {
        let rows: Vec<Value> = self
            .fields
            .iter()
            .map(|(id, field)| show_field(*id, field))
            .collect();
        let (fields, meta) = call.page(&rows);
        json!({ "fields": fields, "meta": meta })
    }

    pub(super) fn read_field(&self, id: &str) -> Result<Value, Failure> {
        let id = number(id, "Field")?;
        let field = self
            .fields
            .get(&id)
            .ok_or_else(|| Failure::not_found("Field", &id.to_string()))?;
        Ok(json!({ "field": show_field(id, field) }))
    }

    pub(super) fn known_contact(&self, id: &str) -> Result<u64, Failure> {
        let known = number(id, CONTACT)?;
        let is_known = self.contacts.contains_key(&known);
        is_known
            .then_some(known)
            .ok_or_else(|| Failure::not_found(CONTACT, id))
    }

    fn insert(&mut self, email: String) -> Result<u64, Failure> {
        if self.contacts.len() >= self.most_contacts {
            return Err(Failure::too_many_contacts());
        }
        let id = self.next_id();
        let contact = Contact {
            email,
            ..Contact::default()
        };
        self.contacts.insert(id, contact);
        Ok(id)
    }

    /// Writes what is given, and returns the values of custom fields that were written. Fields that do not exist are
    /// passed over without a word.
    fn write(&mut self, id: u64, given: &Value) -> Vec<Value> {
        let contact = self.contacts.get_mut(&id).unwrap();
        for (name, place) in [
            ("firstName", &mut contact.first_name),
            ("lastName", &mut contact.last_name),
            ("phone", &mut contact.phone),
        ] {
            if let Some(text) = given.get(name).and_then(Value::as_str) {
                text.clone_into(place);
            }
        }
        let values = given.get("fieldValues").and_then(Value::as_array);
        let mut written = Vec::new();
        for value in values.into_iter().flatten() {
            let Some(field) = loose(value.get("field")).filter(|field| self.fields.contains_key(field))
            else {
                continue;
            };
            let text = value.get("value").and_then(Value::as_str).unwrap_or_default();
            contact.values.insert(field, text.to_owned());
            written.push(show_value(id, field, text));
        }
        written
    }

    fn values_of(&self, id: u64) -> Vec<Value> {
        let values = self.contacts[&id].values.iter();
        values.map(|(field, text)| show_value(id, *field, text)).collect()
    }

    fn shown(&self, id: u64) -> Value {
        let contact = &self.contacts[&id];
        json!({
            "id": id.to_string(), "email": contact.email, "firstName": contact.first_name,
            "lastName": contact.last_name, "phone": contact.phone, "deleted": "0", "bounced_hard": "0",
        })
    }
}

fn show_value(contact: u64, field: u64, value: &str) -> Value {
    json!({ "contact": contact.to_string(), "field": field.to_string(), "value": value, "id": format!("{contact}{field}") })
}

fn show_field(id: u64, field: &Field) -> Value {
    json!({ "id": id.to_string(), "title": field.title, "perstag": field.perstag, "type": "text" })
}

/// The address in small letters.
fn email(given: &Value) -> Result<String, Failure> {
    let email = given
        .get("email")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    if email.is_empty() {
        return Err(Failure::invalid(
            "Contact Email Address is required.",
            "field_missing",
            "email",
        ));
    }
    let is_valid = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
    });
    if !is_valid {
        return Err(Failure::invalid(
            "Contact Email Address is not valid.",
            "email_invalid",
            "email",
        ));
    }
    Ok(email)
}
