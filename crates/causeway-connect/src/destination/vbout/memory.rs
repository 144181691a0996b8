//! What is remembered about a contact: where it is at VBOUT, and what was written there. So an unchanged contact
//! costs no call, and a write never starts the automation that caused it.

use std::collections::BTreeMap;

use causeway_core::{clock::Timestamp, consent::CLICK_GRACE, envelope::digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The tags that are remembered. The oldest are dropped: they are written once more.
const MOST_TAGS: usize = 100;

/// It is worth something only for the list and the address that it is about.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    about: String,
    /// The contacts of the list with the address.
    pub ids: Vec<String>,
    /// Number of a field → what was written into it last, hashed.
    fields: BTreeMap<String, String>,
    tags: Vec<String>,
    /// Since when the person had agreed when their status was decided last, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<i64>,
    /// The person is not mailed.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Left>,
    /// The contact was created as a person who is not mailed, and VBOUT has not shown yet that it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unseen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    /// When Causeway saw it first, in seconds. VBOUT does not show when it happened, but it was not later.
    at: i64,
    /// Causeway made it so.
    ours: bool,
}

impl Memory {
    pub fn of(stored: Option<&Value>, list: u64, email: &str) -> Self {
        let about = hash(&[&list.to_string(), email]);
        let stored: Option<Self> = stored.and_then(|stored| Self::deserialize(stored).ok());
        stored
            .filter(|stored| stored.about == about)
            .unwrap_or_else(|| Self {
                about,
                ..Self::default()
            })
    }

    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The contact is not where it was.
    pub fn forget(&mut self) {
        let about = std::mem::take(&mut self.about);
        *self = Self {
            about,
            ..Self::default()
        };
    }

    /// The contacts that were found. What was written into others says nothing about these.
    pub fn found(&mut self, ids: Vec<String>) {
        if self.ids != ids {
            self.ids = ids;
            self.fields.clear();
            self.tags.clear();
        }
    }

    pub fn has_field(&self, name: &str, value: &str) -> bool {
        self.fields
            .get(name)
            .is_some_and(|known| *known == hash(&[value]))
    }

    /// Whether something else was written into the field.
    pub fn has_other(&self, name: &str, value: &str) -> bool {
        self.fields
            .get(name)
            .is_some_and(|known| *known != hash(&[value]))
    }

    pub fn wrote(&mut self, name: &str, value: &str) {
        self.fields.insert(name.to_owned(), hash(&[value]));
    }

    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.contains(&hash(&[name]))
    }

    pub fn tagged(&mut self, name: &str) {
        self.tags.push(hash(&[name]));
        let older = self.tags.len().saturating_sub(MOST_TAGS);
        self.tags.drain(..older);
    }

    /// Whether the person agreed after their status was decided last.
    pub fn is_newly_agreed(&self, since: Option<Timestamp>) -> bool {
        let since = since.map(Timestamp::as_second);
        since.is_none() || self.agreed < since
    }

    pub fn decided(&mut self, since: Option<Timestamp>) {
        self.agreed = since.map(Timestamp::as_second);
    }

    /// The person is mailed.
    pub fn is_active(&mut self) {
        self.left = None;
    }

    /// The person is not mailed, and Causeway did not do it as far as is known.
    pub fn has_left(&mut self, now: Timestamp) {
        let at = now.as_second();
        self.left.get_or_insert(Left { at, ours: false });
    }

    /// Causeway took the person off.
    pub fn took_off(&mut self, now: Timestamp) {
        let at = now.as_second();
        self.left = Some(Left { at, ours: true });
    }

    pub fn is_unseen(&self) -> bool {
        self.unseen
    }

    pub fn set_unseen(&mut self, unseen: bool) {
        self.unseen = unseen;
    }

    pub fn is_left_by_us(&self) -> bool {
        self.left.is_some_and(|left| left.ours)
    }

    /// Whether an opt-in is newer than the end of the subscription at VBOUT: Causeway ended it itself, and knows that
    /// the opt-in came later; or the person agreed after Causeway saw them unsubscribed. A click this shortly after
    /// an opt-out may be a scanner's.
    pub fn is_over(&self, since: Option<Timestamp>) -> bool {
        let grace = i64::try_from(CLICK_GRACE.as_secs()).unwrap_or(i64::MAX);
        self.left
            .zip(since)
            .is_some_and(|(left, since)| left.ours || since.as_second().saturating_sub(left.at) > grace)
    }
}

/// Short, because a contact may have many fields. It decides only whether a call can be saved.
fn hash(parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let hex = data_encoding::HEXLOWER.encode(&digest(&parts));
    hex.get(..16).unwrap_or(&hex).to_owned()
}
