//! A custom audience of Meta. Nobody leaves it by themselves, and it has no events.

use std::{collections::BTreeSet, sync::Arc};

use causeway_fakes::{
    fake_api::{Reply, Request},
    vendors::meta::{ACCOUNT, Meta, TOKEN, hash, html_502},
};
use causeway_testkit::clock::TestClock;
use serde_json::json;

use super::{Act, Effect, Held, rough::Account};
use crate::{message::Deed, world::Vendor};

/// `unique`: makes the number of the audience unique.
pub(super) fn account(unique: usize) -> Meta {
    // Nothing that counts here depends on Meta's time.
    let mut meta = Meta::new(Arc::new(TestClock::default()));
    for number in 0..=unique {
        let id = meta.add_audience(ACCOUNT, "Supporters");
        if number < unique {
            meta.audiences.remove(&id);
        }
    }
    meta
}

impl Account for Meta {
    const VENDOR: Vendor = Vendor::Meta;

    fn keys(&self) -> String {
        let audience = self.audiences.keys().next().map_or("", String::as_str);
        format!("kind = \"meta\"\ntoken = \"{TOKEN}\"\naudience = {audience}")
    }

    fn act(&mut self, _: &Request) -> Option<(String, Act)> {
        None
    }

    fn names(&self, request: &Request, address: &str) -> bool {
        request.method == "POST" && request.text().contains(&hash(address))
    }

    /// Meta refuses the whole batch, and does not say why.
    fn poisoned() -> Reply {
        let error = json!({ "message": "Invalid parameter", "type": "OAuthException", "code": 100 });
        Reply::json(400, &json!({ "error": error }))
    }

    /// Meta's own limits last for minutes.
    fn limited() -> Reply {
        Reply::status(429)
    }

    fn internal() -> Reply {
        html_502()
    }

    fn happen(&mut self, _: &str, _: &Deed, _: i64) -> Option<(i64, Effect)> {
        None
    }

    fn fill(&mut self, held: &mut Held, people: &BTreeSet<String>) {
        for audience in self.audiences.values() {
            let mut hashes = audience.members.values("EMAIL");
            held.subscribed.extend(
                people
                    .iter()
                    .filter(|address| hashes.remove(&*hash(address)))
                    .cloned(),
            );
            held.strangers += hashes.len();
        }
        held.contacts.clone_from(&held.subscribed);
    }
}
