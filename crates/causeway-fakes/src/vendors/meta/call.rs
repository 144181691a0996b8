//! A request as the Graph API reads it: parameters may stand in the query, a form, or a JSON body.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::errors::GraphError;
use crate::fake_api::Request;

/// A call of a node or of one of its edges.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// `(26, 0)`, unless the path names no version.
    pub(super) version: Option<(u16, u16)>,
    /// `act_123`, an audience's id, or another name.
    pub(super) node: String,
    /// Empty for the node itself.
    pub(super) edge: String,
    /// The path as sent.
    pub(super) path: String,
    /// Scheme and host, for the links that the API makes.
    pub(super) base: String,
    params: Map<String, Value>,
    bearer: Option<String>,
}

impl Call {
    pub(super) fn read(request: &Request) -> Result<Self, GraphError> {
        let mut params = form(&request.query);
        params.extend(body(request)?);
        let mut parts = request.path.split('/').filter(|part| !part.is_empty()).peekable();
        let version = parts.peek().and_then(|part| version(part));
        if version.is_some() {
            parts.next();
        }
        let node = parts.next().unwrap_or_default().to_owned();
        let edge = parts.collect::<Vec<_>>().join("/");
        let mut method = request.method.clone();
        // For clients whose DELETE cannot have a body.
        if let Some(Value::String(instead)) = params.get("method")
            && method == "POST"
        {
            method = instead.to_uppercase();
        }
        let authorization = request.header("authorization").unwrap_or_default();
        let bearer = authorization
            .strip_prefix("Bearer ")
            .or(authorization.strip_prefix("OAuth "));
        Ok(Self {
            method,
            version,
            node,
            edge,
            path: request.path.clone(),
            base: format!(
                "http://{}",
                request.header("host").unwrap_or("graph.facebook.com")
            ),
            params,
            bearer: bearer.map(str::to_owned),
        })
    }

    pub(super) fn token(&self) -> Option<String> {
        self.bearer.clone().or_else(|| self.text("access_token"))
    }

    /// A string. Meta's own samples for curl put quotes around it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.params.get(name)? {
            Value::String(text) if text.starts_with('"') => {
                Some(serde_json::from_str(text).unwrap_or_else(|_| text.clone()))
            }
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A value that forms hold as JSON text.
    pub(super) fn json(&self, name: &str) -> Result<Option<Value>, GraphError> {
        match self.params.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text)
                .map(Some)
                .map_err(|_| GraphError::invalid(format!("param {name} must be valid JSON."))),
            Some(Value::Null) | None => Ok(None),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("true" | "1"))
    }

    /// The names in `fields`. What a name asks of its own fields (`a{b}`) is dropped.
    pub(super) fn fields(&self) -> Vec<String> {
        let mut depth = 0;
        let text = self.text("fields").unwrap_or_default();
        let flat: String = text
            .chars()
            .filter(|character| {
                depth += i32::from(*character == '{');
                let keep = depth == 0;
                depth -= i32::from(*character == '}');
                keep
            })
            .collect();
        let names = flat.split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// The query again, with the token in it, as links to further pages have it.
    pub(super) fn query_with(&self, name: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for key in self.params.keys().filter(|key| key.as_str() != name) {
            query.append_pair(key, &self.text(key).unwrap_or_default());
        }
        if !self.params.contains_key("access_token")
            && let Some(token) = self.token()
        {
            query.append_pair("access_token", &token);
        }
        query.append_pair(name, value);
        query.finish()
    }
}

fn version(part: &str) -> Option<(u16, u16)> {
    let (major, minor) = part.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn form(text: &str) -> Map<String, Value> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect()
}

fn body(request: &Request) -> Result<Map<String, Value>, GraphError> {
    let kind = request.header("content-type").unwrap_or_default();
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    if kind.starts_with("application/json") {
        return serde_json::from_slice(&request.body)
            .map_err(|_| GraphError::invalid("The request body is not a JSON object"));
    }
    match kind.split_once("boundary=") {
        Some((_, boundary)) => Ok(parts(&request.text(), boundary.trim_matches('"'))),
        None => Ok(form(&request.text())),
    }
}

/// The text fields of a multipart form.
fn parts(body: &str, boundary: &str) -> Map<String, Value> {
    let boundary = format!("--{boundary}");
    let parts = body.split(&boundary).filter_map(|part| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let (_, name) = head.split_once("name=\"")?;
        let (name, _) = name.split_once('"')?;
        let value = value.strip_suffix("\r\n").unwrap_or(value);
        Some((name.to_owned(), Value::from(value)))
    });
    parts.collect()
}
