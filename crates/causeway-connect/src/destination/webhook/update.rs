//! `update`: values of the response that are written into the contact.

use std::collections::BTreeMap;

use causeway_core::{
    contact::is_internal,
    decode::names::field_name,
    path::Path,
    response::{self, Kind, Row},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::ConfigError;

/// A path in the response, or a table with more settings.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a path in the response, or { path = \"…\", type = \"…\", if_null = … } with a type of text, \
                 number, date or boolean"
)]
pub(super) enum Update {
    Path(String),
    Row(UpdateRow),
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateRow {
    /// `data.id`, `people[0].id`, `errors[].code`, or `.` for the whole response.
    path: String,
    /// The type that the value is converted to. Default: the type of the contact's present value.
    #[serde(rename = "type")]
    kind: Option<FieldType>,
    /// What to write if the response has null or an empty text. Default: nothing.
    #[schemars(with = "Option<Value>")]
    if_null: Option<toml::Value>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FieldType {
    Text,
    Number,
    Date,
    Boolean,
}

/// Fields that a response may not change: a receiver must not decide who a person is and whether we may write
/// to them.
const NOT_FOR_ANSWERS: [&str; 6] = ["email", "tags", "lists", "ids", "identities", "consent"];

/// Whether a name is in [`NOT_FOR_ANSWERS`], also with a suffix of mappings: `tags[]`, `ids.crm`.
fn is_closed(field: &str) -> bool {
    let name = field.split(['[', '.']).next().unwrap_or_default().trim();
    is_internal(field)
        || NOT_FOR_ANSWERS
            .iter()
            .any(|closed| name.eq_ignore_ascii_case(closed))
}

pub(super) fn rows(update: &BTreeMap<String, Update>) -> Result<Vec<Row>, ConfigError> {
    update.iter().map(|(field, update)| row(field, update)).collect()
}

fn row(field: &str, update: &Update) -> Result<Row, ConfigError> {
    let key = format!("update.{field}");
    if let Some(name) = field.strip_prefix("contact.") {
        let error = ConfigError::new(&key, "is written without `contact.` here");
        return Err(if is_closed(name) {
            error.hint("also, no response may change it")
        } else {
            error.hint(format!("update.{name} = …"))
        });
    }
    if field.trim().is_empty() || is_closed(field) {
        return Err(ConfigError::new(&key, "is not a field that a response may change").hint(
            "a response cannot change the address, tags or lists; name a field of the contact, such as crm_id",
        ));
    }
    let (path, kind, if_null) = match update {
        Update::Path(path) => (path, None, None),
        Update::Row(row) => (&row.path, row.kind, row.if_null.as_ref()),
    };
    let kind = kind.map(|kind| match kind {
        FieldType::Text => Kind::Text,
        FieldType::Number => Kind::Number,
        FieldType::Date => Kind::Date,
        FieldType::Boolean => Kind::Boolean,
    });
    let if_null = match if_null {
        None => None,
        Some(toml::Value::String(text)) if !text.trim().is_empty() => Some(text.as_str().into()),
        Some(toml::Value::Integer(number)) => Some((*number).into()),
        Some(toml::Value::Float(number)) => Some((*number).into()),
        Some(toml::Value::Boolean(yes)) => Some((*yes).into()),
        Some(_) => {
            let error = ConfigError::new(
                &format!("{key}.if_null"),
                "must be a text, a number, true or false",
            );
            return Err(error.hint("leave it out to write nothing"));
        }
    };
    Ok(Row {
        field: field_name(field).to_owned(),
        path: Path::parse(path).map_err(|error| ConfigError::new(&key, format!("{path:?} {error}")))?,
        kind,
        if_null,
    })
}

/// The bytes of a response that must be read.
pub(super) fn answer_bytes(rows: &[Row]) -> usize {
    if rows.is_empty() {
        crate::http::Answer::BODY_BYTES
    } else {
        response::MAX_BYTES
    }
}
