//! People: the signup helper, updates, and lists with a filter.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{ActionNetwork, answer};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Subscribed,
    Unsubscribed,
    Bouncing,
    SpamComplaint,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Bouncing => "bouncing",
            Self::SpamComplaint => "spam complaint",
        }
    }

    /// Only these two can be written.
    fn written(value: Option<&Value>) -> Result<Option<Self>, Reply> {
        match value.and_then(Value::as_str) {
            None => Ok(None),
            Some("subscribed") => Ok(Some(Self::Subscribed)),
            Some("unsubscribed") => Ok(Some(Self::Unsubscribed)),
            Some(_) => Err(answer::error(400, "You must specify a valid status")),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Person {
    pub id: u64,
    pub identifiers: Vec<String>,
    pub email: String,
    pub status: Status,
    pub given_name: String,
    pub family_name: String,
    pub languages: Vec<String>,
    /// The parts of the address: `locality`, `postal_code`, `country` and so on.
    pub address: Map<String, Value>,
    pub phone: Option<(String, Status)>,
    pub custom: BTreeMap<String, Value>,
    pub tags: BTreeSet<String>,
    pub created: Timestamp,
    pub modified: Timestamp,
}

impl Person {
    pub fn has(&self, email: &str) -> bool {
        self.email.eq_ignore_ascii_case(email)
    }

    pub fn uuid(&self) -> String {
        answer::uuid(self.id)
    }

    fn to_json(&self) -> Value {
        let own = format!("action_network:{}", self.uuid());
        // Its own identifier is not always the first.
        let identifiers: Vec<&String> = self.identifiers.iter().chain([&own]).collect();
        let mut address = self.address.clone();
        address.insert("primary".to_owned(), true.into());
        json!({
            "identifiers": identifiers,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "languages_spoken": self.languages,
            "email_addresses": [{ "primary": true, "address": self.email, "status": self.status.as_str() }],
            "phone_numbers": self.phone.iter().map(|(number, status)| json!({ "primary": true, "number": number, "number_type": "Mobile", "status": status.as_str() })).collect::<Value>(),
            "postal_addresses": [address],
            "custom_fields": self.custom,
            "created_date": self.created.to_string(),
            "modified_date": self.modified.to_string(),
            "_links": { "self": { "href": format!("{}/people/{}", answer::BASE, self.uuid()) } },
        })
    }
}

impl ActionNetwork {
    pub(super) fn list_people(&self, query: &[(String, String)]) -> Reply {
        let all = self.people.values();
        let found: Vec<Value> = match answer::filter(query) {
            None => all.map(Person::to_json).collect(),
            Some(Err(reply)) => return reply,
            Some(Ok((field, _, value))) => {
                let meets = |person: &&Person| match &*field {
                    "email_address" => person.has(&value),
                    "given_name" => person.given_name == value,
                    "family_name" => person.family_name == value,
                    "identifier" => person.identifiers.contains(&value),
                    _ => false,
                };
                all.filter(meets).map(Person::to_json).collect()
            }
        };
        answer::paged("osdi:people", found, query)
    }

    pub(super) fn read_person(&self, uuid: &str) -> Reply {
        let person = answer::number(uuid).and_then(|id| self.people.get(&id));
        match person {
            Some(person) => Reply::json(200, &person.to_json()),
            None => answer::error(404, "Not found"),
        }
    }

    /// Finds by address, creates or changes.
    pub(super) fn sign_up(&mut self, body: &Value) -> Reply {
        match self.upsert(body) {
            Ok(id) => Reply::json(
                200,
                &self.people.get(&id).map(Person::to_json).unwrap_or_default(),
            ),
            Err(reply) => reply,
        }
    }

    /// A helper's person, with its tags. A failure is an empty object.
    pub(super) fn upsert(&mut self, body: &Value) -> Result<u64, Reply> {
        let nothing = || Reply::json(200, &json!({}));
        let person = body.get("person").ok_or_else(nothing)?;
        let email = person.pointer("/email_addresses/0");
        let address = email.and_then(|email| email.get("address")?.as_str());
        let address = address
            .filter(|address| is_address(address))
            .ok_or_else(nothing)?
            .to_owned();
        let status = Status::written(email.and_then(|email| email.get("status")))?;
        let now = self.now();
        let known = self
            .people
            .values()
            .find(|person| person.has(&address))
            .map(|person| person.id);
        let id = known.unwrap_or_else(|| {
            let id = self.next_id();
            let person = Person {
                id,
                identifiers: Vec::new(),
                email: address,
                status: Status::Subscribed,
                given_name: String::new(),
                family_name: String::new(),
                languages: vec!["en".to_owned()],
                address: Map::new(),
                phone: None,
                custom: BTreeMap::new(),
                tags: BTreeSet::new(),
                created: now,
                modified: now,
            };
            self.people.insert(id, person);
            id
        });
        self.merge(id, person, status)?;
        self.tag(id, body);
        Ok(id)
    }

    pub(super) fn update_person(&mut self, uuid: &str, body: &Value) -> Reply {
        let Some(id) = answer::number(uuid).filter(|id| self.people.contains_key(id)) else {
            return answer::error(404, "Not found");
        };
        let status = match Status::written(body.pointer("/email_addresses/0/status")) {
            Ok(status) => status,
            Err(reply) => return reply,
        };
        match self.merge(id, body, status) {
            Ok(()) => self.read_person(uuid),
            Err(reply) => reply,
        }
    }

    /// Nothing is removed unless it is null.
    fn merge(&mut self, id: u64, values: &Value, status: Option<Status>) -> Result<(), Reply> {
        let (now, fields) = (self.now(), self.custom_fields.clone());
        let mut dropped = Vec::new();
        let Some(person) = self.people.get_mut(&id) else {
            return Err(answer::error(404, "Not found"));
        };
        let text = |name: &str, old: &str| match values.get(name) {
            None => old.to_owned(),
            Some(value) => value.as_str().unwrap_or_default().to_owned(),
        };
        person.given_name = text("given_name", &person.given_name);
        person.family_name = text("family_name", &person.family_name);
        person.status = status.unwrap_or(person.status);
        for identifier in values
            .get("identifiers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let identifier = identifier.as_str().unwrap_or_default().to_owned();
            if !identifier.contains(':') {
                return Err(answer::error(400, "Identifiers must have the form system:id"));
            }
            if !person.identifiers.contains(&identifier) {
                person.identifiers.push(identifier);
            }
        }
        if let Some(languages) = values.get("languages_spoken").and_then(Value::as_array) {
            let languages = languages.iter().filter_map(Value::as_str);
            // An unknown code becomes English.
            person.languages = languages
                .map(|code| if code.len() == 2 { code } else { "en" }.to_owned())
                .collect();
        }
        if let Some(address) = values.pointer("/postal_addresses/0").and_then(Value::as_object) {
            let mut address = address.clone();
            // Each item is an address of its own, and an address without a country is in the United States.
            address.entry("country").or_insert_with(|| "US".into());
            person.address.extend(address);
        }
        if let Some(number) = values.pointer("/phone_numbers/0/number").and_then(Value::as_str) {
            let status = Status::written(values.pointer("/phone_numbers/0/status"))?;
            person.phone = Some((number.to_owned(), status.unwrap_or(Status::Unsubscribed)));
        }
        for (name, value) in values
            .get("custom_fields")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if fields.contains(name) {
                person.custom.insert(name.clone(), value.clone());
            } else {
                dropped.push(name.clone());
            }
        }
        person.modified = now;
        self.dropped_fields.extend(dropped);
        Ok(())
    }

    fn tag(&mut self, id: u64, body: &Value) {
        for name in body
            .get("add_tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = name.as_str().unwrap_or_default().to_owned();
            if !self.tags.contains_key(&name) {
                self.ignored_tags.push(name);
            } else if let Some(person) = self.people.get_mut(&id) {
                person.tags.insert(name);
            }
        }
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'))
}
