//! listmonk's API, version 6: subscribers, lists, subscriptions and the block list.

mod page;
mod query;
mod subscribers;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use data_encoding::BASE64;
use serde_json::{Value, json};

pub use self::{
    subscribers::{Status, Subscriber},
    subscriptions::{Subscription, SubscriptionStatus},
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The API user that exists from the start, and its token.
pub const USER: &str = "causeway";
pub const TOKEN: &str = "listmonk-token-of-tests";

#[derive(Debug, Clone)]
pub struct List {
    pub name: String,
    pub is_double_opt_in: bool,
}

/// The installation: what it holds, and the conditions that tests set.
pub struct Listmonk {
    clock: Arc<dyn Clock>,
    pub lists: BTreeMap<u64, List>,
    pub subscribers: BTreeMap<u64, Subscriber>,
    /// Rights that the API user lacks, such as `subscribers:sql_query`.
    pub denied: BTreeSet<&'static str>,
    /// Confirmation mails that were sent: subscriber and list.
    pub opt_in_mails: Vec<(u64, u64)>,
    /// This many requests pass before answers are lost.
    pub passes: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    last_id: u64,
}

impl Listmonk {
    /// An installation with two lists: 1 is single opt-in, 2 is double.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let list = |name: &str, is_double_opt_in| List {
            name: name.to_owned(),
            is_double_opt_in,
        };
        Self {
            clock,
            lists: BTreeMap::from([(1, list("News", false)), (2, list("Rivers", true))]),
            subscribers: BTreeMap::new(),
            denied: BTreeSet::new(),
            opt_in_mails: Vec::new(),
            passes: 0,
            loses_answers: 0,
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

    /// The subscriber with this address.
    pub fn subscriber(&self, email: &str) -> Option<&Subscriber> {
        self.subscribers
            .values()
            .find(|subscriber| subscriber.email == email)
    }

    /// How a subscriber stands on a list.
    pub fn on_list(&self, email: &str, list: u64) -> Option<SubscriptionStatus> {
        let subscription = self.subscriber(email)?.lists.get(&list)?;
        Some(subscription.status)
    }

    fn receive(&mut self, request: &Request) -> Reply {
        let steps: Vec<&str> = request.path.split('/').filter(|step| !step.is_empty()).collect();
        if let ["subscription", "optin", uuid] = &steps[..] {
            return self.confirm(uuid, &request.text());
        }
        let ["api", steps @ ..] = &steps[..] else {
            return error(404, "not found");
        };
        let basic = BASE64.encode(format!("{USER}:{TOKEN}").as_bytes());
        let given = request.header("authorization").unwrap_or_default();
        if given != format!("token {USER}:{TOKEN}") && given != format!("Basic {basic}") {
            return error(403, "invalid API credentials");
        }
        let query = query::pairs(&request.query);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (&*request.method, steps) {
            ("GET", ["health"]) => Reply::json(200, &json!({ "data": true })),
            ("GET", ["lists"]) => self.show_lists(&query),
            ("GET", ["lists", id]) => match id.parse().ok().and_then(|id| self.list(id)) {
                Some(list) => Reply::json(200, &json!({ "data": list })),
                None => error(400, "List not found"),
            },
            ("GET", ["subscribers"]) => self.find(&query),
            ("POST", ["subscribers"]) => self.create(&body),
            ("DELETE", ["subscribers"]) => self.delete_several(&query),
            ("PUT", ["subscribers", "lists"]) => self.manage(&body),
            ("PUT", ["subscribers", "blocklist"]) => self.block(&query::numbers(body.get("ids"))),
            (method, ["subscribers", id, rest @ ..]) => {
                let Some(id) = id.parse().ok().filter(|id| self.subscribers.contains_key(id)) else {
                    return error(400, "Subscriber not found");
                };
                self.route_one(method, id, rest, &body)
            }
            _ => error(404, "not found"),
        }
    }

    fn route_one(&mut self, method: &str, id: u64, rest: &[&str], body: &Value) -> Reply {
        match (method, rest) {
            ("GET", []) => self.shown(id),
            ("PUT", []) => self.replace(id, body),
            ("PATCH", []) => self.patch(id, body),
            ("DELETE", []) => {
                self.subscribers.remove(&id);
                done()
            }
            ("PUT", ["blocklist"]) => self.block(&[id]),
            ("POST", ["optin"]) => {
                self.send_opt_in(id);
                done()
            }
            _ => error(404, "not found"),
        }
    }

    fn list(&self, id: u64) -> Option<Value> {
        let list = self.lists.get(&id)?;
        let at = self.now().to_string();
        Some(json!({
            "id": id, "uuid": uuid(id), "created_at": at, "updated_at": at, "name": list.name, "type": "private",
            "optin": if list.is_double_opt_in { "double" } else { "single" }, "tags": [], "description": "",
            "subscriber_count": self.subscribers.values().filter(|one| one.lists.contains_key(&id)).count(),
        }))
    }

    fn show_lists(&self, query: &[(String, String)]) -> Reply {
        if self.denied.contains("lists:get_all") {
            return error(403, "permission denied: lists:get_all");
        }
        let all: Vec<Value> = self.lists.keys().filter_map(|id| self.list(*id)).collect();
        query::paged(all, query)
    }
}

pub(crate) fn uuid(id: u64) -> String {
    format!("c37786af-e6ab-4260-9b49-{id:012x}")
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message }))
}

fn done() -> Reply {
    Reply::json(200, &json!({ "data": true }))
}

impl Vendor for Listmonk {
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
