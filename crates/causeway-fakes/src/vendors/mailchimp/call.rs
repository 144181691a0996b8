//! A request, taken apart.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{decoded, problem::Problem};
use crate::fake_api::{Reply, Request};

pub(super) struct Call<'a> {
    pub method: &'a str,
    /// The decoded segments of the path, behind the version.
    pub segments: Vec<String>,
    query: Vec<(String, String)>,
    body: &'a [u8],
    pub now: Timestamp,
}

impl<'a> Call<'a> {
    pub fn new(request: &'a Request, now: Timestamp) -> Result<Self, Problem> {
        let segments = request.path.split('/').filter(|part| !part.is_empty());
        let mut segments: Vec<String> = segments.map(decoded).collect();
        if segments.first().map(String::as_str) != Some("3.0") {
            return Err(Problem::not_found());
        }
        segments.remove(0);
        let pairs = request.query.split('&').filter(|part| !part.is_empty());
        let query = pairs.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        });
        Ok(Self {
            method: &request.method,
            segments,
            query: query.collect(),
            body: &request.body,
            now,
        })
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(have, _)| have == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// `count` and `offset` of a page.
    pub fn page(&self) -> Result<(usize, usize), Problem> {
        let number = |name: &str, default| match self.query(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Problem::field(name, "This value should be a number.")),
        };
        Ok((number("count", 10)?.min(1_000), number("offset", 0)?))
    }

    pub fn json(&self) -> Result<Map<String, Value>, Problem> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) => Err(Problem::field("", "Schema describes object, other found instead")),
            Err(_) => Err(Problem::new(
                400,
                "JSON Parse Error",
                "We encountered an unspecified JSON parsing error.",
            )),
        }
    }

    /// The reply with the fields that `fields` and `exclude_fields` leave.
    pub fn selected(&self, reply: Reply) -> Reply {
        let wanted = self.query("fields").or(self.query("exclude_fields"));
        let (Some(wanted), 200) = (wanted, reply.code()) else {
            return reply;
        };
        let paths: Vec<Vec<&str>> = wanted.split(',').map(|path| path.split('.').collect()).collect();
        let mut body: Value = serde_json::from_slice(reply.content()).unwrap_or_default();
        let keeps = self.query("fields").is_some();
        select(&mut body, &paths, keeps);
        Reply::json(200, &body)
    }
}

/// Keeps what the paths name, or removes it. The path goes through the entries of a list.
fn select(value: &mut Value, paths: &[Vec<&str>], keeps: bool) {
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| select(entry, paths, keeps)),
        Value::Object(members) => {
            members.retain(|name, member| {
                let below = paths.iter().filter(|path| path.first() == Some(&name.as_str()));
                let below: Vec<Vec<&str>> = below.map(|path| path[1..].to_vec()).collect();
                let is_named = below.iter().any(Vec::is_empty);
                if !is_named && !below.is_empty() {
                    select(member, &below, keeps);
                }
                if keeps { !below.is_empty() } else { !is_named }
            });
        }
        _ => {}
    }
}
