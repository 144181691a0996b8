//! The seam to where records go.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde_json::Value;

use crate::delivery::{Delivery, LONGEST_RETRY_AFTER};

/// Delivers records to one configured destination.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Checks address and credentials without changing anything at the destination.
    async fn check(&self) -> Result<(), CheckError>;

    /// What `check` found that works and may surprise, for `doctor` to print.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Sends the batch (of one, unless the destination takes more; never empty) and returns the outcome of each, in the
    /// length and order of `batch`. Called again with the same [`Delivery::key`] after a crash. The engine enforces the
    /// time-out; a delivery that was cut off counts as [`Outcome::Retry`].
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Ending>;
}

/// How an attempt ended. There is no `Err`: whoever writes a destination decides what a failure means.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Accepted, with the id that it got there.
    Delivered { remote_id: Option<String> },
    /// Nothing to do at the destination; not a failure.
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
    /// What a person should know of the attempt besides its outcome, such as values that were left out. In words fit for a
    /// log: no personal data, no secrets.
    pub notes: Vec<String>,
    /// What the answer says of the contact, to be written back: field → value, already of the field's type.
    pub writes: BTreeMap<String, Value>,
}

impl Ending {
    pub const EXCERPT_BYTES: usize = 2_048;

    /// Notes that are kept of one attempt.
    const MOST_NOTES: usize = 20;

    /// Why the attempt ended as it did, and the notes: what the trace shows.
    pub fn reason(&self) -> Option<String> {
        let more = self.notes.len().saturating_sub(Self::MOST_NOTES);
        let parts: Vec<Cow<'_, str>> = self
            .outcome
            .reason()
            .map(Cow::from)
            .into_iter()
            .chain(self.longer_wait().map(Cow::from))
            .chain(self.notes.iter().take(Self::MOST_NOTES).map(Cow::from))
            .chain((more > 0).then(|| format!("and {more} more").into()))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn longer_wait(&self) -> Option<String> {
        match self.outcome {
            Outcome::Retry {
                after: Some(after), ..
            } if after > LONGEST_RETRY_AFTER => Some(format!(
                "asked for a wait of {} s, which is shortened to {} s",
                after.as_secs(),
                LONGEST_RETRY_AFTER.as_secs()
            )),
            _ => None,
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            excerpt: None,
            notes: Vec::new(),
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
