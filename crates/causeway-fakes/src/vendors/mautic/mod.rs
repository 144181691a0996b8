//! Mautic's API, version 1, as far as contacts need it: contacts and their fields, do-not-contact, segments, tags,
//! notes and points.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod auth;
mod batch;
mod contacts;
mod dnc;
mod errors;
mod fields;
mod history;
mod page;
mod php;
mod search;
mod segments;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use serde_json::{Map, Value};
use url::form_urlencoded;

use self::errors::Failure;
pub use self::{
    contacts::Contact,
    dnc::Entry,
    fields::{Field, FieldKind},
    history::{Gain, Note},
    segments::Segment,
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// A user with all rights.
pub const USER: &str = "causeway";
pub const PASSWORD: &str = "password-of-tests";
/// An app with the grant "client credentials".
pub const CLIENT_ID: &str = "1_app-of-tests";
pub const CLIENT_SECRET: &str = "secret-of-tests";

/// The version that the site shows.
const VERSION: &str = "5.1.1";

/// Status and body.
type Done = (u16, Value);

/// The site.
pub struct Mautic {
    clock: Arc<dyn Clock>,
    pub contacts: BTreeMap<u64, Contact>,
    pub fields: Vec<Field>,
    pub segments: BTreeMap<u64, Segment>,
    pub notes: BTreeMap<u64, Note>,
    pub gains: Vec<Gain>,
    /// `api_enabled`.
    pub is_api_enabled: bool,
    /// `api_enable_basic_auth`.
    pub is_basic_enabled: bool,
    /// `api_batch_max_limit`.
    pub batch_limit: usize,
    /// `api_rate_limiter_limit`: calls in an hour.
    pub limit: Option<usize>,
    /// Calls that were refused because of the limit.
    pub refused: usize,
    /// Addresses whose contacts cannot be written: PHP throws an exception.
    pub breaks: BTreeSet<String>,
    /// After this many requests the answer of one is lost on its way back: it takes effect, and the caller gets a 502.
    pub loses_answer_after: Option<usize>,
    /// Token → when it ends.
    pub tokens: BTreeMap<String, Timestamp>,
    /// The times of the calls of the last hour.
    recent: VecDeque<Timestamp>,
    last_id: u64,
}

/// A call of the API: what follows `/api/`.
struct Call<'a> {
    method: &'a str,
    path: Vec<&'a str>,
    query: Vec<(String, String)>,
    body: Value,
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    fn parameters<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        let all = self.query.iter().filter(move |(have, _)| have == name);
        all.map(|(_, value)| value.as_str())
    }

    /// The body, which PHP reads as an array.
    fn object(&self) -> Result<Map<String, Value>, Failure> {
        let members = self.body.as_object().cloned();
        members.ok_or_else(|| Failure::new(400, "There was an error in the request."))
    }

    fn rows(&self) -> Vec<Value> {
        match &self.body {
            Value::Array(rows) => rows.clone(),
            Value::Object(rows) => rows.values().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The rows of a page.
    fn page<T>(&self, rows: Vec<T>) -> Vec<T> {
        let number = |name: &str| self.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let (start, limit) = (number("start").unwrap_or_default(), number("limit").unwrap_or(30));
        rows.into_iter().skip(start).take(limit).collect()
    }
}

impl Mautic {
    /// A site without contacts and segments.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            contacts: BTreeMap::new(),
            fields: Field::core(),
            segments: BTreeMap::new(),
            notes: BTreeMap::new(),
            gains: Vec::new(),
            is_api_enabled: true,
            is_basic_enabled: true,
            batch_limit: 200,
            limit: None,
            refused: 0,
            breaks: BTreeSet::new(),
            loses_answer_after: None,
            tokens: BTreeMap::new(),
            recent: VecDeque::new(),
            last_id: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether one more call is allowed, and the headers about that.
    fn spend(&mut self) -> (bool, Vec<(&'static str, String)>) {
        let Some(limit) = self.limit else {
            return (true, Vec::new());
        };
        let now = self.now();
        let is_old = |at: &Timestamp| now.duration_since(*at).as_secs() >= 3_600;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        let is_allowed = self.recent.len() < limit;
        if is_allowed {
            self.recent.push_back(now);
        } else {
            self.refused += 1;
        }
        let reset = self.recent.front().map_or(now, |first| *first).as_second() + 3_600;
        let headers = vec![
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", (limit - self.recent.len()).to_string()),
            ("x-ratelimit-reset", reset.to_string()),
        ];
        (is_allowed, headers)
    }

    fn run(&mut self, call: &Call<'_>) -> Result<Done, Failure> {
        match (call.method, &*call.path) {
            ("GET", ["contacts"]) => self.list_contacts(call),
            ("GET", ["contacts", "list", "fields"]) => Ok((200, self.list_fields())),
            ("POST", ["contacts", "new"]) => self.create_contact(call),
            ("POST", ["contacts", "batch", "new"]) => self.create_batch(call),
            ("PATCH" | "PUT", ["contacts", "batch", "edit"]) => self.edit_batch(call),
            ("GET", ["contacts", id]) => self.read_contact(id),
            ("PATCH" | "PUT", ["contacts", id, "edit"]) => self.edit_contact(id, call),
            ("DELETE", ["contacts", id, "delete"]) => self.delete_contact(id),
            ("POST", ["contacts", id, "dnc", channel, "add"]) => self.add_entry(id, channel, call),
            ("POST", ["contacts", id, "dnc", channel, "remove"]) => self.remove_entry(id, channel),
            ("POST", ["contacts", id, "points", operator, delta]) => {
                self.add_points(id, operator, delta, call)
            }
            ("GET", ["contacts", id, "notes"]) => self.notes_of(id, call),
            ("GET", ["contacts", id, "segments"]) => self.segments_of(id),
            ("GET", ["contacts", id, "activity"]) => self.activity_of(id, call),
            ("POST", ["notes", "new"]) => self.create_note(call),
            ("GET", ["notes", id]) => self.read_note(id),
            (_, ["segments", rest @ ..]) => self.run_segments(call, rest),
            _ => Err(Failure::new(404, "No route found")),
        }
    }

    fn list_fields(&self) -> Value {
        let numbered = self.fields.iter().zip(1..);
        let published = numbered.filter(|(field, _)| field.is_published);
        php::array(published.map(|(field, id)| (id, field.shown(id))).collect())
    }
}

/// A time as the API writes it.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// A page of the site, or of something in front of it.
fn html(status: u16, text: &str) -> Reply {
    Reply::status(status)
        .header("content-type", "text/html")
        .body(format!("<html><body>{text}</body></html>"))
}

impl Vendor for Mautic {
    fn answer(&mut self, request: &Request) -> Reply {
        if (request.method.as_str(), request.path.as_str()) == ("POST", "/oauth/v2/token") {
            return self.token(request);
        }
        let Some(rest) = request.path.strip_prefix("/api/") else {
            return html(404, "Not Found");
        };
        let (is_allowed, headers) = self.spend();
        let with_headers = |mut reply: Reply| {
            for (name, value) in &headers {
                reply = reply.header(name, value);
            }
            reply.header("mautic-version", VERSION)
        };
        if !is_allowed {
            let limit = self.limit.unwrap_or_default();
            let message = format!("You exceeded the rate limit of {limit} API calls per hour.");
            return with_headers(Failure::new(429, &message).reply());
        }
        if let Err(failure) = self.authorize(request) {
            return with_headers(failure.reply());
        }
        let call = Call {
            method: &request.method,
            path: rest.split('/').filter(|part| !part.is_empty()).collect(),
            query: form_urlencoded::parse(request.query.as_bytes())
                .into_owned()
                .collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        };
        let reply = match self.run(&call) {
            Ok((status, body)) => Reply::json(status, &body),
            Err(failure) => failure.reply(),
        };
        match self.loses_answer_after {
            Some(0) => {
                self.loses_answer_after = None;
                return html(502, "502 Bad Gateway");
            }
            Some(left) => self.loses_answer_after = Some(left - 1),
            None => {}
        }
        with_headers(reply)
    }

    fn page(&self) -> String {
        self.html()
    }
}
