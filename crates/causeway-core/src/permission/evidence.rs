//! The fact of the ledger that a consent state follows from, and the message that it came by.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    consent::{ConsentFact, Standing, Suppression, What},
    contact::millis,
    event::Organisation,
    id::{InboxId, Name},
    store::{ContactView, LedgerRow},
};

/// A line of the ledger with what is known of its message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub purpose: String,
    #[serde(flatten)]
    pub what: What,
    /// The date of the fact, not the time at which its message arrived.
    pub at: Timestamp,
    /// The address that it was said for, where the message named one.
    pub address: Option<String>,
    /// Which rule made a fact of the message.
    pub basis: String,
    pub message: InboxId,
    /// `None` once the message was pruned, as everything below.
    pub source: Option<Name>,
    pub received_at: Option<Timestamp>,
    pub campaign: Option<String>,
    pub action_type: Option<String>,
    pub organisation: Option<Organisation>,
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
        }
    }
}

/// The fact behind a state: of its sort and time, rather one for the address in use. `None` when the contact's own ledger
/// has none.
pub(super) fn behind(
    view: &ContactView,
    purpose: &str,
    state: Standing,
    address: Option<&str>,
) -> Option<Evidence> {
    let is_behind = |row: &&LedgerRow| {
        let fact = &row.fact;
        let is_then = state.since().is_none_or(|since| millis::floor(fact.at) == since);
        fact.purpose == purpose && is_then && is_sort_of(state, &fact.what)
    };
    let row = view
        .ledger
        .iter()
        .filter(is_behind)
        .max_by_key(|row| (row.fact.at, row.fact.address.as_deref() == address))?;
    Some(Evidence::new(view, row))
}

fn is_sort_of(state: Standing, what: &What) -> bool {
    match state {
        Standing::Unknown => false,
        Standing::NotSubscribed => matches!(what, What::Declined | What::NotAsked),
        Standing::Pending { .. } => *what == What::OptInPending,
        Standing::OptedIn { .. } => *what == What::OptIn,
        Standing::DoubleOptedIn { .. } => what.is_click(),
        Standing::Unsubscribed { .. } => *what == What::Unsubscribed,
        Standing::Suppressed { why, .. } => {
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
