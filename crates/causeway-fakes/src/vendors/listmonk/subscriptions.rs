//! How subscribers stand on lists.

use causeway_core::clock::Timestamp;
use serde_json::Value;

use super::{Listmonk, done, error, query, uuid};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionStatus {
    Unconfirmed,
    Confirmed,
    Unsubscribed,
}

impl SubscriptionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Confirmed => "confirmed",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Subscription {
    pub status: SubscriptionStatus,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Listmonk {
    /// Adds to a list. A subscription that is there changes only if a status is named, and then also one that was ended.
    pub(super) fn subscribe(&mut self, id: u64, list: u64, status: Option<SubscriptionStatus>) {
        let now = self.now();
        if !self.lists.contains_key(&list) {
            return;
        }
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return;
        };
        let subscription = subscriber.lists.entry(list).or_insert(Subscription {
            status: status.unwrap_or(SubscriptionStatus::Unconfirmed),
            created: now,
            updated: now,
        });
        if let Some(status) = status {
            subscription.status = status;
            subscription.updated = now;
        }
    }

    /// Sends a mail for each subscription to a double opt-in list that is not confirmed.
    pub(super) fn send_opt_in(&mut self, id: u64) {
        let lists = self.lists.clone();
        let Some(subscriber) = self.subscribers.get(&id) else {
            return;
        };
        let open = subscriber.lists.iter().filter(|(list, subscription)| {
            let is_double = lists.get(list).is_some_and(|list| list.is_double_opt_in);
            is_double && subscription.status == SubscriptionStatus::Unconfirmed
        });
        let mails: Vec<(u64, u64)> = open.map(|(list, _)| (id, *list)).collect();
        self.opt_in_mails.extend(mails);
    }

    /// Adds, removes or unsubscribes many subscribers on many lists.
    pub(super) fn manage(&mut self, body: &Value) -> Reply {
        if self.denied.contains("subscribers:manage") {
            return error(403, "permission denied: subscribers:manage");
        }
        let (ids, lists) = (
            query::numbers(body.get("ids")),
            query::numbers(body.get("target_list_ids")),
        );
        if ids.is_empty() {
            return error(400, "No IDs given.");
        }
        if lists.is_empty() {
            return error(400, "No lists given.");
        }
        let status = match body.get("status").and_then(Value::as_str) {
            None | Some("") => None,
            Some("confirmed") => Some(SubscriptionStatus::Confirmed),
            Some("unconfirmed") => Some(SubscriptionStatus::Unconfirmed),
            Some("unsubscribed") => Some(SubscriptionStatus::Unsubscribed),
            Some(_) => return error(400, "Invalid status."),
        };
        let now = self.now();
        for id in &ids {
            for list in &lists {
                match body.get("action").and_then(Value::as_str) {
                    Some("add") => self.subscribe(*id, *list, status),
                    Some("remove") => {
                        if let Some(subscriber) = self.subscribers.get_mut(id) {
                            subscriber.lists.remove(list);
                        }
                    }
                    Some("unsubscribe") => {
                        let subscriber = self.subscribers.get_mut(id);
                        if let Some(subscription) = subscriber.and_then(|one| one.lists.get_mut(list)) {
                            subscription.status = SubscriptionStatus::Unsubscribed;
                            subscription.updated = now;
                        }
                    }
                    _ => return error(400, "Invalid action."),
                }
            }
        }
        done()
    }

    /// The form behind the link in the confirmation mail.
    pub(super) fn confirm(&mut self, subscriber: &str, form: &str) -> Reply {
        let now = self.now();
        let form = query::pairs(form);
        let wanted = query::get(&form, "l").unwrap_or_default().to_owned();
        for one in self
            .subscribers
            .values_mut()
            .filter(|one| uuid(one.id) == subscriber)
        {
            for (list, subscription) in &mut one.lists {
                if uuid(*list) == wanted {
                    subscription.status = SubscriptionStatus::Confirmed;
                    subscription.updated = now;
                }
            }
        }
        Reply::status(200)
            .header("content-type", "text/html; charset=utf-8")
            .body("<h2>Confirmed</h2>")
    }

    /// A subscriber leaves a list by the link in a mail.
    pub fn unsubscribe(&mut self, email: &str, list: u64) {
        let now = self.now();
        let mut all = self.subscribers.values_mut();
        let found = all.find(|subscriber| subscriber.email == email);
        if let Some(subscription) = found.and_then(|subscriber| subscriber.lists.get_mut(&list)) {
            subscription.status = SubscriptionStatus::Unsubscribed;
            subscription.updated = now;
        }
    }
}
