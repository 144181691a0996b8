//! A member of a list.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::{events::Event, list::List};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Subscribed,
    Unsubscribed,
    Cleaned,
    Pending,
    Transactional,
    Archived,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Cleaned => "cleaned",
            Self::Pending => "pending",
            Self::Transactional => "transactional",
            Self::Archived => "archived",
        }
    }

    /// A status that a request may name.
    pub(super) fn written(name: &str) -> Option<Self> {
        [
            Self::Subscribed,
            Self::Unsubscribed,
            Self::Cleaned,
            Self::Pending,
            Self::Transactional,
        ]
        .into_iter()
        .find(|status| status.name() == name)
    }
}

/// The id of an address in a list: the MD5 of its lower case.
pub fn hash(email: &str) -> String {
    data_encoding::HEXLOWER.encode(&Md5::digest(email.trim().to_lowercase()))
}

#[derive(Debug, Clone)]
pub struct Member {
    pub email: String,
    /// Stays the same if the address changes.
    pub contact_id: String,
    pub number: u64,
    pub status: Status,
    /// The person unsubscribed or complained, or the address bounced. The API cannot subscribe such a member.
    pub is_in_compliance_state: bool,
    pub unsubscribe_reason: Option<&'static str>,
    pub email_type: String,
    pub language: String,
    pub is_vip: bool,
    pub merge_fields: BTreeMap<String, Value>,
    pub interests: BTreeSet<String>,
    pub permissions: BTreeSet<String>,
    /// Numbers of the list's tags.
    pub tags: BTreeMap<u64, Timestamp>,
    pub events: Vec<Event>,
    pub timestamp_signup: Option<Timestamp>,
    pub timestamp_opt: Option<Timestamp>,
    pub last_changed: Timestamp,
    /// Confirmation mails that Mailchimp sent.
    pub confirmations: usize,
}

impl Member {
    pub(super) fn new(email: &str, number: u64, status: Status, now: Timestamp) -> Self {
        Self {
            email: email.to_owned(),
            contact_id: data_encoding::HEXLOWER.encode(&Md5::digest(format!("contact {number}"))),
            number,
            status,
            is_in_compliance_state: false,
            unsubscribe_reason: None,
            email_type: "html".to_owned(),
            language: String::new(),
            is_vip: false,
            merge_fields: BTreeMap::new(),
            interests: BTreeSet::new(),
            permissions: BTreeSet::new(),
            tags: BTreeMap::new(),
            events: Vec::new(),
            timestamp_signup: None,
            timestamp_opt: None,
            last_changed: now,
            confirmations: 0,
        }
    }

    /// A status that came about without the API.
    pub(super) fn becomes(&mut self, status: Status, now: Timestamp) {
        self.is_in_compliance_state = matches!(status, Status::Unsubscribed | Status::Cleaned);
        self.status = status;
        self.last_changed = now;
    }

    pub(super) fn to_json(&self, list: &List) -> Value {
        let merge_fields = list.merge_fields.keys().map(|tag| {
            let value = self.merge_fields.get(tag).cloned();
            (tag.clone(), value.unwrap_or_else(|| "".into()))
        });
        let merge_fields: Map<String, Value> = merge_fields.collect();
        let text = |tag: &str| {
            self.merge_fields
                .get(tag)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let interests = list.interests.keys();
        let interests: Map<String, Value> = interests
            .map(|id| (id.clone(), self.interests.contains(id).into()))
            .collect();
        let tags = self.tags.keys().take(50);
        let tags: Vec<Value> = tags
            .map(|id| json!({ "id": id, "name": list.tags[id] }))
            .collect();
        let mut body = json!({
            "id": hash(&self.email), "email_address": self.email,
            "unique_email_id": format!("{:010x}", self.number), "contact_id": self.contact_id,
            "full_name": format!("{} {}", text("FNAME"), text("LNAME")).trim(), "web_id": self.number,
            "email_type": self.email_type, "status": self.status.name(),
            "consents_to_one_to_one_messaging": self.status == Status::Subscribed, "merge_fields": merge_fields,
            "interests": interests, "stats": { "avg_open_rate": 0, "avg_click_rate": 0 }, "ip_signup": "",
            "timestamp_signup": self.timestamp_signup.map(time).unwrap_or_default(), "ip_opt": "",
            "timestamp_opt": self.timestamp_opt.map(time).unwrap_or_default(), "member_rating": 2,
            "last_changed": time(self.last_changed), "language": self.language, "vip": self.is_vip,
            "email_client": "", "source": "API - Generic", "tags_count": self.tags.len(), "tags": tags,
            "list_id": list.id, "_links": [],
        });
        if let Some(reason) = self
            .unsubscribe_reason
            .filter(|_| self.status == Status::Unsubscribed)
        {
            body["unsubscribe_reason"] = reason.into();
        }
        if list.has_permissions {
            let permissions = list.permissions.iter();
            let permissions = permissions.map(|(id, text)| {
                json!({ "marketing_permission_id": id, "text": text, "enabled": self.permissions.contains(id) })
            });
            body["marketing_permissions"] = permissions.collect();
        }
        body
    }
}

/// Times have seconds and an offset.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}
