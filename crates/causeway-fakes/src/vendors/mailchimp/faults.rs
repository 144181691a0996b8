//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail): what Mailchimp sends when something is wrong
//! that the fake's state does not show.

use super::problem::Problem;
use crate::fake_api::Reply;

/// More than ten calls at the same time. No header says how long to wait.
pub fn too_many() -> Reply {
    let detail = "You have exceeded the limit of 10 simultaneous connections.";
    Problem::new(429, "Too Many Requests", detail).reply(429)
}

/// The same with a page in place of JSON, as at very many calls.
pub fn too_many_in_html() -> Reply {
    Reply::status(429)
        .header("content-type", "text/html")
        .body("<html><body>Too Many Requests</body></html>")
}

/// Mailchimp's gateway refuses calls at very many of them.
pub fn bare_forbidden() -> Reply {
    Reply::status(403)
}

pub fn internal() -> Reply {
    let detail = "An unexpected internal error has occurred. Please contact Support for more information.";
    Problem::new(500, "Internal Server Error", detail).reply(500)
}

/// Akamai answers in Mailchimp's place.
pub fn gateway() -> Reply {
    Reply::status(503)
        .header("content-type", "text/html")
        .body("<html><title>Service Unavailable</title></html>")
}

/// The account may not use this part of the API.
pub fn forbidden() -> Reply {
    Problem::new(403, "Forbidden", "You are not permitted to access this resource.").reply(403)
}

pub fn wrong_datacenter() -> Reply {
    let detail = "The API key provided is linked to a different datacenter";
    Problem::new(403, "Wrong Datacenter", detail).reply(403)
}
