//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail): what a site sends when something is wrong that
//! its state does not show.

use serde_json::json;

use crate::fake_api::Reply;

fn html(status: u16, text: &str) -> Reply {
    let page = format!("<!DOCTYPE html><html><head><title>{text}</title></head><body>{text}</body></html>");
    Reply::status(status)
        .header("content-type", "text/html; charset=utf-8")
        .body(page)
}

/// The web server in front of PHP gave up. The request may have been carried out.
pub fn bad_gateway() -> Reply {
    html(502, "502 Bad Gateway")
}

/// The request took longer than the host allows.
pub fn gateway_timeout() -> Reply {
    html(504, "504 Gateway Time-out")
}

/// The host's firewall did not like the content, or thinks that there are too many requests.
pub fn firewall() -> Reply {
    html(403, "Access to this page has been denied")
}

/// The CMS shows its log-in form instead of the API.
pub fn login_page() -> Reply {
    html(200, "Log in")
}

/// All calls of the request ran into a lock.
pub fn deadlock() -> Reply {
    let message = "DB Error: unknown error [nativecode=1213 ** Deadlock found when trying to get lock; try restarting transaction]";
    Reply::json(
        500,
        &json!({ "error_id": "FaKe-0000-LoCk", "error_code": 0, "error_message": message, "status": 500 }),
    )
}

/// An extension failed, and the user may not see why.
pub fn hidden() -> Reply {
    let message = "Sorry an error occurred and your request was not completed. (Error ID: FaKe-0000-HiDe)";
    Reply::json(
        500,
        &json!({ "error_code": "1", "error_message": message, "status": 500 }),
    )
}
