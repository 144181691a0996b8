//! One message of a history: what is sent, and what it says by the documents. Times are seconds from the start of the
//! run.

use crate::world::Org;

pub type Seconds = i64;

#[derive(Debug, Clone)]
pub struct Message {
    pub space: usize,
    pub source: usize,
    pub epoch: usize,
    /// Its place in the history as it was made; stays when a history is cut down.
    pub number: usize,
    pub content: Content,
    pub says: Says,
}

/// What is put on the wire; how it looks there is the business of `wire`.
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
    /// Pairs of a form or members of a JSON object. Dates are filled in when it is sent.
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
    /// A row of a file that is imported together with the neighbours of the same file.
    Row {
        file: usize,
        cells: Vec<(String, Value)>,
    },
    /// What an administrator or supporter does at Proca without a message reaching the queue.
    Api(AtProca),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    /// Percent-decoded bytes that are no text.
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
    /// Makes a repeat of the same action another message.
    pub rank: u64,
}

/// How the personal data is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    Open,
    /// For a key that the source has.
    Known,
    /// For a key that was lost.
    Unknown,
}

/// A change at a Proca server that only its API shows.
#[derive(Debug, Clone, PartialEq)]
pub enum AtProca {
    /// An action whose message the broker lost.
    Lost(Proca),
    /// An action that was never accepted: confirming or rejected.
    NeverAccepted(Proca),
    /// "It wasn't me", after the action was delivered: no message at all.
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

/// What a message says, by the documents. The oracle reads nothing else.
#[derive(Debug, Clone, Default)]
pub struct Says {
    pub id: Option<Id>,
    /// Proca's `contactRef`. With `basic` contacts it stands for one address.
    pub reference: Option<Id>,
    /// In small letters, without blanks and invisible characters.
    pub address: Option<String>,
    pub words: Vec<Word>,
    /// When the person used this address.
    pub at: When,
    pub campaign: Option<&'static str>,
    pub action_type: Option<&'static str>,
    /// Data was given on a form, so that `with_consent` holds.
    pub has_form: bool,
    /// A value that a fragile destination cannot carry.
    pub is_bad: bool,
    /// Number of the message that this one repeats to the letter.
    pub repeats: Option<usize>,
    /// The sender gave the message an id.
    pub has_number: bool,
}

/// What somebody is called, unique in a namespace of the workspace.
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
    /// A day without a time: this is a moment of it.
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
    /// Proca's API no longer shows an action that it had: the person said "it wasn't me", or is gone.
    NotMe,
}

impl Word {
    /// Whether it ends that somebody is written to.
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
