//! Mailchimp, version 3.0 of the Marketing API: one account with audiences ("lists"), and their members.
//!
//! Where Mailchimp documents nothing, it does what integrators saw. A status that the person brought about, or a
//! bounce, is a compliance state: the API cannot subscribe such a member. A status that the API wrote is none.
#![expect(
    clippy::indexing_slicing,
    reason = "an index of a JSON value that is read does not panic"
)]

mod batch;
mod call;
mod check;
mod events;
pub mod faults;
mod list;
mod member;
mod members;
mod page;
mod problem;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::{
    call::Call,
    problem::{Answer, Problem},
};
pub use self::{
    events::Event,
    list::{List, MergeField, MergeType},
    member::{Member, Status, hash},
};
use super::Vendor;
pub use super::hubspot::Clock;
use crate::fake_api::{Reply, Request};

/// A key of the account. The end names the data centre.
pub const KEY: &str = "0123456789abcdef0123456789abcdef-us6";
/// The list that a new account has.
pub const LIST: &str = "57afe96172";

/// The account, and all that it has.
pub struct Mailchimp {
    pub clock: Clock,
    /// Key → whether its user is still enabled.
    pub keys: BTreeMap<String, bool>,
    pub lists: BTreeMap<String, List>,
    /// Answers by status.
    pub answers: BTreeMap<u16, usize>,
}

impl Default for Mailchimp {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            keys: BTreeMap::from([(KEY.to_owned(), true)]),
            lists: BTreeMap::from([(LIST.to_owned(), List::new(LIST, "Supporters"))]),
            answers: BTreeMap::new(),
        }
    }
}

impl Mailchimp {
    /// The list of a new account.
    pub fn list(&mut self) -> &mut List {
        self.lists.get_mut(LIST).unwrap()
    }

    /// The member of that list with this address. Fails the test if there is none.
    pub fn member(&mut self, email: &str) -> &mut Member {
        self.list().members.get_mut(&hash(email)).unwrap()
    }

    /// The status of a member; `None` if the list has no such member.
    pub fn status(&mut self, email: &str) -> Option<Status> {
        self.list().members.get(&hash(email)).map(|member| member.status)
    }

    fn answer_call(&mut self, request: &Request) -> Answer {
        self.authorize(request)?;
        let call = Call::new(request, self.clock.now())?;
        let segments = call.segments.clone();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let reply = match (call.method, segments.as_slice()) {
            ("GET", ["ping"]) => Ok(Reply::json(
                200,
                &json!({ "health_status": "Everything's Chimpy!" }),
            )),
            ("GET", ["lists"]) => {
                let lists: Vec<Value> = self.lists.values().map(List::to_json).collect();
                let total = lists.len();
                Ok(Reply::json(200, &json!({ "lists": lists, "total_items": total })))
            }
            (_, ["lists", id, rest @ ..]) => {
                let list = self.lists.get_mut(*id).ok_or_else(Problem::not_found)?;
                list.answer(rest, &call)
            }
            _ => Err(Problem::not_found()),
        };
        reply.map(|reply| call.selected(reply))
    }

    fn authorize(&self, request: &Request) -> Result<(), Problem> {
        let header = request.header("authorization").unwrap_or_default();
        let key = match header.split_once(' ') {
            Some(("Bearer", token)) => Some(token.to_owned()),
            Some(("Basic", encoded)) => {
                let pair = data_encoding::BASE64.decode(encoded.as_bytes()).ok();
                let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
                pair.and_then(|pair| Some(pair.split_once(':')?.1.to_owned()))
            }
            _ => None,
        };
        match key.and_then(|key| self.keys.get(&key)) {
            Some(true) => Ok(()),
            Some(false) => Err(Problem::new(
                403,
                "User Disabled",
                "This account has been deactivated.",
            )),
            None => Err(Problem::new(
                401,
                "API Key Invalid",
                "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
            )),
        }
    }
}

impl Vendor for Mailchimp {
    fn answer(&mut self, request: &Request) -> Reply {
        let number: usize = self.answers.values().sum();
        let reply = self
            .answer_call(request)
            .unwrap_or_else(|problem| problem.reply(number));
        *self.answers.entry(reply.code()).or_default() += 1;
        reply
    }

    fn page(&self) -> String {
        page::page(self)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
