//! Accept: makes envelopes durable, then tells `process`. Refuses when the disk is nearly full.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::{
    envelope::Envelope,
    source::Accept,
    store::{Accepted, StoreError},
};

use super::Engine;

/// The way in for every source.
pub struct Gateway(pub Arc<Engine>);

#[async_trait]
impl Accept for Gateway {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        if self.0.disk_is_low() {
            return Err(StoreError::Unavailable(
                "the disk is nearly full; free some space".to_owned(),
            ));
        }
        let sources: Vec<_> = envelopes
            .iter()
            .map(|envelope| Arc::clone(&envelope.source))
            .collect();
        let started = std::time::Instant::now();
        let waiting = self.0.pressure.wait_with(envelopes.len());
        let accepted = self.0.store.accept(envelopes).await?;
        drop(waiting);
        self.0.metrics.committed(started.elapsed());
        for (source, accepted) in sources.iter().zip(&accepted) {
            self.0.metrics.accepted(source, accepted.duplicate);
        }
        self.0.wake.inbox.notify_one();
        Ok(accepted)
    }
}
