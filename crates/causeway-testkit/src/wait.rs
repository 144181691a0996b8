//! Waits for what nothing announces: another process, a server, a page.

use std::time::Duration;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until it is so, and tells whether it was before `limit` was over.
pub async fn becomes(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let looking = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while !is_so().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(limit, looking).await.is_ok()
}
