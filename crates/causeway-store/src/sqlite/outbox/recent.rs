//! A cache of records that were just written, for the claims that follow a moment later. Reading a record
//! back costs more than anything else about it.
//!
//! Invariant: the cache never differs from the tables. Code that changes a contact, its identities or an
//! action removes them from the cache. A rollback, or a change by another process, clears it.

use std::{collections::HashMap, hash::Hash};

use causeway_core::{
    contact::{Contact, Identity},
    event::Action,
};
use serde_json::Value;

use crate::sqlite::base::ids::{
    ActionRowId, CampaignRowId, ContactRowId, InboxRowId, PageRowId, SourceRowId, WorkspaceRowId,
};

/// Maximum number of events in the cache.
const EVENTS: usize = 2_048;
/// Maximum bytes of text of a contact or an action in the cache, so that memory stays bounded.
const TEXT: usize = 16_384;
/// After this many misses on a full cache, assume that its entries are stale and clear it.
const REFUSED: usize = 4 * EVENTS;

/// The parts of a record that do not depend on the destination.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub workspace: WorkspaceRowId,
    pub source: SourceRowId,
    /// The key of the message.
    pub key: [u8; 16],
    pub event: String,
    /// In milliseconds.
    pub event_at: i64,
    /// JSON: the hubs that the event came through.
    pub via: Option<String>,
    /// Whether the event belongs to another contact that uses the same address.
    pub is_about_another: bool,
    pub contact: Contact,
    pub identities: Vec<Identity>,
    pub action: Option<Action>,
    pub campaign: Option<CampaignRowId>,
    pub page: Option<PageRowId>,
}

/// The parts of an event that later changes of its contact and action do not affect.
#[derive(Debug, Clone)]
pub(crate) struct CachedEvent {
    pub workspace: WorkspaceRowId,
    pub source: SourceRowId,
    pub key: [u8; 16],
    pub event: &'static str,
    pub event_at: i64,
    pub action: Option<ActionRowId>,
    pub campaign: Option<CampaignRowId>,
    pub page: Option<PageRowId>,
}

#[derive(Default)]
pub(crate) struct Recent {
    /// By inbox row.
    events: HashMap<InboxRowId, Cached<CachedEvent>>,
    contacts: HashMap<ContactRowId, Cached<(Contact, Vec<Identity>)>>,
    actions: HashMap<ActionRowId, Cached<Action>>,
    refused: usize,
}

struct Cached<T> {
    value: T,
    /// Deliveries that have not been claimed yet.
    uses: usize,
}

impl Recent {
    /// Whether there is room for one more event.
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

    /// Keeps an event with `uses` planned deliveries. Its contact and action are kept separately.
    pub(crate) fn keep_event(&mut self, inbox: InboxRowId, event: CachedEvent, uses: usize) {
        self.events.insert(inbox, Cached { value: event, uses });
    }

    /// Keeps a new contact with all its identities.
    pub(crate) fn keep_contact(
        &mut self,
        id: ContactRowId,
        mut contact: Contact,
        identities: &[Identity],
        uses: usize,
    ) {
        contact.id = Some(id.into());
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
        self.contacts.insert(id, Cached { value, uses });
    }

    pub(crate) fn keep_action(&mut self, id: ActionRowId, action: &Action, uses: usize) {
        let maps = action.custom_fields.values();
        if maps
            .chain(&action.donation)
            .chain(&action.tracking)
            .map(text)
            .sum::<usize>()
            <= TEXT
        {
            let value = action.clone();
            self.actions.insert(id, Cached { value, uses });
        }
    }

    pub(crate) fn forget_event(&mut self, inbox: InboxRowId) {
        self.events.remove(&inbox);
    }

    pub(crate) fn forget_contact(&mut self, id: ContactRowId) {
        self.contacts.remove(&id);
    }

    pub(crate) fn forget_action(&mut self, id: ActionRowId) {
        self.actions.remove(&id);
    }

    /// Everything about one delivery, if all of it is in the cache.
    pub(crate) fn take(&mut self, inbox: InboxRowId, contact: ContactRowId) -> Option<Parts> {
        let event = spend(&mut self.events, &inbox)?;
        let (contact, identities) = spend(&mut self.contacts, &contact)?;
        let action = match event.action {
            Some(action) => Some(spend(&mut self.actions, &action)?),
            None => None,
        };
        self.refused = 0;
        Some(Parts {
            workspace: event.workspace,
            source: event.source,
            key: event.key,
            event: event.event.to_owned(),
            event_at: event.event_at,
            via: None,
            is_about_another: false,
            contact,
            identities,
            action,
            campaign: event.campaign,
            page: event.page,
        })
    }
}

/// The value for one more delivery. The last delivery gets it without a copy.
fn spend<I: Eq + Hash, T: Clone>(all: &mut HashMap<I, Cached<T>>, id: &I) -> Option<T> {
    let kept = all.get_mut(id)?;
    kept.uses = kept.uses.saturating_sub(1);
    if kept.uses > 0 {
        return Some(kept.value.clone());
    }
    all.remove(id).map(|kept| kept.value)
}

/// Approximate bytes of text in a value.
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

    fn event() -> CachedEvent {
        CachedEvent {
            workspace: WorkspaceRowId(1),
            source: SourceRowId(2),
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

    /// The row and the contact have the same number.
    fn kept(recent: &mut Recent, number: i64, uses: usize) {
        recent.keep_event(InboxRowId(number), event(), uses);
        let ada = contact("Ada".to_owned());
        recent.keep_contact(ContactRowId(number), ada, &[], uses);
    }

    fn take(recent: &mut Recent, inbox: i64, contact: i64) -> Option<Parts> {
        recent.take(InboxRowId(inbox), ContactRowId(contact))
    }

    #[test]
    fn an_entry_is_returned_once_per_delivery_and_then_removed() {
        let mut recent = Recent::default();
        kept(&mut recent, 7, 2);
        assert_eq!(take(&mut recent, 7, 7), take(&mut recent, 7, 7));
        assert_eq!(take(&mut recent, 7, 7), None);
        assert!(recent.events.is_empty() && recent.contacts.is_empty());
    }

    #[test]
    fn a_changed_entry_is_not_returned() {
        let mut recent = Recent::default();
        kept(&mut recent, 7, 1);
        recent.forget_contact(ContactRowId(7));
        assert_eq!(take(&mut recent, 7, 7), None);
        kept(&mut recent, 8, 1);
        // A merge moved the delivery to another contact.
        assert_eq!(take(&mut recent, 8, 9), None);
    }

    #[test]
    fn a_full_cache_of_unclaimed_entries_is_cleared() {
        let mut recent = Recent::default();
        let mut inbox = 0;
        while recent.has_room() {
            inbox += 1;
            kept(&mut recent, inbox, 1);
        }
        assert_eq!(recent.events.len(), EVENTS);
        assert!(take(&mut recent, 1, 1).is_some());
        assert!(recent.has_room());
        kept(&mut recent, 0, 1);
        assert!((0..REFUSED).all(|_| !recent.has_room()));
        assert!(recent.has_room() || recent.has_room());
        assert!(recent.events.is_empty() && recent.contacts.is_empty());
    }

    #[test]
    fn a_contact_with_too_much_text_is_not_cached() {
        let mut recent = Recent::default();
        recent.keep_event(InboxRowId(7), event(), 1);
        recent.keep_contact(ContactRowId(7), contact("x".repeat(TEXT)), &[], 1);
        assert_eq!(take(&mut recent, 7, 7), None);
    }
}
