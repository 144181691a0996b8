//! Finds messages that other processes accepted (`causeway import`, `causeway send`), so that calls wait for them as for
//! messages of this process.

use std::{sync::Arc, time::Duration};

use causeway_core::source::Stop;

use super::Engine;

/// How long a message of another process may stay undetected, so that calls do not wait for it.
const POLL: Duration = Duration::from_millis(100);
/// Maximum number of messages that calls wait for. Processing more takes longer than a call waits.
const LIMIT: usize = 65_536;

pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    // All earlier messages are processed before the first call starts.
    let mut after = None;
    let mut is_failing = false;
    while !stop.is_cancelled() {
        match engine.store.unprocessed(after, free(&engine)).await {
            Ok(found) => {
                engine.freshness.found(&found);
                after = Some(found.until);
                is_failing = false;
            }
            Err(error) => {
                // Logged once, not ten times a second.
                if !is_failing {
                    tracing::error!(%error, "could not look for messages of other processes; trying again");
                }
                is_failing = true;
            }
        }
        let next = engine.clock.now().saturating_add(POLL);
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.clock.sleep_until(next.unwrap_or(engine.clock.now())) => {}
        }
    }
}

fn free(engine: &Engine) -> u32 {
    u32::try_from(LIMIT.saturating_sub(engine.freshness.pending())).unwrap_or(0)
}
