//! Consent: facts in a ledger, folded into a state from which the standing follows.
//!
//! The ledger keeps every [`ConsentFact`]. The state, [`Consent`], keeps of each sort only the newest
//! time: a set of maxima, and so independent of the order of arrival. [`Consent::standing`] reads it.
//! Who says no is believed at equal times.

mod change;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use change::{CHANGES, Change};

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
}

impl ConsentFact {
    pub fn new(purpose: impl Into<String>, what: What, at: Timestamp, basis: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            what,
            at,
            basis: basis.into(),
        }
    }
}

/// The newest time of each sort of fact, for one contact and purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consent {
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub opt_in: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub pending: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub double_opt_in: Option<Timestamp>,
    /// Page (`"namespace/id"`) → newest double opt-in in milliseconds that counts only if the page is ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub on_page: BTreeMap<String, i64>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub declined: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub unsubscribed: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub complained: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub bounced: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Timestamp>,
    #[serde(with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub inactive: Option<Timestamp>,
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

/// Names a page across sources.
pub fn page_key(namespace: &str, page: &str) -> String {
    format!("{namespace}/{page}")
}

impl Consent {
    /// Takes in one fact, to the millisecond; tells whether anything changed.
    pub fn add(&mut self, what: &What, at: Timestamp) -> bool {
        let at = millis::floor(at);
        let slot = match what {
            What::OptIn => &mut self.opt_in,
            What::OptInPending => &mut self.pending,
            What::DoubleOptIn => &mut self.double_opt_in,
            What::DoubleOptInOnPage { page } => {
                let at = at.as_millisecond();
                let is_newer = self.on_page.get(page).is_none_or(|known| at > *known);
                if is_newer {
                    self.on_page.insert(page.clone(), at);
                }
                return is_newer;
            }
            What::Declined => &mut self.declined,
            What::NotAsked => &mut self.not_asked,
            What::Unsubscribed => &mut self.unsubscribed,
            What::Complained => &mut self.complained,
            What::Bounced => &mut self.bounced,
            What::Blocked => &mut self.blocked,
            What::Inactive => &mut self.inactive,
        };
        raise(slot, Some(at))
    }

    /// When this was last said.
    pub fn newest(&self, what: &What) -> Option<Timestamp> {
        match what {
            What::OptIn => self.opt_in,
            What::OptInPending => self.pending,
            What::DoubleOptIn => self.double_opt_in,
            What::DoubleOptInOnPage { page } => {
                let at = self.on_page.get(page)?;
                Timestamp::from_millisecond(*at).ok()
            }
            What::Declined => self.declined,
            What::NotAsked => self.not_asked,
            What::Unsubscribed => self.unsubscribed,
            What::Complained => self.complained,
            What::Bounced => self.bounced,
            What::Blocked => self.blocked,
            What::Inactive => self.inactive,
        }
    }

    /// Merges the consent of a second contact that turned out to be the same person.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = raise(&mut self.opt_in, other.opt_in);
        changed |= raise(&mut self.pending, other.pending);
        changed |= raise(&mut self.double_opt_in, other.double_opt_in);
        changed |= raise(&mut self.declined, other.declined);
        changed |= raise(&mut self.not_asked, other.not_asked);
        changed |= raise(&mut self.unsubscribed, other.unsubscribed);
        changed |= raise(&mut self.complained, other.complained);
        changed |= raise(&mut self.bounced, other.bounced);
        changed |= raise(&mut self.blocked, other.blocked);
        changed |= raise(&mut self.inactive, other.inactive);
        for (page, at) in &other.on_page {
            if let Ok(at) = Timestamp::from_millisecond(*at) {
                changed |= self.add(&What::DoubleOptInOnPage { page: page.clone() }, at);
            }
        }
        changed
    }

    /// Reads the state. A suppression ends only by a later double opt-in (whoever clicks a link in a mail
    /// got the mail); an unsubscription also by a later opt-in on a form. At equal times no beats yes.
    /// Of several that hold, the newest is told, at equal times the gravest.
    pub fn standing(&self, own_pages: &OwnPages) -> Standing {
        let confirmed = self.confirmed(own_pages);
        let agreed = self.opt_in.max(confirmed);
        // From the lightest to the gravest: of equal times `max_by_key` takes the last.
        let noes = [
            (self.unsubscribed, None, agreed),
            (self.inactive, Some(Suppression::Inactive), confirmed),
            (self.blocked, Some(Suppression::Blocked), confirmed),
            (self.bounced, Some(Suppression::Bounced), confirmed),
            (self.complained, Some(Suppression::Complained), confirmed),
        ];
        let holds = noes
            .into_iter()
            .filter_map(|(since, why, lifted)| {
                let since = since?;
                lifted.is_none_or(|at| at <= since).then_some((since, why))
            })
            .max_by_key(|(since, _)| *since);
        match holds {
            Some((since, Some(why))) => return Standing::Suppressed { since, why },
            Some((since, None)) => return Standing::Unsubscribed { since },
            None => {}
        }
        // A confirmation that an unsubscription took back does not come alive by a later tick on a form.
        let withdrawn = |at: Timestamp| self.unsubscribed.is_some_and(|no| no >= at);
        if let Some(since) = confirmed.filter(|at| !withdrawn(*at)) {
            return Standing::DoubleOptedIn { since };
        }
        if let Some(since) = self.opt_in {
            return Standing::OptedIn { since };
        }
        if let Some(since) = self.pending {
            return Standing::Pending { since };
        }
        if self.declined.is_some() || self.not_asked.is_some() {
            return Standing::NotSubscribed;
        }
        Standing::Unknown
    }

    /// The newest confirmation that counts for us.
    fn confirmed(&self, own_pages: &OwnPages) -> Option<Timestamp> {
        let on_own_page = self
            .on_page
            .iter()
            .filter(|(page, _)| own_pages.contains(*page))
            .filter_map(|(_, at)| Timestamp::from_millisecond(*at).ok())
            .max();
        self.double_opt_in.max(on_own_page)
    }
}

fn raise(slot: &mut Option<Timestamp>, at: Option<Timestamp>) -> bool {
    let raised = at > *slot;
    if raised {
        *slot = at;
    }
    raised
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
            Self::WithConsent => {
                has_consented
                    && !matches!(
                        standing,
                        Standing::Unsubscribed { .. } | Standing::Suppressed { .. }
                    )
            }
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
