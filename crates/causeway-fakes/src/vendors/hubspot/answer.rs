//! Requests taken apart, and the bodies of errors.

use std::collections::BTreeSet;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::fake_api::{Reply, Request};

pub(super) type Answer = Result<Reply, Failure>;

/// An error, before it has a correlation id.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: u16,
    body: Map<String, Value>,
}

impl Failure {
    pub fn new(status: u16, category: &str, message: &str) -> Self {
        let mut body = Map::new();
        body.insert("status".to_owned(), "error".into());
        body.insert("message".to_owned(), message.into());
        if !category.is_empty() {
            body.insert("category".to_owned(), category.into());
        }
        Self { status, body }
    }

    pub fn invalid(message: &str) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    /// The answer for a number that is no record, and for an address that does not exist. It has no category.
    pub fn not_found() -> Self {
        Self::new(404, "", "resource not found")
    }

    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.body.insert(field.to_owned(), value);
        self
    }

    pub fn context(self, name: &str, values: &[&str]) -> Self {
        self.with("context", json!({ name: values }))
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn reply(mut self, correlation_id: &str) -> Reply {
        self.body
            .insert("correlationId".to_owned(), correlation_id.into());
        Reply::json(self.status, &Value::Object(self.body))
    }

    /// The same error as one entry of a batch answer's `errors`.
    pub fn entry(mut self, trace_id: Option<&str>) -> Value {
        let context = self
            .body
            .entry("context")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(trace_id) = trace_id {
            context["objectWriteTraceId"] = json!([trace_id]);
        }
        for (field, empty) in [
            ("errors", json!([])),
            ("links", json!({})),
            ("category", json!("")),
        ] {
            self.body.entry(field).or_insert(empty);
        }
        Value::Object(self.body)
    }
}

/// A request, taken apart.
pub(super) struct Call<'a> {
    pub method: &'a str,
    /// The decoded segments of the path.
    pub segments: Vec<String>,
    pub query: Vec<(String, String)>,
    pub body: &'a [u8],
    /// The scopes of the token.
    pub scopes: BTreeSet<String>,
    pub now: Timestamp,
}

impl<'a> Call<'a> {
    pub fn new(request: &'a Request, now: Timestamp) -> Self {
        let segments = request.path.split('/').map(decoded).collect::<Vec<_>>();
        Self {
            method: &request.method,
            // The client puts a slash behind some paths.
            segments: segments
                .into_iter()
                .filter(|segment| !segment.is_empty())
                .collect(),
            query: pairs(&request.query),
            body: &request.body,
            scopes: BTreeSet::new(),
            now,
        }
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find_map(|(have, value)| (have == name).then_some(value.as_str()))
    }

    /// All values of a parameter that may be repeated, or be one list with commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let given = self.query.iter().filter(|(have, _)| have == name);
        given
            .flat_map(|(_, value)| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// A number between 1 and `most`.
    pub fn limit(&self, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(limit) = self.query("limit") else {
            return Ok(default);
        };
        let number = limit.parse().ok().filter(|number| (1..=most).contains(number));
        number
            .ok_or_else(|| Failure::invalid(&format!("limit must be between 1 and {most}, but was {limit}")))
    }

    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(self.body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::invalid(&format!("Invalid input JSON on {place}: cannot be parsed"))
        })
    }

    /// The body, if it has these fields.
    pub fn json_with(&self, required: &[&str]) -> Result<Value, Failure> {
        let body = self.json()?;
        need_fields(&body, required)?;
        Ok(body)
    }

    pub fn form(&self) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(self.body))
    }

    /// Fails unless the token has one of these scopes.
    pub fn need_any(&self, scopes: &[&str]) -> Result<(), Failure> {
        if scopes.iter().any(|scope| self.scopes.contains(*scope)) {
            return Ok(());
        }
        Err(missing_scopes(scopes))
    }

    /// Fails unless the token has all of these scopes.
    pub fn need_all(&self, scopes: &[&str]) -> Result<(), Failure> {
        if scopes.iter().all(|scope| self.scopes.contains(*scope)) {
            return Ok(());
        }
        Err(missing_scopes(scopes))
    }
}

pub(super) fn missing_scopes(scopes: &[&str]) -> Failure {
    let help = "https://developers.hubspot.com/scopes";
    let message = format!(
        "This app hasn't been granted all required scopes to make this call. \
        Read more about required scopes here: {help}."
    );
    let needed = json!([{
        "message": "One or more of the following scopes are required.",
        "context": { "requiredGranularScopes": scopes },
    }]);
    Failure::new(403, "MISSING_SCOPES", &message)
        .with("errors", needed)
        .with("links", json!({ "scopes": help }))
}

pub(super) fn need_fields(body: &Value, required: &[&str]) -> Result<(), Failure> {
    if !body.is_object() {
        return Err(Failure::invalid(
            "Invalid input JSON on line 1, column 1: an object is expected",
        ));
    }
    let missing: Vec<&str> = required
        .iter()
        .filter(|name| body[**name].is_null())
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::invalid(&format!(
        "Invalid input JSON on line 1, column 2. Some required fields were not set: [{missing}]"
    )))
}

/// A value that HubSpot reads as text: it takes numbers and booleans, too.
pub(super) fn text_of(value: &Value) -> Result<String, Failure> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(Failure::invalid(
            "Invalid input JSON on line 1, column 2: Cannot deserialize value of type `java.lang.String`",
        )),
    }
}

/// The texts of a JSON array; anything that is no text or number is left out.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(|value| text_of(value).ok()).collect()
}

pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pairs of a query or a form.
fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        })
        .collect()
}
