//! What arrived, as it arrived.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::id::{InboxId, Name};

/// 16 bytes that name a message within its source.
pub type MessageKey = [u8; 16];

/// The bytes that arrived, their origin, and how a duplicate is recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub source: Name,
    pub dedup: Dedup,
    pub received_at: Timestamp,
    pub meta: Meta,
    pub body: Bytes,
}

/// How a duplicate of a message is recognised.
///
/// Invariant: a message is a duplicate only if its source sent the same key before, and nothing that arrived in between
/// could make it mean something new. The store decides that: see [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// Two envelopes of one source with the same key say the same.
    pub key: MessageKey,
    /// The sender's id of the message, hashed. Equal ids with different keys are different messages: the id is noted as
    /// not unique.
    pub id: Option<MessageKey>,
    pub memory: Memory,
}

/// How long a key is remembered, and whether something else of the same contact ends that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The message dates what it says (or says nothing that a later message could replace), so that the same again is a
    /// duplicate whatever arrived in between. As long as the row is kept.
    Dated,
    /// The same message is a duplicate for this number of milliseconds, and only while no other message about the
    /// contact arrived. A message with a unique id is remembered as long as the row is kept.
    Window(i64),
    /// As [`Memory::Window`], but for good, also when the row is gone: for requests that anybody who saw one could send
    /// again.
    ForGood,
}

impl Dedup {
    /// For a message whose own content dates it.
    pub fn dated(key: MessageKey) -> Self {
        Self {
            key,
            id: None,
            memory: Memory::Dated,
        }
    }

    /// For a message that only its bytes identify; remembered for `window_ms`.
    pub fn window(key: MessageKey, window_ms: i64) -> Self {
        Self {
            key,
            id: None,
            memory: Memory::Window(window_ms),
        }
    }
}

/// What came beside the body and is needed to read it, or to show it to a person. Never credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `GET` or `POST` for what came over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The query string, without the `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// The hubs that it passed, in order, as reported by the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// How often the broker saw this message die in our queue (`x-death`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaths: Option<u64>,
    /// The row belongs to a file: it dates from the begin of the import, also when something else arrived meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// The row belongs to a file that was imported before: its opt-ins are not counted again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// What the source noticed when it took the message in, for its trace. Without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its signature is genuine, and its signed time is outside the tolerance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// The row is one of several records of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Box<Part>>,
}

/// A message that was signed too long before it came, or after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Seconds before its arrival; negative if after it.
    pub by_s: i64,
    /// A person replayed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// Which record of which message a row is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub of: InboxId,
    /// From 1.
    pub number: u32,
    /// What stood beside the list of the records, said of all of them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub around: Map<String, Value>,
    /// Whether a `+` meant a space on the wire.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plus_is_space: bool,
    /// What was odd about the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Envelope {
    /// Names the first message of its id, or else of its key, for ever: idempotency keys derive from it. If duplicates
    /// are recognised only for a while, the time of arrival is part of it.
    pub fn key(&self) -> MessageKey {
        match self.dedup {
            Dedup { id: Some(id), .. } => id,
            Dedup {
                memory: Memory::Window(_),
                ..
            } => self.later_key(),
            Dedup { key, .. } => key,
        }
    }

    /// Names a message of which the id or the key came before, and which counts all the same.
    pub fn later_key(&self) -> MessageKey {
        digest(&[&self.dedup.key, &self.received_at.as_nanosecond().to_be_bytes()])
    }
}

/// Hashes the pieces (each with its length in front) to a [`MessageKey`].
pub fn digest(pieces: &[&[u8]]) -> MessageKey {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    key
}
