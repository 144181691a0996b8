//! The fact in the ledger that a consent state follows from, and its message.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    consent::{ConsentFact, ConsentState, Suppression, What, id_in_place},
    contact::millis,
    event::Organisation,
    id::{InboxId, Name},
    store::{ContactView, LedgerRow},
};

/// A line of the ledger, with what is known about its message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub purpose: String,
    #[serde(flatten)]
    pub what: What,
    /// The date of the fact, not the time at which its message arrived.
    pub at: Timestamp,
    /// The address that the fact is about, if the message named one.
    pub address: Option<String>,
    /// The rule that derived the fact from the message.
    pub basis: String,
    pub message: InboxId,
    /// `None` after the message was pruned, as for everything below.
    pub source: Option<Name>,
    pub received_at: Option<Timestamp>,
    pub campaign: Option<String>,
    pub action_type: Option<String>,
    pub organisation: Option<Organisation>,
    /// Why the fact does not count, unless that follows from later facts.
    pub no_effect: Option<String>,
}

impl Evidence {
    pub fn new(view: &ContactView, row: &LedgerRow) -> Self {
        let ConsentFact {
            purpose,
            what,
            at,
            basis,
            address,
        } = row.fact.clone();
        let message = view.message(row.inbox_id);
        Self {
            purpose,
            what,
            at,
            address,
            basis,
            message: row.inbox_id,
            source: message.map(|message| Name::clone(&message.source)),
            received_at: message.map(|message| message.received_at),
            campaign: message.and_then(|message| message.campaign.clone()),
            action_type: message.and_then(|message| message.action_type.clone()),
            organisation: message.and_then(|message| message.organisation.clone()),
            no_effect: in_grace(view, &row.fact),
        }
    }
}

/// Why a click does not count if it follows an opt-out within the grace period. Scanners of mail servers
/// follow the links in the very mail that led to the opt-out.
fn in_grace(view: &ContactView, fact: &ConsentFact) -> Option<String> {
    if !fact.what.is_click() {
        return None;
    }
    // A click that names no address may be about any.
    let is_same_place = |earlier: &ConsentFact| match (&earlier.address, &fact.address) {
        (Some(one), Some(other)) if id_in_place(other).is_none() => one == other,
        _ => true,
    };
    let ends_by_a_later_click = |earlier: &ConsentFact| {
        let is_of_sort = match earlier.what {
            What::Unsubscribed => true,
            What::Complained => is_same_place(earlier),
            _ => false,
        };
        earlier.purpose == fact.purpose && is_of_sort
    };
    let is_within = |earlier: &ConsentFact| {
        let limit = earlier
            .at
            .saturating_add(view.click_grace)
            .unwrap_or(Timestamp::MAX);
        earlier.at <= fact.at && fact.at <= limit
    };
    let facts = || view.ledger.iter().chain(&view.others).map(|row| &row.fact);
    let opt_out = facts()
        .filter(|earlier| ends_by_a_later_click(earlier) && is_within(earlier))
        .max_by_key(|earlier| earlier.at)?;
    let what = match opt_out.what {
        What::Complained => "complaint",
        _ => "opt-out",
    };
    let grace = in_words(view.click_grace);
    Some(format!("within {grace} of the {what}, so it does not undo it"))
}

fn in_words(time: Duration) -> String {
    let (number, unit) = match time.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// The facts behind a consent state.
#[derive(Default)]
pub(super) struct Behind {
    /// `None` if no ledger holds the fact any more.
    pub because: Option<Evidence>,
    /// The first opt-out, if this one repeats it and nothing in between undid it.
    pub first: Option<Evidence>,
    pub said_by_another: bool,
}

/// Finds the fact of the state's sort and time. A fact for the address in use is preferred, and the contact's
/// own facts come before those of other users of the mailbox.
pub(super) fn behind(
    view: &ContactView,
    purpose: &str,
    state: ConsentState,
    address: Option<&str>,
) -> Behind {
    let find = |rows: &'_ [LedgerRow]| {
        let is_behind = |row: &&LedgerRow| {
            let fact = &row.fact;
            let is_then = state.since().is_none_or(|since| millis::floor(fact.at) == since);
            fact.purpose == purpose && is_then && is_sort_of(state, &fact.what)
        };
        rows.iter()
            .filter(is_behind)
            .max_by_key(|row| (row.fact.at, row.fact.address.as_deref() == address))
            .cloned()
    };
    if state == ConsentState::Unknown {
        return Behind::default();
    }
    if let Some(row) = find(&view.ledger) {
        return Behind {
            first: first(view, state, &row).map(|first| Evidence::new(view, first)),
            because: Some(Evidence::new(view, &row)),
            said_by_another: false,
        };
    }
    Behind {
        because: find(&view.others).map(|row| Evidence::new(view, &row)),
        first: None,
        said_by_another: true,
    }
}

/// The first of several opt-outs. The state has the date of the last one, but took effect with the first. An
/// opt-out at the very time of an opt-in or a click is not undone by it.
fn first<'a>(view: &'a ContactView, state: ConsentState, last: &LedgerRow) -> Option<&'a LedgerRow> {
    if !state.is_opt_out() {
        return None;
    }
    let is_suppression = last.fact.what.is_suppression();
    let undoes = |fact: &ConsentFact| {
        let is_sort = fact.what.is_click() || (fact.what == What::OptIn && !is_suppression);
        is_sort && in_grace(view, fact).is_none()
    };
    let earlier = || {
        view.ledger
            .iter()
            .filter(|row| row.fact.purpose == last.fact.purpose && row.fact.at < last.fact.at)
    };
    let undone = earlier()
        .map(|row| &row.fact)
        .filter(|fact| undoes(fact))
        .map(|fact| fact.at)
        .max();
    earlier()
        .filter(|row| row.fact.what == last.fact.what && undone.is_none_or(|undone| row.fact.at >= undone))
        .filter(|row| !is_suppression || row.fact.address == last.fact.address)
        .min_by_key(|row| row.fact.at)
}

fn is_sort_of(state: ConsentState, what: &What) -> bool {
    match state {
        ConsentState::Unknown => false,
        ConsentState::NotSubscribed => matches!(what, What::Declined | What::NotAsked),
        ConsentState::Pending { .. } => *what == What::OptInPending,
        ConsentState::OptedIn { .. } => *what == What::OptIn,
        ConsentState::DoubleOptedIn { .. } => what.is_click(),
        ConsentState::Unsubscribed { .. } => *what == What::Unsubscribed,
        ConsentState::Suppressed { why, .. } => {
            *what
                == match why {
                    Suppression::Complained => What::Complained,
                    Suppression::Bounced => What::Bounced,
                    Suppression::Blocked => What::Blocked,
                    Suppression::Inactive => What::Inactive,
                }
        }
    }
}
