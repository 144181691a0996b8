//! What becomes of a supporter's opt-ins, and what is remembered about a contact.

use std::collections::{BTreeMap, VecDeque};

use causeway_core::{
    consent::{CLICK_GRACE, Change, ConsentState},
    id::IdempotencyKey,
};
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    EngagingNetworks,
    supporter::{self, OptIn, Supporter},
};
use crate::connector::Task;

type Of<'d> = Task<'d, EngagingNetworks>;

/// Actions that are remembered for a contact.
const MOST_ACTIONS: usize = 50;

/// What is remembered about a contact.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// The hash of the address that the id and the opt-outs are about.
    hash: String,
    /// Engaging Networks' id, which stays if the person changes the address there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supporter: Option<u64>,
    /// Opt-ins that Causeway took away, with the time that Engaging Networks gave to that answer. While an answer has
    /// this time, nobody else opted out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    left: BTreeMap<String, i64>,
    /// Idempotency key and transaction of actions, the newest last.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    actions: VecDeque<(String, u64)>,
}

impl Memory {
    /// What is remembered. Actions are the contact's, everything else is worth something only for the address.
    pub fn of(stored: Option<&Value>, email: &str) -> Self {
        let stored: Option<Self> = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        let stored = stored.unwrap_or_default();
        let hash = HEXLOWER.encode(&Md5::digest(email.to_lowercase()));
        if stored.hash == hash {
            return stored;
        }
        Self {
            hash,
            actions: stored.actions,
            ..Self::default()
        }
    }

    /// The id names nobody any more.
    pub fn forget_supporter(&mut self) {
        self.supporter = None;
        self.left.clear();
    }

    pub fn learn_action(&mut self, key: &IdempotencyKey, transaction: u64) {
        self.actions.retain(|(known, _)| *known != key.0);
        self.actions.push_back((key.0.clone(), transaction));
        while self.actions.len() > MOST_ACTIONS {
            self.actions.pop_front();
        }
    }

    pub fn has_action(&self, key: &IdempotencyKey) -> bool {
        self.actions.iter().any(|(known, _)| *known == key.0)
    }

    /// Whether the transaction is another action that Causeway stored.
    pub fn is_of_another(&self, transaction: u64) -> bool {
        self.actions.iter().any(|(_, known)| *known == transaction)
    }
}

/// Keeps what was learnt about the contact.
pub(super) fn remember(task: &mut Of<'_>) {
    if let Ok(memory) = serde_json::to_value(&task.memo.memory) {
        task.remember(memory);
    }
}

/// Decides the answers that a delivery with data writes. `None` is a person who is not there yet.
pub(super) fn decide(networks: &EngagingNetworks, seen: Option<&Supporter>, task: &mut Of<'_>) {
    let record = &task.delivery.record;
    let state = record.consent_state_for(&record.purpose);
    match record.change {
        Change::Subscribe if state.is_subscribed() => opt_in(networks, seen, state, task),
        Change::Unsubscribe | Change::Suppress | Change::Remove => opt_out(networks, seen, task),
        Change::None | Change::Subscribe => {}
    }
}

fn opt_in(networks: &EngagingNetworks, seen: Option<&Supporter>, state: ConsentState, task: &mut Of<'_>) {
    if seen.is_some_and(|seen| seen.is_suppressed) {
        let note =
            "the supporter is suppressed at Engaging Networks: not opted in; lift that there if it is wrong";
        task.notes.push(note.to_owned());
        return;
    }
    let is_confirmed = matches!(state, ConsentState::DoubleOptedIn { .. });
    for opt_in in &networks.settings.opt_ins {
        if opt_in.is_double && !is_confirmed {
            continue;
        }
        let (answer, changed) = seen.map_or((OptIn::Open, None), |seen| seen.answer(&opt_in.name));
        let writes = match answer {
            OptIn::Open => true,
            OptIn::In => false,
            OptIn::Out => is_newer(&opt_in.name, changed, task),
            OptIn::Unknown => {
                let note = format!("{:?} has an answer that is not documented: left so", opt_in.name);
                task.notes.push(note);
                false
            }
        };
        if writes {
            task.memo.questions.insert(opt_in.name.clone(), "Y".into());
        }
    }
}

/// Whether the person agreed after they opted out, or was opted out by Causeway itself: then what is known here, which
/// has the times of both, decided. Otherwise they stay opted out.
fn is_newer(question: &str, changed: Option<i64>, task: &mut Of<'_>) -> bool {
    if changed.is_some() && changed == task.memo.memory.left.get(question).copied() {
        return true;
    }
    let at = changed.and_then(supporter::time);
    // A click this shortly after an opt-out may be a scanner's.
    let is_newer = at
        .zip(task.memo.since)
        .is_some_and(|(out, since)| since.duration_since(out).as_secs_f64() > CLICK_GRACE.as_secs_f64());
    if !is_newer {
        let at = at.map_or("an unknown time".to_owned(), |at| at.to_string());
        task.notes.push(format!(
            "the person opted out of {question:?} at Engaging Networks, since {at}: left so"
        ));
    }
    is_newer
}

/// An opt-out that is there keeps its time: later opt-ins are compared with it.
pub(super) fn opt_out(networks: &EngagingNetworks, seen: Option<&Supporter>, task: &mut Of<'_>) {
    for name in networks.settings.opt_in_names() {
        let answer = seen.map_or(OptIn::Open, |seen| seen.answer(name).0);
        if answer != OptIn::Out {
            task.memo.questions.insert(name.to_owned(), "N".into());
            task.memo.taken.push(name.to_owned());
        }
    }
}

/// Reads the answers after an opt-out. Returns whether all are as they were asked for.
pub(super) fn confirm(networks: &EngagingNetworks, seen: &Supporter, task: &mut Of<'_>) -> bool {
    let mut names = networks.settings.opt_in_names();
    if !names.all(|name| seen.answer(name).0 == OptIn::Out) {
        return false;
    }
    for name in std::mem::take(&mut task.memo.taken) {
        if let (_, Some(changed)) = seen.answer(&name) {
            task.memo.memory.left.insert(name, changed);
        }
    }
    remember(task);
    true
}
