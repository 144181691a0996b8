//! The seam to where records come from.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    envelope::Envelope,
    store::{Accepted, StoreError},
};

/// Stops whoever holds it, gracefully.
pub type Stop = CancellationToken;

/// The way in. What it accepted is on disk when it returns.
#[async_trait]
pub trait Accept: Send + Sync {
    /// Stores the envelopes, all or none. Waits while the store is full (back-pressure) and fails only when
    /// it cannot store: then nothing may be acknowledged.
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError>;
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

    /// Proves address and credentials without taking a message.
    async fn check(&self) -> Result<(), crate::destination::CheckError>;
}

/// Where a source tells how it is.
pub trait Health: Send + Sync {
    fn set(&self, state: SourceState);
    /// A figure about the other side: `queue_depth`, `fail_queue_depth`.
    fn gauge(&self, name: &'static str, value: i64);
    /// What went wrong at the other side, counted: `reconnected`, `consumer_cancelled`.
    fn count(&self, name: &'static str);
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
