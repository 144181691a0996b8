//! A list ("audience"), and what people do there without the API.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    call::Call,
    member::{Member, Status, hash, time},
    problem::{Answer, Problem},
};
use crate::fake_api::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeType {
    Text,
    Number,
    Address,
    Phone,
    Date,
    Url,
    Birthday,
}

impl MergeType {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Address => "address",
            Self::Phone => "phone",
            Self::Date => "date",
            Self::Url => "url",
            Self::Birthday => "birthday",
        }
    }
}

#[derive(Debug, Clone)]
pub struct MergeField {
    pub name: String,
    pub kind: MergeType,
    pub is_required: bool,
}

pub struct List {
    pub id: String,
    pub name: String,
    /// Whether the GDPR fields are on.
    pub has_permissions: bool,
    /// Id → text.
    pub permissions: BTreeMap<String, String>,
    /// Tag → field.
    pub merge_fields: BTreeMap<String, MergeField>,
    /// Id → name; all in one category.
    pub interests: BTreeMap<String, String>,
    /// Number → name.
    pub tags: BTreeMap<u64, String>,
    /// Hash of the address → member.
    pub members: BTreeMap<String, Member>,
    /// Hashes of addresses that were deleted for good.
    pub forgotten: BTreeSet<String>,
    /// Addresses that Mailchimp takes for fakes.
    pub fakes: BTreeSet<String>,
    /// Addresses that signed up to many lists within a short time.
    pub busy: BTreeSet<String>,
    /// The most members that the plan allows.
    pub most: usize,
    pub(super) next: u64,
}

/// The category of the interests.
const CATEGORY: &str = "a1e9f4b7f6";

impl List {
    pub fn new(id: &str, name: &str) -> Self {
        let field = |name: &str, kind| MergeField {
            name: name.to_owned(),
            kind,
            is_required: false,
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            has_permissions: false,
            permissions: BTreeMap::new(),
            merge_fields: BTreeMap::from([
                ("FNAME".to_owned(), field("First Name", MergeType::Text)),
                ("LNAME".to_owned(), field("Last Name", MergeType::Text)),
                ("ADDRESS".to_owned(), field("Address", MergeType::Address)),
                ("PHONE".to_owned(), field("Phone Number", MergeType::Phone)),
                ("BIRTHDAY".to_owned(), field("Birthday", MergeType::Birthday)),
            ]),
            interests: BTreeMap::new(),
            tags: BTreeMap::new(),
            members: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            fakes: BTreeSet::new(),
            busy: BTreeSet::new(),
            most: usize::MAX,
            next: 1,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn existing(&mut self, email: &str) -> &mut Member {
        self.members.get_mut(&hash(email)).unwrap()
    }

    /// The person clicks the link in a mail.
    pub fn unsubscribe(&mut self, email: &str, now: Timestamp) {
        let member = self.existing(email);
        member.becomes(Status::Unsubscribed, now);
        member.unsubscribe_reason = Some("I no longer want to receive these emails");
    }

    /// The person reports a mail as spam.
    pub fn complain(&mut self, email: &str, now: Timestamp) {
        let member = self.existing(email);
        member.becomes(Status::Unsubscribed, now);
        member.unsubscribe_reason = Some("The emails are spam and should be reported");
    }

    /// A mail bounces hard.
    pub fn bounce(&mut self, email: &str, now: Timestamp) {
        self.existing(email).becomes(Status::Cleaned, now);
    }

    /// The person uses Mailchimp's own form, or confirms. That ends a compliance state and a deletion.
    pub fn sign_up(&mut self, email: &str, now: Timestamp) {
        let number = self.number();
        self.forgotten.remove(&hash(email));
        let member = self.members.entry(hash(email));
        let member = member.or_insert_with(|| Member::new(email, number, Status::Subscribed, now));
        member.becomes(Status::Subscribed, now);
        member.timestamp_opt = Some(now);
    }

    /// Somebody archives the member. What brought it there stays known.
    pub fn archive(&mut self, email: &str, now: Timestamp) {
        let member = self.existing(email);
        member.status = Status::Archived;
        member.last_changed = now;
    }

    /// The person gives another address.
    pub fn change_address(&mut self, from: &str, to: &str, now: Timestamp) {
        let mut member = self.members.remove(&hash(from)).unwrap();
        to.clone_into(&mut member.email);
        member.last_changed = now;
        self.members.insert(hash(to), member);
    }

    /// Deletes the member for good. Fails the test if there is none.
    pub fn forget(&mut self, email: &str) {
        self.members.remove(&hash(email)).unwrap();
        self.forgotten.insert(hash(email));
    }

    pub(super) fn count(&self, status: Status) -> usize {
        let members = self.members.values();
        members.filter(|member| member.status == status).count()
    }

    pub(super) fn answer(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", []) => Ok(Reply::json(200, &self.to_json())),
            ("POST", []) => self.batch(call),
            (_, ["members", rest @ ..]) => self.members(rest, call),
            ("GET", ["merge-fields"]) => self.page_of("merge_fields", self.fields_json(), call),
            ("GET", ["interest-categories"]) => {
                let category =
                    json!({ "list_id": self.id, "id": CATEGORY, "title": "Topics", "type": "checkboxes" });
                self.page_of("categories", vec![category], call)
            }
            ("GET", ["interest-categories", CATEGORY, "interests"]) => {
                let interests = self.interests.iter().map(
                    |(id, name)| json!({ "category_id": CATEGORY, "list_id": self.id, "id": id, "name": name }),
                );
                self.page_of("interests", interests.collect(), call)
            }
            ("GET", ["tag-search"]) => {
                let name = call.query("name").unwrap_or_default().to_lowercase();
                let tags = self.tags.iter();
                let tags = tags.filter(|(_, tag)| tag.to_lowercase().contains(&name));
                let tags = tags.map(|(id, name)| json!({ "id": id, "name": name }));
                self.page_of("tags", tags.collect(), call)
            }
            _ => Err(Problem::not_found()),
        }
    }

    pub(super) fn page_of(&self, name: &str, all: Vec<Value>, call: &Call<'_>) -> Answer {
        let (count, offset) = call.page()?;
        let total = all.len();
        let shown: Vec<Value> = all.into_iter().skip(offset).take(count).collect();
        Ok(Reply::json(
            200,
            &json!({ name: shown, "list_id": self.id, "total_items": total, "_links": [] }),
        ))
    }

    fn fields_json(&self) -> Vec<Value> {
        let fields = self.merge_fields.iter().zip(1..);
        fields
            .map(|((tag, field), number)| {
                json!({ "merge_id": number, "tag": tag, "name": field.name, "type": field.kind.name(),
                    "required": field.is_required, "default_value": "", "public": false, "display_order": number,
                    "options": {}, "list_id": self.id })
            })
            .collect()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "id": self.id, "web_id": 1, "name": self.name, "date_created": time(Timestamp::UNIX_EPOCH),
            "double_optin": false, "marketing_permissions": self.has_permissions,
            "stats": {
                "member_count": self.count(Status::Subscribed),
                "unsubscribe_count": self.count(Status::Unsubscribed),
                "cleaned_count": self.count(Status::Cleaned),
                "merge_field_count": self.merge_fields.len(),
            },
            "_links": [],
        })
    }
}
