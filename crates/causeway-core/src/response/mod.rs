//! Updates a contact from a destination's response: which value goes into which field.

mod charset;
mod coerce;
mod found;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::found::{Found, find};
use crate::{form, path::Path, record::Record, xml};

/// Maximum bytes of a response that are read.
pub const MAX_BYTES: usize = 1 << 20;
/// Maximum bytes of a text that is taken over.
const LONGEST_TEXT: usize = 64 * 1_024;
const DEPTH: usize = 64;
const VALUES: usize = 20_000;

/// One row of the configuration: a path in the response, and the contact's field.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub field: String,
    pub path: Path,
    /// The type of the value. `None` = the type of the contact's present value; without one, the value is
    /// taken as it is.
    pub kind: Option<Kind>,
    /// The value to write if the response has null or an empty text. Without it, nothing is written in this
    /// case.
    pub if_null: Option<Value>,
}

/// The type that a value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Text,
    Number,
    /// `2022-05-26`, or a moment in UTC if there is a time.
    Date,
    Boolean,
}

/// Why nothing is taken from a response. It quotes nothing of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not UTF-8 and names no other charset: have it sent with its `charset`, or as UTF-8")]
    NotUtf8,
    #[error("its charset cannot be read: have it sent as UTF-8 (ISO-8859-1 and windows-1252 are read, too)")]
    Charset,
}

/// Reads a response: JSON, a form or XML by its content type; if that does not help, by its look; otherwise
/// as one text. `None` if it is empty. Many servers send JSON as HTML, because they give everything this
/// type.
pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Option<Value>, Unreadable> {
    let text = charset::decode(content_type, body)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let media = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    if media == "application/x-www-form-urlencoded" && !text.starts_with(['{', '[']) {
        return read_form(text);
    }
    if text.starts_with('<') {
        // The bytes are decoded already, so the encoding in the declaration no longer matters.
        let text = match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
            Some((_, rest)) if text.is_ascii() || charset::is_named(content_type) => rest.trim_start(),
            _ => text,
        };
        return match xml::read(text, DEPTH, VALUES) {
            Err(xml::XmlError::Encoding) => Err(Unreadable::Charset),
            read => Ok(Some(read.unwrap_or_else(|_| text.into()))),
        };
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(Some(value));
    }
    if looks_like_a_form(text) {
        return read_form(text);
    }
    Ok(Some(text.into()))
}

fn read_form(text: &str) -> Result<Option<Value>, Unreadable> {
    let limits = form::Mode::Lenient {
        max_pairs: VALUES,
        max_depth: DEPTH,
    };
    let Ok(parsed) = form::parse(text.as_bytes(), limits) else {
        return Ok(None);
    };
    let mut not_utf8 = 0;
    let value = form::array_to_json(parsed.root, &mut not_utf8);
    if not_utf8 > 0 {
        return Err(Unreadable::NotUtf8);
    }
    Ok(Some(value.into()))
}

/// Whether the text has the form of `id=7&status=ok`: a name, and no white space anywhere.
fn looks_like_a_form(text: &str) -> bool {
    let named = text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]%".contains(&byte))
    });
    named && !text.contains(char::is_whitespace)
}

/// The values to write: field → value, without those that the contact already has. Adds a note, with names of
/// the configuration, for each value that could not be taken over.
pub fn writes(
    rows: &[Row],
    answer: &Value,
    record: &Record,
    zone: &TimeZone,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Value> {
    let mut writes = BTreeMap::new();
    for row in rows {
        let known = record.contact.fields.get(&row.field).map(|field| &field.value);
        let found = match find(&row.path, answer) {
            Found::Missing => {
                // If the contact has a value, an earlier response may have given it, so a missing one is no
                // surprise.
                if known.is_none() {
                    notes.push(format!(
                        "`{}` is not updated: the response has nothing at `{}`",
                        row.field,
                        row.path.written()
                    ));
                }
                continue;
            }
            Found::Value(value) => taken(row, &value, known, zone, notes),
            Found::Nothing => row.if_null.clone(),
        };
        if let Some(value) = found
            && known != Some(&value)
        {
            writes.insert(row.field.clone(), value);
        }
    }
    writes
}

fn taken(
    row: &Row,
    value: &Value,
    known: Option<&Value>,
    zone: &TimeZone,
    notes: &mut Vec<String>,
) -> Option<Value> {
    let made = match row.kind {
        Some(kind) => coerce::to(kind, value, zone),
        None => coerce::like(known, value, zone),
    };
    let fits = made.filter(|made| made.as_str().is_none_or(|text| text.len() <= LONGEST_TEXT));
    if fits.is_none() {
        notes.push(format!(
            "the value for `{}` in the response does not fit",
            row.field
        ));
    }
    fits
}
