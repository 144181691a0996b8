//! Where the time comes from.

use async_trait::async_trait;
pub use jiff::Timestamp;

/// Tells the time and waits for it, so that a test can set it.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Returns at `at` or a little later; at once if that has passed.
    async fn sleep_until(&self, at: Timestamp);
}
