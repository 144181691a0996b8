//! A receiver as CleverReach shows them, what becomes of their state, and what is remembered about it.

use causeway_core::{clock::Timestamp, consent::CLICK_GRACE, envelope::digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CleverReach, Step};
use crate::connector::Task;

type Of<'d> = Task<'d, CleverReach>;

/// What is remembered about a contact. It is worth something only for the address and the group that it is about.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    place: String,
    /// The `deactivated` that Causeway wrote for a receiver who could be mailed. While it is this, nobody else took the
    /// subscription away.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<i64>,
    /// When the person opted out, for which it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    opted_out: Option<i64>,
}

impl Memory {
    pub fn of(stored: Option<&Value>, group: u64, email: &str) -> Self {
        let (group, email) = (group.to_be_bytes(), email.to_lowercase());
        let place = HEXLOWER.encode(&digest(&[&group, email.as_bytes()]));
        let stored: Option<Self> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        stored.filter(|stored| stored.place == place).unwrap_or(Self {
            place,
            ..Self::default()
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    /// Registered, but not confirmed.
    Unconfirmed,
    /// Inactive until somebody brings them back, since this time if it is known.
    Left(Option<i64>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Receiver {
    pub id: Option<String>,
    pub registered: i64,
    pub activated: i64,
    pub state: State,
    /// CleverReach says that it does not mail them, whatever the times say.
    pub is_inactive: bool,
}

/// What a response says about an address.
#[derive(Debug)]
pub(super) enum Found {
    Receiver(Receiver),
    /// There is no receiver with this address in the group.
    Nobody,
    /// The only receiver that is shown is of another group. The person may be in both.
    Elsewhere,
}

impl Receiver {
    /// Reads a receiver. `None` if it is not this person's, or does not show the state.
    pub fn read(shown: &Value, email: &str) -> Option<Self> {
        if !is_about(shown, email) {
            return None;
        }
        let time = |name: &str| shown.get(name).and_then(seconds);
        let (activated, deactivated) = (time("activated"), time("deactivated"));
        let active = shown.get("active").and_then(Value::as_bool);
        let state = match (activated, deactivated, active) {
            (_, Some(left), _) if left > 0 => State::Left(Some(left)),
            (_, None, Some(false)) => State::Left(None),
            (Some(0), Some(_), Some(false) | None) => State::Unconfirmed,
            (Some(_), Some(_), _) | (_, _, Some(true)) => State::Active,
            _ => return None,
        };
        Some(Self {
            id: shown.get("id").and_then(text),
            registered: time("registered").unwrap_or_default(),
            activated: activated.unwrap_or_default(),
            state,
            is_inactive: active == Some(false),
        })
    }
}

/// Reads the response to the search for an address: one receiver, or a list. `None` if it proves nothing.
pub(super) fn found(body: &Value, email: &str, group: u64) -> Option<Found> {
    // CleverReach searches all groups if it passes over the parameter.
    let is_elsewhere = |shown: &Value| {
        let group_id = shown.get("group_id").and_then(text);
        group_id.is_some_and(|id| id != group.to_string())
    };
    match body {
        Value::Array(rows) => {
            let mut own = rows
                .iter()
                .filter(|row| is_about(row, email) && !is_elsewhere(row));
            match own.next() {
                Some(row) => Receiver::read(row, email).map(Found::Receiver),
                None => rows
                    .iter()
                    .all(|row| row.get("email").is_some())
                    .then_some(Found::Nobody),
            }
        }
        Value::Object(_) if is_about(body, email) && is_elsewhere(body) => Some(Found::Elsewhere),
        Value::Object(_) => Receiver::read(body, email).map(Found::Receiver),
        _ => None,
    }
}

pub(super) fn is_about(shown: &Value, email: &str) -> bool {
    let shown = shown.get("email").and_then(Value::as_str).unwrap_or_default();
    shown.trim().to_lowercase() == email.to_lowercase()
}

/// A text, or a number as one.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Unix seconds as a number or a text. Null and false are never.
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => {
            let time = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
            text.parse().ok().or_else(time)
        }
        Value::Null | Value::Bool(false) => Some(0),
        _ => None,
    }
}

/// What a write says about consent. `deactivated` is never written for an opt-in: 0 might bring somebody back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Consent {
    /// Nothing, because the receiver is active already.
    #[default]
    Kept,
    Confirmed {
        registered: i64,
        activated: i64,
    },
    Unconfirmed {
        registered: i64,
    },
}

/// Keeps what was learnt about the contact.
fn remember(task: &mut Of<'_>, left: Option<i64>) {
    task.memo.memory.left = left;
    task.memo.memory.opted_out = left.map(|_| task.memo.event_at);
    if let Ok(memory) = serde_json::to_value(&task.memo.memory) {
        task.remember(memory);
    }
}

/// Nobody has this address in the group.
pub(super) fn nobody(task: &mut Of<'_>) {
    if task.has_step(&Step::Write) {
        let registered = task.memo.event_at;
        task.memo.consent = match task.memo.since {
            Some(since) if task.memo.agreed => Consent::Confirmed {
                registered: since.as_second(),
                activated: since.as_second(),
            },
            _ => Consent::Unconfirmed { registered },
        };
        task.memo.is_new = true;
        return;
    }
    task.notes
        .push("CleverReach has no receiver with this address in the group".to_owned());
    task.leave_out(|step| *step == Step::Deactivate);
    task.remember(Value::Null);
}

/// The receiver before an opt-out. One that left already is not touched: later opt-ins are compared with that time.
pub(super) fn looked(seen: &Receiver, task: &mut Of<'_>) {
    task.remote_id.clone_from(&seen.id);
    // The same for each attempt, so that one whose response was lost recognises its own work. CleverReach might take
    // an end before the beginning for none.
    let left_at = task.memo.event_at.max(seen.activated.saturating_add(1));
    task.memo.left_at = left_at;
    if let State::Left(at) = seen.state {
        if at == Some(left_at) {
            remember(task, at);
        } else {
            task.notes
                .push("the person is inactive at CleverReach already".to_owned());
        }
        task.leave_out(|step| *step == Step::Deactivate);
    }
}

/// Decides what a write says about consent, or that nothing is written.
pub(super) fn decide(seen: &Receiver, task: &mut Of<'_>) {
    task.remote_id.clone_from(&seen.id);
    task.memo.id.clone_from(&seen.id);
    let since = task.memo.since.filter(|_| task.memo.agreed);
    let registered = if seen.registered > 0 {
        seen.registered
    } else {
        task.memo.event_at
    };
    let confirmed = |since: Timestamp| Consent::Confirmed {
        registered,
        activated: since.as_second(),
    };
    task.memo.consent = match (seen.state, since) {
        (State::Active, _) => Consent::Kept,
        (State::Unconfirmed, Some(since)) => confirmed(since),
        (State::Unconfirmed, None) => Consent::Unconfirmed { registered },
        (State::Left(at), Some(since)) if is_newer(at, since, &task.memo.memory) => {
            task.then(Step::Activate);
            confirmed(since)
        }
        (State::Left(at), _) => {
            leave(at, task);
            return;
        }
    };
}

/// Whether the person agreed after they left. If Causeway itself made them inactive, what is known here decides: it has
/// the times of both. A click this shortly after an opt-out may be a scanner's.
fn is_newer(left: Option<i64>, since: Timestamp, memory: &Memory) -> bool {
    let Some(at) = left else { return false };
    if memory.left == Some(at) {
        return memory
            .opted_out
            .is_some_and(|opted_out| since.as_second() >= opted_out);
    }
    let left = Timestamp::from_second(at);
    left.is_ok_and(|left| since.duration_since(left).as_secs_f64() > CLICK_GRACE.as_secs_f64())
}

/// Writes nothing, so that nothing can bring the person back.
fn leave(at: Option<i64>, task: &mut Of<'_>) {
    let at = at.and_then(|at| Timestamp::from_second(at).ok());
    let at = at.map_or("an unknown time".to_owned(), |at| at.to_string());
    task.notes.push(format!(
        "the person is inactive at CleverReach since {at}, and did not agree after that: left so"
    ));
    task.leave_out(|_| true);
    task.writes_nothing();
}

/// CleverReach did not bring the person back.
pub(super) fn stays_inactive(task: &mut Of<'_>) {
    task.notes.push(
        "CleverReach leaves the person inactive: they can come back by a form of CleverReach's only"
            .to_owned(),
    );
}

/// The receiver after an opt-out was written. Returns whether the response proves it.
pub(super) fn withdrew(seen: &Receiver, task: &mut Of<'_>) -> bool {
    let State::Left(at) = seen.state else {
        return false;
    };
    task.remote_id.clone_from(&seen.id);
    // With another time it is not Causeway's work.
    let left_at = task.memo.left_at;
    remember(task, at.filter(|at| *at == left_at));
    true
}

/// The receiver after they were written.
pub(super) fn wrote(seen: &Receiver, task: &mut Of<'_>) {
    task.remote_id.clone_from(&seen.id);
    match seen.state {
        State::Left(_) => stays_inactive(task),
        State::Active if seen.is_inactive && task.memo.agreed => {
            task.notes
                .push("CleverReach shows the person as inactive, without a time".to_owned());
        }
        _ => {}
    }
    remember(task, None);
}
