//! The score and the status of a contact, and whose they are.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose score and status count.
///
/// Invariant: everything that shows or compares them uses the same owner: `lead`, shortcodes, the groups of
/// the payload, and triggers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The total and the label that a platform sends.
    #[default]
    Platform,
    /// The points of this hub's scoring rules, and the ranges of its statuses.
    Hub,
}

/// Score and status of a contact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lead {
    /// A number, written without a fraction if it is whole.
    pub score: Option<Value>,
    pub status: Option<String>,
    pub owner: Owner,
}

/// Prefix of the keys of engagement rows that the hub's own scoring rules make.
pub const OWN_SCORE: &str = "rule:";
