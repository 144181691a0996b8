//! `[source.NAME.answer]`: the values of the response. They are read with the configuration and evaluated for each message.

use std::{sync::Arc, time::Duration};

use causeway_connect::{
    config::{ConfigError, term_json},
    destination::fields::nest,
};
use causeway_core::{
    mapping::{Scope, Tables, Term},
    nearest::nearest,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::engine::{Answer, Wish};

/// Keys that every response has.
const STATUS: &str = "status";
const REFERENCE: &str = "reference";
/// The keys of the table that are not values of the response.
const RESERVED: [&str; 5] = ["after", "wait_s", "concurrency", "format", "fallback"];
/// The names that expressions may use in addition to those of a record.
const EXTRA: [&str; 2] = ["contact_id", AFTER];
const AFTER: &str = "after";
const AFTER_MEMBERS: [&str; 3] = ["delivered", "state", "id"];
/// Longer than the time-out of every known sender.
const LONGEST_WAIT_S: u32 = 120;
/// Maximum nesting of lists and tables, as in mappings.
const DEPTH: usize = 16;

/// `answer`: the values of the response, besides `status` and `reference`. Any other key is such a value: a name and an
/// expression, as in the mapping of a destination.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AnswerKeys {
    /// The destination whose values are part of the response: the hub responds when the message is delivered there.
    #[serde(default)]
    pub after: Option<String>,
    /// The maximum time that the sender waits until the message is processed and delivered, in seconds.
    #[serde(default = "default_wait_s")]
    pub wait_s: u32,
    /// The maximum number of requests that wait at the same time; further ones get 503.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    #[serde(default)]
    pub format: Format,
    /// The values to send if there is none, by name. Default: null.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub fallback: toml::Table,
    #[serde(flatten)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub values: toml::Table,
}

fn default_wait_s() -> u32 {
    5
}

fn default_concurrency() -> u32 {
    100
}

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// By the request's `Accept`; without one, JSON.
    #[default]
    Accept,
    Json,
    Form,
    Xml,
}

/// A listener's `answer`, ready to be evaluated.
pub(super) struct Answering {
    pub wish: Wish,
    pub slots: Semaphore,
    pub format: Format,
    values: Vec<Named>,
}

/// One value of a response.
struct Named {
    /// The name; `main[sub]` for a nested value.
    name: String,
    term: Term,
    fallback: Value,
}

impl AnswerKeys {
    /// `tables` are the lookup tables of the configuration.
    pub(super) fn read(&self, tables: &Tables) -> Result<Answering, ConfigError> {
        self.check_numbers()?;
        let mut fallbacks = Vec::new();
        flatten(&self.fallback, "answer.fallback", &mut fallbacks)?;
        let mut named = Vec::new();
        flatten(&self.values, "answer", &mut named)?;
        let mut values = Vec::new();
        for (name, value) in named {
            let key = format!("answer.{name}");
            if name == STATUS || name == REFERENCE {
                return Err(ConfigError::new(&key, "every response has this key already")
                    .hint("use another name, such as lead_status"));
            }
            check_spelling(&name, &value, &key)?;
            let term = Term::with(&term_json(value), tables, &EXTRA)
                .map_err(|error| ConfigError::from_mapping(&key, error))?;
            self.check_after(&term, &key)?;
            let place = fallbacks.iter().position(|(fallback, _)| *fallback == name);
            let fallback = place.map_or(Value::Null, |place| fixed(fallbacks.remove(place).1));
            values.push(Named { name, term, fallback });
        }
        if let Some((name, _)) = fallbacks.first() {
            let known: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("there are: {}", known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            return Err(ConfigError::new(
                &format!("answer.fallback.{name}"),
                "the response has no value of this name",
            )
            .hint(hint));
        }
        let history = values
            .iter()
            .any(|value| value.term.names().iter().any(|path| path.needs_history()));
        let answering = Answering {
            wish: Wish {
                after: self.after.as_deref().map(Into::into),
                wait: Duration::from_secs(self.wait_s.into()),
                history,
            },
            slots: Semaphore::new(self.concurrency as usize),
            format: self.format,
            values,
        };
        nest(answering.members("", |value| value.fallback.clone()))
            .map_err(|error| ConfigError::from_mapping("answer", error))?;
        Ok(answering)
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        if !(1..=LONGEST_WAIT_S).contains(&self.wait_s) {
            return Err(
                ConfigError::new("answer.wait_s", format!("must be 1 to {LONGEST_WAIT_S} seconds"))
                    .hint("choose a little less than the sender's own time-out"),
            );
        }
        if !(1..=10_000).contains(&self.concurrency) {
            return Err(ConfigError::new("answer.concurrency", "must be 1 to 10000"));
        }
        Ok(())
    }

    fn check_after(&self, term: &Term, key: &str) -> Result<(), ConfigError> {
        for path in term.names() {
            if path.steps.first().is_none_or(|root| root != AFTER) {
                continue;
            }
            if self.after.is_none() {
                return Err(
                    ConfigError::new(key, "`after` is used, but no destination is set")
                        .hint("answer.after = \"crm\""),
                );
            }
            let member = path.steps.get(1).map_or("", String::as_str);
            if !AFTER_MEMBERS.contains(&member) {
                return Err(ConfigError::new(key, format!("`after` has no {member:?}"))
                    .hint(format!("it has {}", AFTER_MEMBERS.join(", "))));
            }
        }
        Ok(())
    }
}

/// Refuses a value that is not a text and whose name resembles a key, because it is probably a misspelt key.
fn check_spelling(name: &str, value: &toml::Value, key: &str) -> Result<(), ConfigError> {
    match nearest(name, RESERVED) {
        Some(near) if !value.is_str() && !name.contains('[') => {
            Err(ConfigError::new(key, format!("did you mean `{near}`?"))
                .hint("write a value of this name as an expression or \"=text\""))
        }
        _ => Ok(()),
    }
}

/// The names of values with tables and dots as brackets: `main.sub` and `main = { sub = … }` are both `main[sub]`.
fn flatten(table: &toml::Table, key: &str, into: &mut Vec<(String, toml::Value)>) -> Result<(), ConfigError> {
    fn within(
        table: &toml::Table,
        outer: &[&str],
        key: &str,
        into: &mut Vec<(String, toml::Value)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let mut steps = outer.to_vec();
            steps.extend(name.split('.'));
            // PHP reads a blank in a name as `_`, so the sender would not find the value.
            let is_odd = |c: char| c.is_control() || c.is_whitespace();
            let is_plain = |step: &&str| !step.is_empty() && !step.contains(is_odd);
            if !steps.iter().all(is_plain) || steps.len() > DEPTH {
                return Err(
                    ConfigError::new(&format!("{key}.{name}"), "not a valid name of a value")
                        .hint("use letters, digits and _, with a dot between nested names: crm.id"),
                );
            }
            match value {
                toml::Value::Table(inner) => within(inner, &steps, key, into)?,
                value => into.push((bracketed(&steps), value.clone())),
            }
        }
        Ok(())
    }
    within(table, &[], key, into)
}

fn bracketed(steps: &[&str]) -> String {
    let mut steps = steps.iter();
    let mut name = steps.next().map_or_else(String::new, |first| (*first).to_owned());
    for step in steps {
        name.extend(["[", step, "]"]);
    }
    name
}

/// The value of a fallback. A text is used literally, not as an expression.
fn fixed(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Datetime(at) => at.to_string().into(),
        other => term_json(other),
    }
}

impl Answering {
    /// The members of the response. They always have the same keys.
    pub(super) fn object(&self, answer: &Answer) -> Map<String, Value> {
        let scope = answer.record.as_ref().map(|record| {
            let contact = record.contact.id.map(|id| id.to_string());
            Scope::of(Arc::new(record.clone()))
                .with("contact_id", contact.map_or(Value::Null, Value::from))
                .with(
                    AFTER,
                    json!({
                        "delivered": answer.delivery == "delivered",
                        "state": answer.delivery,
                        "id": answer.remote_id,
                    }),
                )
        });
        let value = |named: &Named| match (&scope, &named.term) {
            (_, Term::Fixed(value)) => value.clone(),
            (Some(scope), term) => match term.eval(scope) {
                Ok(Value::Null) => named.fallback.clone(),
                Ok(value) => value,
                Err(error) => {
                    tracing::debug!(inbox.id = answer.message.0, name = named.name, %error, "a value of the response \
                         is missing");
                    named.fallback.clone()
                }
            },
            (None, _) => named.fallback.clone(),
        };
        self.nested(&answer.message.to_string(), value)
    }

    /// The same keys with their fallbacks, for a request that is not processed as a message.
    pub(super) fn without_values(&self, reference: &str) -> Map<String, Value> {
        self.nested(reference, |named| named.fallback.clone())
    }

    fn nested(&self, reference: &str, value: impl Fn(&Named) -> Value) -> Map<String, Value> {
        match nest(self.members(reference, value)) {
            Ok(Value::Object(object)) => object,
            // Unreachable: the configuration was checked, and nesting depends only on the names.
            _ => Map::new(),
        }
    }

    fn members(&self, reference: &str, value: impl Fn(&Named) -> Value) -> Vec<(String, Value)> {
        let own = [(STATUS, "ok"), (REFERENCE, reference)];
        let own = own.map(|(name, text)| (name.to_owned(), Value::from(text)));
        let values = self.values.iter().map(|named| (named.name.clone(), value(named)));
        own.into_iter().chain(values).collect()
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::id::{ContactId, InboxId};
    use causeway_testkit::destination_contract::delivery;

    use super::*;

    fn read(toml: &str) -> Result<Answering, String> {
        let keys: AnswerKeys = toml::from_str(toml).map_err(|error| error.to_string())?;
        keys.read(&Tables::default()).map_err(|error| error.to_string())
    }

    fn answer() -> Answer {
        let mut record = delivery(1).record;
        record.contact.id = Some(ContactId(12));
        Answer {
            message: InboxId(7),
            is_duplicate: false,
            record: Some(record),
            delivery: "delivered",
            remote_id: Some("C-1".to_owned()),
            in_time: true,
        }
    }

    #[test]
    fn names_nest_by_dots_tables_and_brackets() {
        let toml = "after = 'crm'\n'crm.id' = 'after.id'\nhub.contact = 'contact_id'\n'a[b]' = '=x'\n\
                    delivered = 'after.delivered'\nnumber = 3\nfirst = \"{{ contact.email | default('') }}\"";
        let object = read(toml).unwrap().object(&answer());
        assert_eq!(object["crm"], json!({ "id": "C-1" }));
        assert_eq!(object["hub"], json!({ "contact": "12" }));
        assert_eq!(object["a"], json!({ "b": "x" }));
        assert_eq!(
            (&object["delivered"], &object["number"]),
            (&json!(true), &json!(3))
        );
        assert_eq!(
            (&object["status"], &object["reference"]),
            (&json!("ok"), &json!("7"))
        );
    }

    #[test]
    fn a_response_has_all_keys_even_without_values() {
        let toml = "after = 'crm'\nscore = 'lead.score'\n'crm.id' = 'contact.no_such_field'\nplace = 'contact.ids.crm'\n\
                    fixed = '=x'\n[fallback]\n'crm.id' = 'none yet'\nscore = 0";
        let answering = read(toml).unwrap();
        let known = answering.object(&answer());
        let unknown = answering.object(&Answer {
            record: None,
            ..answer()
        });
        for object in [&known, &unknown, &answering.without_values("")] {
            let names: Vec<&String> = object.keys().collect();
            assert_eq!(names, ["status", "reference", "score", "crm", "place", "fixed"]);
            assert_eq!(
                object["crm"]["id"], "none yet",
                "an error and a missing value are the fallback"
            );
            assert_eq!(object["place"], Value::Null);
        }
        assert_eq!((&unknown["score"], &unknown["fixed"]), (&json!(0), &json!("x")));
    }

    #[test]
    fn an_invalid_key_is_refused_with_its_place() {
        for (toml, part) in [
            (
                "status = 'lead.status'",
                "`answer.status`: every response has this key already",
            ),
            ("score = 'lead.scor'", "`answer.score`: "),
            ("id = 'after.id'", "answer.after = \"crm\""),
            ("after = 'crm'\nid = 'after.ID'", "`after` has no \"ID\""),
            ("wait = 5", "did you mean `wait_s`?"),
            ("wait_s = 0", "`answer.wait_s`: must be 1 to 120"),
            ("wait_s = 121", "`answer.wait_s`: must be 1 to 120"),
            ("concurrency = 0", "`answer.concurrency`"),
            ("format = 'yaml'", "yaml"),
            ("a = '=1'\n'a.b' = '=2'", "conflicts with another field"),
            ("'a..b' = '=1'", "`answer.a..b`: not a valid name"),
            ("'crm id' = '=1'", "`answer.crm id`: not a valid name"),
            (
                "score = 'lead.score'\n[fallback]\nscor = 0",
                "did you mean score?",
            ),
        ] {
            let error = read(toml).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{toml}: {error}");
        }
    }
}
