//! The endpoints below `/lists/{list_id}/members`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    call::Call,
    list::List,
    member::{Status, hash, time},
    problem::{Answer, Problem},
};
use crate::fake_api::Reply;

impl List {
    /// The hash of the member that a path names: by the hash, the address or the id of the contact.
    pub(super) fn key_of(&self, path: &str) -> Option<String> {
        let by_address = hash(path);
        let mut members = self.members.iter();
        let found = members.find(|(key, member)| {
            **key == path || (path.contains('@') && **key == by_address) || member.contact_id == path
        });
        found.map(|(key, _)| key.clone())
    }

    pub(super) fn members(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let path = match (call.method, rest) {
            ("GET", []) => return self.list_members(call),
            ("POST", []) => {
                let key = self.add(&call.json()?, call)?;
                return Ok(self.shown(&key));
            }
            ("PUT", [path]) => {
                let key = self.put(path, &call.json()?, call)?;
                return Ok(self.shown(&key));
            }
            (_, [path, ..]) => path,
            _ => return Err(Problem::not_found()),
        };
        let key = self.key_of(path).ok_or_else(Problem::not_found)?;
        match (call.method, &rest[1..]) {
            ("GET", []) => Ok(self.shown(&key)),
            ("PATCH", []) => {
                let key = self.patch(&key, &call.json()?, call)?;
                Ok(self.shown(&key))
            }
            ("DELETE", []) => {
                let member = self.members.get_mut(&key).ok_or_else(Problem::not_found)?;
                if member.status == Status::Archived {
                    let detail = "This list member cannot be removed. Please contact support.";
                    return Err(Problem::new(405, "Method Not Allowed", detail));
                }
                member.status = Status::Archived;
                member.last_changed = call.now;
                Ok(Reply::status(204))
            }
            ("POST", ["actions", "delete-permanent"]) => {
                self.members.remove(&key);
                self.forgotten.insert(key);
                Ok(Reply::status(204))
            }
            ("GET", ["tags"]) => {
                let tags = self.members[&key].tags.iter();
                let tags = tags.map(
                    |(id, added)| json!({ "id": id, "name": self.tags[id], "date_added": time(*added) }),
                );
                self.page_of("tags", tags.collect(), call)
            }
            ("POST", ["tags"]) => self.write_tags(&key, call),
            ("GET", ["events"]) => {
                let events = self.members[&key].events.iter().rev();
                self.page_of("events", events.map(super::Event::to_json).collect(), call)
            }
            ("POST", ["events"]) => self.add_event(&key, call),
            _ => Err(Problem::not_found()),
        }
    }

    fn shown(&self, key: &str) -> Reply {
        Reply::json(200, &self.members[key].to_json(self))
    }

    fn list_members(&self, call: &Call<'_>) -> Answer {
        let wanted = call.query("status");
        let members = self.members.values().filter(|member| match wanted {
            // Archived members are shown only to those who ask for them.
            None => member.status != Status::Archived,
            Some(status) => member.status.name() == status,
        });
        let members: Vec<Value> = members.map(|member| member.to_json(self)).collect();
        self.page_of("members", members, call)
    }

    fn write_tags(&mut self, key: &str, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let Some(tags) = body.get("tags").and_then(Value::as_array) else {
            return Err(Problem::field("tags", "This value should not be blank."));
        };
        let mut changes = Vec::new();
        for tag in tags {
            let name = tag["name"]
                .as_str()
                .filter(|name| !name.is_empty() && name.len() <= 100);
            let is_active = match tag["status"].as_str() {
                Some("active") => true,
                Some("inactive") => false,
                _ => {
                    return Err(Problem::field(
                        "tags.status",
                        "The value you selected is not a valid choice.",
                    ));
                }
            };
            let Some(name) = name else {
                return Err(Problem::field("tags.name", "Tag names have 1 to 100 characters."));
            };
            changes.push((name, is_active));
        }
        for (name, is_active) in changes {
            self.tag(key, name, is_active, call.now);
        }
        Ok(Reply::status(204))
    }

    /// Gives a tag, which need not exist, or takes it. Names differ in more than case.
    pub(super) fn tag(&mut self, key: &str, name: &str, is_active: bool, now: Timestamp) {
        let known = self
            .tags
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        let id = match known.map(|(id, _)| *id) {
            Some(id) => id,
            None if !is_active => return,
            None => {
                let id = self.number();
                self.tags.insert(id, name.to_owned());
                id
            }
        };
        if let Some(member) = self.members.get_mut(key) {
            if is_active {
                member.tags.entry(id).or_insert(now);
            } else {
                member.tags.remove(&id);
            }
            member.last_changed = now;
        }
    }
}
