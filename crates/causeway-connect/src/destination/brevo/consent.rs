//! What becomes of a contact's block and lists, and what is remembered about it.

use std::collections::BTreeSet;

use causeway_core::{clock::Timestamp, consent::CLICK_GRACE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Brevo, Step};
use crate::connector::Task;

type Of<'d> = Task<'d, Brevo>;

/// What is remembered about a contact. It is worth something only for the address that it is about.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    email: String,
    /// Brevo's number of the contact, which stays if the address is changed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Lists on which Causeway put the person.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub lists: BTreeSet<u64>,
    /// What Causeway made of a contact that could be mailed. While the contact is like this, nobody else took the
    /// subscription away.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Seen>,
    /// The digest of the values that were written last, and the second of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<(String, i64)>,
}

/// A contact as Brevo showed it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    is_blocked: bool,
    lists: BTreeSet<u64>,
    /// Lists from which the person unsubscribed.
    left: BTreeSet<u64>,
    modified: Option<String>,
    /// The newest unsubscription, bounce or complaint. Brevo shows those of the last 90 days.
    event: Option<String>,
    /// The newest unsubscription by somebody in the account.
    by_account: Option<String>,
}

impl Memory {
    /// What is remembered about this address.
    pub fn of(stored: Option<&Value>, email: &str) -> Self {
        let stored: Option<Self> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        stored
            .filter(|stored| stored.email == email)
            .unwrap_or_else(|| Self {
                email: email.to_owned(),
                ..Self::default()
            })
    }

    /// Whether values with this digest were written after this second.
    pub fn is_written(&self, digest: &str, since: i64) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|(written, at)| written == digest && *at > since)
    }
}

impl Seen {
    /// `None` if the response does not show a contact.
    pub fn of(body: &Value) -> Option<Self> {
        body.get("id").and_then(Value::as_u64)?;
        let numbers = |name: &str| {
            let all = body.get(name).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_u64).collect()
        };
        Some(Self {
            is_blocked: body.get("emailBlacklisted").and_then(Value::as_bool)?,
            lists: numbers("listIds"),
            left: numbers("listUnsubscribed"),
            modified: body.get("modifiedAt").and_then(Value::as_str).map(str::to_owned),
            event: newest(
                body,
                &[
                    "/unsubscriptions/userUnsubscription",
                    "/hardBounces",
                    "/complaints",
                ],
            ),
            by_account: newest(body, &["/unsubscriptions/adminUnsubscription"]),
        })
    }

    fn has_left(&self, lists: &BTreeSet<u64>) -> bool {
        self.is_blocked || !self.left.is_disjoint(lists)
    }

    /// Those of the lists on which the person is.
    pub fn on(&self, lists: &BTreeSet<u64>) -> BTreeSet<u64> {
        self.lists.intersection(lists).copied().collect()
    }

    /// Whether campaigns for one of the lists reach the person.
    fn is_mailed(&self, lists: &BTreeSet<u64>) -> bool {
        !self.is_blocked && !self.lists.is_disjoint(lists)
    }

    /// The person left not later than at this moment. It is unknown if one of the times cannot be read.
    fn changed(&self) -> Option<Timestamp> {
        let mut changed: Timestamp = self.modified.as_deref()?.parse().ok()?;
        for event in [&self.event, &self.by_account].into_iter().flatten() {
            changed = changed.max(event.parse().ok()?);
        }
        Some(changed)
    }
}

/// The time of the newest of these events. All times have the same form.
fn newest(body: &Value, places: &[&str]) -> Option<String> {
    let statistics = body.get("statistics")?;
    let events = places
        .iter()
        .filter_map(|place| statistics.pointer(place)?.as_array());
    let times = events
        .flatten()
        .filter_map(|event| event.get("eventTime")?.as_str());
    times.max().map(str::to_owned)
}

/// Keeps what was learnt about the contact.
fn remember(task: &mut Of<'_>) {
    if let Ok(memory) = serde_json::to_value(&task.memo.memory) {
        task.remember(memory);
    }
}

/// The contact before an opt-out. One that left already is not touched: Brevo keeps no other time of that than the time
/// of the last change, and later opt-ins are compared with it.
pub(super) fn looked(seen: Seen, task: &mut Of<'_>) {
    task.memo.is_ours = task.memo.memory.left.as_ref() == Some(&seen);
    if !task.memo.is_ours {
        task.memo.memory.left = None;
    }
    if is_out(&seen, task) {
        task.notes
            .push("the person gets no campaigns from Brevo already".to_owned());
        task.leave_out(|step| matches!(step, Step::Withdraw | Step::Confirm));
        without_reread(task);
    }
    if !task.memo.has_values() {
        task.leave_out(|step| matches!(step, Step::Upsert | Step::Reread));
    }
    task.memo.before = Some(seen);
    remember(task);
}

/// Brevo has no such contact, so there is nothing to take back. If the opt-out came with an action, the contact is created
/// as one that is blocked.
pub(super) fn is_nobody(task: &mut Of<'_>) {
    task.notes.push("the person is no contact there".to_owned());
    task.memo.memory.left = None;
    task.memo.is_ours = task.memo.blocks;
    task.leave_out(|step| matches!(step, Step::Withdraw | Step::Confirm));
    without_reread(task);
}

/// Whether the contact is as the opt-out wants it.
fn is_out(seen: &Seen, task: &Of<'_>) -> bool {
    seen.is_blocked || (!task.memo.blocks && !seen.is_mailed(&task.memo.own_lists))
}

/// The contact after an opt-out. Returns whether it was carried out.
pub(super) fn confirmed(seen: Seen, task: &mut Of<'_>) -> bool {
    if !is_out(&seen, task) {
        return false;
    }
    let before = task.memo.before.as_ref();
    task.memo.is_ours = before.is_some_and(|before| {
        let could_be_mailed = !before.has_left(&task.memo.own_lists) || task.memo.is_ours;
        could_be_mailed && before.event == seen.event
    });
    keep_block(seen, task);
    without_reread(task);
    true
}

/// The contact after it was written as one that opted out.
pub(super) fn reread(seen: Seen, task: &mut Of<'_>) {
    let event = task.memo.before.as_ref().and_then(|before| before.event.as_ref());
    task.memo.is_ours &= seen.event.as_ref() == event;
    keep_block(seen, task);
}

fn keep_block(seen: Seen, task: &mut Of<'_>) {
    task.memo.memory.left = Some(seen).filter(|seen| task.memo.is_ours && seen.is_blocked);
    remember(task);
}

/// Who blocked the contact matters only if it was Causeway.
fn without_reread(task: &mut Of<'_>) {
    if !task.memo.is_ours {
        task.leave_out(|step| *step == Step::Reread);
    }
}

/// Decides whether an opt-in subscribes a contact that is there already.
pub(super) fn subscribe_if_newer(brevo: &Brevo, seen: &Seen, task: &mut Of<'_>) {
    if seen.has_left(&task.memo.lists) && !is_newer(seen, task) {
        let changed = seen.changed();
        let changed = changed.map_or("at an unknown time".to_owned(), |at| at.to_string());
        task.notes.push(format!(
            "the person left at Brevo, last changed {changed}, and did not agree after that: left so"
        ));
        // Every change would make a later opt-in look older than it.
        task.leave_out(|_| true);
        return;
    }
    task.memo.unblocks = seen.is_blocked;
    // Naming a list again would put back a person who leaves it at this moment.
    task.memo.lists.retain(|list| !seen.lists.contains(list));
    let is_as_wanted = task.memo.lists.is_empty() && !task.memo.unblocks;
    if is_as_wanted && (!task.memo.has_values() || brevo.is_written(task.delivery, &task.memo)) {
        task.leave_out(|step| *step == Step::Upsert);
        remember(task);
    }
}

/// Whether the person agreed after they left, or was blocked by Causeway itself: then what is known here, which has the
/// times of both, decided.
fn is_newer(seen: &Seen, task: &Of<'_>) -> bool {
    if task.memo.memory.left.as_ref() == Some(seen) && seen.modified.is_some() {
        return true;
    }
    // A click this shortly after an opt-out may be a scanner's.
    seen.changed()
        .zip(task.memo.since)
        .is_some_and(|(there, here)| here.duration_since(there).as_secs_f64() > CLICK_GRACE.as_secs_f64())
}

/// After the contact was written.
pub(super) fn wrote(now: Timestamp, task: &mut Of<'_>) {
    let memo = &mut task.memo;
    memo.memory.written = Some((memo.digest.clone(), now.as_second()));
    if !memo.opts_out {
        memo.memory.left = None;
    }
    remember(task);
}
