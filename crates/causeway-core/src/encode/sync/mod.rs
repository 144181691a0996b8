//! What the action "Sync Contact to Third Party" sends: a record as the eleven documented groups, in the documented order.
//!
//! [`model`] says what is sent, [`members`] how it is written; the form codec, JSON and [`crate::xml`] print it.
//! `docs/payload.md` is this module in prose.

mod lead;
mod model;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use self::{
    model::model,
    write::{TooMany, leaves, members, warning},
};
use crate::php_date;

/// The name of the element that holds the groups in XML.
pub const XML_ROOT: &str = "sync";
/// PHP silently ignores variables beyond this number.
pub const PHP_VARIABLES: usize = 1_000;

/// A group, in the documented order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    #[serde(rename = "transactionid")]
    TransactionId,
    Contact,
    Fields,
    CampaignsOpened,
    LinksClicked,
    PagesVisited,
    AutomationTriggered,
    GoalsReached,
    WebhooksTriggered,
    LeadScore,
    LeadStatus,
}

impl Group {
    pub const ALL: [Self; 11] = [
        Self::TransactionId,
        Self::Contact,
        Self::Fields,
        Self::CampaignsOpened,
        Self::LinksClicked,
        Self::PagesVisited,
        Self::AutomationTriggered,
        Self::GoalsReached,
        Self::WebhooksTriggered,
        Self::LeadScore,
        Self::LeadStatus,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransactionId => "transactionid",
            Self::Contact => "contact",
            Self::Fields => "fields",
            Self::CampaignsOpened => "campaigns-opened",
            Self::LinksClicked => "links-clicked",
            Self::PagesVisited => "pages-visited",
            Self::AutomationTriggered => "automation-triggered",
            Self::GoalsReached => "goals-reached",
            Self::WebhooksTriggered => "webhooks-triggered",
            Self::LeadScore => "lead-score",
            Self::LeadStatus => "lead-status",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }

    /// A list of what happened, which grows, and of which the newest are kept.
    pub fn is_history(self) -> bool {
        self.default_cap().is_some()
    }

    /// The most rows unless the configuration says otherwise: with these and 50 fields PHP reads it all.
    pub fn default_cap(self) -> Option<usize> {
        Some(match self {
            Self::CampaignsOpened | Self::LinksClicked => 50,
            Self::PagesVisited => 100,
            Self::AutomationTriggered | Self::GoalsReached | Self::WebhooksTriggered | Self::LeadScore => 30,
            Self::TransactionId | Self::Contact | Self::Fields | Self::LeadStatus => return None,
        })
    }

    /// Variables that PHP counts: of a row, or of the whole where it has none.
    pub fn variables(self) -> usize {
        match self {
            Self::TransactionId => 1,
            Self::Contact | Self::LeadScore => 4,
            Self::LinksClicked | Self::PagesVisited | Self::LeadStatus => 2,
            Self::Fields
            | Self::CampaignsOpened
            | Self::AutomationTriggered
            | Self::GoalsReached
            | Self::WebhooksTriggered => 3,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    /// What to send; written in the documented order whatever the order here.
    pub groups: Vec<Group>,
    /// The most rows of a history group, where it is not the default.
    pub caps: BTreeMap<Group, usize>,
    /// The most variables in all; history rows beyond are left out, the oldest first. `None` for no limit.
    pub max_variables: Option<usize>,
    /// A pattern of PHP's `date`.
    pub date_format: String,
    pub zone: TimeZone,
    pub empty: Empty,
    pub status: StatusShape,
    pub transaction: Transaction,
    pub contact_id: ContactIdOf,
    /// Causeway's name of a field → its number at the destination; overrides the number that a platform gave it.
    pub field_ids: BTreeMap<String, String>,
    /// Causeway's name of a field → its label at the destination.
    pub field_names: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            groups: Group::ALL.to_vec(),
            caps: BTreeMap::new(),
            max_variables: None,
            date_format: php_date::SYNC.to_owned(),
            zone: TimeZone::UTC,
            empty: Empty::default(),
            status: StatusShape::default(),
            transaction: Transaction::default(),
            contact_id: ContactIdOf::default(),
            field_ids: BTreeMap::new(),
            field_names: BTreeMap::new(),
        }
    }
}

impl Options {
    pub fn cap(&self, group: Group) -> usize {
        let cap = self.caps.get(&group).copied().or_else(|| group.default_cap());
        cap.unwrap_or(usize::MAX)
    }

    pub fn sends(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    /// The most variables that these options let through without any list field.
    pub fn variables(&self) -> usize {
        let of = |group: &Group| match group.is_history() {
            true => self.cap(*group).saturating_mul(group.variables()),
            false if *group == Group::Fields => 0,
            false => group.variables(),
        };
        self.groups.iter().map(of).fold(0, usize::saturating_add)
    }

    /// Whether any group is made of what the contact did.
    pub fn needs_history(&self) -> bool {
        self.groups.iter().any(|group| group.is_history())
    }
}

/// What becomes of a group without content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    /// It is absent, as PHP's encoder leaves empty arrays out.
    #[default]
    Omit,
    /// `group=` in a form, `[]` in JSON, an empty element in XML.
    Send,
}

/// The documents call `lead-status` a list and describe one map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusShape {
    #[default]
    Map,
    List,
}

/// What `transactionid` is. Both stay the same when a delivery is repeated, and derive from the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transaction {
    /// Eighteen digits: fits a 64-bit integer.
    #[default]
    Number,
    /// The delivery's key, `cw_…`.
    Key,
}

/// Whose number of the contact `contact[id]` is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactIdOf {
    /// That of the platform that the contact came from; ours where there is none.
    #[default]
    Platform,
    /// Always ours.
    Hub,
}
