//! A contact, and what people do without the API.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Brevo, call::time};

#[derive(Debug, Clone)]
pub struct Contact {
    pub id: u64,
    /// In small letters.
    pub email: Option<String>,
    pub ext_id: Option<String>,
    pub attributes: BTreeMap<String, Value>,
    pub lists: BTreeSet<u64>,
    /// Lists from which the person unsubscribed.
    pub left: BTreeSet<u64>,
    /// No campaign is sent to the address.
    pub is_blocked: bool,
    pub is_sms_blocked: bool,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub unsubscribed_by_user: Vec<Timestamp>,
    pub unsubscribed_by_admin: Vec<Timestamp>,
    pub bounced: Vec<Timestamp>,
    pub complained: Vec<Timestamp>,
}

impl Contact {
    pub(super) fn new(id: u64, now: Timestamp) -> Self {
        Self {
            id,
            email: None,
            ext_id: None,
            attributes: BTreeMap::new(),
            lists: BTreeSet::new(),
            left: BTreeSet::new(),
            is_blocked: false,
            is_sms_blocked: false,
            created: now,
            modified: now,
            unsubscribed_by_user: Vec::new(),
            unsubscribed_by_admin: Vec::new(),
            bounced: Vec::new(),
            complained: Vec::new(),
        }
    }

    /// Whether campaigns for the list reach the person.
    pub fn is_mailed(&self, list: u64) -> bool {
        self.lists.contains(&list) && !self.is_blocked
    }

    /// The statistics are those of the last 90 days.
    pub(super) fn to_json(&self, now: Timestamp) -> Value {
        let is_shown = |at: &&Timestamp| now.duration_since(**at).as_hours() < 90 * 24;
        let events = |times: &[Timestamp]| -> Value {
            let times = times.iter();
            times
                .filter(is_shown)
                .map(|at| json!({ "eventTime": time(*at), "campaignId": 1 }))
                .collect()
        };
        let by_admin = self.unsubscribed_by_admin.iter();
        let by_admin: Vec<Value> = by_admin
            .filter(is_shown)
            .map(|at| json!({ "eventTime": time(*at) }))
            .collect();
        let mut statistics = Map::new();
        statistics.insert(
            "unsubscriptions".to_owned(),
            json!({ "userUnsubscription": events(&self.unsubscribed_by_user), "adminUnsubscription": by_admin }),
        );
        for (name, times) in [("hardBounces", &self.bounced), ("complaints", &self.complained)] {
            if !times.is_empty() {
                statistics.insert(name.to_owned(), events(times));
            }
        }
        let mut body = json!({
            "id": self.id, "emailBlacklisted": self.is_blocked, "smsBlacklisted": self.is_sms_blocked,
            "whatsappBlacklisted": false, "createdAt": time(self.created), "modifiedAt": time(self.modified),
            "listIds": self.lists, "attributes": self.attributes, "statistics": statistics,
        });
        if let Some(email) = &self.email {
            body["email"] = email.as_str().into();
        }
        if !self.left.is_empty() {
            body["listUnsubscribed"] = self.left.iter().copied().collect();
        }
        if let Some(ext_id) = &self.ext_id {
            body["attributes"]["EXT_ID"] = ext_id.as_str().into();
        }
        body
    }
}

impl Brevo {
    /// The person clicks the link in a mail to this list.
    pub fn unsubscribe(&mut self, email: &str, list: Option<u64>) {
        let now = self.clock.now();
        let contact = self.contact(email);
        match list {
            Some(list) => {
                contact.lists.remove(&list);
                contact.left.insert(list);
            }
            None => contact.is_blocked = true,
        }
        contact.unsubscribed_by_user.push(now);
        contact.modified = now;
    }

    /// The person reports a mail as spam.
    pub fn complain(&mut self, email: &str) {
        let now = self.clock.now();
        let contact = self.contact(email);
        contact.is_blocked = true;
        contact.complained.push(now);
        contact.modified = now;
    }

    /// A mail bounces hard.
    pub fn bounce(&mut self, email: &str) {
        let now = self.clock.now();
        let contact = self.contact(email);
        contact.is_blocked = true;
        contact.bounced.push(now);
        contact.modified = now;
    }
}
