//! Subscribers: create, replace, patch, block and delete.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Listmonk, Subscription, SubscriptionStatus, done, error, query, uuid};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Enabled,
    Disabled,
    Blocklisted,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Blocklisted => "blocklisted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled, Self::Blocklisted]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

#[derive(Debug, Clone)]
pub struct Subscriber {
    pub id: u64,
    pub email: String,
    pub name: String,
    pub status: Status,
    pub attribs: Map<String, Value>,
    pub lists: BTreeMap<u64, Subscription>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// What a request says about a subscriber; `None` is what it does not name.
struct Given {
    email: Option<String>,
    name: Option<String>,
    status: Option<Status>,
    attribs: Option<Map<String, Value>>,
    lists: Option<Vec<u64>>,
    preconfirms: bool,
}

impl Given {
    fn read(body: &Value) -> Result<Self, Reply> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let email = text("email").map(|email| email.trim().to_lowercase());
        if email.as_deref().is_some_and(|email| !is_address(email)) {
            return Err(error(400, "Invalid email."));
        }
        let status = match text("status") {
            None => None,
            Some(text) => Some(Status::parse(&text).ok_or_else(|| error(400, "Invalid subscriber status."))?),
        };
        let attribs = match body.get("attribs") {
            None | Some(Value::Null) => None,
            Some(Value::Object(attribs)) => Some(attribs.clone()),
            Some(_) => return Err(error(400, "Invalid attribs.")),
        };
        Ok(Self {
            email,
            name: text("name"),
            status,
            attribs,
            lists: body.get("lists").map(|lists| query::numbers(Some(lists))),
            preconfirms: body.get("preconfirm_subscriptions") == Some(&true.into()),
        })
    }
}

impl Listmonk {
    pub(super) fn to_json(&self, subscriber: &Subscriber) -> Value {
        let list = |(id, subscription): (&u64, &Subscription)| {
            let list = self.lists.get(id);
            json!({
                "id": id, "uuid": uuid(*id), "name": list.map(|list| &list.name), "type": "private", "tags": [],
                "optin": if list.is_some_and(|list| list.is_double_opt_in) { "double" } else { "single" },
                "subscription_status": subscription.status.as_str(),
                "subscription_created_at": subscription.created.to_string(),
                "subscription_updated_at": subscription.updated.to_string(),
            })
        };
        json!({
            "id": subscriber.id, "uuid": uuid(subscriber.id), "email": subscriber.email, "name": subscriber.name,
            "status": subscriber.status.as_str(), "attribs": subscriber.attribs,
            "lists": subscriber.lists.iter().map(list).collect::<Value>(),
            "created_at": subscriber.created.to_string(), "updated_at": subscriber.updated.to_string(),
        })
    }

    pub(super) fn shown(&self, id: u64) -> Reply {
        let data = self
            .subscribers
            .get(&id)
            .map(|subscriber| self.to_json(subscriber));
        Reply::json(200, &json!({ "data": data }))
    }

    pub(super) fn create(&mut self, body: &Value) -> Reply {
        if self.denied.contains("subscribers:manage") {
            return error(403, "permission denied: subscribers:manage");
        }
        let given = match Given::read(body) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        let Some(email) = given.email else {
            return error(400, "Invalid email.");
        };
        if self.subscriber(&email).is_some() {
            return error(409, "E-mail already exists.");
        }
        let (id, now) = (self.next_id(), self.now());
        let subscriber = Subscriber {
            id,
            email,
            name: given.name.unwrap_or_default(),
            status: given.status.unwrap_or(Status::Enabled),
            attribs: given.attribs.unwrap_or_default(),
            lists: BTreeMap::new(),
            created: now,
            updated: now,
        };
        self.subscribers.insert(id, subscriber);
        let status = if given.preconfirms {
            SubscriptionStatus::Confirmed
        } else {
            SubscriptionStatus::Unconfirmed
        };
        for list in given.lists.unwrap_or_default() {
            self.subscribe(id, list, Some(status));
        }
        if !given.preconfirms {
            self.send_opt_in(id);
        }
        self.shown(id)
    }

    /// Replaces everything: lists that the request does not name are lost.
    pub(super) fn replace(&mut self, id: u64, body: &Value) -> Reply {
        let given = match Given::read(body) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        let lists = given.lists.clone().unwrap_or_default();
        let now = self.now();
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return error(400, "Subscriber not found");
        };
        subscriber.email = given.email.unwrap_or_default();
        subscriber.name = given.name.unwrap_or_default();
        subscriber.attribs = given.attribs.unwrap_or_default();
        subscriber.status = given.status.unwrap_or(Status::Enabled);
        subscriber.updated = now;
        subscriber.lists.retain(|list, _| lists.contains(list));
        let status = given.preconfirms.then_some(SubscriptionStatus::Confirmed);
        for list in lists {
            self.subscribe(id, list, status);
        }
        self.block_if_blocklisted(id);
        self.shown(id)
    }

    /// Changes what the request names. Attributes are merged at the first level; lists, if named, are replaced.
    pub(super) fn patch(&mut self, id: u64, body: &Value) -> Reply {
        let given = match Given::read(body) {
            Ok(given) => given,
            Err(reply) => return reply,
        };
        let email = given.email.clone();
        let is_taken = email.is_some_and(|email| self.subscriber(&email).is_some_and(|other| other.id != id));
        if is_taken {
            return error(409, "E-mail already exists.");
        }
        let now = self.now();
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return error(400, "Subscriber not found");
        };
        if let Some(email) = given.email {
            subscriber.email = email;
        }
        if let Some(name) = given.name {
            subscriber.name = name;
        }
        if let Some(status) = given.status {
            subscriber.status = status;
        }
        subscriber.attribs.extend(given.attribs.unwrap_or_default());
        subscriber.updated = now;
        if let Some(lists) = given.lists {
            subscriber.lists.retain(|list, _| lists.contains(list));
            for list in lists {
                self.subscribe(id, list, None);
            }
        }
        self.block_if_blocklisted(id);
        self.shown(id)
    }

    fn block_if_blocklisted(&mut self, id: u64) {
        let status = self.subscribers.get(&id).map(|subscriber| subscriber.status);
        if status == Some(Status::Blocklisted) {
            self.block(&[id]);
        }
    }

    /// A blocked subscriber leaves all lists.
    pub(super) fn block(&mut self, ids: &[u64]) -> Reply {
        if ids.is_empty() {
            return error(400, "No IDs given.");
        }
        let now = self.now();
        for id in ids {
            if let Some(subscriber) = self.subscribers.get_mut(id) {
                subscriber.status = Status::Blocklisted;
                subscriber.updated = now;
                for subscription in subscriber.lists.values_mut() {
                    subscription.status = SubscriptionStatus::Unsubscribed;
                    subscription.updated = now;
                }
            }
        }
        done()
    }

    pub(super) fn delete_several(&mut self, query: &[(String, String)]) -> Reply {
        let ids: Vec<u64> = query
            .iter()
            .filter(|(name, _)| name == "id")
            .filter_map(|(_, id)| id.parse().ok())
            .collect();
        if ids.is_empty() {
            return error(400, "No IDs given.");
        }
        self.subscribers.retain(|id, _| !ids.contains(id));
        done()
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !text.contains(' '))
}
