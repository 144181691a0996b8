//! The three limits on requests.

use std::collections::{BTreeMap, VecDeque};

use jiff::{Timestamp, tz::Offset};
use serde_json::json;

use super::answer::Failure;
use crate::fake_api::Reply;

/// Milliseconds of the burst window.
const BURST_MS: i64 = 10_000;
const DAY_S: i64 = 86_400;

/// A limit, by the name that HubSpot gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    TenSecondlyRolling,
    /// The search's own limit, for the whole account.
    Secondly,
    Daily,
}

impl Policy {
    pub fn name(self) -> &'static str {
        match self {
            Self::TenSecondlyRolling => "TEN_SECONDLY_ROLLING",
            Self::Secondly => "SECONDLY",
            Self::Daily => "DAILY",
        }
    }
}

/// The limits, and what was used of them. The defaults are those of a Professional account.
#[derive(Debug)]
pub struct Limits {
    /// Requests of one token in ten seconds, searches excepted.
    pub burst: usize,
    /// Searches of the account in one second.
    pub searches: usize,
    /// Requests of the account in one day; tokens of OAuth apps are not counted.
    pub daily: usize,
    /// When the account's day begins.
    pub time_zone: Offset,
    /// Sends `Retry-After` (seconds) with a refusal, which HubSpot does not do for every limit.
    pub retry_after: Option<u64>,
    /// Requests that were refused, by limit.
    pub violations: BTreeMap<Policy, usize>,
    bursts: BTreeMap<String, VecDeque<Timestamp>>,
    recent_searches: VecDeque<Timestamp>,
    /// Number of the day, and the requests in it.
    today: (i64, usize),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            burst: 190,
            searches: 5,
            daily: 625_000,
            time_zone: Offset::UTC,
            retry_after: None,
            violations: BTreeMap::new(),
            bursts: BTreeMap::new(),
            recent_searches: VecDeque::new(),
            today: (0, 0),
        }
    }
}

impl Limits {
    /// All requests that were refused.
    pub fn refused(&self) -> usize {
        self.violations.values().sum()
    }

    /// The requests of the day so far.
    pub fn used_today(&self) -> usize {
        self.today.1
    }

    /// Sets the requests of the day so far, as if another integration had sent them.
    pub fn use_today(&mut self, now: Timestamp, requests: usize) {
        self.today = (self.day(now), requests);
    }

    /// Counts a request, or refuses it. A refused request does not count.
    pub(super) fn take(
        &mut self,
        token: &str,
        is_oauth: bool,
        is_search: bool,
        now: Timestamp,
    ) -> Result<(), Policy> {
        let result = self.check(token, is_oauth, is_search, now);
        if let Err(policy) = result {
            *self.violations.entry(policy).or_default() += 1;
        }
        result
    }

    fn check(&mut self, token: &str, is_oauth: bool, is_search: bool, now: Timestamp) -> Result<(), Policy> {
        let day = self.day(now);
        if self.today.0 != day {
            self.today = (day, 0);
        }
        if !is_oauth && self.today.1 >= self.daily {
            return Err(Policy::Daily);
        }
        let (window, most, length, policy) = if is_search {
            (&mut self.recent_searches, self.searches, 1_000, Policy::Secondly)
        } else {
            let window = self.bursts.entry(token.to_owned()).or_default();
            (window, self.burst, BURST_MS, Policy::TenSecondlyRolling)
        };
        let age = |at: &Timestamp| now.as_millisecond() - at.as_millisecond();
        while window.front().is_some_and(|at| age(at) >= length) {
            window.pop_front();
        }
        if window.len() >= most {
            return Err(policy);
        }
        window.push_back(now);
        self.today.1 += usize::from(!is_oauth);
        Ok(())
    }

    /// The headers of answers to anything but a search.
    pub(super) fn headers(&self, token: &str, is_oauth: bool, reply: Reply) -> Reply {
        let used = self.bursts.get(token).map_or(0, VecDeque::len);
        let remaining = self.burst.saturating_sub(used);
        let reply = reply
            .header("X-HubSpot-RateLimit-Interval-Milliseconds", &BURST_MS.to_string())
            .header("X-HubSpot-RateLimit-Max", &self.burst.to_string())
            .header("X-HubSpot-RateLimit-Remaining", &remaining.to_string());
        if is_oauth {
            return reply;
        }
        let remaining = self.daily.saturating_sub(self.today.1);
        reply
            .header("X-HubSpot-RateLimit-Daily", &self.daily.to_string())
            .header("X-HubSpot-RateLimit-Daily-Remaining", &remaining.to_string())
    }

    /// The next midnight of the account.
    pub(super) fn resets_at(&self, now: Timestamp) -> Timestamp {
        let next = (self.day(now) + 1) * DAY_S - i64::from(self.time_zone.seconds());
        Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
    }

    fn day(&self, now: Timestamp) -> i64 {
        (now.as_second() + i64::from(self.time_zone.seconds())).div_euclid(DAY_S)
    }
}

pub(super) fn refusal(policy: Policy) -> Failure {
    let name = policy.name().to_lowercase();
    Failure::new(429, "", &format!("You have reached your {name} limit."))
        .with("errorType", json!("RATE_LIMIT"))
        .with("policyName", json!(policy.name()))
}
