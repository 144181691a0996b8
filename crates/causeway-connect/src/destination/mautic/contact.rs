//! Contacts as Mautic shows them. PHP writes a list as an object as soon as its numbers have a gap, and an empty object
//! as a list.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value};

#[derive(Debug)]
pub(super) struct Contact {
    pub id: u64,
    /// In small letters; `None` if it is not shown.
    pub email: Option<String>,
    entries: Vec<There>,
    /// The aliases of all fields; empty if they are not shown.
    pub aliases: Vec<String>,
}

/// A do-not-contact entry.
#[derive(Debug, Clone)]
pub(super) struct There {
    channel: String,
    pub reason: u64,
    pub comments: String,
    pub since: Option<Timestamp>,
}

impl Contact {
    /// `None` if this is no contact, or does not show whom Mautic must not contact.
    pub fn of(value: &Value) -> Option<Self> {
        let all = value.pointer("/fields/all").and_then(Value::as_object);
        let email = all.and_then(|all| all.get("email")).and_then(Value::as_str);
        let email = email.or_else(|| value.pointer("/fields/core/email/value")?.as_str());
        let aliases = all.map(Map::keys).into_iter().flatten();
        Some(Self {
            id: number(value.get("id")?)?,
            email: email.map(|email| email.trim().to_lowercase()),
            entries: items(value.get("doNotContact")?)?
                .map(There::of)
                .collect::<Option<Vec<_>>>()?,
            aliases: aliases.cloned().collect(),
        })
    }

    /// The entries of a channel by which Mautic does not contact the person.
    pub fn entries(&self, channel: &str) -> Vec<There> {
        let all = self.entries.iter();
        all.filter(|entry| entry.channel == channel && entry.reason != 0)
            .cloned()
            .collect()
    }
}

impl There {
    fn of(value: &Value) -> Option<Self> {
        let since = value.get("dateAdded").and_then(Value::as_str);
        Some(Self {
            channel: value.get("channel")?.as_str()?.to_owned(),
            reason: number(value.get("reason")?)?,
            comments: value
                .get("comments")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            since: since.and_then(|since| since.parse().ok()),
        })
    }
}

/// The values of a list, or of an object.
pub(super) fn items(value: &Value) -> Option<Box<dyn Iterator<Item = &Value> + '_>> {
    match value {
        Value::Array(items) => Some(Box::new(items.iter())),
        Value::Object(items) => Some(Box::new(items.values())),
        _ => None,
    }
}

/// The value of a row in a list, or in an object of numbers.
pub(super) fn row(value: &Value, at: usize) -> Option<&Value> {
    match value {
        Value::Array(items) => items.get(at),
        Value::Object(items) => items.get(&at.to_string()),
        _ => None,
    }
}

/// A number, which may be written as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
