//! The account, and the endpoints that describe it.

use serde_json::json;

use super::{
    HubSpot, PORTAL_ID,
    answer::{Answer, Call, Failure, time},
};
use crate::fake_api::Reply;

/// What the account has paid for, and how it is set up.
#[derive(Debug, Clone)]
pub struct Account {
    /// Custom events, and statuses of subscriptions in batches.
    pub is_enterprise: bool,
    /// Requires a legal basis for each subscription.
    pub has_data_privacy: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            is_enterprise: true,
            has_data_privacy: false,
        }
    }
}

impl HubSpot {
    /// Below `/account-info/2026-09`.
    pub(super) fn account(&self, rest: &[&str], call: &Call<'_>) -> Answer {
        call.need_any(&["oauth"])?;
        match (call.method, rest) {
            ("GET", ["details"]) => {
                let offset = self.limits.time_zone;
                let body = json!({
                    "portalId": PORTAL_ID, "accountType": "STANDARD", "timeZone": "UTC",
                    "companyCurrency": "EUR", "additionalCurrencies": [], "utcOffset": format!("{offset}:00"),
                    "utcOffsetMilliseconds": i64::from(offset.seconds()) * 1_000, "uiDomain": "app-eu1.hubspot.com",
                    "dataHostingLocation": "eu1",
                });
                Ok(Reply::json(200, &body))
            }
            ("GET", ["api-usage", "daily", "private-apps"]) => {
                let usage = json!({
                    "name": "private-apps-api-calls-daily", "usageLimit": self.limits.daily,
                    "currentUsage": self.limits.used_today(), "collectedAt": time(call.now), "fetchStatus": "SUCCESS",
                    "resetsAt": time(self.limits.resets_at(call.now)),
                });
                Ok(Reply::json(200, &json!({ "results": [usage] })))
            }
            _ => Err(Failure::not_found()),
        }
    }
}
