//! The seam to where records go.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde_json::Value;

use crate::delivery::Delivery;

/// Delivers records to one configured destination.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Proves address and credentials without changing anything over there.
    async fn check(&self) -> Result<(), CheckError>;

    /// Sends the batch (of one, unless the destination takes more; never empty) and tells how each ended: the answer
    /// has the length and order of `batch`. Called again with the same [`Delivery::key`] after a crash.
    /// The engine enforces the time-out; a delivery that was cut off counts as [`Outcome::Retry`].
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Ending>;
}

/// How an attempt ended. There is no `Err`: whoever writes a destination decides what a failure means.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Accepted, with the id that it got there.
    Delivered { remote_id: Option<String> },
    /// Nothing to do over there; not a failure.
    Skip { reason: String },
    /// Not now.
    Retry { reason: String, after: Option<Duration> },
    /// Never, this record.
    Reject { reason: String },
    /// Never, any record, until a person acts: credentials, terms, account closed. Costs no attempt.
    Halt { reason: String },
}

impl Outcome {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Skip { .. } => "skip",
            Self::Retry { .. } => "retry",
            Self::Reject { .. } => "reject",
            Self::Halt { .. } => "halt",
        }
    }

    /// Why, in words fit for a log: no personal data, no secrets.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Delivered { .. } => None,
            Self::Skip { reason }
            | Self::Retry { reason, .. }
            | Self::Reject { reason }
            | Self::Halt { reason } => Some(reason),
        }
    }
}

/// An [`Outcome`] and what the other side said.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub outcome: Outcome,
    /// HTTP status, where there is one.
    pub status: Option<u16>,
    /// The start of the answer, for a person to read: at most [`Ending::EXCERPT_BYTES`]. May hold personal data:
    /// it is stored under the contact's retention and never logged.
    pub excerpt: Option<String>,
    /// What the answer says of the contact, to be written back: field → value, already of the field's type.
    pub writes: BTreeMap<String, Value>,
}

impl Ending {
    pub const EXCERPT_BYTES: usize = 2_048;
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            excerpt: None,
            writes: BTreeMap::new(),
        }
    }
}

/// Why `check` failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Could not be reached, or answered that it is unwell.
    #[error("{0}")]
    Unavailable(String),
    /// Answered, and will not work until the configuration or the account changes.
    #[error("{0}")]
    Refused(String),
}
