//! The trait of the places where messages come from.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    envelope::Envelope,
    store::{Accepted, StoreError, Unlisted, UnlistedAction},
};

/// Asks its holder to stop gracefully.
pub type Stop = CancellationToken;

/// What the hub offers a source: it accepts envelopes and answers the source's questions.
///
/// Invariant: what `accept` took is on disk when it returns.
#[async_trait]
pub trait Accept: Send + Sync {
    /// Stores all of the envelopes or none. Waits while the store is full (back-pressure). Fails only if it
    /// cannot store them; the source must then acknowledge nothing.
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError>;

    /// Whether the hub can store messages now. A source asks before it takes messages from a broker: it could
    /// only give them back, and brokers count how often a message comes back and may delete it.
    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns stored actions that the system of origin does not list, or no longer lists.
    async fn unlisted(&self, _asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        Ok(Vec::new())
    }
}

/// Receives messages from one configured source.
#[async_trait]
pub trait Source: Send + Sync {
    /// Runs until `stop`, through every outage of the remote system, and reports its state through `health`.
    /// Acknowledges a message only after `accept` returned `Ok` for it. Returns `Err` only if a person has to
    /// act.
    async fn run(
        &self,
        accept: std::sync::Arc<dyn Accept>,
        health: std::sync::Arc<dyn Health>,
        stop: Stop,
    ) -> Result<(), SourceError>;

    /// Tests address and credentials without taking a message. The result lists remarks even if everything
    /// works.
    async fn check(&self) -> Result<Vec<Remark>, crate::destination::CheckError>;
}

/// A remark of a check, without secrets and personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Whether a person should act on it. Otherwise it only explains.
    pub is_warning: bool,
    pub text: String,
}

/// Where a source reports its state.
pub trait Health: Send + Sync {
    fn set(&self, state: SourceState);
    /// Sets a figure about the remote system: `queue_depth`, `fail_queue_depth`.
    fn gauge(&self, name: &'static str, value: i64);
    /// Counts an incident at the remote system: `disconnected`, `consumer_cancelled`.
    fn count(&self, name: &'static str);
    /// Sets or clears (`None`) a warning that a person should see although the source works. Each `about` has
    /// one warning.
    fn warn(&self, _about: &'static str, _warning: Option<String>) {}
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    Connecting,
    Running,
    /// The source keeps trying. The reason is for a person to read, without secrets.
    Failing {
        reason: String,
    },
    /// The source waits for a person and tries again only from time to time.
    Halted {
        reason: String,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{0}")]
    Halt(String),
}
