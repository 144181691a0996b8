//! Sees the messages that other processes accepted beside this one (`causeway import`, `causeway send`), so that calls wait
//! for them as they wait for those that came through a source.

use std::{sync::Arc, time::Duration};

use causeway_core::source::Stop;

use super::Engine;

/// How long a message of another process may stay unseen, and a call start as if it had not come.
const POLL: Duration = Duration::from_millis(100);
/// Messages that calls wait for at once. What lies further back takes longer to process than a call waits.
const LIMIT: usize = 65_536;

pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    // What came before is processed before the first call starts.
    let mut after = None;
    let mut is_failing = false;
    while !stop.is_cancelled() {
        match engine.store.unprocessed(after, free(&engine)).await {
            Ok(found) => {
                engine.currency.found(&found);
                after = Some(found.until);
                is_failing = false;
            }
            Err(error) => {
                // Once, and not ten times a second.
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
    u32::try_from(LIMIT.saturating_sub(engine.currency.pending())).unwrap_or(0)
}
