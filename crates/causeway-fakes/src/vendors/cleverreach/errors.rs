//! The API's errors.

use serde_json::json;

use crate::fake_api::Reply;

#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    message: String,
}

impl Failure {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(404, format!("Not Found: invalid {what}"))
    }

    /// The error may be a plain text in place of an object.
    pub fn reply(&self, is_plain: bool, retry_after: Option<u64>) -> Reply {
        let body = if is_plain {
            json!({ "error": self.message })
        } else {
            json!({ "error": { "code": self.status, "message": self.message } })
        };
        let reply = Reply::json(self.status, &body);
        match retry_after {
            Some(seconds) if self.status == 429 => reply.header("retry-after", &seconds.to_string()),
            _ => reply,
        }
    }
}
