//! Limits of the project. No header announces them; only the error of a refused call says which was reached.

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;

use super::{Google, PROJECT, error::ApiError};

/// The calls of one service.
#[derive(Debug, Clone)]
pub struct Quota {
    pub per_minute: usize,
    pub per_day: usize,
    /// Whether the error says in `RetryInfo` how long to wait.
    pub says_delay: bool,
    calls: Vec<Timestamp>,
}

impl Quota {
    pub(super) fn new(per_minute: usize, per_day: usize) -> Self {
        Self {
            per_minute,
            per_day,
            says_delay: false,
            calls: Vec::new(),
        }
    }

    /// Counts a call.
    fn spend(&mut self, service: &str, now: Timestamp) -> Result<(), ApiError> {
        self.calls
            .retain(|at| at.duration_until(now) < SignedDuration::from_hours(24));
        let minute = SignedDuration::from_mins(1);
        let recent = self
            .calls
            .iter()
            .filter(|at| at.duration_until(now) < minute)
            .count();
        let (period, most, wait) = if self.calls.len() >= self.per_day {
            ("Day", self.per_day, 3_600)
        } else if recent >= self.per_minute {
            ("Minute", self.per_minute, 41)
        } else {
            self.calls.push(now);
            return Ok(());
        };
        let metric = format!("datamanager.googleapis.com/{service}_requests");
        let message =
            format!("Quota exceeded for quota metric '{metric}' of consumer 'project_number:{PROJECT}'.");
        let mut error = ApiError::gateway(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", message);
        error.metadata.extend([
            ("quota_limit", format!("{service}RequestsPer{period}PerProject")),
            ("quota_limit_value", most.to_string()),
            ("quota_metric", metric),
            ("consumer", format!("projects/{PROJECT}")),
        ]);
        error.retry_after = self.says_delay.then_some(wait);
        Err(error)
    }
}

impl Google {
    pub(super) fn spend(&mut self, path: &str) -> Result<(), ApiError> {
        let now = self.now();
        if path.starts_with("/v1/audienceMembers") {
            self.ingestion.spend("ingestion", now)
        } else if path.starts_with("/v1/requestStatus") {
            self.retrieval.spend("retrieval", now)
        } else {
            self.management.spend("management", now)
        }
    }
}
