//! Salesforce's REST API: one org with contacts, leads, campaigns and their members, tasks and own objects; describe,
//! single records, collections, queries and bulk jobs; sessions, field-level security, duplicate rules and limits.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod access;
mod bulk;
mod call;
mod composite;
mod errors;
pub mod faults;
mod limits;
mod page;
mod query;
mod record;
mod rows;
mod schema;
mod soql;
mod values;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};

pub use self::{
    access::{Access, App},
    bulk::Job,
    errors::{ApiError, RowError},
    limits::Limits,
    record::{Record, Values, time},
    schema::{Access as FieldAccess, Field, Object, Type},
    write::{DuplicateRule, OrgRule},
};
use self::{
    call::{Answer, Call},
    write::Options,
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// An access token that is valid from the start.
pub const TOKEN: &str = "00DDn0000000001!session-of-tests";
pub const ORG_ID: &str = "00DDn0000000001MAA";
pub const USER_ID: &str = "005Dn0000000001IAA";
/// The newest version, and the one that clients should use.
pub const VERSION: &str = "v68.0";

/// The versions that are answered; older ones are gone.
const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;

/// The org, and the conditions that tests set.
pub struct Salesforce {
    clock: Arc<dyn Clock>,
    pub access: Access,
    pub limits: Limits,
    pub objects: Vec<Object>,
    /// By id.
    pub records: BTreeMap<String, Record>,
    pub duplicate_rule: DuplicateRule,
    pub rules: Vec<OrgRule>,
    /// Id → how many writes find the record locked.
    pub locked: BTreeMap<String, usize>,
    /// Records that others hold on to.
    pub undeletable: BTreeSet<String>,
    pub rows_per_page: usize,
    pub jobs: BTreeMap<String, Job>,
    /// How long a bulk job takes.
    pub bulk_takes: SignedDuration,
    /// Bulk jobs fail after this many rows, and leave the others.
    pub bulk_fails_after: Option<usize>,
    /// The answers of this many writes are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    cursors: BTreeMap<String, Vec<Value>>,
    jobs_created: u64,
    last_number: u64,
}

impl Salesforce {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut access = Access::default();
        access.sessions.insert(TOKEN.to_owned(), String::new());
        Self {
            clock,
            access,
            limits: Limits::default(),
            objects: schema::standard(),
            records: BTreeMap::new(),
            duplicate_rule: DuplicateRule::Off,
            rules: Vec::new(),
            locked: BTreeMap::new(),
            undeletable: BTreeSet::new(),
            rows_per_page: 2_000,
            jobs: BTreeMap::new(),
            bulk_takes: SignedDuration::from_secs(5),
            bulk_fails_after: None,
            loses_answers: 0,
            cursors: BTreeMap::new(),
            jobs_created: 0,
            last_number: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Object> {
        self.objects
            .iter()
            .find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// Adds a field as an administrator does. Fails the test if there is no such object.
    pub fn add_field(&mut self, object: &str, field: Field) {
        let mut objects = self.objects.iter_mut();
        let object = objects.find(|known| known.name == object).unwrap();
        object.fields.push(field);
    }

    /// Changes what the integration user may do with a field. Fails the test if there is no such field.
    pub fn set_access(&mut self, object: &str, field: &str, access: FieldAccess) {
        let mut objects = self.objects.iter_mut();
        let object = objects.find(|known| known.name == object).unwrap();
        let mut fields = object.fields.iter_mut();
        fields.find(|known| known.name == field).unwrap().access = access;
    }

    /// Creates a record as a person does, and returns its id. Fails the test if Salesforce would refuse it.
    pub fn add(&mut self, object: &str, values: Value) -> String {
        let object = self.object(object).unwrap().clone();
        let values = self.own_values(&object, values);
        let options = Options {
            allow_duplicates: true,
        };
        self.insert(&object, values, options).unwrap()
    }

    /// Changes a record as a person does. Fails the test if Salesforce would refuse it.
    pub fn change(&mut self, id: &str, values: Value) {
        let object = self.by_id(id).unwrap().object.clone();
        let object = self.object(&object).unwrap().clone();
        let values = self.own_values(&object, values);
        self.update(&object, id, values).unwrap();
    }

    /// Moves a record to the recycle bin, as a person does.
    pub fn remove(&mut self, id: &str) {
        self.delete(id).unwrap();
    }

    /// Makes a contact of a lead, and returns its id. Fails the test if there is no such lead.
    pub fn convert(&mut self, lead: &str) -> String {
        let found = self.by_id(lead).unwrap();
        let values = ["FirstName", "LastName", "Email", "HasOptedOutOfEmail"];
        let values: serde_json::Map<String, Value> = values
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), found.values.get(*name)?.clone())))
            .collect();
        let contact = self.add("Contact", Value::Object(values));
        let lead = self.records.get_mut(lead).unwrap();
        lead.values.insert("IsConverted".to_owned(), true.into());
        let converted = contact.as_str().into();
        lead.values.insert("ConvertedContactId".to_owned(), converted);
        contact
    }

    /// A person may see fields that the integration user may not.
    fn own_values(&self, object: &Object, values: Value) -> Vec<(String, Value)> {
        let mut object = object.clone();
        for field in &mut object.fields {
            field.access = FieldAccess::Full;
        }
        let Value::Object(values) = values else {
            return Vec::new();
        };
        self.read_values(&object, &values, true).unwrap()
    }

    fn run(&mut self, request: &Request) -> Answer {
        let call = Call::new(request);
        let segments = call.segments.clone();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["services", "data", rest @ ..] = segments.as_slice() else {
            return Err(ApiError::not_found());
        };
        let [_, rest @ ..] = rest else {
            let versions = VERSIONS.map(|number| {
                json!({ "label": format!("Release {number}"), "version": format!("{number}.0"),
                    "url": format!("/services/data/v{number}.0") })
            });
            return Ok(Reply::json(200, &versions.collect()));
        };
        self.check_session(request)?;
        self.limits.take()?;
        if !VERSIONS.contains(&call.number()) {
            let is_old = call.number() > 0 && call.number() < *VERSIONS.start();
            return Err(if is_old {
                ApiError::new(410, "UNSUPPORTED_API_VERSION", "The version has been retired")
            } else {
                ApiError::not_found()
            });
        }
        self.route(rest, &call, request)
    }

    fn route(&mut self, path: &[&str], call: &Call, request: &Request) -> Answer {
        match path {
            ["limits"] if call.method == "GET" => Ok(Reply::json(200, &self.limits.json())),
            ["query", rest @ ..] if call.method == "GET" => {
                self.query(rest, call, request.path.len() + request.query.len())
            }
            ["sobjects", rest @ ..] => self.rows(rest, call),
            ["composite"] if call.method == "POST" => self.composite(call, request),
            ["composite", "sobjects", rest @ ..] => self.collection(rest, call),
            ["jobs", "ingest", rest @ ..] => self.bulk(rest, call, request),
            _ => Err(ApiError::not_found()),
        }
    }
}

impl Vendor for Salesforce {
    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.path.split('/').filter(|segment| !segment.is_empty());
        let path: Vec<&str> = path.collect();
        let reply = if let ["services", "oauth2", rest @ ..] = path.as_slice() {
            self.oauth(rest, request)
        } else {
            self.settle_jobs();
            let reply = self.run(request).unwrap_or_else(ApiError::reply);
            self.limits.header(reply)
        };
        if self.loses_answers > 0 && request.method != "GET" {
            self.loses_answers -= 1;
            return Reply::status(502)
                .header("content-type", "text/html")
                .body("<html><body>Bad Gateway</body></html>");
        }
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}
