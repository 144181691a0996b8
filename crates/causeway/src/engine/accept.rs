//! Accept: writes envelopes to disk, then wakes `process`. Refuses while the disk is nearly full, and for a moment after
//! the clock was set back.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::{
    envelope::Envelope,
    source::Accept,
    store::{Accepted, StoreError, Unlisted, UnlistedAction},
};

use super::Engine;

/// Accepts the messages of every source.
pub struct Gateway(pub Arc<Engine>);

impl Gateway {
    fn require_room(&self) -> Result<(), StoreError> {
        if self.0.disk_is_low() {
            return Err(StoreError::Unavailable(
                "the disk is nearly full: free some space".to_owned(),
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Accept for Gateway {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        self.require_room()?;
        self.0.require_clock()?;
        if let Some(latest) = envelopes.iter().map(|envelope| envelope.received_at).max() {
            self.0.clock_watch.takes_in(latest);
        }
        let sources: Vec<_> = envelopes
            .iter()
            .map(|envelope| Arc::clone(&envelope.source))
            .collect();
        let decoders = self.0.decoders.load();
        let may_opt_out: Vec<bool> = envelopes
            .iter()
            .map(|envelope| {
                let decoder = decoders.get(&envelope.source);
                decoder.is_none_or(|decoder| decoder.may_opt_out(envelope))
            })
            .collect();
        let started = std::time::Instant::now();
        let waiting = self.0.pressure.wait_with(envelopes.len());
        let accepted = self.0.store.accept(envelopes).await?;
        // Before the sender gets its acknowledgement: no request may start after that without this message.
        let new = accepted.iter().zip(may_opt_out).filter(|(row, _)| !row.duplicate);
        self.0
            .freshness
            .accepted(new.map(|(row, may_opt_out)| (row.id, may_opt_out)));
        drop(waiting);
        self.0.metrics.committed(started.elapsed());
        for (source, accepted) in sources.iter().zip(&accepted) {
            self.0.metrics.accepted(source, accepted.duplicate);
        }
        self.0.wake.inbox.notify_one();
        Ok(accepted)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.require_room()?;
        self.0.require_clock()?;
        self.0.store.accept(Vec::new()).await.map(drop)
    }

    async fn unlisted(&self, asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        self.0.views.unlisted(asked).await
    }
}
