//! What becomes of a member's status, and what is remembered about it.

use causeway_core::{clock::Timestamp, consent::CLICK_GRACE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Mailchimp, Step};
use crate::connector::Task;

type Of<'d> = Task<'d, Mailchimp>;

/// What is remembered about a contact. It is worth something only for the address that it is about.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    hash: String,
    /// Mailchimp's id of the contact, which stays if the person changes the address there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// What Causeway made of a member who could be mailed. While the member is like this, nobody else took the
    /// subscription away.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Seen>,
}

/// A member as Mailchimp showed it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    status: String,
    changed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Memory {
    /// What is remembered about this address.
    pub fn of(stored: Option<&Value>, hash: &str) -> Self {
        let stored: Option<Self> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        stored
            .filter(|stored| stored.hash == hash)
            .unwrap_or_else(|| Self {
                hash: hash.to_owned(),
                ..Self::default()
            })
    }
}

impl Seen {
    /// `None` if the response does not show a member. Much that is none has a `status`, such as "ok" or "error".
    pub fn of(body: &Value) -> Option<Self> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let seen = Self {
            status: text("status")?,
            changed: text("last_changed"),
            reason: text("unsubscribe_reason"),
        };
        let is_member = seen.is_mailed() || seen.has_left() || seen.status == "transactional";
        (is_member || seen.changed.is_some()).then_some(seen)
    }

    fn has_left(&self) -> bool {
        matches!(&*self.status, "unsubscribed" | "cleaned" | "archived")
    }

    pub fn is_mailed(&self) -> bool {
        matches!(&*self.status, "subscribed" | "pending")
    }

    fn changed(&self) -> Option<Timestamp> {
        self.changed.as_deref()?.parse().ok()
    }

    /// The word for the status, if it can be one of Mailchimp's.
    fn word(&self) -> &str {
        let is_word = self.status.len() <= 20 && self.status.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_word {
            &self.status
        } else {
            "in an unknown state"
        }
    }
}

/// Keeps what was learnt about the contact.
fn remember(task: &mut Of<'_>) {
    if let Ok(memory) = serde_json::to_value(&task.memo.memory) {
        task.remember(memory);
    }
}

/// The member before an opt-out. One that left already is not touched: Mailchimp keeps no other time of that than the
/// time of the last change, and later opt-ins are compared with it.
pub(super) fn looked(seen: &Seen, task: &mut Of<'_>) {
    task.memo.could_be_mailed = seen.is_mailed() || seen.status == "transactional";
    if task.memo.memory.left.as_ref() != Some(seen) {
        task.memo.memory.left = None;
    }
    if matches!(&*seen.status, "unsubscribed" | "cleaned") {
        task.notes
            .push(format!("the person is {} at Mailchimp already", seen.word()));
        task.leave_out(|step| matches!(step, Step::Withdraw { .. }));
    }
}

/// The member after an opt-out was written. Returns whether the response proves it.
pub(super) fn withdrew(seen: Seen, task: &mut Of<'_>) -> bool {
    if !seen.has_left() {
        return false;
    }
    task.memo.memory.left = task.memo.could_be_mailed.then_some(seen);
    remember(task);
    true
}

/// Decides whether an opt-in subscribes a member that is there already.
pub(super) fn subscribe_if_newer(seen: &Seen, task: &mut Of<'_>) {
    let wanted = task.memo.if_new;
    task.memo.status = match &*seen.status {
        "subscribed" => None,
        // They have been asked.
        "pending" if wanted == "pending" => None,
        "pending" | "transactional" => Some(wanted),
        _ if seen.has_left() && is_newer(seen, task) => Some(wanted),
        _ => {
            leave(seen, task);
            return;
        }
    };
}

/// Whether the person agreed after they left, or was taken off the list by Causeway itself: then what is known here,
/// which has the times of both, decided.
fn is_newer(seen: &Seen, task: &Of<'_>) -> bool {
    if task.memo.memory.left.as_ref() == Some(seen) && seen.changed.is_some() {
        return true;
    }
    // The last change is not before the moment at which they left. A click this shortly after an opt-out may be a
    // scanner's.
    seen.changed()
        .zip(task.memo.since)
        .is_some_and(|(there, here)| here.duration_since(there).as_secs_f64() > CLICK_GRACE.as_secs_f64())
}

/// Writes nothing: every change would make a later opt-in look older than it.
fn leave(seen: &Seen, task: &mut Of<'_>) {
    let changed = seen.changed();
    let changed = changed.map_or("at an unknown time".to_owned(), |at| at.to_string());
    task.notes.push(format!(
        "the person is {} at Mailchimp, last changed {changed}, and did not agree after that: left so",
        seen.word()
    ));
    task.leave_out(|_| true);
}

/// The member after it was written.
pub(super) fn wrote(seen: Seen, contact: Option<&str>, task: &mut Of<'_>) {
    if let Some(contact) = contact {
        task.remote_id = Some(contact.to_owned());
        task.memo.memory.contact = Some(contact.to_owned());
    }
    // They left between the two calls, and no status was sent.
    if task.memo.agreed && !seen.is_mailed() {
        task.notes
            .push(format!("the person is {} at Mailchimp", seen.word()));
    }
    let memory = &mut task.memo.memory;
    let was_ours = task.memo.status.is_some() && !task.memo.agreed && memory.left.is_some();
    memory.left = (was_ours && !seen.is_mailed()).then_some(seen);
    remember(task);
}
