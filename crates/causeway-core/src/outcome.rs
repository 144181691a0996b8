//! How an attempt to deliver ended.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde_json::Value;

/// The longest wait that a destination can ask for. A longer one is shortened to this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How an attempt ended. There is no `Err`, so the author of a destination has to decide what each failure
/// means.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The destination accepted it. `remote_id` is the id that the record got there.
    Delivered { remote_id: Option<String> },
    /// The destination has nothing to do; this is not a failure.
    Skip { reason: String },
    /// Failed for now: try this record again.
    Retry { reason: String, after: Option<Duration> },
    /// This record will never be accepted.
    Reject { reason: String },
    /// The destination takes no deliveries for now, whatever they hold: a limit of requests is reached. All deliveries
    /// wait, and this does not count as an attempt. Without `after`, the hub chooses growing waits.
    Busy { reason: String, after: Option<Duration> },
    /// The destination accepted the call and has the result later. After `after` the delivery is claimed again, with this
    /// [`crate::delivery::Delivery::ticket`]. This does not count as an attempt.
    Pending { ticket: String, after: Duration },
    /// No record will be accepted until a person acts: wrong credentials, unaccepted terms, a closed account.
    /// This does not count as an attempt.
    Halt { reason: String },
}

impl Outcome {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Skip { .. } => "skip",
            Self::Retry { .. } => "retry",
            Self::Reject { .. } => "reject",
            Self::Busy { .. } => "busy",
            Self::Pending { .. } => "pending",
            Self::Halt { .. } => "halt",
        }
    }

    /// The reason, fit for a log: no personal data, no secrets.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Delivered { .. } => None,
            Self::Pending { .. } => Some("accepted; the result comes later"),
            Self::Skip { reason }
            | Self::Retry { reason, .. }
            | Self::Reject { reason }
            | Self::Busy { reason, .. }
            | Self::Halt { reason } => Some(reason),
        }
    }
}

/// An [`Outcome`] and the destination's response.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    pub outcome: Outcome,
    /// The HTTP status, if there is one.
    pub status: Option<u16>,
    /// The start of the response, for a person to read: at most [`AttemptResult::EXCERPT_BYTES`]. It may hold
    /// personal data, so it is kept as long as the contact's data and never logged.
    pub excerpt: Option<String>,
    /// Notes about the attempt besides its outcome, such as values that were left out. Fit for a log: no
    /// personal data, no secrets.
    pub notes: Vec<String>,
    /// The values that the response gives for the contact, to be written back: field → value, already of the
    /// field's type.
    pub writes: BTreeMap<String, Value>,
    /// The destination takes no more calls for this time, as its response says. The delivery itself ended.
    pub rest: Option<Duration>,
    /// What the destination remembers about the contact from now on, in its own form: at most
    /// [`AttemptResult::MEMORY_BYTES`]. `None` changes nothing, and `null` forgets.
    pub memory: Option<Value>,
    /// The delivery's ticket stands for nothing any more: the next attempt sends anew.
    pub ticket_is_void: bool,
    /// What was sent about this delivery, without secrets, for a person to read: at most
    /// [`AttemptResult::REQUEST_BYTES`]. It holds personal data, like `excerpt`.
    pub request: Option<String>,
}

impl AttemptResult {
    pub const EXCERPT_BYTES: usize = 2_048;

    pub const REQUEST_BYTES: usize = 8_192;

    pub const MEMORY_BYTES: usize = 16_384;

    /// How many notes of one attempt are kept.
    const MAX_NOTES: usize = 20;

    /// The reason of the outcome and the notes, as the trace shows them.
    pub fn reason(&self) -> Option<String> {
        let more = self.notes.len().saturating_sub(Self::MAX_NOTES);
        let parts: Vec<Cow<'_, str>> = self
            .outcome
            .reason()
            .map(Cow::from)
            .into_iter()
            .chain(self.longer_wait().map(Cow::from))
            .chain(self.notes.iter().take(Self::MAX_NOTES).map(Cow::from))
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

impl From<Outcome> for AttemptResult {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            excerpt: None,
            notes: Vec::new(),
            writes: BTreeMap::new(),
            rest: None,
            memory: None,
            ticket_is_void: false,
            request: None,
        }
    }
}
