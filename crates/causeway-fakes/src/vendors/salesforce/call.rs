//! A request, taken apart.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{errors::ApiError, write::Options};
use crate::fake_api::{Reply, Request};

pub(super) type Answer = Result<Reply, ApiError>;

pub(super) struct Call {
    pub method: String,
    /// Decoded.
    pub segments: Vec<String>,
    /// `v68.0`; empty outside the data API.
    pub version: String,
    pub body: String,
    query: Vec<(String, String)>,
    options: Options,
}

impl Call {
    pub fn new(request: &Request) -> Self {
        let segments = request.path.split('/').filter(|segment| !segment.is_empty());
        let segments: Vec<String> = segments
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let version = match segments.as_slice() {
            [services, data, version, ..] if services == "services" && data == "data" => version.clone(),
            _ => String::new(),
        };
        let rule = request.header("sforce-duplicate-rule-header").unwrap_or_default();
        let rule = rule.to_lowercase().replace(' ', "");
        Self {
            method: request.method.clone(),
            segments,
            version,
            body: request.text(),
            query: form_urlencoded::parse(request.query.as_bytes())
                .into_owned()
                .collect(),
            options: Options {
                allow_duplicates: rule.split(';').any(|part| part == "allowsave=true"),
            },
        }
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.clone())
    }

    pub fn options(&self) -> Options {
        self.options
    }

    /// The number of the version.
    pub fn number(&self) -> u32 {
        let number = self.version.trim_start_matches('v');
        let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
        whole.parse().unwrap_or_default()
    }

    /// The body, which has to be a JSON object.
    pub fn object(&self) -> Result<Map<String, Value>, ApiError> {
        serde_json::from_str(&self.body)
            .map_err(|error| ApiError::invalid("JSON_PARSER_ERROR", format!("Unexpected input: {error}")))
    }
}
