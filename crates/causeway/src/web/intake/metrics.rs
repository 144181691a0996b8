//! Counts requests and connections, through a trait that the program implements.

use std::time::Duration;

/// Counts requests and connections. Called on the hot path, so it must not block.
pub trait IntakeMetrics: Send + Sync {
    /// A request got its response. `source` is `-` if the token is unknown; `reason` is `ok`, `probe`, `duplicate`
    /// or a word of [`crate::web::error::Refusal::reason`].
    fn answered(&self, source: &str, status: u16, reason: &'static str, took: Duration);

    /// A connection ended by an error: `head_timeout`, `head_too_large`, `malformed`,
    /// `incomplete`, `other`.
    fn connection_broken(&self, reason: &'static str);
}
