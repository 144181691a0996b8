//! Consent: facts in a ledger, folded into a state from which the standing follows.
//!
//! The ledger keeps every [`ConsentFact`]. The state, [`Consent`], keeps the newest time of each sort of
//! fact: a set of maxima, and so independent of the order of arrival. [`Consent::standing`] computes where
//! a person stands for the address about to be used. At equal times an opt-out or a suppression wins.

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

use crate::contact::millis;

/// The purpose that everything is about unless a source says otherwise: being mailed.
pub const EMAIL: &str = "email";

/// What somebody said or what became of their address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Agreed on a form, and the source's policy lets that suffice.
    OptIn,
    /// Agreed on a form, and the source's policy waits for the confirmation.
    OptInPending,
    /// Confirmed by the link in a mail.
    DoubleOptIn,
    /// Confirmed by the link in a mail of the organisation that owns `page` (`"namespace/id"`). It counts for us only
    /// if that page is ours, which we may learn later.
    DoubleOptInOnPage {
        page: String,
    },
    /// Was asked and did not agree. Takes nothing back that was given elsewhere.
    Declined,
    /// Was not asked.
    NotAsked,
    Unsubscribed,
    /// Reported our mail as spam.
    Complained,
    /// The address does not exist.
    Bounced,
    /// The provider does not deliver to it; may be a false alarm.
    Blocked,
    /// Not to be mailed for now.
    Inactive,
}

impl What {
    /// Whether it may let somebody be written to.
    pub fn is_yes(&self) -> bool {
        matches!(
            self,
            Self::OptIn | Self::OptInPending | Self::DoubleOptIn | Self::DoubleOptInOnPage { .. }
        )
    }

    /// Whether it is the click on a link in a mail, which shows that the mail arrived.
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

    /// Whether it ends consent that was given: an opt-out or a suppression. A form that was declined does not.
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

/// All that say the same everywhere: without [`What::DoubleOptInOnPage`], which names a page.
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
    /// The way back from [`What::as_str`], for all that name no page.
    pub fn plain(word: &str) -> Option<Self> {
        PLAIN.into_iter().find(|what| what.as_str() == word)
    }
}

/// A purpose as it is written everywhere: `email`, `phone`, `sms`, `post`, `ads` or a word of one's own. `None` for what is
/// no such word: small letters, digits, `-` and `_`, at most 64, a letter first.
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
    /// When it was given or happened, not when we heard of it.
    #[serde(with = "millis")]
    pub at: Timestamp,
    /// Which message said so and by which rule: `"proca action, row 10"`.
    pub basis: String,
    /// The address that it was said for, in its normal form; `None` where the message names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl ConsentFact {
    /// Without an address: the event's own is filled in when it is processed.
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

/// Where a person stands with us, for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was ever said.
    Unknown,
    /// Known, did not agree.
    NotSubscribed,
    /// Agreed on a form; the confirmation is still to come.
    Pending { since: Timestamp },
    /// May be mailed: agreed on a form.
    OptedIn { since: Timestamp },
    /// May be mailed: confirmed by mail.
    DoubleOptedIn { since: Timestamp },
    /// Said no.
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

impl Standing {
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

/// The pages that are ours (`"namespace/id"`), as far as we know.
pub type OwnPages = BTreeSet<String>;

/// What the configuration and the workspace say about reading consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub own_pages: OwnPages,
    /// A confirming click so shortly after an opt-out does not undo it: scanners of mail servers follow every link.
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

/// What a destination demands before a record may go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Everything: for a system of record that keeps consent itself.
    All,
    /// People who gave their data on a form, opted in or not, and have not withdrawn.
    WithConsent,
    /// People who may be mailed. The default.
    #[default]
    OptIn,
    /// People who confirmed by mail.
    DoubleOptIn,
}

impl Policy {
    /// Whether a record of somebody with this standing may be sent. `has_consented` = they ever gave their
    /// data with a form (an action `with_consent`, or a platform's contact).
    pub fn allows(self, standing: Standing, has_consented: bool) -> bool {
        match self {
            Self::All => true,
            Self::WithConsent => has_consented && !standing.is_opt_out(),
            Self::OptIn => standing.is_subscribed(),
            Self::DoubleOptIn => matches!(standing, Standing::DoubleOptedIn { .. }),
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
