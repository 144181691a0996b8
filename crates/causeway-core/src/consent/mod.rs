//! Consent: facts in a ledger, folded into a state from which the consent state follows.
//!
//! The ledger keeps every [`ConsentFact`]. [`Consent`] keeps the newest time of each sort of fact: a set of
//! maxima, which does not depend on the order of arrival. [`Consent::state`] computes the consent state
//! for the address about to be used. At equal times an opt-out or a suppression wins.

mod agreed;
mod change;
mod state;
mod times;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use change::{CHANGES, Change};
pub use state::{AddressesOfIds, At, Consent, id_in_place, of_id};
pub use times::Times;

use crate::millis;

/// The purpose unless a source says otherwise: mail to the person's e-mail address.
pub const EMAIL: &str = "email";

/// One statement about consent, or about an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Agreed on a form, and the source's policy requires no confirmation.
    OptIn,
    /// Agreed on a form, and the source's policy requires a confirmation.
    OptInPending,
    /// Confirmed by the link in a mail.
    DoubleOptIn,
    /// Confirmed by the link in a mail of the organisation that owns `page` (`"namespace/id"`). It counts for
    /// us only if that page is ours, which we may learn later.
    DoubleOptInOnPage {
        page: String,
    },
    /// Was asked and did not agree. This takes back no consent that was given elsewhere.
    Declined,
    /// Was not asked.
    NotAsked,
    Unsubscribed,
    /// Reported our mail as spam.
    Complained,
    /// The address does not exist.
    Bounced,
    /// The provider does not deliver to the address. This may be a false alarm.
    Blocked,
    /// Not to be mailed for now.
    Inactive,
}

impl What {
    /// Whether it may allow mailing the person.
    pub fn is_opt_in(&self) -> bool {
        matches!(
            self,
            Self::OptIn | Self::OptInPending | Self::DoubleOptIn | Self::DoubleOptInOnPage { .. }
        )
    }

    /// Whether it is a click on a link in a mail, which shows that the mail arrived.
    pub fn is_click(&self) -> bool {
        matches!(self, Self::DoubleOptIn | Self::DoubleOptInOnPage { .. })
    }

    /// Whether it is about an address rather than about what the person wants.
    pub fn is_suppression(&self) -> bool {
        matches!(
            self,
            Self::Complained | Self::Bounced | Self::Blocked | Self::Inactive
        )
    }

    /// Whether it ends consent that was given: an opt-out or a suppression. Declining a form does not.
    pub fn is_opt_out(&self) -> bool {
        *self == Self::Unsubscribed || self.is_suppression()
    }

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OptIn => "opt_in",
            Self::OptInPending => "opt_in_pending",
            Self::DoubleOptIn => "double_opt_in",
            Self::DoubleOptInOnPage { .. } => "double_opt_in_on_page",
            Self::Declined => "declined",
            Self::NotAsked => "not_asked",
            Self::Unsubscribed => "unsubscribed",
            Self::Complained => "complained",
            Self::Bounced => "bounced",
            Self::Blocked => "blocked",
            Self::Inactive => "inactive",
        }
    }
}

/// All but [`What::DoubleOptInOnPage`], which names a page.
const PLAIN: [What; 10] = [
    What::OptIn,
    What::OptInPending,
    What::DoubleOptIn,
    What::Declined,
    What::NotAsked,
    What::Unsubscribed,
    What::Complained,
    What::Bounced,
    What::Blocked,
    What::Inactive,
];

impl What {
    /// The reverse of [`What::as_str`], for all that name no page.
    pub fn plain(word: &str) -> Option<Self> {
        PLAIN.into_iter().find(|what| what.as_str() == word)
    }
}

/// Checks the name of a purpose: `email`, `phone`, `sms`, `post`, `ads` or a word of your own. It has at most
/// 64 small letters, digits, `-` and `_`, and begins with a letter. Returns `None` for anything else.
pub fn purpose(text: &str) -> Option<String> {
    let text = text.trim();
    let is_word = text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    is_word.then(|| text.to_owned())
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConsentFact {
    pub purpose: String,
    #[serde(flatten)]
    pub what: What,
    /// When the consent was given or the event happened, not when we received it.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// Which message and which rule it comes from: `"proca action, row 10"`.
    pub basis: String,
    /// The address that it is about, in its normal form; `None` if the message names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl ConsentFact {
    /// A fact without an address. The event's own address is filled in when the event is processed.
    pub fn new(purpose: impl Into<String>, what: What, at: Timestamp, basis: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            what,
            at,
            basis: basis.into(),
            address: None,
        }
    }
}

/// The consent state of a person for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ConsentState {
    /// There are no facts.
    Unknown,
    /// Known, but did not agree.
    NotSubscribed,
    /// Agreed on a form; the confirmation is still missing.
    Pending { since: Timestamp },
    /// May be mailed: agreed on a form.
    OptedIn { since: Timestamp },
    /// May be mailed: confirmed by mail.
    DoubleOptedIn { since: Timestamp },
    /// Opted out.
    Unsubscribed { since: Timestamp },
    /// The address must not be used, whatever the person agreed to.
    Suppressed { since: Timestamp, why: Suppression },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    Complained,
    Bounced,
    Blocked,
    Inactive,
}

impl Suppression {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complained => "complained",
            Self::Bounced => "bounced",
            Self::Blocked => "blocked",
            Self::Inactive => "inactive",
        }
    }
}

impl ConsentState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotSubscribed => "not_subscribed",
            Self::Pending { .. } => "pending",
            Self::OptedIn { .. } => "opted_in",
            Self::DoubleOptedIn { .. } => "double_opted_in",
            Self::Unsubscribed { .. } => "unsubscribed",
            Self::Suppressed { .. } => "suppressed",
        }
    }

    /// Whether the person opted out, or the address must not be used.
    pub fn is_opt_out(self) -> bool {
        matches!(self, Self::Unsubscribed { .. } | Self::Suppressed { .. })
    }

    /// Whether the person may be mailed.
    pub fn is_subscribed(self) -> bool {
        matches!(self, Self::OptedIn { .. } | Self::DoubleOptedIn { .. })
    }

    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Unknown | Self::NotSubscribed => None,
            Self::Pending { since }
            | Self::OptedIn { since }
            | Self::DoubleOptedIn { since }
            | Self::Unsubscribed { since }
            | Self::Suppressed { since, .. } => Some(since),
        }
    }
}

/// The known own pages (`"namespace/id"`).
pub type OwnPages = BTreeSet<String>;

/// What the configuration and the workspace say about how to read consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub own_pages: OwnPages,
    /// A click this shortly after an opt-out does not undo it: the scanners of mail servers follow every
    /// link.
    pub click_grace: Duration,
}

/// [`Terms::click_grace`] unless the configuration says otherwise.
pub const CLICK_GRACE: Duration = Duration::from_mins(5);

impl Default for Terms {
    fn default() -> Self {
        Self {
            own_pages: OwnPages::new(),
            click_grace: CLICK_GRACE,
        }
    }
}

/// Names a page across sources.
pub fn page_key(namespace: &str, page: &str) -> String {
    format!("{namespace}/{page}")
}

/// The consent that a destination requires before a record may be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// No consent: for a system of record that keeps consent itself.
    All,
    /// People who gave their data on a form, opted in or not, and have not opted out.
    WithConsent,
    /// People who may be mailed. The default.
    #[default]
    OptIn,
    /// People who confirmed by mail.
    DoubleOptIn,
}

impl Policy {
    /// Whether a record of a person with this consent state may be sent. `has_consented` means that the
    /// person ever gave their data with a form (an action `with_consent`, or a platform's contact).
    pub fn allows(self, consent_state: ConsentState, has_consented: bool) -> bool {
        match self {
            Self::All => true,
            Self::WithConsent => has_consented && !consent_state.is_opt_out(),
            Self::OptIn => consent_state.is_subscribed(),
            Self::DoubleOptIn => matches!(consent_state, ConsentState::DoubleOptedIn { .. }),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::WithConsent => "with_consent",
            Self::OptIn => "opt_in",
            Self::DoubleOptIn => "double_opt_in",
        }
    }
}

#[cfg(test)]
mod tests;
