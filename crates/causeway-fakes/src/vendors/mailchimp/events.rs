//! Events of a member. Nothing is recognised as a repeat.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    call::Call,
    list::List,
    member::time,
    problem::{Answer, Problem},
};
use crate::fake_api::Reply;

#[derive(Debug, Clone)]
pub struct Event {
    pub name: String,
    pub occurred: Timestamp,
    pub properties: Map<String, Value>,
    /// Whether it may start an automation.
    pub starts_automations: bool,
}

impl Event {
    pub(super) fn to_json(&self) -> Value {
        json!({ "occurred_at": time(self.occurred), "name": self.name, "properties": self.properties })
    }
}

impl List {
    pub(super) fn add_event(&mut self, key: &str, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
        if !(2..=30).contains(&name.len()) {
            return Err(Problem::field(
                "name",
                "This value should have 2 to 30 characters.",
            ));
        }
        let properties = match body.get("properties") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(properties)) => properties.clone(),
            Some(_) => return Err(Problem::field("properties", "Schema describes object")),
        };
        if !properties.values().all(Value::is_string) {
            return Err(Problem::field("properties", "Schema describes string"));
        }
        let occurred = match body.get("occurred_at").and_then(Value::as_str) {
            None => call.now,
            Some(text) => text
                .parse()
                .map_err(|_| Problem::field("occurred_at", "This value is not a valid datetime."))?,
        };
        let is_syncing = body.get("is_syncing").and_then(Value::as_bool).unwrap_or(false);
        let event = Event {
            name: name.to_owned(),
            occurred,
            properties,
            starts_automations: !is_syncing,
        };
        if let Some(member) = self.members.get_mut(key) {
            member.events.push(event);
        }
        Ok(Reply::status(204))
    }
}
