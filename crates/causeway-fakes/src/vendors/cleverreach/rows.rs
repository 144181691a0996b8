//! The calls that write many receivers, and what each row of their responses says.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{
    CleverReach,
    errors::Failure,
    receivers::{Person, Receiver, is_address},
};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Insert,
    Update,
    Upsert,
}

/// How a receiver is shown: `{"id", "status"}`, or whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Short,
    Full,
}

impl CleverReach {
    /// `POST /groups/{id}/receivers`: an address that is there already refuses the whole call, if it is about one.
    pub(super) fn create(&mut self, group: u64, body: &Value) -> Result<Value, Failure> {
        if body.is_array() {
            return self.write(group, body, Mode::Insert, Shape::Full);
        }
        self.one(group, body, Mode::Insert, Shape::Full)
            .map_err(|text| Failure::new(400, text))
    }

    /// Writes each receiver that is valid. A row about any other is a text.
    pub(super) fn write(
        &mut self,
        group: u64,
        body: &Value,
        mode: Mode,
        shape: Shape,
    ) -> Result<Value, Failure> {
        let items = match body {
            Value::Array(items) => items.clone(),
            Value::Object(_) => vec![body.clone()],
            _ => return Err(Failure::new(400, "Bad Request: invalid postdata")),
        };
        if items.len() > self.most {
            return Err(Failure::new(413, "Request Entity Too Large"));
        }
        let rows = items.iter().map(|item| {
            let row = self.one(group, item, mode, shape);
            row.unwrap_or_else(Value::String)
        });
        Ok(rows.collect())
    }

    fn one(&mut self, group: u64, item: &Value, mode: Mode, shape: Shape) -> Result<Value, String> {
        let email = item.get("email").and_then(Value::as_str).unwrap_or_default();
        let email = email.trim().to_lowercase();
        if !is_address(&email) {
            return Err(format!("Bad Request: invalid address '{email}'"));
        }
        let key = (group, email);
        let is_known = self.receivers.contains_key(&key);
        match (mode, is_known) {
            (Mode::Insert, true) => return Err(format!("Bad Request: duplicate address '{}'", key.1)),
            (Mode::Update, false) => return Err("Not Found: invalid receiver".to_owned()),
            _ => {}
        }
        self.apply(&key, item);
        let id = self.people[&key.1].id.to_string();
        Ok(if shape == Shape::Short || self.answers_short {
            let status = if is_known {
                "update success"
            } else {
                "insert success"
            };
            json!({ "id": id, "status": status })
        } else {
            self.show(&key)
        })
    }

    /// What is given is written; all else stays.
    fn apply(&mut self, key: &(u64, String), item: &Value) {
        let (now, revives) = (self.now(), self.activated_revives);
        let time = |name: &str| item.get(name).and_then(seconds);
        let (registered, activated, deactivated) =
            (time("registered"), time("activated"), time("deactivated"));
        let known = self.people.get(&key.1).map(|person| person.id);
        let id = known.unwrap_or_else(|| self.next_id());
        self.people.entry(key.1.clone()).or_insert_with(|| Person {
            id,
            ..Person::default()
        });
        let is_new = !self.receivers.contains_key(key);
        let says_nothing = registered.is_none() && activated.is_none() && deactivated.is_none();
        let receiver = self.receivers.entry(key.clone()).or_insert_with(|| Receiver {
            registered: now,
            // Somebody about whom nothing is said is active at once.
            activated: if says_nothing { now } else { 0 },
            source: "RESTful API".to_owned(),
            ..Receiver::default()
        });
        receiver.registered = registered.unwrap_or(receiver.registered);
        if let Some(activated) = activated {
            receiver.activated = activated;
            if revives && activated > 0 && !is_new {
                receiver.deactivated = 0;
            }
        }
        receiver.deactivated = deactivated.unwrap_or(receiver.deactivated);
        if let Some(source) = item.get("source").and_then(Value::as_str) {
            source.clone_into(&mut receiver.source);
        }
        for tag in item.get("tags").and_then(Value::as_array).into_iter().flatten() {
            match tag.as_str().map(|tag| (tag, tag.strip_prefix('-'))) {
                Some((_, Some(removed))) => {
                    receiver.tags.remove(removed);
                }
                Some((tag, None)) => {
                    receiver.tags.insert(tag.to_owned());
                }
                None => {}
            }
        }
        for (name, of) in [("attributes", Some(key.0)), ("global_attributes", None)] {
            let given = values(item.get(name));
            let known: Vec<_> = given
                .into_iter()
                .filter(|(name, _)| self.has_attribute(name, of))
                .collect();
            let into = match of {
                Some(_) => &mut self.receivers.get_mut(key).unwrap().attributes,
                None => &mut self.people.get_mut(&key.1).unwrap().attributes,
            };
            into.extend(known);
        }
    }
}

/// Unix seconds as a number or a text, or a time of ISO 8601.
fn seconds(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => return number.as_i64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let time = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    text.parse().ok().or_else(time)
}

/// An object, or `name:value,name:value`. An empty text erases.
fn values(given: Option<&Value>) -> Vec<(String, String)> {
    match given {
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| {
                let text = value.as_str().map(str::to_owned);
                let text = text.unwrap_or_else(|| {
                    if value.is_null() {
                        String::new()
                    } else {
                        value.to_string()
                    }
                });
                (name.clone(), text)
            })
            .collect(),
        Some(Value::String(text)) => {
            let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        }
        _ => Vec::new(),
    }
}
