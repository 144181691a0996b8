//! Responses for [`FakeVendor::fail`](crate::vendors::FakeVendor::fail) that the fake's state does not show.

use serde_json::json;

use crate::fake_api::Reply;

/// Success, but nothing was done.
pub fn nothing_done() -> Reply {
    Reply::json(200, &json!(false))
}

/// A page of something in front of the API.
pub fn gateway(status: u16) -> Reply {
    Reply::status(status)
        .header("content-type", "text/html")
        .body("<html><body>Please try again later</body></html>")
}

pub fn too_large() -> Reply {
    let error = json!({ "code": 413, "message": "Request Entity Too Large" });
    Reply::json(413, &json!({ "error": error }))
}

pub fn too_many() -> Reply {
    let error = json!({ "code": 429, "message": "Too Many Requests" });
    Reply::json(429, &json!({ "error": error }))
}
