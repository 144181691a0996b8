//! Contacts and their tags.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Fired, Vbout, errors::Failure, parameters::Call, timeline::Activity};

#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    pub list: u64,
    /// As it was given. Addresses are compared without their case.
    pub email: String,
    /// 0 unconfirmed, 1 active, 2 unsubscribed, 3 bounced.
    pub status: u8,
    pub fields: BTreeMap<u64, String>,
    pub tags: BTreeSet<String>,
    pub activities: Vec<Activity>,
    pub registered_at: Timestamp,
}

impl Vbout {
    /// A contact, as a form of the list or a person in VBOUT adds it: no automation starts.
    pub fn put_contact(&mut self, list: u64, email: &str, status: u8) -> u64 {
        let (id, registered_at) = (self.next_id(), self.now());
        let contact = Contact {
            list,
            email: email.to_owned(),
            status,
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
            activities: Vec::new(),
            registered_at,
        };
        self.contacts.insert(id, contact);
        id
    }

    /// The numbers of all contacts with this address, of one list or of all.
    pub fn with_address(&self, email: &str, list: Option<u64>) -> Vec<u64> {
        let email = email.to_lowercase();
        let found = self.contacts.iter().filter(|(_, contact)| {
            contact.email.to_lowercase() == email && list.is_none_or(|list| list == contact.list)
        });
        found.map(|(id, _)| *id).collect()
    }

    /// The status of the only contact with this address on the list.
    pub fn status(&self, email: &str, list: u64) -> Option<u8> {
        let found = self.with_address(email, Some(list));
        Some(self.contacts[found.first()?].status)
    }

    pub(super) fn known_contact(&self, call: &Call) -> Result<u64, Failure> {
        let id = call.number("id")?;
        if self.contacts.contains_key(&id) {
            Ok(id)
        } else {
            Err(Failure::no_contact())
        }
    }

    /// The words of the documents, and the numbers that clients use.
    fn status_of(&self, call: &Call) -> Result<Option<u8>, Failure> {
        let Some(word) = call.text("status") else {
            return Ok(None);
        };
        match &*word.to_lowercase() {
            "active" => Ok(Some(1)),
            "disactive" => Ok(Some(self.dialect.disactive)),
            "0" | "1" | "2" | "3" => Ok(word.parse().ok()),
            _ => Err(Failure::invalid("status")),
        }
    }

    fn address(call: &Call) -> Result<&str, Failure> {
        let email = call.required("email")?;
        let is_valid = email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
        });
        if is_valid {
            Ok(email)
        } else {
            Err(Failure::invalid("email"))
        }
    }

    pub(super) fn add_contact(&mut self, call: &Call) -> Result<Value, Failure> {
        let list = self.known_list(call, "listid")?;
        let email = Self::address(call)?;
        let status = self.status_of(call)?.ok_or_else(|| Failure::missing("status"))?;
        if !self.with_address(email, Some(list)).is_empty() {
            return Err(Failure::is_subscribed());
        }
        let id = self.put_contact(list, email, status);
        self.write(id, call);
        Ok(self.done(id, "Contact has been added successfully!"))
    }

    pub(super) fn edit_contact(&mut self, call: &Call) -> Result<Value, Failure> {
        let id = self.known_contact(call)?;
        let status = self.status_of(call)?;
        let email = call.text("email").map(|_| Self::address(call)).transpose()?;
        let contact = self.contacts.get_mut(&id).unwrap();
        contact.status = status.unwrap_or(contact.status);
        if let Some(email) = email {
            email.clone_into(&mut contact.email);
        }
        self.write(id, call);
        Ok(self.done(id, "Contact has been updated successfully!"))
    }

    /// Writes all contacts of the address, or creates one on each list. One that is created without a status is active.
    pub(super) fn sync_contact(&mut self, call: &Call) -> Result<Value, Failure> {
        let email = Self::address(call)?;
        let status = self.status_of(call)?;
        let lists = call.numbers("listid")?;
        if lists.iter().any(|list| !self.lists.contains_key(list)) {
            return Err(Failure::no_list());
        }
        let mut ids = Vec::new();
        if lists.is_empty() {
            ids = self.with_address(email, None);
        }
        for list in lists {
            let known = self.with_address(email, Some(list));
            if known.is_empty() {
                ids.push(self.put_contact(list, email, status.unwrap_or(1)));
            }
            ids.extend(known);
        }
        let first = *ids.first().ok_or_else(|| Failure::missing("listid"))?;
        for id in ids {
            let contact = self.contacts.get_mut(&id).unwrap();
            contact.status = status.unwrap_or(contact.status);
            self.write(id, call);
        }
        Ok(self.done(first, "Contact has been synced successfully!"))
    }

    /// Writes the fields that the contact's list has. VBOUT passes over others.
    fn write(&mut self, id: u64, call: &Call) {
        let contact = self.contacts.get_mut(&id).unwrap();
        let known = &self.lists[&contact.list].fields;
        let mut changed = BTreeSet::new();
        for (field, value) in call.fields.iter().filter(|(field, _)| known.contains_key(field)) {
            if contact.fields.get(field) != Some(value) {
                contact.fields.insert(*field, value.clone());
                changed.insert(*field);
            }
        }
        if !changed.is_empty() {
            let fired = Fired {
                contact: id,
                fields: changed,
            };
            self.fired.push(fired);
        }
    }

    fn done(&self, id: u64, words: &str) -> Value {
        if self.dialect.returns_ids {
            json!({ "id": id, "item": words })
        } else {
            json!({ "item": words })
        }
    }

    pub(super) fn move_contact(&mut self, call: &Call) -> Result<Value, Failure> {
        let (id, list) = (self.known_contact(call)?, self.known_list(call, "listid")?);
        let source = call.number("sourceid")?;
        let contact = self
            .contacts
            .get_mut(&id)
            .filter(|contact| contact.list == source);
        contact.ok_or_else(Failure::no_contact)?.list = list;
        Ok(self.done(id, "Contact has been moved successfully!"))
    }

    pub(super) fn delete_contact(&mut self, call: &Call) -> Result<Value, Failure> {
        let (id, list) = (self.known_contact(call)?, self.known_list(call, "listid")?);
        if self.contacts[&id].list != list {
            return Err(Failure::no_contact());
        }
        self.contacts.remove(&id);
        Ok(json!({ "item": "Contact has been deleted successfully!" }))
    }

    pub(super) fn show_contact(&self, call: &Call) -> Result<Value, Failure> {
        let found = self.known_contact(call);
        self.shown(found.map(|id| self.row(id)))
    }

    pub(super) fn find_contacts(&self, call: &Call) -> Result<Value, Failure> {
        let email = call.required("email")?;
        let list = call.text("listid").map(|_| self.known_list(call, "listid"));
        let found = self.with_address(email, list.transpose()?);
        let rows: Vec<Value> = found.into_iter().map(|id| self.row(id)).collect();
        self.shown(match rows.as_slice() {
            [] => Err(Failure::no_contact()),
            [only] if self.dialect.shows_one_as_object => Ok(only.clone()),
            _ => Ok(rows.into()),
        })
    }

    fn shown(&self, found: Result<Value, Failure>) -> Result<Value, Failure> {
        match found {
            Ok(contact) => Ok(json!({ "contact": contact })),
            Err(failure) if self.dialect.has_outer_errors => Err(failure),
            Err(failure) => Ok(json!({ "contact": failure.data() })),
        }
    }

    pub(super) fn list_contacts(&self, call: &Call) -> Result<Value, Failure> {
        let list = self.known_list(call, "listid")?;
        let rows = self.contacts.iter().filter(|(_, contact)| contact.list == list);
        let rows: Vec<Value> = rows.map(|(id, _)| self.row(*id)).collect();
        Ok(json!({ "contacts": { "count": rows.len(), "items": rows } }))
    }

    fn row(&self, id: u64) -> Value {
        let contact = &self.contacts[&id];
        let mut row = json!({
            "id": id.to_string(), "email": contact.email, "status": contact.status.to_string(),
            "registration_date": contact.registered_at.strftime("%m/%d/%Y %H:%M").to_string(),
        });
        if self.dialect.shows_lists {
            row["listid"] = contact.list.to_string().into();
            row["list_name"] = self.lists[&contact.list].name.as_str().into();
        }
        row
    }

    /// Adds or removes tags, of one contact or of all with the address.
    pub(super) fn tag(&mut self, call: &Call, is_added: bool) -> Result<Value, Failure> {
        let ids = match call.text("id") {
            Some(_) => vec![self.known_contact(call)?],
            None => self.with_address(call.required("email")?, None),
        };
        if ids.is_empty() {
            return Err(Failure::no_contact());
        }
        let names = call.required("tagname")?.split(',').map(str::trim);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        for id in ids {
            let tags = &mut self.contacts.get_mut(&id).unwrap().tags;
            for name in &names {
                if is_added {
                    tags.insert((*name).to_owned());
                } else {
                    tags.remove(*name);
                }
            }
        }
        Ok(json!({ "item": "Tags have been saved successfully!" }))
    }
}
