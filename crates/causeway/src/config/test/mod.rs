//! `[[test]]`: a message and the expected result. `causeway test` runs it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use causeway_connect::config::{ConfigError, plain_json, read};
use causeway_core::{clock::Timestamp, delivery::Kind};
use jiff::{SignedDuration, Span, SpanRelativeTo, Zoned, tz::TimeZone};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use super::{Config, one_of};

/// `[[test]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What the test shows. Each name is used once.
    pub name: String,
    /// The source that the messages come from; may be left out if there is only one.
    pub source: Option<String>,
    /// When the message arrives. Default: now.
    pub at: Option<Time>,
    /// Earlier messages, the oldest first. Each arrives a minute before the next, unless it has a time.
    #[serde(default)]
    pub before: Vec<Message>,
    pub message: Message,
    /// Time that passes after the message, such as "3 days", for timers and schedules of automations. Default: until
    /// the last `due`.
    pub wait: Option<String>,
    /// The deliveries that follow from the message: these and no others.
    pub expect: Option<Vec<Expected>>,
    /// Allows deliveries to destinations that `expect` does not name.
    #[serde(default)]
    pub others: bool,
    /// Deliveries that are skipped, such as for consent.
    #[serde(default)]
    pub expect_skipped: Vec<Skipped>,
    /// No destination is sent anything.
    #[serde(default)]
    pub expect_none: bool,
    /// The contact afterwards: fields, `tags`, `lists`, `consent.email.state`.
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub expect_contact: Option<toml::Table>,
    /// The message is dead; part of the reason.
    pub expect_dead: Option<String>,
    /// The message is understood and skipped; part of the reason.
    pub expect_message_skipped: Option<String>,
}

/// A message as a source would receive it: its text, or a table.
#[derive(Debug, Clone, Default)]
pub struct Message(pub MessageTable);

/// Exactly one of `file`, `text` and `json`, or a `query` alone.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MessageTable {
    /// Relative to the configuration's folder.
    pub file: Option<PathBuf>,
    pub text: Option<String>,
    /// The message as a table, sent as JSON.
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub json: Option<toml::Table>,
    /// For JSON: dotted path = the value to put there.
    #[schemars(with = "BTreeMap<String, Value>")]
    pub set: toml::Table,
    /// Default: JSON if it looks so, else a form.
    pub content_type: Option<String>,
    /// The query of the URL, for messages by HTTP.
    pub query: Option<String>,
    /// The source, if it is not the test's.
    pub source: Option<String>,
    /// When the message arrives.
    pub at: Option<Time>,
    /// Time since the message before, such as "3 days", instead of a minute.
    pub after: Option<String>,
}

/// An expected delivery.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub destination: String,
    /// `record`, `contact` or `withdrawal`.
    #[schemars(with = "Option<String>")]
    pub kind: Option<Kind>,
    /// The whole body: a table, or text (JSON in text is compared as JSON).
    #[schemars(with = "Option<Value>")]
    pub body: Option<toml::Value>,
    /// The values that the body has at least.
    #[schemars(with = "Option<Value>")]
    pub contains: Option<toml::Value>,
    /// Dotted paths that the body does not have.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Part of the request as `causeway send --dry-run` prints it.
    pub request: Option<String>,
    /// When the delivery is due: a time, or the time after the message, such as "2h".
    pub due: Option<String>,
    /// The request cannot be made: part of the reason for which the delivery would be dead.
    pub dead: Option<String>,
}

/// A delivery that is skipped.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    pub destination: String,
    /// Part of the reason.
    #[serde(default)]
    pub reason: String,
}

/// A time in TOML, with or without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Datetime(at) => at.to_string(),
            other => return Err(de::Error::custom(format!("{other} is not a time"))),
        };
        text.parse().map(Self).map_err(|_| {
            de::Error::custom(format!(
                "{text:?} is not a time; write it as 2026-01-02T03:04:05Z"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;
        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Message;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the text of a message, or a table as { file = \"message.json\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Message, E> {
                Ok(Message(MessageTable {
                    text: Some(text.to_owned()),
                    ..MessageTable::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Message, A::Error> {
                MessageTable::deserialize(MapAccessDeserializer::new(map)).map(Message)
            }
        }
        deserializer.deserialize_any(TextOrTable)
    }
}

impl JsonSchema for Message {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<MessageTable>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, table] })
    }
}

impl Test {
    pub(super) fn read(table: &toml::Table) -> Result<Self, ConfigError> {
        read(table)
    }

    /// Checks the test without running it.
    pub(super) fn check(&self, config: &Config, others: &[Self]) -> Result<(), ConfigError> {
        if self.name.trim().is_empty() {
            return Err(ConfigError::new(
                "name",
                "the name is empty: say what the test shows",
            ));
        }
        if others.iter().any(|other| other.name == self.name) {
            return Err(ConfigError::new(
                "name",
                format!("another test is called {:?}, too", self.name),
            ));
        }
        if let Some(wait) = &self.wait {
            due_at(wait, Timestamp::UNIX_EPOCH).map_err(|why| ConfigError::new("wait", why))?;
        }
        self.check_sources(config)?;
        self.message.check("message", self.before.is_empty())?;
        for (index, message) in self.before.iter().enumerate() {
            message.check(&format!("before.{index}"), index == 0)?;
        }
        self.check_expectations(config)
    }

    fn check_sources(&self, config: &Config) -> Result<(), ConfigError> {
        let known: Vec<&str> = config.sources.keys().map(|name| &**name).collect();
        let mut named = vec![("source".to_owned(), self.source.as_deref())];
        named.push(("message.source".to_owned(), self.message.0.source.as_deref()));
        for (index, message) in self.before.iter().enumerate() {
            named.push((format!("before.{index}.source"), message.0.source.as_deref()));
        }
        for (key, source) in named {
            known_name(&key, "source", source, &known)?;
        }
        if self.source.is_none() && self.message.0.source.is_none() && known.len() != 1 {
            return Err(ConfigError::new(
                "source",
                "missing, and the configuration does not have exactly one source",
            )
            .hint(one_of("", &known)));
        }
        Ok(())
    }

    fn check_expectations(&self, config: &Config) -> Result<(), ConfigError> {
        let known: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
        for (index, expected) in self.expect.iter().flatten().enumerate() {
            let key = format!("expect.{index}.destination");
            known_name(&key, "destination", Some(&expected.destination), &known)?;
            expected.check(&format!("expect.{index}"))?;
        }
        for (index, skipped) in self.expect_skipped.iter().enumerate() {
            let key = format!("expect_skipped.{index}.destination");
            known_name(&key, "destination", Some(&skipped.destination), &known)?;
        }
        if self.expect_none && self.expect.as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(ConfigError::new(
                "expect_none",
                "contradicts `expect`, which names deliveries",
            ));
        }
        let expects_something = self.expect.is_some()
            || self.expect_none
            || !self.expect_skipped.is_empty()
            || self.expect_contact.is_some()
            || self.expect_dead.is_some()
            || self.expect_message_skipped.is_some();
        if expects_something {
            return Ok(());
        }
        Err(
            ConfigError::new("expect", "the test expects nothing, so it cannot fail")
                .hint("expect = [{ destination = \"…\" }], or expect_none = true"),
        )
    }
}

fn known_name(key: &str, what: &str, name: Option<&str>, known: &[&str]) -> Result<(), ConfigError> {
    match name {
        Some(name) if !known.contains(&name) => {
            Err(ConfigError::new(key, format!("there is no {what} {name:?}")).hint(one_of(name, known)))
        }
        _ => Ok(()),
    }
}

impl Message {
    fn check(&self, key: &str, is_first: bool) -> Result<(), ConfigError> {
        let table = &self.0;
        if let Some(after) = &table.after {
            let key = format!("{key}.after");
            time_between(after).map_err(|why| ConfigError::new(&key, why))?;
            if is_first {
                return Err(ConfigError::new(&key, "no message comes before this one")
                    .hint("`wait` lets time pass after the last message"));
            }
            if table.at.is_some() {
                return Err(ConfigError::new(&key, "`at` already sets the time"));
            }
        }
        let ways = [table.file.is_some(), table.text.is_some(), table.json.is_some()];
        let given = ways.iter().filter(|given| **given).count();
        if given > 1 || (given == 0 && table.query.is_none()) {
            return Err(ConfigError::new(
                key,
                "needs exactly one of `file`, `text` and `json`, or a `query`",
            ));
        }
        if !table.set.is_empty() && given == 0 {
            return Err(ConfigError::new(
                &format!("{key}.set"),
                "there is no JSON to change",
            ));
        }
        Ok(())
    }
}

impl Expected {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        if self.body.is_some() && self.contains.is_some() {
            return Err(ConfigError::new(
                &format!("{key}.contains"),
                "`body` already compares the whole body",
            ));
        }
        if let Some(due) = &self.due {
            due_at(due, Timestamp::UNIX_EPOCH).map_err(|why| ConfigError::new(&format!("{key}.due"), why))?;
        }
        Ok(())
    }
}

/// A time, or a duration after `from`.
pub fn due_at(text: &str, from: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let span: Span = text
        .parse()
        .map_err(|_| format!("{text:?} is neither a time nor a duration such as \"2h\""))?;
    let from = Zoned::new(from, TimeZone::UTC);
    from.checked_add(span)
        .map(|at| at.timestamp())
        .map_err(|_| format!("{text:?} is too long"))
}

/// Parses the time between two messages; a day has 24 hours.
pub fn time_between(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration; write it as \"2h\" or \"3 days\""))?;
    match span.to_duration(SpanRelativeTo::days_are_24_hours()) {
        Ok(between) if !between.is_negative() => Ok(between),
        Ok(_) => Err(format!(
            "{text:?} is negative: the message would arrive before the one above it"
        )),
        Err(_) => Err(format!(
            "{text:?} has no fixed length; write it in weeks, days or hours"
        )),
    }
}

/// A TOML value as JSON.
pub fn as_json(value: &toml::Value) -> Value {
    plain_json(value.clone())
}

#[cfg(test)]
mod tests;
