//! Maintain: prunes what is old, erases who asked for it, watches the disk, looks at the store's health.

use std::{sync::Arc, time::Duration};

use causeway_core::source::Stop;

use super::Engine;

const DISK_EVERY: Duration = Duration::from_secs(5);
const PRUNE_EVERY: Duration = Duration::from_hours(1);

pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut pruned_at = None;
    while !stop.is_cancelled() {
        let now = engine.clock.now();
        watch_disk(&engine).await;
        finish_erasures(&engine).await;
        let due =
            pruned_at.is_none_or(|at: jiff::Timestamp| now.duration_since(at).unsigned_abs() >= PRUNE_EVERY);
        if due {
            prune(&engine).await;
            pruned_at = Some(now);
        }
        let next = now.saturating_add(DISK_EVERY).unwrap_or(jiff::Timestamp::MAX);
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.clock.sleep_until(next) => {}
        }
    }
}

async fn watch_disk(engine: &Engine) {
    match engine.views.health().await {
        Ok(health) => {
            let low = health.free_bytes.is_some_and(|free| free < engine.min_free_bytes);
            if engine.set_disk_is_low(low) != low {
                if low {
                    tracing::error!(
                        free_bytes = health.free_bytes,
                        "the disk is nearly full: nothing is accepted until there is room"
                    );
                } else {
                    tracing::info!(free_bytes = health.free_bytes, "there is room on the disk again");
                }
            }
            engine.metrics.store(&health);
        }
        Err(error) => tracing::error!(%error, "the store is not well"),
    }
}

/// Also empties the log of what was erased, where a reader was in the way when it was.
async fn finish_erasures(engine: &Engine) {
    match engine.store.finish_erasures(engine.clock.now()).await {
        Ok(0) => {}
        Ok(people) => tracing::info!(people, "erased who asked to be forgotten"),
        Err(error) => tracing::error!(%error, "could not erase who asked to be forgotten; trying again"),
    }
}

async fn prune(engine: &Engine) {
    match engine
        .store
        .prune(engine.retention.clone(), engine.clock.now())
        .await
    {
        Ok(pruned) if pruned == causeway_core::store::Pruned::default() => {}
        Ok(pruned) => tracing::info!(
            bodies = pruned.bodies,
            inbox = pruned.inbox,
            deliveries = pruned.deliveries,
            answers = pruned.answers,
            engagements = pruned.engagements,
            actions = pruned.actions,
            urls = pruned.urls,
            "pruned what was past its retention"
        ),
        Err(error) => tracing::error!(%error, "could not prune; trying again in an hour"),
    }
}
