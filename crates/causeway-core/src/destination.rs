//! The trait of the places that records are sent to.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use crate::delivery::Delivery;
pub use crate::outcome::{AttemptResult, Outcome};

/// Sends records to one configured destination.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Tests address and credentials. Changes nothing at the destination.
    async fn check(&self) -> Result<(), CheckError>;

    /// Remarks of `check` about things that work but may surprise. `doctor` prints them.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Sends the batch and reports how each delivery ended, in the order of `batch`. The batch is never
    /// empty, and holds one delivery unless the destination takes more. After a crash, `deliver` is called
    /// again with the same [`Delivery::key`]. The engine enforces the time-out: a delivery that was cut off
    /// counts as [`Outcome::Retry`].
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult>;

    /// Like [`Destination::deliver`], and reports each result as soon as it is known. What was reported
    /// counts, even if the call is cut off afterwards. A delivery that was not started costs no attempt.
    async fn deliver_into(&self, batch: &[Delivery], results: &Results) {
        for index in 0..batch.len() {
            results.start(index);
        }
        for (index, result) in self.deliver(batch).await.into_iter().enumerate() {
            results.end(index, result);
        }
    }
}

/// How far a delivery of a batch got.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Nothing was sent for it.
    NotStarted,
    /// Something may have been sent. The value is [`AttemptResult::memory`], should nothing more be reported.
    Started(Option<Value>),
    Ended(Box<AttemptResult>),
}

/// The progress of a batch. Deliveries are named by their position in it.
#[derive(Debug)]
pub struct Results(Mutex<Vec<Progress>>);

impl Results {
    pub fn new(deliveries: usize) -> Self {
        Self(Mutex::new(vec![Progress::NotStarted; deliveries]))
    }

    /// Call it before anything about the delivery is sent.
    pub fn start(&self, index: usize) {
        self.start_leaving(index, None);
    }

    /// As [`Results::start`], and names what the destination remembers about the contact if the call is cut off.
    pub fn start_leaving(&self, index: usize, memory: Option<Value>) {
        self.change(index, |progress| {
            if *progress == Progress::NotStarted {
                *progress = Progress::Started(memory);
            }
        });
    }

    /// The receiver refused the request as a whole, so nothing about the delivery was applied.
    pub fn undo(&self, index: usize) {
        self.change(index, |progress| {
            if matches!(progress, Progress::Started(_)) {
                *progress = Progress::NotStarted;
            }
        });
    }

    /// The first result of a delivery counts.
    pub fn end(&self, index: usize, result: AttemptResult) {
        self.change(index, |progress| {
            if !matches!(progress, Progress::Ended(_)) {
                *progress = Progress::Ended(Box::new(result));
            }
        });
    }

    /// All, in the order of the batch.
    pub fn take(self) -> Vec<Progress> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Progress)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = all.get_mut(index) {
            change(progress);
        }
    }
}

/// Why `check` failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The destination could not be reached, or reported an outage.
    #[error("{0}")]
    Unavailable(String),
    /// The destination answered, and will refuse until the configuration or the account changes.
    #[error("{0}")]
    Refused(String),
}
