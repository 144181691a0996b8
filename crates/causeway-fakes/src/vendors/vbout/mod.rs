//! VBOUT's API, as far as contacts need it: lists with their custom fields, contacts, tags and the activities of the
//! timeline. A contact belongs to one list: a person on two lists is two contacts.
//!
//! VBOUT publishes no client for npm or PyPI, and few of its errors. What its documents leave open can be set, so
//! that a connector can be tried with each answer: [`Dialect`].
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod contacts;
mod errors;
mod page;
mod parameters;
#[cfg(test)]
mod tests;
mod timeline;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use serde_json::{Value, json};

pub use self::contacts::Contact;
use self::{errors::Failure, parameters::Call};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The key that exists from the start.
pub const KEY: &str = "vbout-key-of-tests";

#[derive(Debug, Clone, Default)]
pub struct List {
    pub name: String,
    pub has_double_opt_in: bool,
    /// Number → label.
    pub fields: BTreeMap<u64, String>,
}

/// What VBOUT's documents do not say.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that an account may do or not"
)]
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The status that the word `Disactive` becomes: 2 is unsubscribed, 0 is unconfirmed.
    pub disactive: u8,
    /// A contact that is not there is an error of the whole response, not of its member `contact`.
    pub has_outer_errors: bool,
    /// A contact that is found alone is an object, not a list with one item.
    pub shows_one_as_object: bool,
    /// Found contacts show their list.
    pub shows_lists: bool,
    /// The only method that deletes; `None` for both, `POST` and `DELETE`.
    pub deletes_by: Option<&'static str>,
    /// Writes of a contact return its number.
    pub returns_ids: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            disactive: 2,
            has_outer_errors: false,
            shows_one_as_object: false,
            shows_lists: true,
            deletes_by: None,
            returns_ids: true,
        }
    }
}

/// A start of the trigger "Contact Update (API)": the API changed a field of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    pub contact: u64,
    /// The numbers of the fields that changed.
    pub fields: BTreeSet<u64>,
}

/// The account.
pub struct Vbout {
    clock: Arc<dyn Clock>,
    pub lists: BTreeMap<u64, List>,
    pub contacts: BTreeMap<u64, Contact>,
    pub dialect: Dialect,
    /// Calls in a second; `None` for no limit.
    pub limit: Option<usize>,
    /// Calls that were refused because of the limit.
    pub refused: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// The starts of automations by the API, oldest first.
    pub fired: Vec<Fired>,
    /// Parameters that the published OpenAPI does not name for their operation. VBOUT passes over them.
    pub unknown_parameters: BTreeSet<String>,
    recent: VecDeque<Timestamp>,
    last_id: u64,
}

impl Vbout {
    /// An account without lists.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            lists: BTreeMap::new(),
            contacts: BTreeMap::new(),
            dialect: Dialect::default(),
            limit: Some(15),
            refused: 0,
            loses_answers: 0,
            fired: Vec::new(),
            unknown_parameters: BTreeSet::new(),
            recent: VecDeque::new(),
            last_id: 500,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A list with these custom fields. Returns its number; the fields have the numbers after it.
    pub fn add_list(&mut self, name: &str, labels: &[&str]) -> u64 {
        let id = self.next_id();
        let fields = labels.iter().map(|label| (self.next_id(), (*label).to_owned()));
        let fields = fields.collect();
        let list = List {
            name: name.to_owned(),
            has_double_opt_in: false,
            fields,
        };
        self.lists.insert(id, list);
        id
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The number of calls in this second, with this one.
    fn spend(&mut self) -> usize {
        let now = self.now();
        let is_old = |at: &Timestamp| now.duration_since(*at).as_millis() >= 1_000;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len()
    }

    fn run(&mut self, call: &Call) -> Result<Value, Failure> {
        if matches!(
            &*call.operation,
            "emailmarketing/deletecontact" | "emailmarketing/removetag"
        ) && self
            .dialect
            .deletes_by
            .is_some_and(|method| method != call.method)
        {
            return Err(Failure::wrong_method());
        }
        match &*call.operation {
            "app/me" => Ok(json!({ "business": { "businessname": "Rivers", "package": "Franchise" } })),
            "emailmarketing/getlists" => Ok(self.show_lists()),
            "emailmarketing/getlist" => self.show_list(call),
            "emailmarketing/getcontacts" => self.list_contacts(call),
            "emailmarketing/getcontact" => self.show_contact(call),
            "emailmarketing/getcontactbyemail" => self.find_contacts(call),
            "emailmarketing/addcontact" => self.add_contact(call),
            "emailmarketing/editcontact" => self.edit_contact(call),
            "emailmarketing/synccontact" => self.sync_contact(call),
            "emailmarketing/movecontact" => self.move_contact(call),
            "emailmarketing/deletecontact" => self.delete_contact(call),
            "emailmarketing/addtag" => self.tag(call, true),
            "emailmarketing/removetag" => self.tag(call, false),
            "emailmarketing/addactivity" => self.add_activity(call),
            "emailmarketing/getcontacttimeline" => self.timeline(call),
            "emailmarketing/getcontacttimelinebyemailaddress" => self.timeline_by_address(call),
            _ => Err(Failure::unknown_operation()),
        }
    }

    fn show_lists(&self) -> Value {
        let items = self.lists.iter().map(|(id, list)| show_list(*id, list, false));
        let items: Vec<Value> = items.collect();
        json!({ "lists": { "count": items.len(), "items": items } })
    }

    fn show_list(&self, call: &Call) -> Result<Value, Failure> {
        let id = self.known_list(call, "id")?;
        Ok(json!({ "list": show_list(id, &self.lists[&id], true) }))
    }

    fn known_list(&self, call: &Call, name: &str) -> Result<u64, Failure> {
        let id = call.number(name)?;
        if self.lists.contains_key(&id) {
            Ok(id)
        } else {
            Err(Failure::no_list())
        }
    }

    /// The response, with the account's use of its limit.
    fn wrap(&self, used: usize, result: &Result<Value, Failure>) -> Reply {
        let limit = self.limit.unwrap_or(15);
        let is_reached = self.limit.is_some_and(|limit| used > limit);
        let rate = [
            ("limit", limit.to_string()),
            ("requests", used.min(limit).to_string()),
            ("remaining", limit.saturating_sub(used).to_string()),
            ("reached", u8::from(is_reached).to_string()),
            ("reset", (self.now().as_second() + 1).to_string()),
            ("after", "1".to_owned()),
        ];
        let (status, header, data) = match result {
            Ok(data) => (200, "ok", data.clone()),
            Err(failure) => (failure.status, "error", failure.data()),
        };
        let shown: serde_json::Map<String, Value> = rate
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let body = json!({
            "response": { "header": { "status": header, "dataType": "json", "limit": "" }, "data": data },
            "rate-limit": shown,
        });
        let reply = Reply::json(status, &body);
        rate.iter().fold(reply, |reply, (name, value)| {
            reply.header(&format!("x-rate-limit-{name}"), value)
        })
    }
}

fn show_list(id: u64, list: &List, is_whole: bool) -> Value {
    let mut shown = json!({
        "id": id.to_string(), "name": list.name, "form_title": list.name, "email_subject": "",
        "doubleOptin": u8::from(list.has_double_opt_in).to_string(), "creation_date": "11/06/2014 00:00",
    });
    if is_whole {
        let fields = list.fields.iter();
        shown["fields"] = fields
            .map(|(id, label)| (id.to_string(), json!(label)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    shown
}

impl Vendor for Vbout {
    fn answer(&mut self, request: &Request) -> Reply {
        let Some(call) = Call::read(request) else {
            return Reply::status(404).body("<html><body>404 Not Found</body></html>");
        };
        let used = self.spend();
        if self.limit.is_some_and(|limit| used > limit) {
            self.refused += 1;
            return self.wrap(used, &Err(Failure::limited()));
        }
        if call.text("key") != Some(KEY) {
            return self.wrap(used, &Err(Failure::unauthorized()));
        }
        self.unknown_parameters.extend(call.unknown());
        let result = self.run(&call);
        let reply = self.wrap(used, &result);
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
