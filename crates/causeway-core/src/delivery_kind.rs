//! The kinds of deliveries.

use serde::{Deserialize, Serialize};

/// What a delivery says to its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A new action, or a contact as a platform sent it.
    Record,
    /// The contact or their consent changed; there is no new action.
    Contact,
    /// The contact may no longer be used for the destination's purpose.
    Withdrawal,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Contact => "contact",
            Self::Withdrawal => "withdrawal",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Record, Self::Contact, Self::Withdrawal]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}
