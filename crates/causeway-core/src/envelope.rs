//! A message as it arrived.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::id::{InboxId, Name};

/// 16 bytes that name a message within its source.
pub type MessageKey = [u8; 16];

/// The bytes of a message, their origin, and how a duplicate of it is recognised.
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
/// Invariant: a message is a duplicate only if its source sent the same key before, and nothing that arrived
/// in between could give it a new meaning. The store decides this by [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// Two envelopes of one source with the same key have the same content.
    pub key: MessageKey,
    /// The sender's id of the message, hashed. Two messages with the same id and different keys are different
    /// messages; the second is noted as having an id that is not unique.
    pub id: Option<MessageKey>,
    pub memory: Memory,
}

/// How long a key is remembered, and whether another message about the same contact ends that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The message dates its content, or its content cannot be replaced by a later message. So the same
    /// message again is a duplicate, whatever arrived in between. Remembered as long as the row is kept.
    Dated,
    /// The same message again is a duplicate for this many milliseconds, and only while no other message
    /// about the contact arrived. A message with a unique id is remembered as long as the row is kept.
    Window(i64),
    /// As [`Memory::Window`], but remembered for ever, even after the row is deleted. For requests that
    /// anybody who saw one could send again.
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

    /// For a message that is recognised by its bytes alone, remembered for `window_ms`.
    pub fn window(key: MessageKey, window_ms: i64) -> Self {
        Self {
            key,
            id: None,
            memory: Memory::Window(window_ms),
        }
    }
}

/// What came beside the body and is needed to read it or to show it to a person. Never holds credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `GET` or `POST`, for messages that came over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The query string, without the `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// The hubs that the message passed through, the first one first, as reported by the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// How often the broker counted this message as dead-lettered from our queue (`x-death`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaths: Option<u64>,
    /// The message is a row of a file. It dates from the start of the import, even if another message arrived
    /// meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// The message is a row of a file that was imported before. Its opt-ins do not count again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// A note of the source about how it received the message, for the trace. Without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The signature is genuine, but the signed time is outside the tolerance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// The message is one of several records of another message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Box<Part>>,
}

/// The distance between the signed time and the arrival of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Seconds from the signed time to the arrival; negative if the signed time is later.
    pub by_s: i64,
    /// A person replayed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// Which record of which message this is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub of: InboxId,
    /// From 1.
    pub number: u32,
    /// The values that stood beside the list of records. They belong to each record.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub around: Map<String, Value>,
    /// Whether a `+` in the original message meant a space.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plus_is_space: bool,
    /// Remarks about the whole message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Envelope {
    /// The key that idempotency keys are derived from: that of the first message with this id, or else with
    /// this key. It never changes. For keys that are remembered only for a time, it includes the time of
    /// arrival.
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

    /// The key of a message whose id or key came before and that is processed nevertheless.
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
