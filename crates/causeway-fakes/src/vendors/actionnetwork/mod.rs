//! Action Network's OSDI API, version 2: people by the signup helper, tags, and what people do on petitions, forms, letter
//! campaigns and events.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod actions;
mod answer;
mod page;
mod people;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use jiff::SignedDuration;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub use self::{
    actions::{Action, Collection},
    people::{Person, Status},
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The key of the group that exists from the start.
pub const TOKEN: &str = "an-key-of-tests";
/// The page of each sort that exists from the start.
pub const PAGE: &str = "65345d7d-cd24-466a-a698-4a7686ef684f";

/// The group: what it holds, and the conditions that tests set.
pub struct ActionNetwork {
    clock: Arc<dyn Clock>,
    /// By id, in the order in which they came.
    pub people: BTreeMap<u64, Person>,
    /// Name → id.
    pub tags: BTreeMap<String, u64>,
    pub custom_fields: BTreeSet<String>,
    /// By collection and the id of the page.
    pub pages: BTreeMap<(Collection, String), Vec<Action>>,
    /// Custom fields that did not exist. The API takes the person and drops such a field.
    pub dropped_fields: Vec<String>,
    /// Names in `add_tags` that did not exist. The API ignores them.
    pub ignored_tags: Vec<String>,
    /// Calls in a second.
    pub calls_per_s: usize,
    /// Calls beyond the limit.
    pub refused: usize,
    /// This many requests pass before answers are lost.
    pub passes: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    calls: VecDeque<Timestamp>,
    last_id: u64,
}

impl ActionNetwork {
    /// A group with one page of each sort, one custom field, and one tag, `supporter`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            people: BTreeMap::new(),
            tags: BTreeMap::from([("supporter".to_owned(), 1)]),
            custom_fields: BTreeSet::from(["speaks_en".to_owned()]),
            pages: Collection::ALL
                .into_iter()
                .map(|collection| ((collection, PAGE.to_owned()), Vec::new()))
                .collect(),
            dropped_fields: Vec::new(),
            ignored_tags: Vec::new(),
            // Tests do not move the clock between calls.
            calls_per_s: usize::MAX,
            refused: 0,
            passes: 0,
            loses_answers: 0,
            calls: VecDeque::new(),
            last_id: 1,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The person with this address.
    pub fn person(&self, email: &str) -> Option<&Person> {
        self.people.values().find(|person| person.has(email))
    }

    pub fn person_mut(&mut self, email: &str) -> Option<&mut Person> {
        self.people.values_mut().find(|person| person.has(email))
    }

    /// What people did on the page of this sort.
    pub fn actions(&self, collection: Collection) -> &[Action] {
        let page = self.pages.get(&(collection, PAGE.to_owned()));
        page.map_or(&[], Vec::as_slice)
    }

    /// Whether one more call is within the limit.
    fn is_within_limit(&mut self) -> bool {
        let now = self.now();
        let since = now.saturating_sub(SignedDuration::from_secs(1)).unwrap_or(now);
        while self.calls.front().is_some_and(|at| *at <= since) {
            self.calls.pop_front();
        }
        let is_within = self.calls.len() < self.calls_per_s;
        if is_within {
            self.calls.push_back(now);
        } else {
            self.refused += 1;
        }
        is_within
    }

    fn receive(&mut self, request: &Request) -> Reply {
        if !self.is_within_limit() {
            return answer::error(429, "Too many requests");
        }
        let key = request.header("osdi-api-token").unwrap_or_default();
        let steps: Vec<&str> = request.path.split('/').filter(|step| !step.is_empty()).collect();
        let ["api", "v2", steps @ ..] = &steps[..] else {
            return answer::error(404, "Not found");
        };
        // The entry point answers whatever the key is.
        if steps.is_empty() {
            return Reply::json(
                200,
                &json!({ "motd": "Welcome to the Action Network OSDI API Endpoint!" }),
            );
        }
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        let is_helper = request.method == "POST";
        if key != TOKEN {
            // A helper can be called without a key, from a form on a web page: it says nothing about a failure.
            if is_helper && key.is_empty() {
                return Reply::json(200, &json!({}));
            }
            return answer::error(403, &format!("API Key invalid or not present {key}"));
        }
        let query = query(&request.query);
        let background = ["background_request", "background_processing"];
        let in_background = query
            .iter()
            .any(|(name, value)| background.contains(&&**name) && value == "true");
        let reply = self.route(&request.method, steps, &query, &body);
        if in_background && reply.code() < 500 {
            return Reply::json(200, &json!({}));
        }
        reply
    }

    fn route(&mut self, method: &str, steps: &[&str], query: &[(String, String)], body: &Value) -> Reply {
        match (method, steps) {
            ("GET", ["people"]) => self.list_people(query),
            ("POST", ["people"]) => self.sign_up(body),
            ("GET", ["people", id]) => self.read_person(id),
            ("PUT", ["people", id]) => self.update_person(id, body),
            ("GET", ["tags"]) => self.list_tags(query),
            ("POST", ["tags"]) => self.create_tag(body),
            ("GET", ["metadata", "custom_fields"]) => {
                let fields = self
                    .custom_fields
                    .iter()
                    .map(|name| json!({ "name": name, "numeric_id": 1 }));
                Reply::json(
                    200,
                    &json!({ "action_network:custom_fields": fields.collect::<Value>() }),
                )
            }
            (_, [collection, page, rest @ ..]) => match Collection::of(collection) {
                Some(collection) => self.route_action(method, collection, page, rest, query, body),
                None => answer::error(404, "Not found"),
            },
            _ => answer::error(404, "Not found"),
        }
    }

    fn list_tags(&self, query: &[(String, String)]) -> Reply {
        let tags = self.tags.iter().map(|(name, id)| answer::tag(*id, name));
        answer::paged("osdi:tags", tags.collect(), query)
    }

    /// A name that exists already answers with the tag that has it.
    fn create_tag(&mut self, body: &Value) -> Reply {
        let Some(name) = body
            .get("name")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())
        else {
            return answer::error(400, "You must specify a valid tag name");
        };
        let id = match self.tags.get(name) {
            Some(id) => *id,
            None => self.next_id(),
        };
        self.tags.insert(name.to_owned(), id);
        Reply::json(200, &answer::tag(id, name))
    }
}

/// The names and values of a query.
fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

impl Vendor for ActionNetwork {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.receive(request);
        if self.passes > 0 {
            self.passes -= 1;
        } else if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return Reply::status(502).body("<html>502 Bad Gateway</html>");
        }
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}
