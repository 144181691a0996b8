//! HubSpot, as of the API version 2026-09: one account with contacts, notes, lists, subscriptions and custom events.
//!
//! Where HubSpot documents nothing, it does what integrators saw. Texts of errors are those that were seen, as far as any
//! were.
#![expect(
    clippy::indexing_slicing,
    reason = "an index of a JSON value that is read does not panic"
)]

mod account;
mod answer;
mod associations;
mod auth;
mod batch;
mod check;
mod clock;
mod events;
pub mod faults;
mod limits;
mod lists;
mod objects;
mod page;
mod preferences;
mod properties;
mod property;
mod record;
mod search;
mod subscriptions;
mod table;
#[cfg(test)]
mod tests;
mod write;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

pub use self::{
    account::Account,
    auth::{App, SCOPES, Token},
    batch::{Batches, RowErrors},
    clock::Clock,
    events::{Dropped, Event, EventDefinition, Events},
    limits::{Limits, Policy},
    lists::{List, Processing},
    property::{Properties, Property, Type},
    record::{Kind, Objects, Record, Values},
    subscriptions::{Definition, State, Status, Subscriptions},
};
use self::{
    answer::{Answer, Call, Failure},
    limits::refusal,
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The version of the API, which is a segment of every path.
pub const VERSION: &str = "2026-09";
/// A service key with all scopes.
pub const TOKEN: &str = "service-key-of-tests";

/// The number of the account.
pub const PORTAL_ID: u64 = 12_345_678;

/// The account, and all that it has.
pub struct HubSpot {
    pub account: Account,
    pub clock: Clock,
    pub limits: Limits,
    /// By the text that requests carry.
    pub tokens: BTreeMap<String, Token>,
    pub apps: Vec<App>,
    pub contacts: Objects,
    pub notes: Objects,
    pub batches: Batches,
    /// How far the search's index is behind.
    pub search_lag: Duration,
    pub subscriptions: Subscriptions,
    pub lists: BTreeMap<u64, List>,
    pub events: Events,
    /// Answers by status, refusals of limits included.
    pub answers: BTreeMap<u16, usize>,
}

impl Default for HubSpot {
    fn default() -> Self {
        Self {
            account: Account::default(),
            clock: Clock::default(),
            limits: Limits::default(),
            tokens: BTreeMap::from([(TOKEN.to_owned(), Token::key())]),
            apps: Vec::new(),
            contacts: Objects::new(Kind::Contact, Properties::of_contacts(), PORTAL_ID, 70_001),
            notes: Objects::new(Kind::Note, Properties::of_notes(), PORTAL_ID, 90_001),
            batches: Batches::default(),
            search_lag: Duration::from_secs(10),
            subscriptions: Subscriptions::default(),
            lists: BTreeMap::new(),
            events: Events::default(),
            answers: BTreeMap::new(),
        }
    }
}

impl HubSpot {
    /// Creates a contact as a person would, and returns its id. Fails the test if HubSpot would refuse it.
    pub fn add_contact(&mut self, values: &[(&str, &str)]) -> u64 {
        let now = self.clock.now();
        self.contacts.create(&object(values), now).unwrap()
    }

    /// Changes a contact as a person would. Fails the test if HubSpot would refuse it.
    pub fn change_contact(&mut self, id: u64, values: &[(&str, &str)]) {
        let now = self.clock.now();
        self.contacts.update(id, &object(values), now).unwrap();
    }

    /// Moves a contact to the recycle bin.
    pub fn archive_contact(&mut self, id: u64) {
        self.contacts.archive(id, self.clock.now());
    }

    /// Merges two contacts, and returns the id of the new one. Fails the test if one does not exist.
    pub fn merge_contacts(&mut self, primary: u64, other: u64) -> u64 {
        let now = self.clock.now();
        let merged = self.contacts.merge(primary, other, now).unwrap();
        self.replace_merged();
        merged
    }

    /// Gives the lists and notes of merged contacts to the new one.
    fn replace_merged(&mut self) {
        let replaced = |id: u64| self.contacts.merged.get(&id).copied().unwrap_or(id);
        for list in self.lists.values_mut() {
            let members = std::mem::take(&mut list.members).into_iter();
            list.members = members.map(|(id, joined)| (replaced(id), joined)).collect();
        }
        for note in self.notes.records.values_mut() {
            let contacts = std::mem::take(&mut note.contacts).into_iter();
            note.contacts = contacts.map(replaced).collect();
        }
    }

    /// Takes a deleted contact out of lists, notes and events.
    fn forget(&mut self, erased: Option<u64>) {
        let Some(id) = erased else {
            return;
        };
        for list in self.lists.values_mut() {
            list.members.remove(&id);
        }
        for note in self.notes.records.values_mut() {
            note.contacts.remove(&id);
        }
        self.events.kept.retain(|event| event.contact != Some(id));
    }

    fn answer_call(&mut self, request: &Request) -> Reply {
        let correlation_id = self.correlation_id();
        let mut call = Call::new(request, self.clock.now());
        let segments = call.segments.clone();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let ["oauth", VERSION, rest @ ..] = segments.as_slice() {
            let answer = self.oauth(rest, &call);
            return answer.unwrap_or_else(|failure| failure.reply(&correlation_id));
        }
        let (name, token) = match self.authorize(request, call.now) {
            Ok(found) => found,
            Err(failure) => return failure.reply(&correlation_id),
        };
        let is_search = matches!(segments.as_slice(), ["crm", "objects", _, _, "search"]);
        if let Err(policy) = self.limits.take(&name, token.is_oauth, is_search, call.now) {
            let reply = refusal(policy)
                .with("requestId", correlation_id.as_str().into())
                .reply(&correlation_id);
            let reply = match self.limits.retry_after {
                Some(seconds) => reply.header("Retry-After", &seconds.to_string()),
                None => reply,
            };
            return if is_search {
                reply
            } else {
                self.limits.headers(&name, token.is_oauth, reply)
            };
        }
        call.scopes = token.scopes;
        let reply = self
            .route(&segments, &call)
            .unwrap_or_else(|failure| failure.reply(&correlation_id));
        if is_search {
            // They carry no headers about limits.
            return reply;
        }
        self.limits.headers(&name, token.is_oauth, reply)
    }

    fn route(&mut self, segments: &[&str], call: &Call<'_>) -> Answer {
        match segments {
            ["crm", "objects", VERSION, kind, rest @ ..] => {
                self.objects(Kind::of_path(kind).ok_or_else(|| unknown_kind(kind))?, rest, call)
            }
            ["crm", "properties", VERSION, kind, rest @ ..] => {
                self.properties(Kind::of_path(kind).ok_or_else(|| unknown_kind(kind))?, rest, call)
            }
            ["crm", "associations", VERSION, rest @ ..] => self.associations(rest, call),
            ["crm", "lists", VERSION, rest @ ..] => self.lists(rest, call),
            ["communication-preferences", VERSION, rest @ ..] => self.preferences(rest, call),
            ["events", "custom", VERSION, rest @ ..] => self.events(rest, call),
            ["account-info", VERSION, rest @ ..] => self.account(rest, call),
            _ => Err(Failure::not_found()),
        }
    }

    /// The same in every run.
    fn correlation_id(&self) -> String {
        let number: usize = self.answers.values().sum();
        format!("{number:08x}-0000-4000-8000-{number:012x}")
    }
}

impl Vendor for HubSpot {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.answer_call(request);
        *self.answers.entry(reply.code()).or_default() += 1;
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}

fn object(values: &[(&str, &str)]) -> Value {
    let values = values.iter();
    let values = values.map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    Value::Object(values.collect::<Map<_, _>>())
}

fn unknown_kind(kind: &str) -> Failure {
    Failure::invalid(&format!("Unable to infer object type from: {kind}"))
}
