//! One step of an automation, and the texts and numbers in it.

use std::collections::BTreeMap;

use causeway_connect::config::{ConfigError, term_json};
use causeway_core::{
    automation::{Does, Points, Step},
    contact::is_internal,
    decode::names::field_name,
    mapping::{MappingError, Tables, Term},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// One step: exactly one of `deliver`, `add_tag`, `remove_tag`, `set_field` and `add_score`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// One destination or several.
    pub deliver: Option<OneOrMore>,
    pub add_tag: Option<String>,
    pub remove_tag: Option<String>,
    /// Field = expression, template or value, as in a mapping.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub set_field: Option<toml::Table>,
    /// Points; may be negative.
    pub add_score: Option<f64>,
    /// Time from the start of the automation to the step: `"90 s"`, `"30 min"`, `"2 h"`, `"3 days"`, `"1 week"`.
    pub delay: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a destination, or a list of names"
)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}
pub(super) fn finite(key: &str, number: f64) -> Result<f64, ConfigError> {
    if number.is_finite() && number.abs() <= 1e12 {
        Ok(number)
    } else {
        Err(ConfigError::new(key, "is not a number"))
    }
}

/// Refuses a template where a text is used literally.
pub(super) fn literal(key: &str, text: &str) -> Result<(), ConfigError> {
    let is_code =
        |mark: &str| mark != "[#" || text.split_once(mark).is_some_and(|(_, rest)| rest.contains("#]"));
    let marks = ["{{", "{%", "[#"];
    match marks.iter().find(|mark| text.contains(**mark) && is_code(mark)) {
        None => Ok(()),
        Some(mark) => Err(
            ConfigError::new(key, format!("this text is used literally, including {mark}"))
                .hint("write a plain text; only values of set_field can be expressions and templates"),
        ),
    }
}

pub(super) fn step(config: &StepConfig, lookups: &Tables) -> Result<Step, ConfigError> {
    let mut does = Vec::new();
    if let Some(names) = &config.deliver {
        does.push(Does::Deliver(match names {
            OneOrMore::One(name) => vec![name.as_str().into()],
            OneOrMore::More(names) => names.iter().map(|name| name.as_str().into()).collect(),
        }));
    }
    for (key, tag) in [("add_tag", &config.add_tag), ("remove_tag", &config.remove_tag)] {
        let Some(tag) = tag else { continue };
        if tag.trim().is_empty() {
            return Err(ConfigError::new(key, "names no tag"));
        }
        literal(key, tag)?;
        does.push(if key == "add_tag" {
            Does::AddTag(tag.clone())
        } else {
            Does::RemoveTag(tag.clone())
        });
    }
    if let Some(table) = &config.set_field {
        does.push(Does::SetFields(fields(table, lookups)?));
    }
    if let Some(points) = config.add_score {
        let points = finite("add_score", points)?;
        does.push(Does::AddScore(Points {
            known: points,
            anonymous: points,
        }));
    }
    let delay = config
        .delay
        .as_deref()
        .map(|text| delay("delay", text))
        .transpose()?;
    match <[Does; 1]>::try_from(does) {
        Ok([does]) => Ok(Step { does, delay }),
        Err(_) => Err(ConfigError::new(
            "",
            "needs exactly one of deliver, add_tag, remove_tag, set_field and add_score",
        )
        .hint("write two steps: [{ add_tag = \"new\" }, { deliver = \"crm\" }]")),
    }
}

fn fields(table: &toml::Table, lookups: &Tables) -> Result<Vec<(String, Term)>, ConfigError> {
    let mut fields: Vec<(String, Term)> = Vec::new();
    for (name, value) in table.clone() {
        let value = term_json(value);
        let key = format!("set_field.{name}");
        if name == "email" || is_internal(&name) {
            return Err(ConfigError::new(&key, "cannot be set by an automation")
                .hint("email identifies the contact; use add_tag for tags"));
        }
        literal(&key, &name)?;
        let wrong = |error: MappingError| ConfigError::new(&key, error.to_string());
        let term = Term::with(&value, lookups, &["changed"]).map_err(wrong)?;
        let ours = field_name(&name);
        if fields.iter().any(|(known, _)| known == ours) {
            return Err(ConfigError::new(&key, format!("{ours} is set twice"))
                .hint(format!("{name} is stored as {ours}")));
        }
        fields.push((ours.to_owned(), term));
    }
    Ok(fields)
}

/// Parses `"2 days"`, jiff's friendly format. A day has 24 hours.
fn delay(key: &str, text: &str) -> Result<std::time::Duration, ConfigError> {
    let wrong = || {
        ConfigError::new(key, format!("{text:?} is not a duration"))
            .hint("write it like \"90 s\", \"30 min\", \"2 h\", \"3 days\" or \"1 week\", up to 10 years")
    };
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let delay = span.to_duration(relative).map_err(|_| wrong())?;
    let delay = std::time::Duration::try_from(delay).map_err(|_| wrong())?;
    if delay > std::time::Duration::from_hours(24 * 3_653) {
        return Err(wrong());
    }
    Ok(delay)
}
