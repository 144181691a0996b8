//! An account of HubSpot.

use std::collections::BTreeSet;

use causeway_fakes::{
    fake_api::{Reply, Request},
    vendors::hubspot::{EventDefinition, HubSpot, Policy, Processing, Property, State, TOKEN, Type, faults},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};

use super::{Act, Effect, Held, clock, rough::Account};
use crate::{message::Deed, world::Vendor};

const SUBSCRIPTION: u64 = 7;
const EVENT: &str = "pe12345678_action";

pub(super) fn account() -> HubSpot {
    let mut hubspot = HubSpot {
        clock: clock(),
        ..HubSpot::default()
    };
    hubspot.limits.burst = 1_000_000;
    hubspot.account.has_data_privacy = true;
    hubspot.add_subscription(SUBSCRIPTION, "News");
    hubspot.add_list("Supporters", Processing::Manual);
    hubspot.contacts.properties.add(Property::new("born", Type::Date));
    let created = hubspot.clock.now();
    let definition = EventDefinition {
        full_name: EVENT.to_owned(),
        name: "action".to_owned(),
        label: "Action".to_owned(),
        properties: [("action".to_owned(), Property::new("action", Type::String))].into(),
        created,
    };
    hubspot.events.definitions.insert(EVENT.to_owned(), definition);
    hubspot
}

fn contact(hubspot: &HubSpot, address: &str) -> Option<u64> {
    let mut live = hubspot.contacts.live();
    let found = live.find(|record| record.addresses().any(|own| own == address));
    found.map(|record| record.id)
}

impl Account for HubSpot {
    const VENDOR: Vendor = Vendor::HubSpot;

    fn keys(&self) -> String {
        let lists: Vec<String> = self.lists.keys().map(|id| format!("\"{id}\"")).collect();
        format!(
            "kind = \"hubspot\"\ntoken = \"{TOKEN}\"\nsubscription = {SUBSCRIPTION}\nlists = [{}]\n\
             calls_per_10_s = 100000\n\
             fields = {{ firstname = \"contact.firstName\", born = \"contact.Born | default(none)\" }}\n\
             event = {{ name = \"{EVENT}\", properties = {{ action = \"{{{{ source }}}}:{{{{ action.id }}}}\" }} }}",
            lists.join(", ")
        )
    }

    fn act(&mut self, request: &Request) -> Option<(String, Act)> {
        let rest = request
            .path
            .strip_prefix("/communication-preferences/2026-09/statuses/")?;
        let address = percent_decode_str(rest).decode_utf8_lossy().to_lowercase();
        if request.method == "GET" {
            return Some((address, Act::Read));
        }
        let body: Json = serde_json::from_slice(&request.body).ok()?;
        let act = match body["statusState"].as_str()? {
            "SUBSCRIBED" => Act::Subscribe,
            _ => Act::Unsubscribe,
        };
        Some((address, act))
    }

    fn names(&self, request: &Request, address: &str) -> bool {
        request.path.ends_with("/contacts/batch/upsert")
            && request.text().contains(&format!("\"id\":\"{address}\""))
    }

    /// A batch that HubSpot rejects as a whole.
    fn poisoned() -> Reply {
        let body = json!({ "status": "error", "category": "VALIDATION_ERROR", "message": "Property values were not valid" });
        Reply::json(400, &body)
    }

    fn limited() -> Reply {
        faults::limited(Policy::Secondly)
    }

    fn internal() -> Reply {
        faults::processing_limit()
    }

    fn happen(&mut self, address: &str, deed: &Deed, start: i64) -> Option<(i64, Effect)> {
        let now = self.clock.now();
        match deed {
            Deed::Left { at, .. } => {
                leave(self, address)?;
                let at = jiff::Timestamp::from_second(start + at).ok()?;
                let statuses = self.subscriptions.statuses.get_mut(address)?;
                statuses.get_mut(&SUBSCRIPTION)?.at = at;
                Some((at.as_millisecond(), Effect::Left { can_return: true }))
            }
            Deed::Leaves | Deed::Complains | Deed::Bounces => {
                leave(self, address)?;
                Some((now.as_millisecond(), Effect::Left { can_return: true }))
            }
            Deed::Archived | Deed::Deleted => {
                self.archive_contact(contact(self, address)?);
                Some((now.as_millisecond(), Effect::Gone))
            }
            Deed::Merged => {
                let id = contact(self, address)?;
                let other = self
                    .contacts
                    .live()
                    .map(|record| record.id)
                    .find(|other| *other != id)?;
                self.merge_contacts(id, other);
                None
            }
            Deed::Moves => {
                let id = contact(self, address)?;
                self.change_contact(id, &[("email", &format!("moved{id}@example.org"))]);
                Some((now.as_millisecond(), Effect::Gone))
            }
        }
    }

    fn fill(&mut self, held: &mut Held, _: &BTreeSet<String>) {
        let statuses = self.subscriptions.statuses.keys();
        let subscribed =
            statuses.filter(|address| self.subscriptions.state(address, SUBSCRIPTION) == State::Subscribed);
        held.subscribed = subscribed.cloned().collect();
        held.contacts = self
            .contacts
            .live()
            .flat_map(causeway_testkit::vendors::hubspot::Record::addresses)
            .collect();
        for event in &self.events.kept {
            let contact = event.contact.and_then(|id| self.contacts.by_id(id));
            let address = contact.map_or_else(String::new, |record| record.get("email").to_owned());
            let action = event.properties.get("action").cloned().unwrap_or_default();
            held.events.push((action, address));
        }
    }
}

/// The person unsubscribes. `None` if they are unsubscribed already.
fn leave(hubspot: &mut HubSpot, address: &str) -> Option<()> {
    if hubspot.subscriptions.state(address, SUBSCRIPTION) == State::Unsubscribed {
        return None;
    }
    hubspot.set_status(address, SUBSCRIPTION, State::Unsubscribed);
    Some(())
}
