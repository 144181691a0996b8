//! The payload of the action "Sync Contact to Third Party": a record as the eleven documented groups, in the
//! documented order.
//!
//! [`model`] decides what is sent, and [`members`] how it is written. The form codec, JSON and [`crate::xml`]
//! print it. `docs/payload.md` describes the result.

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

/// The name of the XML element that holds the groups.
pub const XML_ROOT: &str = "sync";
/// PHP silently drops the variables beyond this number.
pub const PHP_VARIABLES: usize = 1_000;

/// A group. The variants are in the documented order.
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

    /// Whether it is a list of events that grows, of which only the newest are sent.
    pub fn is_history(self) -> bool {
        self.default_cap().is_some()
    }

    /// The default limit of rows. With it and 50 list fields, PHP reads everything.
    pub fn default_cap(self) -> Option<usize> {
        Some(match self {
            Self::CampaignsOpened | Self::LinksClicked => 50,
            Self::PagesVisited => 100,
            Self::AutomationTriggered | Self::GoalsReached | Self::WebhooksTriggered | Self::LeadScore => 30,
            Self::TransactionId | Self::Contact | Self::Fields | Self::LeadStatus => return None,
        })
    }

    /// The variables that PHP counts for one row, or for the whole group if it has no rows.
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
    /// The groups to send. They are written in the documented order, whatever their order here.
    pub groups: Vec<Group>,
    /// The limits of rows for history groups, where they differ from the default.
    pub caps: BTreeMap<Group, usize>,
    /// The maximum number of variables. Beyond it, the oldest history rows are left out. `None` for no limit.
    pub max_variables: Option<usize>,
    /// A pattern of PHP's `date`.
    pub date_format: String,
    pub zone: TimeZone,
    pub empty: Empty,
    pub status: StatusShape,
    pub transaction: Transaction,
    pub contact_id: ContactIdOf,
    /// Our name of a field → its number at the destination. Overrides the number that a platform gave it.
    pub field_ids: BTreeMap<String, String>,
    /// Our name of a field → its label at the destination.
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

    /// The maximum number of variables that these options allow, without list fields.
    pub fn variables(&self) -> usize {
        let of = |group: &Group| match group.is_history() {
            true => self.cap(*group).saturating_mul(group.variables()),
            false if *group == Group::Fields => 0,
            false => group.variables(),
        };
        self.groups.iter().map(of).fold(0, usize::saturating_add)
    }

    /// Whether any group needs the contact's engagements.
    pub fn needs_history(&self) -> bool {
        self.groups.iter().any(|group| group.is_history())
    }
}

/// How an empty group is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    /// It is absent, as PHP's encoder leaves out empty arrays.
    #[default]
    Omit,
    /// `group=` in a form, `[]` in JSON, an empty element in XML.
    Send,
}

/// The form of `lead-status`. The documents call it a list, but describe a single map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusShape {
    #[default]
    Map,
    List,
}

/// What `transactionid` is. Both forms derive from the message and stay the same when a delivery is retried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transaction {
    /// Eighteen digits, which fit a 64-bit integer.
    #[default]
    Number,
    /// The delivery's key, `cw_…`.
    Key,
}

/// Which number of the contact `contact[id]` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactIdOf {
    /// The number of the platform that the contact came from; ours if there is none.
    #[default]
    Platform,
    /// Always ours.
    Hub,
}
