//! The trait of the places that records are sent to.

use async_trait::async_trait;

use crate::delivery::Delivery;
pub use crate::outcome::{AttemptResult, Outcome};

/// Sends records to one configured destination.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Tests address and credentials. Changes nothing at the destination.
    async fn check(&self) -> Result<(), CheckError>;

    /// Remarks of `check` about things that work but may surprise. `doctor` prints them.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Sends the batch and reports how each delivery ended, in the order of `batch`. The batch is never
    /// empty, and holds one delivery unless the destination takes more. After a crash, `deliver` is called
    /// again with the same [`Delivery::key`]. The engine enforces the time-out: a delivery that was cut off
    /// counts as [`Outcome::Retry`].
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult>;
}

/// Why `check` failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The destination could not be reached, or reported an outage.
    #[error("{0}")]
    Unavailable(String),
    /// The destination answered, and will refuse until the configuration or the account changes.
    #[error("{0}")]
    Refused(String),
}
