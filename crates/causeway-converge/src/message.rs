//! One message of a history: its bytes, and its meaning by the documents. Times are seconds from the start of the run.

use crate::world::Org;

pub type Seconds = i64;

#[derive(Debug, Clone)]
pub struct Message {
    pub space: usize,
    pub source: usize,
    pub epoch: usize,
    /// Its number in the generated history; it stays when the history is shrunk.
    pub number: usize,
    pub content: Content,
    pub says: Says,
}

/// The content to send; `wire` renders it.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A sync of a platform.
    Sync {
        transaction: Option<String>,
        id: Option<String>,
        email: Option<String>,
        fields: Vec<(String, Value)>,
        shape: Shape,
    },
    /// Pairs of a form or members of a JSON object. Dates are inserted when it is sent.
    Form {
        pairs: Vec<(String, Value)>,
        shape: Shape,
    },
    Proca(Proca),
    /// One event of the events API.
    Event {
        members: Vec<(String, Value)>,
        id: Option<String>,
        email: Option<String>,
        reference: Option<String>,
    },
    /// A row of a file; neighbours with the same file are imported together.
    Row {
        file: usize,
        cells: Vec<(String, Value)>,
    },
    /// A change at Proca by an administrator or supporter, without a message on the queue.
    Api(AtProca),
    /// Something that happens at a vendor, without any message. Its source means nothing.
    AtVendor {
        destination: usize,
        address: String,
        deed: Deed,
    },
}

/// What people do at a vendor.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// The person left before the history began, at this time, in this way.
    Left {
        at: Seconds,
        how: Box<Deed>,
    },
    Leaves,
    Complains,
    Bounces,
    /// An administrator archives the contact.
    Archived,
    /// An administrator deletes the contact.
    Deleted,
    /// An administrator merges the contact with another one.
    Merged,
    /// The person has another address at the vendor from now on.
    Moves,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    /// Bytes that are not text after percent-decoding.
    Bytes(Vec<u8>),
    Json(serde_json::Value),
    /// A time of the run, in RFC 3339.
    Time(Seconds),
    /// The day of a time of the run.
    Day(Seconds),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Form,
    Json,
    Get,
}

/// A message of a Proca server.
#[derive(Debug, Clone, PartialEq)]
pub struct Proca {
    pub is_event: bool,
    pub version: u8,
    pub stage: &'static str,
    pub action: u64,
    pub page: u64,
    pub org: Org,
    pub campaign: &'static str,
    pub action_type: &'static str,
    pub email: Option<String>,
    pub reference: Option<String>,
    pub first_name: String,
    pub with_consent: bool,
    pub opt_in: Option<bool>,
    pub given: Seconds,
    pub status: Option<&'static str>,
    pub changed: Seconds,
    pub is_test: bool,
    pub seal: Seal,
    /// A field whose value no mapping expects.
    pub extra: Option<(String, Value)>,
    /// Makes repeated messages of one action different.
    pub rank: u64,
}

/// The encoding of the personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    Open,
    /// Encrypted for a key that the source has.
    Known,
    /// Encrypted for a lost key.
    Unknown,
}

/// A change at a Proca server that only its API shows.
#[derive(Debug, Clone, PartialEq)]
pub enum AtProca {
    /// An action whose message the broker lost.
    Lost(Proca),
    /// An action that was never accepted: confirming or rejected.
    NeverAccepted(Proca),
    /// "It wasn't me" after the action was delivered; Proca sends no message.
    Rejected {
        action: u64,
    },
    Erased {
        action: u64,
    },
    /// A status whose event the broker lost.
    Status {
        action: u64,
        status: &'static str,
        changed: Seconds,
    },
}

/// The meaning of a message by the documents. The oracle reads nothing else.
#[derive(Debug, Clone, Default)]
pub struct Says {
    pub id: Option<Id>,
    /// Proca's `contactRef`. With `basic` contacts it stands for one address.
    pub reference: Option<Id>,
    /// In lower case, without blanks and invisible characters.
    pub address: Option<String>,
    pub words: Vec<Word>,
    /// When the person used this address.
    pub at: When,
    pub campaign: Option<&'static str>,
    pub action_type: Option<&'static str>,
    /// Whether data was given on a form, so that `with_consent` allows the person.
    pub has_form: bool,
    /// Whether it has a value that makes the mapping of a fragile destination fail.
    pub is_bad: bool,
    /// Number of the message that this one repeats exactly.
    pub repeats: Option<usize>,
    /// Whether the sender gave the message an id.
    pub has_number: bool,
}

/// An id of a person, unique in a namespace of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub namespace: &'static str,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// When it arrives.
    #[default]
    Arrival,
    At(Seconds),
    /// A day without a time; this is a time of the day.
    Day(Seconds),
}

#[derive(Debug, Clone)]
pub enum Word {
    /// A plain statement.
    Plain {
        what: What,
        purpose: &'static str,
        when: When,
    },
    /// The statement of Proca's message: section 4.8 decides what it means.
    Proca(Statement),
    /// Proca's API no longer shows a former action: the person said "it wasn't me", or was deleted.
    NotMe,
}

impl Word {
    /// Whether the statement forbids mailing.
    pub fn is_opt_out(&self) -> bool {
        match self {
            Self::Plain { what, .. } => !matches!(what, What::OptIn | What::DoubleOptIn | What::Declined),
            Self::Proca(statement) => statement.status.is_some_and(|status| status != "double_opt_in"),
            Self::NotMe => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    OptIn,
    DoubleOptIn,
    Declined,
    Unsubscribed,
    Complained,
    Bounced,
    Blocked,
    Inactive,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a message of Proca says: each is a fact of its own"
)]
pub struct Statement {
    pub is_event: bool,
    pub stage: &'static str,
    pub is_test: bool,
    pub is_readable: bool,
    pub action: u64,
    pub page: u64,
    pub org: Org,
    pub with_consent: bool,
    pub opt_in: Option<bool>,
    pub given: Seconds,
    pub status: Option<&'static str>,
    pub changed: Seconds,
}
