//! Row numbers and names, each its own type so that one cannot stand in for another.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

row_id! {
    /// An inbox row: one envelope as it came. Ascending in the order of acceptance.
    InboxId,
    /// A contact of one workspace.
    ContactId,
    /// An action row (not the id that the source gave it).
    ActionId,
    /// A delivery: one record for one destination.
    DeliveryId,
}

/// The name of a workspace, source, destination or purpose as the configuration spells it. Cheap to clone.
pub type Name = Arc<str>;

/// Stays the same over every retry, restart and restore, and is handed to the destination so that it can recognise a
/// duplicate. Derived from the accepted envelope and the destination, never drawn at random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(pub String);

impl IdempotencyKey {
    /// `message_key` is [`crate::envelope::Envelope::key`]; `part` distinguishes several deliveries of one envelope to
    /// one destination (see [`crate::delivery::Kind`]).
    pub fn derive(workspace: &str, source: &str, message_key: &[u8], destination: &str, part: &str) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for piece in [
            workspace.as_bytes(),
            source.as_bytes(),
            message_key,
            destination.as_bytes(),
            part.as_bytes(),
        ] {
            // The length in front keeps ("ab", "c") apart from ("a", "bc").
            hash.update((piece.len() as u64).to_be_bytes());
            hash.update(piece);
        }
        let digest = hash.finalize();
        let short = digest.get(..16).unwrap_or(&digest);
        Self(format!(
            "cw_{}",
            data_encoding::BASE32_NOPAD.encode(short).to_lowercase()
        ))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
