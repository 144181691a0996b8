//! ActiveCampaign's API v3, as far as contacts need it: contacts and their fields, lists, tags, and records of custom
//! objects.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod contacts;
mod errors;
mod lists;
mod page;
mod records;
mod tags;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use serde_json::{Value, json};
use url::form_urlencoded;

use self::errors::Failure;
pub use self::{
    contacts::{Contact, Field},
    lists::Membership,
    records::Schema,
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The key that exists from the start.
pub const TOKEN: &str = "key-of-tests";

/// Calls in a second, all keys together.
const LIMIT: usize = 5;

/// The account.
pub struct ActiveCampaign {
    clock: Arc<dyn Clock>,
    pub contacts: BTreeMap<u64, Contact>,
    /// The most contacts that the plan allows.
    pub most_contacts: usize,
    pub fields: BTreeMap<u64, Field>,
    /// Number → name.
    pub lists: BTreeMap<u64, String>,
    /// (contact, list) → how the contact is on the list.
    pub memberships: BTreeMap<(u64, u64), Membership>,
    /// Number → name.
    pub tags: BTreeMap<u64, String>,
    /// Number of the link → contact and tag.
    pub contact_tags: BTreeMap<u64, (u64, u64)>,
    pub schemas: BTreeMap<String, Schema>,
    /// The plan has custom objects.
    pub has_records: bool,
    /// Calls in a second; `None` for no limit.
    pub limit: Option<usize>,
    /// Calls that were refused because of the limit.
    pub refused: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// The times of the calls of the last second.
    recent: VecDeque<Timestamp>,
    last_id: u64,
}

/// A call of the API: what follows `/api/3`.
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

    /// The member of the body with the name of the resource.
    fn member(&self, name: &str) -> Result<&Value, Failure> {
        self.body
            .get(name)
            .filter(|value| value.is_object())
            .ok_or_else(|| Failure::invalid("The request body is missing a resource", "missing", name))
    }

    /// The rows of a page, and how many there are.
    fn page(&self, rows: &[Value]) -> (Vec<Value>, Value) {
        let number = |name: &str| self.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let limit = number("limit").unwrap_or(20).min(100);
        let offset = number("offset").unwrap_or_default();
        let page = rows.iter().skip(offset).take(limit).cloned().collect();
        (page, json!({ "total": rows.len().to_string() }))
    }
}

impl ActiveCampaign {
    /// An account without contacts, lists or tags.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            contacts: BTreeMap::new(),
            most_contacts: usize::MAX,
            fields: BTreeMap::new(),
            lists: BTreeMap::new(),
            memberships: BTreeMap::new(),
            tags: BTreeMap::new(),
            contact_tags: BTreeMap::new(),
            schemas: BTreeMap::new(),
            has_records: true,
            limit: Some(LIMIT),
            refused: 0,
            loses_answers: 0,
            recent: VecDeque::new(),
            last_id: 100,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether one more call is allowed, and how many are left in this second.
    fn spend(&mut self) -> Option<usize> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let now = self.now();
        let is_old = |at: &Timestamp| now.duration_since(*at).as_millis() >= 1_000;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit {
            self.refused += 1;
            return None;
        }
        self.recent.push_back(now);
        Some(limit - self.recent.len())
    }

    fn run(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let ok = |body: Value| Ok((200, body));
        match (call.method, &*call.path) {
            ("GET", ["users", "me"]) => {
                ok(json!({ "user": { "id": "1", "username": "causeway", "email": "crm@example.org" } }))
            }
            ("POST", ["contact", "sync"]) => self.sync_contact(call),
            ("POST", ["contacts"]) => self.create_contact(call),
            ("GET", ["contacts"]) => ok(self.list_contacts(call)),
            ("GET", ["contacts", id]) => self.read_contact(id).and_then(ok),
            ("PUT", ["contacts", id]) => self.update_contact(id, call).and_then(ok),
            ("DELETE", ["contacts", id]) => self.delete_contact(id).and_then(ok),
            ("GET", ["contacts", id, "contactLists"]) => self.lists_of_contact(id).and_then(ok),
            ("GET", ["contacts", id, "contactTags"]) => self.tags_of_contact(id).and_then(ok),
            ("GET", ["contacts", id, "fieldValues"]) => self.values_of_contact(id).and_then(ok),
            ("POST", ["contactLists"]) => self.set_status(call).and_then(ok),
            ("GET", ["lists"]) => ok(self.list_lists(call)),
            ("GET", ["lists", id]) => self.read_list(id).and_then(ok),
            ("POST", ["contactTags"]) => self.add_tag(call),
            ("DELETE", ["contactTags", id]) => self.remove_tag(id).and_then(ok),
            ("GET", ["tags"]) => ok(self.list_tags(call)),
            ("POST", ["tags"]) => self.create_tag(call),
            ("GET", ["tags", id]) => self.read_tag(id).and_then(ok),
            ("GET", ["fields"]) => ok(self.list_fields(call)),
            ("GET", ["fields", id]) => self.read_field(id).and_then(ok),
            (_, ["customObjects", rest @ ..]) if self.has_records => self.run_records(call, rest),
            (_, ["customObjects", ..]) => Err(Failure::forbidden()),
            _ => Err(Failure::message(404, "No route found")),
        }
    }
}

/// The number in a path, or why there is nothing with it.
fn number(text: &str, what: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::not_found(what, text))
}

/// A number that may be written as a text, as this API takes and gives them.
fn loose(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A time as the API writes it, in the account's zone.
fn time(at: Timestamp) -> Value {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-6));
    at.to_zoned(zone)
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
        .into()
}

impl Vendor for ActiveCampaign {
    fn answer(&mut self, request: &Request) -> Reply {
        let Some(rest) = request.path.strip_prefix("/api/3/") else {
            return Reply::status(404)
                .header("content-type", "text/html")
                .body("<html><body>Not Found</body></html>");
        };
        if request.header("api-token") != Some(TOKEN) {
            return Failure::forbidden().reply();
        }
        let limit = self.limit.unwrap_or(1_000).to_string();
        let Some(left) = self.spend() else {
            return Failure::limited()
                .header("ratelimit-limit", &limit)
                .header("ratelimit-remaining", "0");
        };
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
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return Reply::status(502)
                .header("content-type", "text/html")
                .body("<html><body>502 Bad Gateway</body></html>");
        }
        reply
            .header("ratelimit-limit", &limit)
            .header("ratelimit-remaining", &left.min(1_000).to_string())
    }

    fn page(&self) -> String {
        self.html()
    }
}
