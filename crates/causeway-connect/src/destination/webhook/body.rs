//! The record as the body of a request, or in its query.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    #[default]
    Json,
    /// As an HTML form, with brackets for what is nested: what PHP reads into `$_POST`.
    Form,
    /// The same in the query, and no body.
    Query,
}

impl Content {
    pub fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json"),
            Self::Form => Some("application/x-www-form-urlencoded"),
            Self::Query => None,
        }
    }
}

/// The body; for [`Content::Query`] the record is added to the URL's query instead.
pub(super) fn fill(content: Content, record: &Value, url: &mut Url) -> Result<Bytes, String> {
    match content {
        Content::Json => serde_json::to_vec(record)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
        Content::Form => Ok(form(record).into()),
        Content::Query => {
            let pairs = form(record);
            let query = match url.query() {
                Some(given) if !given.is_empty() => format!("{given}&{pairs}"),
                _ => pairs,
            };
            url.set_query(Some(&query));
            Ok(Bytes::new())
        }
    }
}

/// As PHP's `http_build_query` prints it: null and empty groups left out, lists numbered from 0.
fn form(record: &Value) -> String {
    let mut out = String::new();
    let empty = Map::new();
    for (name, value) in record.as_object().unwrap_or(&empty) {
        pairs(&encode(name), value, &mut out);
    }
    out
}

fn pairs(path: &str, value: &Value, out: &mut String) {
    let text = match value {
        Value::Null => return,
        Value::Bool(yes) => u8::from(*yes).to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => encode(text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pairs(&format!("{path}%5B{index}%5D"), item, out);
            }
            return;
        }
        Value::Object(members) => {
            for (name, member) in members {
                pairs(&format!("{path}%5B{}%5D", encode(name)), member, out);
            }
            return;
        }
    };
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(path);
    out.push('=');
    out.push_str(&text);
}

fn encode(text: &str) -> String {
    const BARE: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b' ');
    percent_encoding::utf8_percent_encode(text, &BARE)
        .to_string()
        .replace(' ', "+")
}
