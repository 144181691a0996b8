//! Recognises duplicates among messages that a person brings in (`causeway import`, `causeway send`).

use causeway_connect::source::Entry;
use causeway_core::{
    clock::Timestamp,
    decode::events as items,
    envelope::{Dedup, Memory, MessageKey, digest},
    event::Decoded,
};

use crate::{
    config::SourceConfig,
    web::ingest::{self, Preset},
};

/// Whether the messages of a source have a date of their own.
pub enum ByHand {
    /// Each message names its action or its time: the same bytes are the same message, however they arrive.
    Dated {
        /// The parts of a live message's key before its bytes.
        before: &'static [&'static [u8]],
    },
    /// Items of the events API: those with a time are dated.
    Items,
    /// The same bytes may be a new message.
    Dateless,
}

impl ByHand {
    pub fn of(source: &SourceConfig) -> Self {
        match source.kind.entry {
            Entry::Events => Self::Items,
            Entry::Listener => match ingest::Config::parse(&source.table) {
                Ok(config) if config.preset == Preset::Proca => Self::Dated {
                    before: &[b"bytes", b""],
                },
                _ => Self::Dateless,
            },
            Entry::Fetched(_) => Self::Dated { before: &[] },
        }
    }

    /// The message's key. `otherwise` is the key of a message without a date.
    pub fn dedup(
        &self,
        body: &[u8],
        decoded: &Decoded,
        received_at: Timestamp,
        otherwise: MessageKey,
    ) -> Dedup {
        match (self, decoded) {
            (Self::Dated { before }, _) => {
                let pieces: Vec<&[u8]> = before.iter().copied().chain([body]).collect();
                Dedup::dated(digest(&pieces))
            }
            (Self::Items, Decoded::Event(event)) => serde_json::from_slice(body)
                .map(|item| items::dedup(&item, event, received_at, 0))
                .ok()
                .filter(|dedup| dedup.memory == Memory::Dated)
                .unwrap_or_else(|| Dedup::dated(otherwise)),
            (Self::Items | Self::Dateless, _) => Dedup::dated(otherwise),
        }
    }
}
