//! The limits of one app's calls for one ad account. A family of calls has a quota for each rolling hour. Calls that
//! exceed it start a block, and calls during a block prolong it.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Meta, Violation,
    access::{App, Tier},
    errors::GraphError,
};

/// What Meta calls a business use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Who is in an audience.
    CustomAudience,
    /// Creating, reading, listing, changing and deleting audiences.
    AdsManagement,
}

impl Family {
    fn header(self) -> &'static str {
        match self {
            Self::CustomAudience => "custom_audience",
            Self::AdsManagement => "ads_management",
        }
    }

    fn error(self) -> GraphError {
        let (code, anchor) = match self {
            Self::CustomAudience => (80003, "custom-audience"),
            Self::AdsManagement => (80004, "ads-management"),
        };
        let message = format!(
            "There have been too many calls to this ad-account. Wait a bit and try again. For more info, please refer \
             to https://developers.facebook.com/docs/graph-api/overview/rate-limiting#{anchor}."
        );
        GraphError::numbered(code, message).subcode(2_446_079)
    }

    /// Calls per hour. An active audience adds 40.
    fn quota(self, tier: Tier, audiences: usize) -> u64 {
        let audiences = 40 * u64::try_from(audiences).unwrap_or_default();
        match (self, tier) {
            (Self::CustomAudience, Tier::Limited) => (5_000 + audiences).min(700_000),
            (Self::CustomAudience, Tier::Full) => (190_000 + audiences).min(700_000),
            (Self::AdsManagement, Tier::Limited) => 300,
            (Self::AdsManagement, Tier::Full) => 100_000,
        }
    }
}

/// The calls of one family.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// Calls per hour, in place of the quota of the app's tier.
    pub limit: Option<u64>,
    calls: Vec<Timestamp>,
    blocked: Option<Block>,
}

#[derive(Debug, Clone)]
struct Block {
    until: Timestamp,
    lasts: SignedDuration,
}

/// How long a block lasts that the fake starts by itself.
const BLOCK: SignedDuration = SignedDuration::from_mins(12);

impl Bucket {
    /// Starts a block.
    pub fn block(&mut self, now: Timestamp, lasts: SignedDuration) {
        self.blocked = Some(Block {
            until: now + lasts,
            lasts,
        });
    }

    pub fn is_blocked(&self, now: Timestamp) -> bool {
        self.blocked.as_ref().is_some_and(|block| now < block.until)
    }

    /// Counts a call. The error says whether a block had started before.
    fn spend(&mut self, now: Timestamp, quota: u64) -> Result<(), bool> {
        if self.is_blocked(now) {
            if let Some(block) = &mut self.blocked {
                block.until = now + block.lasts;
            }
            return Err(true);
        }
        // Whoever waited for as long as the header says can call again.
        if self.blocked.take().is_some() {
            self.calls.clear();
        }
        self.calls.push(now);
        if self.count(now) > self.limit.unwrap_or(quota) {
            self.block(now, BLOCK);
            return Err(false);
        }
        Ok(())
    }

    /// The calls of the last hour.
    fn count(&self, now: Timestamp) -> u64 {
        let since = now - SignedDuration::from_hours(1);
        let recent = self.calls.iter().filter(|at| **at > since);
        u64::try_from(recent.count()).unwrap_or(u64::MAX)
    }

    fn usage(&self, family: Family, now: Timestamp, app: &App, quota: u64) -> Value {
        let used = self.count(now) * 100 / self.limit.unwrap_or(quota).max(1);
        let minutes = match &self.blocked {
            Some(block) if now < block.until => (now.duration_until(block.until).as_secs() + 59) / 60,
            _ => 0,
        };
        // A block may come from processor time, too: the calls need not be at their limit.
        let used = if minutes > 0 {
            used.clamp(97, 100)
        } else {
            used.min(100)
        };
        json!({
            "type": family.header(), "call_count": used, "total_cputime": used / 3, "total_time": used / 2,
            "estimated_time_to_regain_access": minutes, "ads_api_access_tier": app.tier.header(),
        })
    }
}

impl Meta {
    /// Counts a call for an ad account.
    pub(super) fn spend(&mut self, account: &str, family: Family) -> Result<(), GraphError> {
        let now = self.now();
        let quota = self.quota(account, family);
        let bucket = self
            .accounts
            .get_mut(account)
            .unwrap()
            .buckets
            .entry(family)
            .or_default();
        bucket.spend(now, quota).map_err(|was_blocked| {
            if was_blocked {
                self.violations.push(Violation::CallWhileBlocked(family));
            }
            family.error()
        })
    }

    /// The header that says how much of the limits is used.
    pub(super) fn usage(&self, account: &str) -> Option<String> {
        let buckets: &BTreeMap<Family, Bucket> = &self.accounts.get(account)?.buckets;
        let usage = buckets.iter().map(|(family, bucket)| {
            bucket.usage(*family, self.now(), &self.app, self.quota(account, *family))
        });
        let usage: Vec<Value> = usage.collect();
        self.shows_usage.then(|| json!({ account: usage }).to_string())
    }

    fn quota(&self, account: &str, family: Family) -> u64 {
        let audiences = self.audiences.values();
        let audiences = audiences.filter(|audience| audience.account == account).count();
        family.quota(self.app.tier, audiences)
    }
}
