//! A call of the API. Parameters are in the query, in a form or in JSON: PHP reads all of them, and the published
//! OpenAPI, VBOUT's own samples and its quickstart each show another place.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::errors::Failure;
use crate::fake_api::Request;

/// The parameters of each operation in the published OpenAPI. Some of its names begin with a blank there, which PHP
/// drops.
const PUBLISHED: &[(&str, &[&str])] = &[
    ("app/me", &[]),
    ("emailmarketing/getlists", &[]),
    ("emailmarketing/getlist", &["id"]),
    ("emailmarketing/getcontacts", &["listid"]),
    ("emailmarketing/getcontact", &["id"]),
    ("emailmarketing/getcontactbyemail", &["email", "listid"]),
    (
        "emailmarketing/addcontact",
        &["status", "listid", "email", "ipaddress", "fields"],
    ),
    (
        "emailmarketing/editcontact",
        &["id", "email", "ipaddress", "status", "fields"],
    ),
    (
        "emailmarketing/synccontact",
        &["email", "listid", "ipaddress", "status", "fields"],
    ),
    ("emailmarketing/movecontact", &["id", "listid", "sourceid"]),
    ("emailmarketing/deletecontact", &["id", "listid"]),
    ("emailmarketing/addtag", &["id", "email", "tagname"]),
    ("emailmarketing/removetag", &["id", "email", "tagname"]),
    ("emailmarketing/addactivity", &["id", "description", "datetime"]),
    ("emailmarketing/getcontacttimeline", &["id", "include"]),
    (
        "emailmarketing/getcontacttimelinebyemailaddress",
        &["Email", "Include"],
    ),
];

pub(super) struct Call {
    pub method: String,
    /// In small letters, without the format at its end.
    pub operation: String,
    parameters: BTreeMap<String, String>,
    /// The numbers of custom fields.
    pub fields: BTreeMap<u64, String>,
}

impl Call {
    /// `None` if the address is none of the API. The format is the end of the path; JSON is the default.
    pub fn read(request: &Request) -> Option<Self> {
        let path = request.path.strip_prefix("/1/")?.to_lowercase();
        let operation = path.strip_suffix(".json").unwrap_or(&path).to_owned();
        if operation.contains('.') {
            return None;
        }
        let mut call = Self {
            method: request.method.clone(),
            operation,
            parameters: BTreeMap::new(),
            fields: BTreeMap::new(),
        };
        call.take_pairs(request.query.as_bytes());
        match serde_json::from_slice(&request.body) {
            Ok(Value::Object(members)) => {
                for (name, value) in members {
                    call.take_member(&name, &value);
                }
            }
            _ => call.take_pairs(&request.body),
        }
        Some(call)
    }

    fn take_pairs(&mut self, encoded: &[u8]) {
        for (name, value) in form_urlencoded::parse(encoded) {
            self.take(name.trim_start_matches(' '), &value);
        }
    }

    fn take_member(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (inner, value) in members {
                    self.take_member(&format!("{name}[{inner}]"), value);
                }
            }
            Value::String(text) => self.take(name, text),
            other => self.take(name, &other.to_string()),
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        let number = name
            .strip_prefix("fields[")
            .and_then(|rest| rest.strip_suffix(']'));
        match number.map(str::parse) {
            Some(Ok(number)) => {
                self.fields.insert(number, value.to_owned());
            }
            _ => {
                self.parameters.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The parameters that the OpenAPI does not name for this operation.
    pub fn unknown(&self) -> Vec<String> {
        let known = PUBLISHED.iter().find(|(name, _)| *name == self.operation);
        let known = known.map_or(&[][..], |(_, known)| *known);
        let fields = (!self.fields.is_empty()).then_some("fields");
        let given = self.parameters.keys().map(String::as_str).chain(fields);
        given
            .filter(|name| *name != "key" && !known.contains(name))
            .map(|name| format!("{}: {name}", self.operation))
            .collect()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.parameters.get(name).map(|text| text.trim());
        text.filter(|text| !text.is_empty())
    }

    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::missing(name))
    }

    pub fn number(&self, name: &str) -> Result<u64, Failure> {
        self.required(name)?.parse().map_err(|_| Failure::invalid(name))
    }

    /// Several numbers, separated by commas.
    pub fn numbers(&self, name: &str) -> Result<Vec<u64>, Failure> {
        let parts = self.text(name).unwrap_or_default().split(',');
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| part.parse().map_err(|_| Failure::invalid(name)))
            .collect()
    }
}
