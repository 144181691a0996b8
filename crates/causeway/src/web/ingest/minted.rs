//! Keeps the listener up with the addresses that `causeway source` mints, rotates and revokes beside the running hub.

use std::{sync::Arc, time::Duration};

use causeway_core::{clock::Clock, source::Stop, store::Views};
use tracing::warn;

use super::Ingest;

/// How often the store is asked: so long a revoked address may still be taken.
const EVERY: Duration = Duration::from_secs(2);

/// Tries until it succeeded once, so that no URL is answered 404 before the list is known. False when the program stops
/// first.
pub async fn first(ingest: &Ingest, views: &dyn Views, clock: &dyn Clock, stop: &Stop) -> bool {
    while !refresh(ingest, views).await {
        if !pause(clock, stop).await {
            return false;
        }
    }
    true
}

/// Asks again and again until the program stops. What was known stays while the store does not answer.
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

/// False when the program stops.
async fn pause(clock: &dyn Clock, stop: &Stop) -> bool {
    let until = clock.now().saturating_add(EVERY).unwrap_or_else(|_| clock.now());
    tokio::select! {
        () = stop.cancelled() => false,
        () = clock.sleep_until(until) => true,
    }
}
