//! What becomes of a contact's do-not-contact entries, and what is remembered about it.
//!
//! Mautic mails every contact without such an entry. Causeway marks the entries that it wrote by their comment, so they
//! can be recognised by whoever looks at them, also after an answer was lost.

use std::collections::BTreeMap;

use causeway_core::{
    clock::Timestamp,
    consent::{CLICK_GRACE, Change, ConsentState, Suppression},
    record::Record,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Mautic, Step, contact::Contact};
use crate::connector::Task;

pub(super) const UNSUBSCRIBED: u64 = 1;
pub(super) const BOUNCED: u64 = 2;
pub(super) const MANUAL: u64 = 3;

/// An entry as Causeway writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub reason: u64,
    pub comments: String,
}

/// The start of the comments of all entries that Causeway wrote for this purpose.
fn mark(purpose: &str) -> String {
    format!("Causeway ({purpose}):")
}

impl Entry {
    /// The entry of a person who opted out, or whose address must not be used.
    pub fn of_withdrawal(record: &Record) -> Self {
        let why = match record.consent_state_for(&record.purpose) {
            ConsentState::Suppressed { why, .. } => Some(why),
            _ => None,
        };
        let (reason, text) = match (record.change, why) {
            (_, Some(Suppression::Complained)) => (UNSUBSCRIBED, "complained"),
            (Change::Suppress, Some(Suppression::Blocked)) => (BOUNCED, "blocked"),
            (Change::Suppress, Some(Suppression::Inactive)) => (BOUNCED, "inactive"),
            (Change::Suppress, _) => (BOUNCED, "bounced"),
            _ => (UNSUBSCRIBED, "opted out"),
        };
        Self {
            reason,
            comments: format!("{} {text}", mark(&record.purpose)),
        }
    }

    /// The entry of a new contact who did not agree.
    pub fn of_others(record: &Record) -> Self {
        Self {
            reason: MANUAL,
            comments: format!("{} did not agree", mark(&record.purpose)),
        }
    }
}

/// What is remembered about a contact. It is worth something only for the address that it is about.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    address: String,
    /// Mautic's id of the contact, which stays if the person changes the address there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Segments that Causeway put the contact into, with the time of the opt-in. Without a newer opt-in the contact is
    /// not put there again: they may have left it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<u64, Option<Timestamp>>,
}

impl Memory {
    /// What is remembered about this address, which is given as a hash.
    pub fn of(stored: Option<&Value>, address: &str) -> Self {
        let stored: Option<Self> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        let stored = stored.filter(|stored| stored.address == address);
        stored.unwrap_or_else(|| Self {
            address: address.to_owned(),
            ..Self::default()
        })
    }

    /// Whether an opt-in of this time is known to have put the contact into the segment.
    pub fn has(&self, segment: u64, since: Option<Timestamp>) -> bool {
        self.segments.get(&segment) == Some(&since)
    }
}

/// Keeps what was learnt about the contact.
pub(super) fn remember(task: &mut Task<'_, Mautic>) {
    if let Ok(memory) = serde_json::to_value(&task.memo.memory) {
        task.remember(memory);
    }
}

/// The steps that take consent away from a contact that exists.
pub(super) fn withdraw(mautic: &Mautic, contact: &Contact, task: &mut Task<'_, Mautic>) {
    let purpose = &task.delivery.record.purpose;
    let Some(entry) = task.memo.entry.clone().filter(|_| task.memo.is_leaving) else {
        return;
    };
    let left: Vec<u64> = task.memo.memory.segments.keys().copied().collect();
    for segment in left {
        task.then(Step::Leave(segment, contact.id));
    }
    let mark = mark(purpose);
    let entries = contact.entries(&mautic.settings.channel);
    let is_same = entries.iter().any(|there| there.reason == entry.reason);
    let is_ours = entries.iter().all(|there| there.comments.starts_with(&mark));
    if entries.is_empty() || (is_ours && !is_same) {
        task.then(Step::AddEntry(contact.id));
    } else {
        task.notes
            .push("Mautic does not contact the person already".to_owned());
    }
}

/// Whether an opt-in may stand against the entries that the contact has. `true` if there are some to remove.
pub(super) fn may_subscribe(mautic: &Mautic, contact: &Contact, task: &mut Task<'_, Mautic>) -> Option<bool> {
    let mark = mark(&task.delivery.record.purpose);
    let entries = contact.entries(&mautic.settings.channel);
    let mut others = entries.iter().filter(|there| !there.comments.starts_with(&mark));
    let Some(first) = others.next() else {
        // Only Causeway's own: what is known here, which has the times of both, decided.
        return Some(!entries.is_empty());
    };
    let (mut since, mut is_bounce) = (first.since, first.reason == BOUNCED);
    for other in others {
        since = since.zip(other.since).map(|(one, two)| one.max(two));
        is_bounce |= other.reason == BOUNCED;
    }
    if is_bounce {
        task.notes
            .push("the address bounced at Mautic: left as it is there".to_owned());
        return None;
    }
    // A click this shortly after an opt-out may be a scanner's.
    let is_newer = since
        .zip(task.memo.since)
        .is_some_and(|(left, since)| since.duration_since(left).as_secs_f64() > CLICK_GRACE.as_secs_f64());
    if !is_newer {
        let since = since.map_or("an unknown time".to_owned(), |at| at.to_string());
        task.notes.push(format!(
            "Mautic does not contact the person since {since}, and they did not agree after that: left so"
        ));
        return None;
    }
    Some(true)
}
