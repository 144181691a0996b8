//! Where the time comes from.

pub use jiff::Timestamp;

/// Tells the time, so that a test can set it.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
