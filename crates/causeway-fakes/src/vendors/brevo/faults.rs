//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail): what Brevo sends when something is wrong that the
//! fake's state does not show.

use super::call::Failure;
use crate::fake_api::Reply;

/// A limit is used up for `seconds`, by another program for example.
pub fn limited(seconds: u64) -> Reply {
    Failure::new(429, "too_many_requests", "Too many requests")
        .reply()
        .header("x-sib-ratelimit-reset", &seconds.to_string())
        .header("x-sib-ratelimit-remaining", "0")
}

/// The contact is being processed.
pub fn in_process() -> Reply {
    Failure::new(425, "account_in_process", "The contact is being processed").reply()
}

/// Brevo has not yet allowed the account to send.
pub fn under_validation() -> Reply {
    Failure::new(
        403,
        "account_under_validation",
        "Your account is under validation",
    )
    .reply()
}

pub fn no_credits() -> Reply {
    Failure::new(402, "not_enough_credits", "Not enough credits").reply()
}

pub fn gateway() -> Reply {
    Reply::status(502)
        .header("content-type", "text/html")
        .body("<html><title>502 Bad Gateway</title></html>")
}
