//! Contacts and their properties.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, Mailjet, envelope, errors::Failure};

#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// In small letters.
    pub email: String,
    pub name: String,
    pub is_excluded: bool,
    pub created_at: Timestamp,
    pub properties: BTreeMap<String, Value>,
}

impl Mailjet {
    /// The contact with this address.
    pub fn contact(&self, email: &str) -> Option<(u64, &Contact)> {
        let email = email.to_lowercase();
        let found = self.contacts.iter().find(|(_, contact)| contact.email == email);
        found.map(|(id, contact)| (*id, contact))
    }

    /// A contact by number or address.
    pub(super) fn known(&self, who: &str) -> Result<u64, Failure> {
        let by_id = who.parse().ok().filter(|id| self.contacts.contains_key(id));
        let by_address = || self.contact(who).map(|(id, _)| id);
        by_id.or_else(by_address).ok_or_else(Failure::not_found)
    }

    /// Creates the contact, or finds it.
    pub(super) fn ensure(&mut self, email: &str) -> Result<u64, Failure> {
        let email = email.trim().to_lowercase();
        if let Some((id, _)) = self.contact(&email) {
            return Ok(id);
        }
        let is_valid = email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
        });
        if !is_valid {
            return Err(Failure::invalid_email());
        }
        let (id, created_at) = (self.next_id(), self.now());
        let contact = Contact {
            email,
            name: String::new(),
            is_excluded: false,
            created_at,
            properties: BTreeMap::new(),
        };
        self.contacts.insert(id, contact);
        Ok(id)
    }

    pub(super) fn create_contact(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let email = call.text("Email").unwrap_or_default();
        if self.contact(email).is_some() {
            return Err(Failure::exists("Contact"));
        }
        let id = self.ensure(email)?;
        if let Some(name) = call.text("Name") {
            name.clone_into(&mut self.contacts.get_mut(&id).unwrap().name);
        }
        Ok((201, envelope(&[self.shown(id)])))
    }

    pub(super) fn read_contact(&self, who: &str) -> Result<Vec<Value>, Failure> {
        let id = self.known(who)?;
        Ok(vec![self.shown(id)])
    }

    /// An update that changes nothing is a 304.
    pub(super) fn update_contact(&mut self, who: &str, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let id = self.known(who)?;
        let contact = self.contacts.get_mut(&id).unwrap();
        let before = contact.clone();
        if let Some(name) = call.text("Name") {
            name.clone_into(&mut contact.name);
        }
        if let Some(is_excluded) = call.body.get("IsExcludedFromCampaigns").and_then(Value::as_bool) {
            contact.is_excluded = is_excluded;
        }
        if *contact == before {
            return Ok((304, Value::Null));
        }
        Ok((200, envelope(&[self.shown(id)])))
    }

    pub(super) fn delete_contact(&mut self, id: &str) -> Result<(u16, Value), Failure> {
        let id = id.parse().map_err(|_| Failure::not_found())?;
        self.contacts.remove(&id).ok_or_else(Failure::not_found)?;
        self.recipients.retain(|(contact, _), _| *contact != id);
        Ok((200, Value::Null))
    }

    pub(super) fn list_contacts(&self, call: &Call<'_>) -> Vec<Value> {
        let list = call
            .parameter("ContactsList")
            .and_then(|id| id.parse::<u64>().ok());
        let rows = self.contacts.keys().filter(|id| match list {
            Some(list) => self.recipients.contains_key(&(**id, list)),
            None => true,
        });
        call.page(rows.map(|id| self.shown(*id)).collect())
    }

    pub(super) fn read_data(&self, who: &str) -> Result<Vec<Value>, Failure> {
        let id = self.known(who)?;
        Ok(vec![self.shown_data(id)])
    }

    pub(super) fn write_data(&mut self, who: &str, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let id = self.known(who)?;
        let rows = call
            .body
            .get("Data")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let named = rows.iter().filter_map(|row| {
            let name = row.get("Name")?.as_str()?;
            Some((name.to_owned(), row.get("Value")?.clone()))
        });
        let is_changed = self.write(id, named.collect())?;
        if !is_changed {
            return Ok((304, Value::Null));
        }
        Ok((200, envelope(&[self.shown_data(id)])))
    }

    /// Writes all properties or none. Returns whether one changed.
    pub(super) fn write(&mut self, id: u64, given: Map<String, Value>) -> Result<bool, Failure> {
        for (name, value) in &given {
            let kind = self
                .properties
                .get(name)
                .ok_or_else(|| Failure::unknown_property(name))?;
            if !fits(kind, value) {
                return Err(Failure::new(
                    400,
                    format!("MJ07 Invalid value for the {kind} property"),
                ));
            }
        }
        let properties = &mut self.contacts.get_mut(&id).unwrap().properties;
        let before = properties.clone();
        for (name, value) in given {
            if value.is_null() {
                properties.remove(&name);
            } else {
                properties.insert(name, value);
            }
        }
        Ok(*properties != before)
    }

    pub(super) fn list_properties(&self, call: &Call<'_>) -> Vec<Value> {
        let rows = self.properties.iter().enumerate();
        let show = |(at, (name, kind)): (usize, (&String, &String))| json!({ "ID": at + 1, "Name": name, "Datatype": kind, "NameSpace": "static" });
        call.page(rows.map(show).collect())
    }

    pub(super) fn create_property(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let name = call.text("Name").unwrap_or_default().to_lowercase();
        let kind = call.text("Datatype").unwrap_or("str").to_owned();
        if name.is_empty() || !matches!(&*kind, "str" | "int" | "float" | "bool" | "datetime") {
            return Err(Failure::new(400, "MJ03 Invalid property"));
        }
        if self.properties.contains_key(&name) {
            return Err(Failure::exists("ContactMetadata"));
        }
        self.properties.insert(name.clone(), kind.clone());
        let row =
            json!({ "ID": self.properties.len(), "Name": name, "Datatype": kind, "NameSpace": "static" });
        Ok((201, envelope(&[row])))
    }

    fn shown(&self, id: u64) -> Value {
        let contact = &self.contacts[&id];
        json!({
            "ID": id, "Email": contact.email, "Name": contact.name,
            "IsExcludedFromCampaigns": contact.is_excluded,
            "IsOptInPending": false, "CreatedAt": contact.created_at.to_string(), "DeliveredCount": 0,
        })
    }

    fn shown_data(&self, id: u64) -> Value {
        let rows = self.contacts[&id].properties.iter();
        let rows: Vec<Value> = rows
            .map(|(name, value)| json!({ "Name": name, "Value": value }))
            .collect();
        json!({ "ContactID": id, "ID": id, "Data": rows })
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match kind {
        _ if value.is_null() => true,
        "int" => value.is_i64() || text.parse::<i64>().is_ok(),
        "float" => value.is_number() || text.parse::<f64>().is_ok(),
        "bool" => value.is_boolean() || matches!(text, "true" | "false"),
        "datetime" => text.parse::<Timestamp>().is_ok(),
        _ => !value.is_array() && !value.is_object(),
    }
}
