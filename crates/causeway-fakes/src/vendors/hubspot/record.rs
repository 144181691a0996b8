//! Contacts and notes: what they hold, and the rules for writing them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    answer::{Failure, time},
    property::{Properties, addresses, moment},
};

pub type Values = BTreeMap<String, String>;

/// The kinds of objects that the fake has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Contact,
    Note,
}

impl Kind {
    pub(super) fn of_path(segment: &str) -> Option<Self> {
        match segment {
            "contacts" | "contact" | "0-1" => Some(Self::Contact),
            "notes" | "note" | "0-46" => Some(Self::Note),
            _ => None,
        }
    }

    pub(super) fn upper(self) -> &'static str {
        match self {
            Self::Contact => "CONTACT",
            Self::Note => "NOTE",
        }
    }

    /// The properties that HubSpot sets to the times of creation and change.
    pub(super) fn dates(self) -> [&'static str; 2] {
        match self {
            Self::Contact => ["createdate", "lastmodifieddate"],
            Self::Note => ["hs_createdate", "hs_lastmodifieddate"],
        }
    }

    /// What an answer holds if nothing is asked for.
    pub(super) fn shown(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &["email", "firstname", "lastname"],
            Self::Note => &[],
        }
    }
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: u64,
    /// Without those that HubSpot computes; none is empty.
    pub values: Values,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub archived: Option<Timestamp>,
    /// The contacts that a note is associated with.
    pub contacts: BTreeSet<u64>,
    /// The records that were merged into this one.
    pub merged: Vec<u64>,
    /// What the record held from each moment on: the search's index is behind.
    pub(super) versions: Vec<(Timestamp, Values)>,
}

impl Record {
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The primary address and the secondary ones.
    pub fn addresses(&self) -> impl Iterator<Item = String> + '_ {
        addresses(self.get("email")).chain(addresses(self.get("hs_additional_emails")))
    }
}

/// The properties that an answer shows.
pub(super) enum Show<'a> {
    All,
    /// These, or the defaults if there are none.
    Named(&'a [String]),
}

/// All records of one kind.
pub struct Objects {
    pub kind: Kind,
    pub properties: Properties,
    pub(super) records: BTreeMap<u64, Record>,
    /// Name and value of a unique property → the record that has it. Both kinds of addresses are under `email`.
    pub(super) owners: HashMap<(String, String), u64>,
    /// Ids that were merged away → the record that replaced them.
    pub merged: BTreeMap<u64, u64>,
    /// Addresses that were deleted for good. They cannot be used again.
    pub blocked: BTreeSet<String>,
    /// Properties that the account requires for a new record.
    pub required: BTreeSet<String>,
    /// A conflict of addresses is found only when the new record is stored, as it happens just after another write:
    /// 400 with two ids in place of 409.
    pub conflicts_late: bool,
    /// Address → the read-only properties that are true because of its opt-outs.
    pub(super) opted_out: BTreeMap<String, BTreeSet<String>>,
    pub(super) portal_id: u64,
    pub(super) next_id: u64,
    /// What the current request changed: the records as they were.
    pub(super) undo: Vec<(u64, Option<Record>)>,
}

impl Objects {
    pub(super) fn new(kind: Kind, properties: Properties, portal_id: u64, next_id: u64) -> Self {
        let required = match kind {
            Kind::Contact => BTreeSet::new(),
            Kind::Note => BTreeSet::from(["hs_timestamp".to_owned()]),
        };
        Self {
            kind,
            properties,
            records: BTreeMap::new(),
            owners: HashMap::new(),
            merged: BTreeMap::new(),
            blocked: BTreeSet::new(),
            required,
            conflicts_late: false,
            opted_out: BTreeMap::new(),
            portal_id,
            next_id,
            undo: Vec::new(),
        }
    }

    /// All records, archived ones included.
    pub fn records(&self) -> &BTreeMap<u64, Record> {
        &self.records
    }

    /// The records that are not archived.
    pub fn live(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|record| record.archived.is_none())
    }

    /// A record by its id, or by the id of a record that was merged into it.
    pub fn by_id(&self, id: u64) -> Option<&Record> {
        let id = self.merged.get(&id).unwrap_or(&id);
        self.records.get(id).filter(|record| record.archived.is_none())
    }

    /// Finds a record by a property whose values are unique.
    pub(super) fn find(&self, id: &str, id_property: &str) -> Result<Option<&Record>, Failure> {
        if id_property == "email" && self.kind == Kind::Contact {
            return Ok(self.by_address(id));
        }
        match self.properties.get(id_property) {
            Some(property) if property.is_unique => Ok(self.by_value(id_property, id)),
            _ => Err(self.not_unique(id_property)),
        }
    }

    pub(super) fn not_unique(&self, id_property: &str) -> Failure {
        let kind = self.type_id();
        let portal = self.portal_id;
        Failure::invalid(&format!(
            "Unable to perform update/upsert by non-unique {kind} property {id_property} in portal ID {portal}"
        ))
    }

    pub(super) fn type_id(&self) -> &'static str {
        match self.kind {
            Kind::Contact => "0-1",
            Kind::Note => "0-46",
        }
    }

    pub(super) fn json(&self, record: &Record, show: &Show<'_>) -> Value {
        let [created, updated] = self.kind.dates();
        let mut all = record.values.clone();
        all.insert("hs_object_id".to_owned(), record.id.to_string());
        all.insert(created.to_owned(), time(record.created));
        all.insert(updated.to_owned(), time(record.updated));
        if let Some((_, domain)) = record.get("email").split_once('@') {
            all.insert("hs_email_domain".to_owned(), domain.to_owned());
        }
        if !record.merged.is_empty() {
            let ids: Vec<String> = record.merged.iter().map(u64::to_string).collect();
            all.insert("hs_merged_object_ids".to_owned(), ids.join(";"));
        }
        for name in self.opted_out.get(record.get("email")).into_iter().flatten() {
            all.insert(name.clone(), "true".to_owned());
        }
        let properties: Map<String, Value> = match show {
            Show::All => all
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            Show::Named(wanted) => {
                let always = ["hs_object_id", created, updated];
                let defaults = if wanted.is_empty() { self.kind.shown() } else { &[] };
                let names = wanted.iter().map(String::as_str).chain(always);
                let names: BTreeSet<&str> = names.chain(defaults.iter().copied()).collect();
                let known = names
                    .into_iter()
                    .filter(|name| self.properties.get(name).is_some());
                known
                    .map(|name| (name.to_owned(), json!(all.get(name))))
                    .collect()
            }
        };
        let mut body = json!({
            "id": record.id.to_string(), "properties": properties, "createdAt": time(record.created),
            "updatedAt": time(record.updated), "archived": record.archived.is_some(),
        });
        if let Some(archived) = record.archived {
            body["archivedAt"] = time(archived).into();
        }
        body
    }
}

/// A search sees what was written this long ago.
pub(super) fn indexed(record: &Record, until: Timestamp) -> Option<&Values> {
    if record.archived.is_some_and(|archived| archived <= until) {
        return None;
    }
    let version = record.versions.iter().rev().find(|(at, _)| *at <= until);
    version.map(|(_, values)| values)
}

/// How far apart two values are, for searches: numbers and times by size, all else by text.
pub(super) fn order(left: &str, right: &str) -> std::cmp::Ordering {
    let numbers = (left.parse::<f64>(), right.parse::<f64>());
    if let (Ok(left), Ok(right)) = numbers {
        return left.total_cmp(&right);
    }
    match (moment(left), moment(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.to_lowercase().cmp(&right.to_lowercase()),
    }
}
