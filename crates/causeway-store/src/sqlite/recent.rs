//! What was just written of records, kept for the claims that follow a moment later: reading it back costs more than
//! anything else about them.
//!
//! Invariant: what is here is what the tables say. Whoever changes a contact, its identities or an action says so here; a
//! rollback and a change by another process forget everything.

use std::collections::HashMap;

use causeway_core::{
    contact::{Contact, Identity},
    event::Action,
    id::ContactId,
};
use serde_json::Value;

/// Events of which something is kept.
const EVENTS: usize = 2_048;
/// Contacts and actions with more text than this are not cached, so that memory stays bounded.
const TEXT: usize = 16_384;
/// After this many misses on a full cache, its entries count as stale and it is cleared.
const REFUSED: usize = 4 * EVENTS;

/// What a record is made of, apart from what depends on the destination.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub workspace: i64,
    pub source: i64,
    /// Of the message.
    pub key: [u8; 16],
    pub event: String,
    /// In milliseconds.
    pub event_at: i64,
    /// JSON; the hubs that it came through.
    pub via: Option<String>,
    /// Whether the event is another contact's: both use the same address.
    pub is_about_another: bool,
    pub contact: Contact,
    pub identities: Vec<Identity>,
    pub action: Option<Action>,
    pub campaign: Option<i64>,
    pub page: Option<i64>,
}

/// An event as it stays, however its contact and action change.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub workspace: i64,
    pub source: i64,
    pub key: [u8; 16],
    pub event: &'static str,
    pub event_at: i64,
    pub action: Option<i64>,
    pub campaign: Option<i64>,
    pub page: Option<i64>,
}

#[derive(Default)]
pub(crate) struct Recent {
    /// By inbox row.
    events: HashMap<i64, Kept<Told>>,
    contacts: HashMap<i64, Kept<(Contact, Vec<Identity>)>>,
    actions: HashMap<i64, Kept<Action>>,
    refused: usize,
}

struct Kept<T> {
    value: T,
    /// Deliveries that have not come for it yet.
    uses: usize,
}

impl Recent {
    /// Whether there is a place for one more event.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.events.len() < EVENTS {
            return true;
        }
        self.refused += 1;
        if self.refused > REFUSED {
            *self = Self::default();
        }
        false
    }

    /// Keeps an event of which `uses` deliveries were planned; contact and action are kept beside it.
    pub(crate) fn keep_event(&mut self, inbox: i64, told: Told, uses: usize) {
        self.events.insert(inbox, Kept { value: told, uses });
    }

    /// Keeps a contact that is new, with all its identities.
    pub(crate) fn keep_contact(
        &mut self,
        id: i64,
        mut contact: Contact,
        identities: &[Identity],
        uses: usize,
    ) {
        contact.id = Some(ContactId(id));
        if contact
            .fields
            .values()
            .map(|field| text(&field.value))
            .sum::<usize>()
            > TEXT
        {
            return;
        }
        let mut identities = identities.to_vec();
        identities.sort();
        identities.dedup();
        let value = (contact, identities);
        self.contacts.insert(id, Kept { value, uses });
    }

    pub(crate) fn keep_action(&mut self, id: i64, action: &Action, uses: usize) {
        let maps = action.custom_fields.values();
        if maps
            .chain(&action.donation)
            .chain(&action.tracking)
            .map(text)
            .sum::<usize>()
            <= TEXT
        {
            let value = action.clone();
            self.actions.insert(id, Kept { value, uses });
        }
    }

    pub(crate) fn forget_event(&mut self, inbox: i64) {
        self.events.remove(&inbox);
    }

    pub(crate) fn forget_contact(&mut self, id: i64) {
        self.contacts.remove(&id);
    }

    pub(crate) fn forget_action(&mut self, id: i64) {
        self.actions.remove(&id);
    }

    /// Everything about one delivery, if all of it is here.
    pub(crate) fn take(&mut self, inbox: i64, contact: i64) -> Option<Parts> {
        let told = spend(&mut self.events, inbox)?;
        let (contact, identities) = spend(&mut self.contacts, contact)?;
        let action = match told.action {
            Some(action) => Some(spend(&mut self.actions, action)?),
            None => None,
        };
        self.refused = 0;
        Some(Parts {
            workspace: told.workspace,
            source: told.source,
            key: told.key,
            event: told.event.to_owned(),
            event_at: told.event_at,
            via: None,
            is_about_another: false,
            contact,
            identities,
            action,
            campaign: told.campaign,
            page: told.page,
        })
    }
}

/// The value for one delivery more; the last one gets it without a copy.
fn spend<T: Clone>(all: &mut HashMap<i64, Kept<T>>, id: i64) -> Option<T> {
    let kept = all.get_mut(&id)?;
    kept.uses = kept.uses.saturating_sub(1);
    if kept.uses > 0 {
        return Some(kept.value.clone());
    }
    all.remove(&id).map(|kept| kept.value)
}

/// About how many bytes of text a value holds.
fn text(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 8 + text.len(),
        Value::Array(items) => 8 + items.iter().map(text).sum::<usize>(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| 8 + key.len() + text(value))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn told() -> Told {
        Told {
            workspace: 1,
            source: 2,
            key: [3; 16],
            event: "action",
            event_at: 4,
            action: None,
            campaign: None,
            page: None,
        }
    }

    fn contact(name: String) -> Contact {
        let mut contact = Contact::default();
        let fields = BTreeMap::from([("firstName".to_owned(), Value::from(name))]);
        contact.set_fields(&fields, jiff::Timestamp::UNIX_EPOCH);
        contact
    }

    fn kept(recent: &mut Recent, inbox: i64, uses: usize) {
        recent.keep_event(inbox, told(), uses);
        recent.keep_contact(inbox, contact("Ada".to_owned()), &[], uses);
    }

    #[test]
    fn each_delivery_gets_it_once_and_then_nothing_stays() {
        let mut recent = Recent::default();
        kept(&mut recent, 7, 2);
        assert_eq!(recent.take(7, 7), recent.take(7, 7));
        assert_eq!(recent.take(7, 7), None);
        assert!(recent.events.is_empty() && recent.contacts.is_empty());
    }

    #[test]
    fn what_was_changed_is_not_given() {
        let mut recent = Recent::default();
        kept(&mut recent, 7, 1);
        recent.forget_contact(7);
        assert_eq!(recent.take(7, 7), None);
        kept(&mut recent, 8, 1);
        // A merge gave the delivery another contact.
        assert_eq!(recent.take(8, 9), None);
    }

    #[test]
    fn it_stays_small_and_makes_room_when_nobody_comes() {
        let mut recent = Recent::default();
        let mut inbox = 0;
        while recent.has_room() {
            inbox += 1;
            kept(&mut recent, inbox, 1);
        }
        assert_eq!(recent.events.len(), EVENTS);
        assert!(recent.take(1, 1).is_some());
        assert!(recent.has_room());
        kept(&mut recent, 0, 1);
        assert!((0..REFUSED).all(|_| !recent.has_room()));
        assert!(recent.has_room() || recent.has_room());
        assert!(recent.events.is_empty() && recent.contacts.is_empty());
    }

    #[test]
    fn a_contact_with_very_much_text_is_not_kept() {
        let mut recent = Recent::default();
        recent.keep_event(7, told(), 1);
        recent.keep_contact(7, contact("x".repeat(TEXT)), &[], 1);
        assert_eq!(recent.take(7, 7), None);
    }
}
