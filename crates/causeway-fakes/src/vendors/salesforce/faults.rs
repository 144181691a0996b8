//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail): what Salesforce sends when something is wrong
//! that the fake's state does not show.

use super::errors::ApiError;
use crate::fake_api::Reply;

/// The session ended before the client knew.
pub fn session_expired() -> Reply {
    ApiError::new(401, "INVALID_SESSION_ID", "Session expired or invalid").reply()
}

/// The limit of the day is reached.
pub fn daily_limit() -> Reply {
    super::limits::exceeded().reply()
}

/// Too many calls run for more than 20 seconds at the same time.
pub fn concurrent_limit() -> Reply {
    let message = "ConcurrentPerOrgLongTxn Limit exceeded.";
    ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", message).reply()
}

/// The API is switched off for the user or the edition.
pub fn api_disabled() -> Reply {
    let message = "The REST API is not enabled for this Organization.";
    ApiError::new(403, "API_DISABLED_FOR_ORG", message).reply()
}

pub fn server_unavailable() -> Reply {
    ApiError::new(503, "SERVER_UNAVAILABLE", "Server unavailable").reply()
}

/// The page of a maintenance window.
pub fn maintenance() -> Reply {
    let page = "<html><head><title>Salesforce - Maintenance</title></head><body>We are down for maintenance.</body></html>";
    Reply::status(503)
        .header("content-type", "text/html; charset=UTF-8")
        .body(page)
}

/// A page of something in between, such as a proxy that asks for a log-in.
pub fn page_200() -> Reply {
    Reply::status(200)
        .header("content-type", "text/html; charset=UTF-8")
        .body("<html><body>Please log in</body></html>")
}
