//! Requests taken apart, and the bodies of errors.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::fake_api::{Reply, Request};

pub(super) type Answer = Result<Reply, Failure>;

#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: u16,
    body: Value,
}

impl Failure {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            body: json!({ "code": code, "message": message }),
        }
    }

    pub fn invalid(message: &str) -> Self {
        Self::new(400, "invalid_parameter", message)
    }

    pub fn missing(message: &str) -> Self {
        Self::new(400, "missing_parameter", message)
    }

    pub fn no_contact() -> Self {
        Self::new(404, "document_not_found", "Contact does not exist")
    }

    /// The API has no such address. This is no answer about a contact.
    pub fn unknown_path() -> Self {
        Self::new(404, "not_found", "The requested path does not exist")
    }

    /// Other contacts have these identifiers.
    pub fn duplicate(identifiers: &[&str], is_invalid: bool) -> Self {
        let code = if is_invalid {
            "invalid_parameter"
        } else {
            "duplicate_parameter"
        };
        let mut failure = Self::new(
            400,
            code,
            "Unable to create contact, identifiers are already associated",
        );
        failure.body["metadata"] = json!({ "duplicate_identifiers": identifiers });
        failure
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    pub fn reply(&self) -> Reply {
        Reply::json(self.status, &self.body)
    }
}

pub(super) struct Call<'a> {
    pub method: &'a str,
    /// The decoded segments of the path, behind the version.
    pub segments: Vec<String>,
    query: Vec<(String, String)>,
    body: &'a [u8],
    pub now: Timestamp,
}

impl<'a> Call<'a> {
    pub fn new(request: &'a Request, now: Timestamp) -> Self {
        let segments = request.path.split('/').filter(|part| !part.is_empty());
        let mut segments: Vec<String> = segments.map(decoded).collect();
        if segments.first().map(String::as_str) == Some("v3") {
            segments.remove(0);
        } else {
            segments.clear();
        }
        let pairs = request.query.split('&').filter(|part| !part.is_empty());
        let query = pairs.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        });
        Self {
            method: &request.method,
            segments,
            query: query.collect(),
            body: &request.body,
            now,
        }
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(have, _)| have == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let found = self.query.iter().filter(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// `limit` and `offset` of a page.
    pub fn page(&self, default: usize, most: usize) -> Result<(usize, usize), Failure> {
        let number = |name: &str, default| match self.query(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Failure::new(400, "out_of_range", &format!("{name} is not a number"))),
        };
        let (limit, offset) = (number("limit", default)?, number("offset", 0)?);
        if limit == 0 || limit > most {
            return Err(Failure::new(400, "out_of_range", "Limit exceeds max value"));
        }
        Ok((limit, offset))
    }

    pub fn json(&self) -> Result<Map<String, Value>, Failure> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(body)) => Ok(body),
            _ => Err(Failure::new(
                400,
                "bad_request",
                "Input must be a valid JSON object",
            )),
        }
    }
}

/// Times have milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The numbers of a list of numbers.
pub(super) fn numbers(body: &Map<String, Value>, name: &str) -> Result<Vec<u64>, Failure> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let all = value
        .as_array()
        .map(|all| all.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
    all.flatten()
        .ok_or_else(|| Failure::invalid(&format!("{name} should be an array of integers")))
}
