//! CleverReach's API v3, as far as receivers need it: groups, attributes, receivers and their tags, the blacklist, and
//! tokens. The published documents type most responses as a bare string, so the shapes here are those that
//! CleverReach's own plug-ins read.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod access;
mod attributes;
mod errors;
pub mod faults;
mod groups;
mod page;
mod receivers;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::errors::Failure;
pub use self::{
    access::{Access, CLIENT_ID, CLIENT_SECRET, TOKEN},
    attributes::Attribute,
    receivers::{Person, Receiver},
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The largest page of receivers.
const MOST_ROWS: usize = 5_000;
/// Receivers in one call, before CleverReach answers 413.
const MOST_IN_A_BATCH: usize = 250;

/// The account.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that an account may do or not"
)]
pub struct CleverReach {
    clock: Arc<dyn Clock>,
    pub access: Access,
    /// Number → name.
    pub groups: BTreeMap<u64, String>,
    pub attributes: Vec<Attribute>,
    /// Address in small letters → what all groups share.
    pub people: BTreeMap<String, Person>,
    /// (group, address) → the receiver.
    pub receivers: BTreeMap<(u64, String), Receiver>,
    /// Address → comment.
    pub blacklist: BTreeMap<String, String>,
    /// Receivers in one call.
    pub most: usize,
    /// Calls in a second; `None` for no limit. CleverReach publishes none.
    pub limit: Option<usize>,
    /// The `Retry-After` of a 429, in seconds.
    pub retry_after: Option<u64>,
    /// Calls that were refused because of the limit.
    pub refused: usize,
    /// The answers of this many writes are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// `activated` brings back a receiver who is deactivated. Reports about CleverReach differ.
    pub activated_revives: bool,
    /// `activate` answers `true`, and a receiver who is deactivated stays so until they confirm by a form.
    pub needs_confirmation: bool,
    /// A receiver is shown in a list.
    pub answers_lists: bool,
    /// The calls that return full receivers return short rows.
    pub answers_short: bool,
    /// Errors are a plain text.
    pub plain_errors: bool,
    recent: VecDeque<Timestamp>,
    last_id: u64,
}

/// A call of the API.
struct Call<'a> {
    method: &'a str,
    query: Vec<(String, String)>,
    body: Value,
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.parameter(name).and_then(|text| text.parse().ok())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// A page, counted from 0.
    fn page(&self, rows: Vec<Value>) -> Value {
        let size = self.number("pagesize").and_then(|size| size.try_into().ok());
        let size = size.unwrap_or(50).clamp(1, MOST_ROWS);
        let page: usize = self
            .number("page")
            .and_then(|page| page.try_into().ok())
            .unwrap_or_default();
        rows.into_iter().skip(page * size).take(size).collect()
    }
}

impl CleverReach {
    /// An account without groups and receivers, with the attributes of the documents' example.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut account = Self {
            clock,
            access: Access::default(),
            groups: BTreeMap::new(),
            attributes: Vec::new(),
            people: BTreeMap::new(),
            receivers: BTreeMap::new(),
            blacklist: BTreeMap::new(),
            most: MOST_IN_A_BATCH,
            limit: None,
            retry_after: None,
            refused: 0,
            loses_answers: 0,
            activated_revives: false,
            needs_confirmation: false,
            answers_lists: false,
            answers_short: false,
            plain_errors: false,
            recent: VecDeque::new(),
            last_id: 27_000,
        };
        for name in ["firstname", "lastname", "zip", "country"] {
            account.add_attribute(name, None);
        }
        account
    }

    /// The time, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a group. Returns its number.
    pub fn add_group(&mut self, name: &str) -> u64 {
        let id = self.next_id();
        self.groups.insert(id, name.to_owned());
        id
    }

    /// Whether one more call is allowed.
    fn spend(&mut self) -> bool {
        let now = self.clock.now();
        let is_old = |at: &Timestamp| now.duration_since(*at).as_millis() >= 1_000;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        if self.limit.is_some_and(|limit| self.recent.len() >= limit) {
            self.refused += 1;
            return false;
        }
        self.recent.push_back(now);
        true
    }

    fn run(&mut self, path: &[&str], call: &Call<'_>) -> Result<Value, Failure> {
        match (call.method, path) {
            ("GET", ["debug", "ttl"]) => Ok(json!({ "ttl": access::LIFE })),
            ("GET", ["debug", "whoami"]) => {
                Ok(json!({ "id": "123456", "firstname": "Test", "name": "Account" }))
            }
            ("DELETE", ["oauth", "token"]) => {
                self.access.tokens.clear();
                Ok(true.into())
            }
            ("GET", ["groups"]) => Ok(self.groups.keys().map(|id| self.show_group(*id)).collect()),
            ("POST", ["groups"]) => self.create_group(call),
            ("GET", ["groups", group]) => Ok(self.show_group(self.group(group)?)),
            ("GET" | "POST", ["attributes"]) => {
                let group = call
                    .parameter("group_id")
                    .map(|group| self.group(group))
                    .transpose()?;
                self.attributes_of(group, call)
            }
            ("GET" | "POST", ["groups", group, "attributes"]) => {
                let group = self.group(group)?;
                self.attributes_of(Some(group), call)
            }
            (_, ["groups", group, "receivers", rest @ ..]) => {
                let group = self.group(group)?;
                self.run_in_group(group, rest, call)
            }
            (method, ["receivers", who]) if method != "POST" => {
                let group = call
                    .parameter("group_id")
                    .map(|group| self.group(group))
                    .transpose()?;
                self.run_for_receiver(group, who, call)
            }
            (method, ["receivers", who, "tags", rest @ ..]) => self.tags(method, who, rest, call),
            (_, ["blacklist", rest @ ..]) => self.run_blacklist(rest, call),
            _ => Err(Failure::new(404, "Not Found")),
        }
    }

    fn answer_call(&mut self, request: &Request, path: &[&str]) -> Result<Value, Failure> {
        let query: Vec<(String, String)> = form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        let call = Call {
            method: &request.method,
            body: if request.body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&request.body)
                    .map_err(|_| Failure::new(400, "Bad Request: invalid JSON"))?
            },
            query,
        };
        let in_header = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        self.access
            .check(in_header.or(call.parameter("token")), self.now())?;
        if !self.spend() {
            return Err(Failure::new(429, "Too Many Requests"));
        }
        self.run(path, &call)
    }
}

impl Vendor for CleverReach {
    fn answer(&mut self, request: &Request) -> Reply {
        let parts = request.path.split('/').filter(|part| !part.is_empty());
        let mut path: Vec<String> = parts
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        if path == ["oauth", "token.php"] {
            return self.access.answer(request, self.clock.now().as_second());
        }
        // `groups.json` is the same as `groups`.
        if let Some(first) = path.get_mut(1)
            && let Some(name) = first.strip_suffix(".json")
        {
            *first = name.to_owned();
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let answered = match &*path {
            ["v3", rest @ ..] => self.answer_call(request, rest),
            _ => Err(Failure::new(404, "Not Found")),
        };
        let reply = match answered {
            Ok(body) => Reply::json(200, &body),
            Err(failure) => failure.reply(self.plain_errors, self.retry_after),
        };
        if self.loses_answers > 0 && request.method != "GET" {
            self.loses_answers -= 1;
            return faults::gateway(502);
        }
        reply
    }

    fn page(&self) -> String {
        self.html()
    }
}
