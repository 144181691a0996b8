//! The seam to where records come from.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    envelope::Envelope,
    store::{Accepted, StoreError, Unlisted, UnlistedAction},
};

/// Stops whoever holds it, gracefully.
pub type Stop = CancellationToken;

/// The hub as a source sees it: the way in, and the one question that a source may ask. What it accepted is on disk when it
/// returns.
#[async_trait]
pub trait Accept: Send + Sync {
    /// Stores the envelopes, all or none. Waits while the store is full (back-pressure) and fails only when
    /// it cannot store: then nothing may be acknowledged.
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError>;

    /// Whether the hub can store messages now. A source asks before it takes messages that it could only give back: brokers count
    /// how often a message comes back, and may delete it.
    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Actions that are here and that the system of origin does not list (any more).
    async fn unlisted(&self, _asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        Ok(Vec::new())
    }
}

/// Brings messages from one configured source.
#[async_trait]
pub trait Source: Send + Sync {
    /// Runs until `stop`, through every outage of the other side; reports how it is through `health`.
    /// Acknowledges upstream only what `accept` returned `Ok` for. Ends with `Err` only when a person has to act.
    async fn run(
        &self,
        accept: std::sync::Arc<dyn Accept>,
        health: std::sync::Arc<dyn Health>,
        stop: Stop,
    ) -> Result<(), SourceError>;

    /// Proves address and credentials without taking a message. Gives what a person should know although it works.
    async fn check(&self) -> Result<Vec<Remark>, crate::destination::CheckError>;
}

/// What a check noticed, without secrets and personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Somebody should act on it; otherwise it only explains.
    pub is_warning: bool,
    pub text: String,
}

/// Where a source reports its state.
pub trait Health: Send + Sync {
    fn set(&self, state: SourceState);
    /// A figure about the other side: `queue_depth`, `fail_queue_depth`.
    fn gauge(&self, name: &'static str, value: i64);
    /// What went wrong at the other side, counted: `reconnected`, `consumer_cancelled`.
    fn count(&self, name: &'static str);
    /// Something that a person should look at although the source works; `None` ends it. One warning for each `about`.
    fn warn(&self, _about: &'static str, _warning: Option<String>) {}
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    Connecting,
    Running,
    /// Keeps trying; the reason in words for a person, without secrets.
    Failing {
        reason: String,
    },
    /// Waits for a person; asks again only now and then.
    Halted {
        reason: String,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{0}")]
    Halt(String),
}
