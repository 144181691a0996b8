//! Whom Mautic must not contact, and by which channel.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, Done, Mautic, errors::Failure, php, time};

/// An entry. Its reasons: 1 unsubscribed, 2 bounced, 3 manual.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: u64,
    pub channel: String,
    pub reason: i64,
    pub comments: String,
    pub added: Timestamp,
}

const UNSUBSCRIBED: i64 = 1;
const MANUAL: i64 = 3;

impl Mautic {
    /// The entries of the contacts with this address.
    pub fn entries(&self, email: &str) -> Vec<Entry> {
        let all = self.by_email(email).into_iter();
        all.flat_map(|(_, contact)| contact.do_not_contact.clone())
            .collect()
    }

    /// The person clicks on the link in a mail.
    pub fn unsubscribe(&mut self, id: u64) {
        self.forbid(id, "email", UNSUBSCRIBED, "User unsubscribed.");
    }

    /// Adds or changes the entry of a channel. Somebody who unsubscribed stays unsubscribed, and the same reason again
    /// changes nothing.
    pub fn forbid(&mut self, id: u64, channel: &str, reason: i64, comments: &str) {
        let (added, next) = (self.now(), self.next_id());
        let contact = self.contacts.get_mut(&id).unwrap();
        let known = contact
            .do_not_contact
            .iter_mut()
            .find(|entry| entry.channel == channel);
        let entry = Entry {
            id: next,
            channel: channel.to_owned(),
            reason,
            comments: php::clean(comments),
            added,
        };
        match known {
            None => contact.do_not_contact.push(entry),
            Some(known) if known.reason == reason || known.reason == UNSUBSCRIBED => {}
            Some(known) => {
                *known = Entry {
                    id: known.id,
                    ..entry
                }
            }
        }
    }

    fn allow(&mut self, id: u64, channel: &str) -> bool {
        let entries = &mut self.contacts.get_mut(&id).unwrap().do_not_contact;
        let found = entries.iter().position(|entry| entry.channel == channel);
        found.map(|at| entries.remove(at)).is_some()
    }

    /// `doNotContact` of a contact that is written. Reason 0 removes an entry.
    pub(super) fn write_entries(&mut self, id: u64, given: &Map<String, Value>) {
        let entries = given.get("doNotContact").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let text = |name: &str| entry.get(name).map(php::text).filter(|text| !text.is_empty());
            let channel = text("channel").unwrap_or_else(|| "email".to_owned());
            match entry.get("reason").map_or(MANUAL, php::int) {
                0 => {
                    self.allow(id, &channel);
                }
                reason => self.forbid(id, &channel, reason, &text("comments").unwrap_or_default()),
            }
        }
    }

    pub(super) fn add_entry(&mut self, id: &str, channel: &str, call: &Call<'_>) -> Result<Done, Failure> {
        let id = self.known(id)?;
        self.may_edit(id)?;
        let reason = call.body.get("reason").map_or(MANUAL, php::int);
        if reason == 0 {
            let details = json!(["Reason code needs to be an integer and higher than 0."]);
            return Err(Failure::new(400, "Invalid reason code given").with_details(details));
        }
        let comments = call.body.get("comments").map(php::text).unwrap_or_default();
        self.forbid(id, channel, reason, &comments);
        Ok((200, json!({ "contact": self.shown(id) })))
    }

    pub(super) fn remove_entry(&mut self, id: &str, channel: &str) -> Result<Done, Failure> {
        let id = self.known(id)?;
        self.may_edit(id)?;
        let found = self.allow(id, channel);
        Ok((200, json!({ "recordFound": found, "contact": self.shown(id) })))
    }

    pub(super) fn entries_of(&self, id: u64) -> Value {
        let entries = self.contacts[&id].do_not_contact.iter();
        let entries = entries.map(|entry| {
            json!({
                "id": entry.id, "dateAdded": time(entry.added), "reason": entry.reason, "comments": entry.comments,
                "channel": entry.channel, "channelId": null,
            })
        });
        entries.collect()
    }
}
