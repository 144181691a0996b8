//! CiviCRM's APIv4 over HTTP, as far as contacts, their addresses, groups, activities and campaigns need it.
//!
//! [`call`] runs one API call, [`http`] is the page that receives them, [`schema`] has the entities and their fields.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod call;
mod chain;
mod clauses;
mod errors;
pub mod faults;
mod hooks;
mod http;
mod page;
mod query;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use self::schema::OptionValue;
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The API key of the contact that exists from the start.
pub const API_KEY: &str = "civi-api-key-of-tests";
/// Where the API is.
pub const PATH: &str = "/civicrm/ajax/api4";

pub type Row = Map<String, Value>;
/// By id.
pub type Table = BTreeMap<u64, Row>;

/// The site: what it holds, and the conditions that tests set.
pub struct CiviCrm {
    clock: Arc<dyn Clock>,
    /// The zone of the stored times.
    pub zone: TimeZone,
    pub tables: BTreeMap<&'static str, Table>,
    /// Option group → its values.
    pub options: BTreeMap<&'static str, Vec<OptionValue>>,
    /// Custom fields: entity, and `Group.Field`.
    pub custom: BTreeSet<(&'static str, String)>,
    /// If set, an API key needs this site key, too.
    pub site_key: Option<String>,
    /// Whether the API user has the permission "view debug output": without it, error texts are hidden.
    pub shows_errors: bool,
    /// `Entity.action` that the API user has no permission for.
    pub denied: BTreeSet<String>,
    /// Contacts that the API user may see and not edit.
    pub locked: BTreeSet<u64>,
    /// Whether `create` rolls the record back when a chained call fails. Old sites do, of others it is not known.
    pub has_transactions: bool,
    /// Whether the site is in maintenance mode.
    pub in_maintenance: bool,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// The calls so far, as `Entity.action`.
    pub log: Vec<String>,
    last_id: u64,
}

impl CiviCrm {
    /// A site without contacts, with the usual option values and two groups: `newsletter`, and the smart group `active`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut civicrm = Self {
            clock,
            zone: TimeZone::UTC,
            tables: schema::ENTITIES
                .iter()
                .map(|entity| (entity.name, Table::new()))
                .collect(),
            options: schema::options(),
            custom: BTreeSet::new(),
            site_key: None,
            shows_errors: true,
            denied: BTreeSet::new(),
            locked: BTreeSet::new(),
            has_transactions: true,
            in_maintenance: false,
            loses_answers: 0,
            log: Vec::new(),
            last_id: 0,
        };
        civicrm.add(
            "Group",
            &json!({ "name": "newsletter", "title": "Newsletter", "is_active": true }),
        );
        civicrm.add(
            "Group",
            &json!({ "name": "active", "title": "Active people", "is_active": true, "saved_search_id": 3 }),
        );
        civicrm
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The present time as the database stores it.
    pub fn local_now(&self) -> String {
        let now = self.now().to_zoned(self.zone.clone());
        now.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Stores a row as it is, without any check. Returns its id.
    pub fn add(&mut self, entity: &'static str, values: &Value) -> u64 {
        let id = self.next_id();
        let mut row = values.as_object().cloned().unwrap_or_default();
        row.insert("id".to_owned(), id.into());
        self.tables.entry(entity).or_default().insert(id, row);
        id
    }

    /// A contact that a person entered, with an address. Returns its id.
    pub fn add_contact(&mut self, email: &str, values: &Value) -> u64 {
        let mut contact = json!({
            "contact_type": "Individual", "is_opt_out": false, "do_not_email": false, "is_deleted": false,
            "is_deceased": false, "created_date": self.local_now(), "modified_date": self.local_now(),
        });
        if let (Some(contact), Some(values)) = (contact.as_object_mut(), values.as_object()) {
            contact.extend(values.clone());
        }
        let id = self.add("Contact", &contact);
        self.add(
            "Email",
            &json!({ "contact_id": id, "email": email, "is_primary": true, "on_hold": 0, "is_bulkmail": false }),
        );
        id
    }

    /// The table of an entity.
    pub fn table(&self, entity: &str) -> &Table {
        static EMPTY: Table = Table::new();
        self.tables.get(entity).unwrap_or(&EMPTY)
    }

    /// One value of a row; null if either is missing.
    pub fn get(&self, entity: &str, id: u64, field: &str) -> Value {
        let row = self.table(entity).get(&id);
        row.and_then(|row| row.get(field)).cloned().unwrap_or_default()
    }

    /// Changes a value as a person does in the user interface.
    pub fn set(&mut self, entity: &'static str, id: u64, field: &str, value: Value) {
        self.update_row(entity, id, &Row::from_iter([(field.to_owned(), value)]));
    }

    /// The rows of an entity in which a field has this value.
    pub fn rows_with(&self, entity: &str, field: &str, value: &Value) -> Vec<&Row> {
        let rows = self.table(entity).values();
        rows.filter(|row| row.get(field).unwrap_or(&Value::Null) == value)
            .collect()
    }

    /// The ids of the contacts that have this address and are not in the trash.
    pub fn contacts_with(&self, email: &str) -> Vec<u64> {
        let emails = self.rows_with("Email", "email", &email.into()).into_iter();
        let ids = emails.filter_map(|row| row.get("contact_id")?.as_u64());
        ids.filter(|id| self.get("Contact", *id, "is_deleted") == false)
            .collect()
    }

    /// How a contact stands in a group: `Added`, `Removed`, `Pending`, or nothing.
    pub fn membership(&self, contact: u64, group: &str) -> Option<String> {
        let group = self.rows_with("Group", "name", &group.into());
        let group = group.first()?.get("id")?.clone();
        let mut rows = self
            .rows_with("GroupContact", "contact_id", &contact.into())
            .into_iter();
        let row = rows.find(|row| row.get("group_id") == Some(&group))?;
        row.get("status")?.as_str().map(str::to_owned)
    }

    /// A person joins or leaves a group in the user interface.
    pub fn set_membership(&mut self, contact: u64, group: &str, status: &str) {
        let group = self.rows_with("Group", "name", &group.into());
        let group = group
            .first()
            .and_then(|group| group.get("id"))
            .cloned()
            .unwrap_or_default();
        let rows = self.table("GroupContact").iter();
        let same = rows.filter(|(_, row)| {
            row.get("contact_id") == Some(&contact.into()) && row.get("group_id") == Some(&group)
        });
        let known = same.map(|(id, _)| *id).next();
        let id = known.unwrap_or_else(|| {
            self.add(
                "GroupContact",
                &json!({ "contact_id": contact, "group_id": group }),
            )
        });
        self.update_row(
            "GroupContact",
            id,
            &Row::from_iter([("status".to_owned(), status.into())]),
        );
    }

    /// Merges two contacts as a person does: the addresses move, and the other contact goes to the trash.
    pub fn merge(&mut self, kept: u64, other: u64) {
        for entity in ["Email", "Phone", "Address", "Activity"] {
            let field = if entity == "Activity" {
                "source_contact_id"
            } else {
                "contact_id"
            };
            for row in self.tables.entry(entity).or_default().values_mut() {
                if row.get(field) == Some(&other.into()) {
                    row.insert(field.to_owned(), kept.into());
                    row.insert("is_primary".to_owned(), false.into());
                }
            }
        }
        self.set("Contact", other, "is_deleted", true.into());
    }
}

impl Vendor for CiviCrm {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.receive(request);
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return faults::bad_gateway();
        }
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}
