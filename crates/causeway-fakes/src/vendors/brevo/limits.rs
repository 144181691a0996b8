//! Limits of calls: two buckets for the account.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::call::Failure;
use crate::fake_api::Reply;

const HOUR_MS: i64 = 3_600_000;
const SECOND_MS: i64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Contacts and events: a number in a second and a number in an hour.
    Contacts,
    /// All others: a number in an hour.
    General,
}

/// By default those of the plan without extras, and a clock that a test moves.
#[derive(Debug, Default)]
pub struct Limits {
    /// Calls of contacts and events in a second; 0 = as many as you like.
    pub per_second: usize,
    /// Other calls in an hour; 0 = as many as you like.
    pub others_per_hour: usize,
    contacts: VecDeque<Timestamp>,
    others: VecDeque<Timestamp>,
    refused: usize,
}

impl Limits {
    /// Those of the general plan.
    pub fn general() -> Self {
        Self {
            per_second: 10,
            others_per_hour: 100,
            ..Self::default()
        }
    }

    /// How many calls were refused.
    pub fn refused(&self) -> usize {
        self.refused
    }

    fn of(&mut self, bucket: Bucket) -> (&mut VecDeque<Timestamp>, usize, i64) {
        match bucket {
            Bucket::Contacts => (&mut self.contacts, self.per_second, SECOND_MS),
            Bucket::General => (&mut self.others, self.others_per_hour, HOUR_MS),
        }
    }

    pub(super) fn take(&mut self, bucket: Bucket, now: Timestamp) -> Result<(), Failure> {
        let (calls, most, period) = self.of(bucket);
        let age = |at: &Timestamp| now.as_millisecond() - at.as_millisecond();
        while calls.front().is_some_and(|at| age(at) >= period) {
            calls.pop_front();
        }
        if most > 0 && calls.len() >= most {
            self.refused += 1;
            return Err(Failure::new(429, "too_many_requests", "Too many requests"));
        }
        if most > 0 {
            calls.push_back(now);
        }
        Ok(())
    }

    /// The headers of each answer. There is no `Retry-After`.
    pub(super) fn headers(&mut self, bucket: Bucket, now: Timestamp, reply: Reply) -> Reply {
        let (calls, most, period) = self.of(bucket);
        let most = if most == 0 { 10_000 } else { most };
        let oldest = calls.front().copied().unwrap_or(now);
        let left = period - (now.as_millisecond() - oldest.as_millisecond());
        let remaining = most.saturating_sub(calls.len());
        reply
            .header("x-sib-ratelimit-limit", &most.to_string())
            .header("x-sib-ratelimit-remaining", &remaining.to_string())
            .header(
                "x-sib-ratelimit-reset",
                &left.div_euclid(SECOND_MS).max(1).to_string(),
            )
    }
}
