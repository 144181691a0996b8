//! Mailjet's API, as far as contacts need it: contacts, their properties, lists, and who is on a list.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod contacts;
mod errors;
mod lists;
mod page;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::errors::Failure;
pub use self::{contacts::Contact, lists::Recipient};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The keys that exist from the start.
pub const API_KEY: &str = "api-key-of-tests";
pub const SECRET_KEY: &str = "secret-key-of-tests";

/// The account.
pub struct Mailjet {
    clock: Arc<dyn Clock>,
    pub contacts: BTreeMap<u64, Contact>,
    /// Name → type: `str`, `int`, `float`, `bool` or `datetime`.
    pub properties: BTreeMap<String, String>,
    /// Number → name.
    pub lists: BTreeMap<u64, String>,
    /// (contact, list) → how the contact is on the list.
    pub recipients: BTreeMap<(u64, u64), Recipient>,
    /// Calls in a second; `None` for no limit. Mailjet publishes none.
    pub limit: Option<usize>,
    /// Calls that were refused because of the limit.
    pub refused: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    recent: VecDeque<Timestamp>,
    last_id: u64,
}

/// A call of the API.
struct Call<'a> {
    method: &'a str,
    /// Decoded parts of the path, from the version on.
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Value,
}

impl Call<'_> {
    /// A filter. Mailjet's names of filters are in capitals or not.
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A member that the API knows by this name and no other: wrong capitals are passed over.
    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    fn page(&self, rows: Vec<Value>) -> Vec<Value> {
        let number = |name: &str| self.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let limit = number("Limit")
            .filter(|limit| *limit > 0)
            .unwrap_or(10)
            .min(1_000);
        let offset = number("Offset").unwrap_or_default();
        rows.into_iter().skip(offset).take(limit).collect()
    }
}

/// The envelope around rows.
fn envelope(rows: &[Value]) -> Value {
    json!({ "Count": rows.len(), "Data": rows, "Total": rows.len() })
}

impl Mailjet {
    /// An account without contacts or lists, with the properties that each account has.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let properties = ["country", "firstname", "name"];
        Self {
            clock,
            contacts: BTreeMap::new(),
            properties: properties.map(|name| (name.to_owned(), "str".to_owned())).into(),
            lists: BTreeMap::new(),
            recipients: BTreeMap::new(),
            limit: None,
            refused: 0,
            loses_answers: 0,
            recent: VecDeque::new(),
            last_id: 1_000,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether one more call is allowed.
    fn spend(&mut self) -> bool {
        let now = self.now();
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

    fn run(&mut self, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let rows = |rows: Vec<Value>| Ok((200, envelope(&rows)));
        match (call.method, &*path) {
            ("DELETE", ["v4", "contacts", id]) => self.delete_contact(id),
            ("GET", ["v3", "REST", "contact"]) => rows(self.list_contacts(call)),
            ("POST", ["v3", "REST", "contact"]) => self.create_contact(call),
            ("GET", ["v3", "REST", "contact", who]) => self.read_contact(who).and_then(rows),
            ("PUT", ["v3", "REST", "contact", who]) => self.update_contact(who, call),
            ("GET", ["v3", "REST", "contact", who, "getcontactslists"]) => {
                self.lists_of_contact(who).and_then(rows)
            }
            ("GET", ["v3", "REST", "contactdata", who]) => self.read_data(who).and_then(rows),
            ("PUT", ["v3", "REST", "contactdata", who]) => self.write_data(who, call),
            ("GET", ["v3", "REST", "contactmetadata"]) => rows(self.list_properties(call)),
            ("POST", ["v3", "REST", "contactmetadata"]) => self.create_property(call),
            ("GET", ["v3", "REST", "contactslist"]) => rows(self.list_lists(call)),
            ("POST", ["v3", "REST", "contactslist"]) => self.create_list(call),
            ("GET", ["v3", "REST", "contactslist", id]) => self.read_list(id).and_then(rows),
            ("POST", ["v3", "REST", "contactslist", id, "managecontact"]) => self.manage_contact(id, call),
            ("GET", ["v3", "REST", "listrecipient"]) => rows(self.list_recipients(call)),
            _ => Err(Failure::not_found()),
        }
    }
}

impl Vendor for Mailjet {
    fn answer(&mut self, request: &Request) -> Reply {
        let basic = format!(
            "Basic {}",
            BASE64.encode(format!("{API_KEY}:{SECRET_KEY}").as_bytes())
        );
        if request.header("authorization") != Some(&basic) {
            return Failure::unauthorized().reply();
        }
        if !self.spend() {
            return Failure::limited().reply();
        }
        let parts = request.path.split('/').filter(|part| !part.is_empty());
        let decoded = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let call = Call {
            method: &request.method,
            path: parts.map(decoded).collect(),
            query: form_urlencoded::parse(request.query.as_bytes())
                .into_owned()
                .collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        };
        let reply = match self.run(&call) {
            Ok((status, Value::Null)) => Reply::status(status),
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
    }

    fn page(&self) -> String {
        self.html()
    }
}
