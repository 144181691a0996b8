//! What the listener and the events API share: tokens, limits, refusals, and the way into the store.

mod body;
mod limits;
mod metrics;
mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use causeway_core::{
    clock::Clock,
    envelope::Envelope,
    source::Accept,
    store::{Accepted, StoreError},
};
use tracing::{error, warn};

pub use self::metrics::IntakeMetrics;
pub(crate) use self::tokens::same_token;
pub(super) use self::{
    limits::{Gate, check_ranges},
    tokens::{HasTokens, Tokens, read_tokens},
};
use super::error::Refusal;

/// How long a request waits for the store before it gets status 503.
pub const STORE_WAIT: Duration = Duration::from_secs(10);

/// What a request needs after it was checked.
pub struct Intake {
    pub accept: Arc<dyn Accept>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<dyn IntakeMetrics>,
    /// [`STORE_WAIT`], except in tests.
    pub store_wait: Duration,
}

impl Intake {
    /// Returns when all envelopes are on disk, with one result for each. A request that gets a 503 may still have been
    /// stored; its second attempt is then a duplicate.
    pub(super) async fn store(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, Refusal> {
        let count = envelopes.len();
        match tokio::time::timeout(self.store_wait, self.accept.accept(envelopes)).await {
            Ok(Ok(accepted)) if accepted.len() == count => return Ok(accepted),
            Ok(Ok(_)) => error!("The store returned another number of results than messages."),
            Ok(Err(error @ StoreError::Unavailable(_))) => {
                warn!(%error, "A request could not be stored now.");
            }
            Ok(Err(error @ StoreError::Failed(_))) => {
                error!(%error, "A request could not be stored.");
            }
            Err(_) => warn!("A request waited too long for the store."),
        }
        Err(Refusal::Unavailable)
    }
}

/// The response to a refused request. Reads part of the remaining body first, so that a caller that still writes sees
/// the response instead of a broken connection.
pub(super) async fn refuse(refusal: Refusal, headers: &HeaderMap, body: &mut Body) -> Response {
    if !matches!(refusal, Refusal::Slow | Refusal::Broken) {
        body::drain(body, headers).await;
    }
    refusal.into_response()
}
