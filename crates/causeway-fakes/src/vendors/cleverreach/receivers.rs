//! Receivers: what they are, and the calls about one of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Call, CleverReach,
    errors::Failure,
    rows::{Mode, Shape},
};

/// What all groups share about an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    pub id: u64,
    pub attributes: BTreeMap<String, String>,
}

/// An address in one group. Times are Unix seconds; 0 is never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receiver {
    pub registered: i64,
    pub activated: i64,
    pub deactivated: i64,
    pub bounced: i64,
    pub source: String,
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeSet<String>,
}

impl Receiver {
    /// Whether CleverReach mails them.
    pub fn is_active(&self) -> bool {
        self.activated > 0 && self.deactivated == 0
    }
}

pub(super) fn is_address(email: &str) -> bool {
    email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace) && !host.contains('@')
    })
}

impl CleverReach {
    /// The receiver with this address in this group.
    pub fn receiver(&self, group: u64, email: &str) -> Option<&Receiver> {
        self.receivers.get(&(group, email.to_lowercase()))
    }

    /// Whether CleverReach mails this address in this group; `None` if it is no receiver.
    pub fn is_active(&self, group: u64, email: &str) -> Option<bool> {
        let is_blocked = self.blacklist.contains_key(&email.to_lowercase());
        self.receiver(group, email)
            .map(|receiver| receiver.is_active() && !is_blocked)
    }

    /// The person leaves the group at CleverReach.
    pub fn leave(&mut self, group: u64, email: &str) {
        let now = self.now();
        if let Some(receiver) = self.receivers.get_mut(&(group, email.to_lowercase())) {
            receiver.deactivated = now;
        }
    }

    /// An address, by itself or by the person's number.
    fn address(&self, who: &str) -> Result<String, Failure> {
        let id: Option<u64> = who.parse().ok();
        let by_id = self.people.iter().find(|(_, person)| Some(person.id) == id);
        let by_address = || Some(who.to_lowercase()).filter(|email| self.people.contains_key(email));
        by_id
            .map(|(email, _)| email.clone())
            .or_else(by_address)
            .ok_or_else(|| Failure::not_found("receiver"))
    }

    fn key(&self, group: u64, who: &str) -> Result<(u64, String), Failure> {
        let key = (group, self.address(who)?);
        if self.receivers.contains_key(&key) {
            return Ok(key);
        }
        Err(Failure::not_found("receiver"))
    }

    /// The group in which a receiver is looked up: the first one, if the call names none.
    fn find(&self, group: Option<u64>, who: &str) -> Result<(u64, String), Failure> {
        let email = self.address(who)?;
        let mut keys = self.receivers.keys();
        let key = keys.find(|(of, known)| *known == email && group.is_none_or(|group| group == *of));
        key.cloned().ok_or_else(|| Failure::not_found("receiver"))
    }

    pub(super) fn show(&self, key: &(u64, String)) -> Value {
        let (group, email) = key;
        let (receiver, person) = (&self.receivers[key], &self.people[email]);
        let values = |known: &BTreeMap<String, String>, of: Option<u64>| {
            let names = self.attributes.iter().filter(|attribute| attribute.group == of);
            let all = names.map(|attribute| {
                let value = known.get(&attribute.name).cloned().unwrap_or_default();
                (attribute.name.clone(), value.into())
            });
            all.collect::<Map<String, Value>>()
        };
        json!({
            "id": person.id.to_string(), "email": email, "imported": 0, "bounced": receiver.bounced,
            "group_id": group.to_string(), "activated": receiver.activated, "registered": receiver.registered,
            "deactivated": receiver.deactivated, "last_ip": "", "last_location": "", "last_client": "",
            "points": 0, "stars": 0, "source": receiver.source,
            "attributes": values(&receiver.attributes, Some(*group)),
            "global_attributes": values(&person.attributes, None),
            "tags": receiver.tags, "active": self.is_active(*group, email),
            "conversion_rate": 0, "open_rate": 0, "click_rate": 0, "orders": [],
        })
    }

    /// `/receivers/{id or address}`
    pub(super) fn run_for_receiver(
        &mut self,
        group: Option<u64>,
        who: &str,
        call: &Call<'_>,
    ) -> Result<Value, Failure> {
        let key = self.find(group, who)?;
        match call.method {
            "GET" if self.answers_lists => Ok(json!([self.show(&key)])),
            "GET" => Ok(self.show(&key)),
            "DELETE" => {
                let of = key.1.clone();
                self.receivers.retain(|(in_group, email), _| {
                    *email != of || group.is_some_and(|group| group != *in_group)
                });
                Ok(true.into())
            }
            _ => Err(Failure::new(404, "Not Found")),
        }
    }

    /// `/groups/{id}/receivers…`
    pub(super) fn run_in_group(
        &mut self,
        group: u64,
        path: &[&str],
        call: &Call<'_>,
    ) -> Result<Value, Failure> {
        match (call.method, path) {
            ("GET", []) => {
                let keys = self.receivers.keys().filter(|(of, _)| *of == group);
                Ok(call.page(keys.map(|key| self.show(key)).collect()))
            }
            ("POST", []) => self.create(group, &call.body),
            ("POST", ["upsert"]) => self.write(group, &call.body, Mode::Upsert, Shape::Short),
            ("POST", ["upsertplus"]) => self.write(group, &call.body, Mode::Upsert, Shape::Full),
            ("POST", ["insert"]) => self.write(group, &call.body, Mode::Insert, Shape::Short),
            ("POST", ["insertplus"]) => self.write(group, &call.body, Mode::Insert, Shape::Full),
            ("PUT" | "POST", ["update"]) => self.write(group, &call.body, Mode::Update, Shape::Short),
            ("PUT" | "POST", ["updateplus"]) => self.write(group, &call.body, Mode::Update, Shape::Full),
            ("GET", [who]) => Ok(self.show(&self.key(group, who)?)),
            ("DELETE", [who]) => {
                let key = self.key(group, who)?;
                self.receivers.remove(&key);
                Ok(true.into())
            }
            ("PUT", [who, "activate" | "setactive"]) => {
                let (key, now) = (self.key(group, who)?, self.now());
                if !self.needs_confirmation {
                    let receiver = self.receivers.get_mut(&key).unwrap();
                    receiver.deactivated = 0;
                    receiver.activated = now;
                }
                Ok(true.into())
            }
            ("PUT", [who, "deactivate" | "setinactive"]) => {
                let (key, now) = (self.key(group, who)?, self.now());
                self.receivers.get_mut(&key).unwrap().deactivated = now;
                Ok(true.into())
            }
            _ => Err(Failure::new(404, "Not Found")),
        }
    }

    /// `/receivers/{id or address}/tags`
    pub(super) fn tags(
        &mut self,
        method: &str,
        who: &str,
        path: &[&str],
        call: &Call<'_>,
    ) -> Result<Value, Failure> {
        let group = call.number("group_id").or_else(|| {
            let given = call.body.get("group_id")?;
            given.as_u64().or_else(|| given.as_str()?.parse().ok())
        });
        let key = self.find(group, who)?;
        let receiver = self.receivers.get_mut(&key).unwrap();
        match (method, path) {
            ("GET", []) => {}
            ("POST", []) => {
                let given = call.body.get("tags").and_then(Value::as_array);
                let names = given.into_iter().flatten().filter_map(Value::as_str);
                receiver.tags.extend(names.map(str::to_owned));
            }
            ("DELETE", [names]) => {
                for name in names.split(',') {
                    receiver.tags.remove(name);
                }
            }
            _ => return Err(Failure::new(404, "Not Found")),
        }
        Ok(json!(receiver.tags))
    }
}
