//! An audience of Mailchimp.

use std::collections::BTreeSet;

use causeway_fakes::{
    fake_api::{Reply, Request},
    vendors::mailchimp::{KEY, LIST, Mailchimp, Status, faults},
};
use serde_json::Value as Json;

use super::{Act, Effect, Held, clock, rough::Account};
use crate::{message::Deed, world::Vendor};

const DAY_S: i64 = 86_400;

pub(super) fn account(fakes: &BTreeSet<String>) -> Mailchimp {
    let mut mailchimp = Mailchimp {
        clock: clock(),
        ..Mailchimp::default()
    };
    mailchimp.list().fakes.clone_from(fakes);
    mailchimp
}

fn is_mailed(status: Status) -> bool {
    matches!(status, Status::Subscribed | Status::Pending)
}

impl Account for Mailchimp {
    const VENDOR: Vendor = Vendor::Mailchimp;

    fn keys(&self) -> String {
        format!(
            "kind = \"mailchimp\"\ntoken = \"{KEY}\"\nlist = \"{LIST}\"\ntags = [\"=causeway\", \"campaign.name\"]\n\
             event = {{ name = \"action\", properties = {{ action = \"{{{{ source }}}}:{{{{ action.id }}}}\" }} }}"
        )
    }

    fn act(&mut self, request: &Request) -> Option<(String, Act)> {
        let path = request
            .path
            .strip_prefix(&format!("/3.0/lists/{LIST}/members/"))?;
        if path.contains('/') {
            return None;
        }
        let body: Json = serde_json::from_slice(&request.body).unwrap_or_default();
        let written = body["email_address"].as_str().map(str::to_lowercase);
        let mut members = self.list().members.iter();
        let found = members.find(|(key, member)| *key == path || member.contact_id == path);
        let address = written.or_else(|| found.map(|(_, member)| member.email.to_lowercase()))?;
        let act = match (&*request.method, body["status"].as_str()) {
            ("GET", _) => Act::Read,
            (_, Some("unsubscribed" | "cleaned")) => Act::Unsubscribe,
            _ => Act::Write,
        };
        Some((address, act))
    }

    /// It has no batches that would be refused as a whole.
    fn names(&self, _: &Request, _: &str) -> bool {
        false
    }

    fn poisoned() -> Reply {
        faults::internal()
    }

    fn limited() -> Reply {
        faults::too_many()
    }

    fn internal() -> Reply {
        faults::internal()
    }

    fn happen(&mut self, address: &str, deed: &Deed, start: i64) -> Option<(i64, Effect)> {
        let now = self.clock.now();
        let status = self.status(address);
        let list = self.list();
        if let Deed::Left { at, how } = deed {
            let time = |seconds: i64| jiff::Timestamp::from_second(seconds).ok();
            let left = time(start + at)?;
            if status.is_some() {
                return None;
            }
            list.sign_up(address, time(start + at - DAY_S)?);
            match **how {
                Deed::Archived => list.archive(address, left),
                Deed::Bounces => list.bounce(address, left),
                _ => list.unsubscribe(address, left),
            }
            let can_return = **how == Deed::Archived;
            return Some((left.as_millisecond(), Effect::Left { can_return }));
        }
        if !status.is_some_and(is_mailed) {
            return None;
        }
        let left = |can_return| Some((now.as_millisecond(), Effect::Left { can_return }));
        match deed {
            Deed::Leaves | Deed::Merged | Deed::Left { .. } => {
                list.unsubscribe(address, now);
                left(false)
            }
            Deed::Complains => {
                list.complain(address, now);
                left(false)
            }
            Deed::Bounces => {
                list.bounce(address, now);
                left(false)
            }
            Deed::Archived => {
                list.archive(address, now);
                left(true)
            }
            Deed::Deleted => {
                list.forget(address);
                left(false)
            }
            Deed::Moves => {
                let to = format!("moved.{address}");
                list.change_address(address, &to, now);
                Some((now.as_millisecond(), Effect::Moved(to)))
            }
        }
    }

    fn fill(&mut self, held: &mut Held, _: &BTreeSet<String>) {
        for member in self.list().members.values() {
            let address = member.email.to_lowercase();
            if is_mailed(member.status) {
                held.subscribed.insert(address.clone());
            }
            for event in &member.events {
                let action = event.properties.get("action").and_then(Json::as_str);
                held.events
                    .push((action.unwrap_or_default().to_owned(), address.clone()));
            }
            held.contacts.insert(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_fakes::vendors::mailchimp::hash;

    use super::*;

    #[test]
    fn a_person_leaves_only_once() {
        let mut account = account(&BTreeSet::new());
        let how = Box::new(Deed::Leaves);
        let left = Account::happen(
            &mut account,
            "jane@example.org",
            &Deed::Left { at: -9, how },
            1_000_000,
        );
        assert_eq!(left, Some((999_991_000, Effect::Left { can_return: false })));
        assert_eq!(
            Account::happen(&mut account, "jane@example.org", &Deed::Leaves, 0),
            None
        );
        assert!(account.list().members.contains_key(&hash("jane@example.org")));
    }
}
