//! Waits for a change that nothing announces, in another process, a server or a page.

use std::time::Duration;

/// How often the condition is checked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Checks `is_so` until it holds. Returns whether it held within `limit`.
pub async fn becomes(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let looking = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !is_so().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(limit, looking).await.is_ok()
}
