//! The org's limit of calls in a day, and the header about it.

use serde_json::{Value, json};

use super::errors::ApiError;
use crate::fake_api::Reply;

/// Calls of the last 24 hours.
#[derive(Debug)]
pub struct Limits {
    pub max: u64,
    pub used: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Batches of bulk jobs that may run in 24 hours, and those that did.
    pub bulk_max: u64,
    pub bulk_used: u64,
    /// Whether responses have the header.
    pub shows_usage: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max: 100_000,
            used: 0,
            refused: 0,
            bulk_max: 15_000,
            bulk_used: 0,
            shows_usage: true,
        }
    }
}

impl Limits {
    /// Counts a call, or refuses it.
    pub(super) fn take(&mut self) -> Result<(), ApiError> {
        if self.used >= self.max {
            self.refused += 1;
            return Err(exceeded());
        }
        self.used += 1;
        Ok(())
    }

    pub(super) fn header(&self, reply: Reply) -> Reply {
        if !self.shows_usage {
            return reply;
        }
        let usage = format!("api-usage={}/{}", self.used, self.max);
        reply.header("Sforce-Limit-Info", &usage)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "DailyApiRequests": { "Max": self.max, "Remaining": self.max.saturating_sub(self.used) },
            "DailyBulkApiBatches": { "Max": self.bulk_max, "Remaining": self.bulk_max.saturating_sub(self.bulk_used) },
            "DailyBulkV2QueryJobs": { "Max": 10_000, "Remaining": 10_000 },
            "DataStorageMB": { "Max": 1_024, "Remaining": 1_000 },
        })
    }
}

pub(super) fn exceeded() -> ApiError {
    ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
}
