//! Keeps the listener's URLs current while `causeway source` creates, rotates and revokes them beside the running hub.

use std::{sync::Arc, time::Duration};

use causeway_core::{clock::Clock, source::Stop, store::Views};
use tracing::warn;

use super::Ingest;

/// How often the store is queried. A revoked URL may still work for this time.
const EVERY: Duration = Duration::from_secs(2);

/// Tries until the list was read once, so that no valid URL gets a 404 before. `false` if the program stops first.
pub async fn first(ingest: &Ingest, views: &dyn Views, clock: &dyn Clock, stop: &Stop) -> bool {
    while !refresh(ingest, views).await {
        if !pause(clock, stop).await {
            return false;
        }
    }
    true
}

/// Repeats the query until the program stops. While the store does not answer, the known list stays valid.
pub async fn watch(ingest: Arc<Ingest>, views: Arc<dyn Views>, clock: Arc<dyn Clock>, stop: Stop) {
    while pause(&*clock, &stop).await {
        refresh(&ingest, &*views).await;
    }
}

async fn refresh(ingest: &Ingest, views: &dyn Views) -> bool {
    match views.source_urls().await {
        Ok(urls) => {
            ingest.set_minted(urls);
            true
        }
        Err(error) => {
            warn!(%error, "The created URLs could not be read; the known ones stay.");
            false
        }
    }
}

/// `false` if the program stops.
async fn pause(clock: &dyn Clock, stop: &Stop) -> bool {
    let until = clock.now().saturating_add(EVERY).unwrap_or_else(|_| clock.now());
    tokio::select! {
        () = stop.cancelled() => false,
        () = clock.sleep_until(until) => true,
    }
}
