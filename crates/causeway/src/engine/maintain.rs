//! Maintain: prunes old rows, finishes erasures, and watches the disk, the clock and the store's health.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::{ClockAlarm, Timestamp},
    source::Stop,
    store::StoreHealth,
};

use super::Engine;

const DISK_EVERY: Duration = Duration::from_secs(5);
const PRUNE_EVERY: Duration = Duration::from_hours(1);

pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut pruned_at = None;
    while !stop.is_cancelled() {
        let now = engine.clock.now();
        let alarm = check(&engine).await;
        let cautious = alarm.map_or(now, |alarm| alarm.cautious(now));
        finish_erasures(&engine, cautious).await;
        let due = pruned_at.is_none_or(|at: Timestamp| now.duration_since(at).unsigned_abs() >= PRUNE_EVERY);
        if due {
            prune(&engine, cautious).await;
            pruned_at = Some(now);
        }
        let next = now.saturating_add(DISK_EVERY).unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.wake.clock.notified() => {}
            () = engine.clock.sleep_until(next) => {}
        }
    }
}

/// Checks the store, its disk and the clock. Returns the current clock alarm.
async fn check(engine: &Engine) -> Option<ClockAlarm> {
    let health = match engine.views.health().await {
        Ok(health) => health,
        Err(error) => {
            tracing::error!(%error, "could not check the store");
            return None;
        }
    };
    watch_disk(engine, &health);
    engine.metrics.store(&health);
    match engine.watch_clock(&health).await {
        Ok(alarm) => alarm,
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "could not check the clock; trying again"
            );
            health.clock_alarm
        }
    }
}

/// Also called before the sources start, so that none accepts messages that cannot be stored.
pub fn watch_disk(engine: &Engine, health: &StoreHealth) {
    let fewest = engine.settings.load().min_free_bytes;
    let low = health.free_bytes.is_some_and(|free| free < fewest);
    if engine.set_disk_is_low(low) == low {
        return;
    }
    if low {
        tracing::error!(
            free_bytes = health.free_bytes,
            "the disk is nearly full: no messages are accepted until space is free"
        );
    } else {
        tracing::info!(free_bytes = health.free_bytes, "the disk has free space again");
    }
}

/// Also removes erased data from the store's log, if a reader prevented it at the time of the erasure.
async fn finish_erasures(engine: &Engine, now: Timestamp) {
    match engine.store.finish_erasures(now).await {
        Ok(0) => {}
        Ok(people) => tracing::info!(people, "erased people who asked for it"),
        Err(error) => tracing::error!(%error, "could not erase people who asked for it; trying again"),
    }
}

async fn prune(engine: &Engine, now: Timestamp) {
    let retention = engine.settings.load().retention.clone();
    match engine.store.prune(retention, now).await {
        Ok(pruned) if pruned == causeway_core::store::Pruned::default() => {}
        Ok(pruned) => tracing::info!(
            bodies = pruned.bodies,
            inbox = pruned.inbox,
            deliveries = pruned.deliveries,
            answers = pruned.answers,
            engagements = pruned.engagements,
            actions = pruned.actions,
            urls = pruned.urls,
            "deleted rows that were past their retention"
        ),
        Err(error) => {
            tracing::error!(%error, "could not delete rows past their retention; trying again in an hour");
        }
    }
}
