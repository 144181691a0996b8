//! The API's errors.

use serde_json::{Value, json};

use crate::fake_api::Reply;

#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    message: Value,
}

impl Failure {
    pub fn new(status: u16, message: impl Into<Value>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub fn unauthorized() -> Self {
        Self::new(
            401,
            "API key authentication/authorization failure. You may be unauthorized to access the API",
        )
    }

    pub fn not_found() -> Self {
        Self::new(404, "Object not found")
    }

    pub fn limited() -> Self {
        Self::new(429, "Too many requests")
    }

    pub fn exists(what: &str) -> Self {
        Self::new(
            400,
            format!("MJ18 A {what} resource with value already exists for this key"),
        )
    }

    pub fn invalid_email() -> Self {
        Self::new(400, "MJ03 Invalid email address")
    }

    /// The message is an object here.
    pub fn unknown_property(name: &str) -> Self {
        Self::new(400, json!({ "Properties": { name: "Invalid key name" } }))
    }

    pub fn reply(&self) -> Reply {
        let body = json!({ "ErrorInfo": "", "ErrorMessage": self.message, "StatusCode": self.status });
        Reply::json(self.status, &body)
    }
}
