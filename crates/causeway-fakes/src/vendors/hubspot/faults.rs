//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail): what HubSpot sends when something is wrong
//! that the fake's state does not show.

use serde_json::{Value, json};

use super::{
    answer::Failure,
    limits::{Policy, refusal},
};
use crate::fake_api::Reply;

const CORRELATION_ID: &str = "00000000-0000-4000-8000-00000000fa11";

fn fault(status: u16, category: &str, message: &str) -> Reply {
    Failure::new(status, category, message).reply(CORRELATION_ID)
}

/// Another request works on the same records. It asks for a pause of two seconds, without a header.
pub fn locked() -> Reply {
    fault(
        423,
        "LOCKED",
        "The resource is locked by another request, retry after at least 2 seconds.",
    )
}

/// HubSpot moves the account to another data centre, for up to 24 hours.
pub fn migrating(seconds: u64) -> Reply {
    let message = "The account is being migrated to another data hosting location.";
    fault(477, "MIGRATION_IN_PROGRESS", message).header("Retry-After", &seconds.to_string())
}

/// The request took too long inside HubSpot. It may have been carried out.
pub fn processing_limit() -> Reply {
    fault(502, "", "The request reached a processing limit.")
}

/// Cloudflare answers in HubSpot's place, in HTML.
pub fn origin_down() -> Reply {
    let page = "<!DOCTYPE html><html><head><title>521: Web server is down</title></head></html>";
    Reply::status(521)
        .header("content-type", "text/html; charset=UTF-8")
        .body(page)
}

/// A limit is used up, by another integration for example.
pub fn limited(policy: Policy) -> Reply {
    refusal(policy).reply(CORRELATION_ID)
}

/// The newer form of a refusal: a category in place of the error type, and no policy.
pub fn limited_by_category() -> Reply {
    fault(
        429,
        "RATE_LIMITS",
        "You have reached your ten_secondly_rolling limit.",
    )
}

/// A batch answer that has neither results nor errors, and wrote nothing.
pub fn empty_batch() -> Reply {
    batch("COMPLETE")
}

/// A batch answer with the status of one that is not finished.
pub fn pending_batch() -> Reply {
    batch("PENDING")
}

fn batch(status: &str) -> Reply {
    let at = "2026-01-01T00:00:00.000Z";
    let body: Value = json!({ "status": status, "results": [], "startedAt": at, "completedAt": at });
    Reply::json(200, &body)
}
