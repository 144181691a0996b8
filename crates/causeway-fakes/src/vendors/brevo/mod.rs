//! Brevo, version 3 of its API: one account with contacts, their attributes, lists and events.
//!
//! Where Brevo documents nothing, it does what integrators saw. Times and limits follow the account's clock.
#![expect(
    clippy::indexing_slicing,
    reason = "an index of a JSON value that is read does not panic"
)]

mod attributes;
mod call;
mod contact;
mod contacts;
mod events;
pub mod faults;
mod limits;
mod lists;
mod page;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use self::call::{Answer, Call, Failure};
pub use self::{
    attributes::Type,
    contact::Contact,
    events::Event,
    limits::{Bucket, Limits},
    lists::List,
};
use super::Vendor;
pub use super::hubspot::Clock;
use crate::fake_api::{Reply, Request};

/// A key of the account.
pub const KEY: &str = "xkeysib-of-tests";

/// The account, and all that it has.
pub struct Brevo {
    pub clock: Clock,
    pub limits: Limits,
    pub keys: BTreeSet<String>,
    /// Whether the account allows the address of the caller.
    pub knows_address: bool,
    /// Whether a duplicate is named `invalid_parameter`, as it is since 2026.
    pub duplicates_are_invalid: bool,
    pub attributes: BTreeMap<String, Type>,
    pub lists: BTreeMap<u64, List>,
    pub contacts: BTreeMap<u64, Contact>,
    pub events: Vec<Event>,
    /// Ends of paths, in order. The answer to the next request that writes at such a path is lost on the way back: it takes
    /// effect, and the caller gets a 502.
    pub loses: Vec<&'static str>,
    /// Names of folders, by number.
    pub folders: BTreeMap<u64, String>,
    /// Confirmation mails, by address.
    pub confirmations: BTreeMap<String, usize>,
    /// Answers by status.
    pub answers: BTreeMap<u16, usize>,
    next: u64,
}

impl Default for Brevo {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            limits: Limits::default(),
            keys: BTreeSet::from([KEY.to_owned()]),
            knows_address: true,
            duplicates_are_invalid: false,
            attributes: attributes::of_a_new_account(),
            lists: BTreeMap::new(),
            contacts: BTreeMap::new(),
            events: Vec::new(),
            loses: Vec::new(),
            folders: BTreeMap::from([(1, "Your first folder".to_owned())]),
            confirmations: BTreeMap::new(),
            answers: BTreeMap::new(),
            next: 1,
        }
    }
}

impl Brevo {
    /// Makes a list and returns its number.
    pub fn add_list(&mut self, name: &str) -> u64 {
        let id = self.number();
        let name = name.to_owned();
        self.lists.insert(id, List { name, folder: 1 });
        id
    }

    /// The contact with this address. Fails the test if there is none.
    pub fn contact(&mut self, email: &str) -> &mut Contact {
        let id = self.by_email(email).unwrap();
        self.contacts.get_mut(&id).unwrap()
    }

    /// The number of the contact with this address.
    pub fn by_email(&self, email: &str) -> Option<u64> {
        let email = email.to_lowercase();
        let mut contacts = self.contacts.values();
        contacts
            .find(|contact| contact.email.as_deref() == Some(&email))
            .map(|contact| contact.id)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn answer_call(&mut self, request: &Request) -> Reply {
        if let Err(failure) = self.authorize(request) {
            return failure.reply();
        }
        let call = Call::new(request, self.clock.now());
        let segments = call.segments.clone();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let bucket = match (call.method, segments.as_slice()) {
            (_, ["contacts", ..]) | ("POST", ["events", ..]) => Bucket::Contacts,
            // Reading events is in no row of the limits, so it is with all others.
            _ => Bucket::General,
        };
        let reply = match self.limits.take(bucket, call.now) {
            Ok(()) => self
                .route(&segments, &call)
                .unwrap_or_else(|failure| failure.reply()),
            Err(failure) => failure.reply(),
        };
        self.limits.headers(bucket, call.now, reply)
    }

    fn route(&mut self, segments: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, segments) {
            ("GET", ["account"]) => Ok(Reply::json(
                200,
                &json!({ "email": "owner@example.org", "companyName": "Rivers", "plan": [] }),
            )),
            (_, ["contacts", "attributes", rest @ ..]) => self.attributes(rest, call),
            (_, ["contacts", "folders", rest @ ..]) => self.folders(rest, call),
            (_, ["contacts", "lists", rest @ ..]) => self.lists(rest, call),
            (_, ["contacts", rest @ ..]) => self.contacts(rest, call),
            (_, ["events", rest @ ..]) => self.events(rest, call),
            _ => Err(Failure::unknown_path()),
        }
    }

    fn authorize(&self, request: &Request) -> Result<(), Failure> {
        let key = request.header("api-key").unwrap_or_default();
        if !self.keys.contains(key) {
            return Err(Failure::new(401, "unauthorized", "Key not found"));
        }
        if !self.knows_address {
            let text = "We have detected you are using an unrecognised IP address 192.0.2.1.";
            return Err(Failure::new(401, "unauthorized", text));
        }
        Ok(())
    }
}

impl Vendor for Brevo {
    fn answer(&mut self, request: &Request) -> Reply {
        let mut reply = self.answer_call(request);
        let is_lost = |end: &&str| request.method != "GET" && request.path.ends_with(end);
        if self.loses.first().is_some_and(is_lost) {
            self.loses.remove(0);
            reply = faults::gateway();
        }
        *self.answers.entry(reply.code()).or_default() += 1;
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}
