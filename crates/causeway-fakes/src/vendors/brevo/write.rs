//! Writes contacts.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Brevo,
    attributes::{Type, phone},
    call::{Failure, numbers},
    contact::Contact,
};

/// What a request writes, read and checked.
#[derive(Default)]
pub(super) struct Write {
    pub email: Option<String>,
    pub ext_id: Option<String>,
    attributes: Vec<(String, Value)>,
    lists: Vec<u64>,
    unlink: Vec<u64>,
    is_blocked: Option<bool>,
    is_sms_blocked: Option<bool>,
}

impl Write {
    /// A telephone number, which names one contact.
    pub fn number(&self, attribute: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find(|(name, _)| name == attribute)
            .and_then(|(_, value)| value.as_str())
    }
}

impl Brevo {
    pub(super) fn read_write(&self, body: &Map<String, Value>) -> Result<Write, Failure> {
        let flag = |name: &str| body.get(name).and_then(Value::as_bool);
        let mut write = Write {
            email: body.get("email").map(address).transpose()?,
            ext_id: body.get("ext_id").and_then(Value::as_str).map(str::to_owned),
            lists: numbers(body, "listIds")?,
            unlink: numbers(body, "unlinkListIds")?,
            is_blocked: flag("emailBlacklisted"),
            is_sms_blocked: flag("smsBlacklisted"),
            ..Write::default()
        };
        if let Some(unknown) = write.lists.iter().find(|list| !self.lists.contains_key(list)) {
            return Err(Failure::invalid(&format!("List id {unknown} does not exist")));
        }
        let attributes = match body.get("attributes") {
            None | Some(Value::Null) => return Ok(write),
            Some(Value::Object(attributes)) => attributes,
            Some(_) => return Err(Failure::invalid("attributes should be an object")),
        };
        for (name, value) in attributes {
            let name = name.to_uppercase();
            match (&*name, self.attributes.get(&name)) {
                // This is how an update changes the address.
                ("EMAIL", _) => write.email = Some(address(value)?),
                ("EXT_ID", _) => write.ext_id = value.as_str().map(str::to_owned),
                (_, Some(_)) if is_blank(value) => write.attributes.push((name, Value::Null)),
                (_, Some(Type::Phone)) if Type::Phone.kept(value).is_none() => {
                    return Err(Failure::invalid("Invalid phone number"));
                }
                // A name that does not exist, and a value of another type, are ignored.
                (_, kind) => {
                    if let Some(kept) = kind.and_then(|kind| kind.kept(value)) {
                        write.attributes.push((name, kept));
                    }
                }
            }
        }
        Ok(write)
    }

    /// The contacts that have one of the identifiers, with the identifier's name.
    pub(super) fn owners(&self, write: &Write) -> Vec<(u64, &'static str)> {
        let mut owners = Vec::new();
        for contact in self.contacts.values() {
            let has = |own: Option<&str>, written: Option<&str>| own.is_some() && own == written;
            let number = |name: &str| {
                let own = contact.attributes.get(name).and_then(Value::as_str);
                has(own, write.number(name))
            };
            for (name, is_same) in [
                ("email", has(contact.email.as_deref(), write.email.as_deref())),
                ("ext_id", has(contact.ext_id.as_deref(), write.ext_id.as_deref())),
                ("SMS", number("SMS")),
                ("WHATSAPP", number("WHATSAPP")),
                ("LANDLINE_NUMBER", number("LANDLINE_NUMBER")),
            ] {
                owners.extend(is_same.then_some((contact.id, name)));
            }
        }
        owners
    }

    /// Writes a contact that is there, or a new one. Fails if another contact has one of the identifiers.
    pub(super) fn write(&mut self, id: Option<u64>, write: Write, now: Timestamp) -> Result<u64, Failure> {
        let others = self.owners(&write);
        let others: Vec<&str> = others
            .iter()
            .filter(|(owner, _)| Some(*owner) != id)
            .map(|(_, name)| *name)
            .collect();
        if !others.is_empty() {
            return Err(Failure::duplicate(&others, self.duplicates_are_invalid));
        }
        let id = id.unwrap_or_else(|| self.number());
        let contact = self.contacts.entry(id);
        let contact = contact.or_insert_with(|| Contact::new(id, now));
        let is_renamed = write.email.is_some() && contact.email.is_some() && write.email != contact.email;
        contact.email = write.email.or(contact.email.take());
        contact.ext_id = write.ext_id.or(contact.ext_id.take());
        for (name, value) in write.attributes {
            if value.is_null() {
                contact.attributes.remove(&name);
            } else {
                contact.attributes.insert(name, value);
            }
        }
        for list in write.lists {
            contact.lists.insert(list);
            // An addition by the API undoes an unsubscription from the list.
            contact.left.remove(&list);
        }
        contact.lists.retain(|list| !write.unlink.contains(list));
        if write.is_blocked == Some(true) && !contact.is_blocked {
            contact.unsubscribed_by_admin.push(now);
        }
        // A new address lifts the block, as the reference warns.
        contact.is_blocked = write.is_blocked.unwrap_or(contact.is_blocked && !is_renamed);
        contact.is_sms_blocked = write.is_sms_blocked.unwrap_or(contact.is_sms_blocked);
        contact.modified = now;
        Ok(id)
    }

    /// The number of the contact that a path names, by the type of the identifier.
    pub(super) fn named(&self, identifier: &str, kind: Option<&str>) -> Result<u64, Failure> {
        let mut contacts = self.contacts.values();
        let found = match kind {
            Some("ext_id") => contacts.find(|contact| contact.ext_id.as_deref() == Some(identifier)),
            Some(kind @ ("phone_id" | "whatsapp_id" | "landline_number_id")) => {
                let attribute = match kind {
                    "phone_id" => "SMS",
                    "whatsapp_id" => "WHATSAPP",
                    _ => "LANDLINE_NUMBER",
                };
                let number = phone(identifier);
                contacts.find(|contact| {
                    let own = contact.attributes.get(attribute).and_then(Value::as_str);
                    own.is_some() && own == number.as_deref()
                })
            }
            Some("email_id") | None if identifier.contains('@') => {
                let email = identifier.to_lowercase();
                contacts.find(|contact| contact.email.as_deref() == Some(&email))
            }
            Some("contact_id") | None => contacts.find(|contact| contact.id.to_string() == identifier),
            Some(_) => return Err(Failure::invalid("Invalid identifierType")),
        };
        found.map(|contact| contact.id).ok_or_else(Failure::no_contact)
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn address(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(|text| text.trim().to_lowercase());
    let is_address = |text: &String| {
        let parts = text.split_once('@');
        parts.is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !text.contains(' '))
    };
    text.filter(is_address)
        .ok_or_else(|| Failure::invalid("Invalid email address"))
}
