//! What arrived, as it arrived.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::Name;

/// 16 bytes that name a message within its source.
pub type MessageKey = [u8; 16];

/// The bytes that came, where from, and what tells a repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub source: Name,
    /// Two envelopes of one source with the same `dedup` are the same message: the second is a duplicate
    /// and has no effect.
    pub dedup: MessageKey,
    /// How long `dedup` is remembered; `None` = as long as the row is kept. Sources whose messages carry
    /// no id of their own set it, because the same form sent again next month means something.
    pub dedup_window_ms: Option<i64>,
    pub received_at: Timestamp,
    pub meta: Meta,
    pub body: Bytes,
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
    /// The hubs that it came through, the first one first, as the last one told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// How often the broker saw this message die in our queue (`x-death`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaths: Option<u64>,
    /// The same bytes came before, and something else about that contact since: the sender says it again, or tries once
    /// more what it had said then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

impl Envelope {
    /// Names this message for ever: `dedup` itself, or `dedup` with the time where repeats are only
    /// recognised for a while. Idempotency keys derive from it.
    pub fn key(&self) -> MessageKey {
        match self.dedup_window_ms {
            None => self.dedup,
            Some(_) => digest(&[&self.dedup, &self.received_at.as_nanosecond().to_be_bytes()]),
        }
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
