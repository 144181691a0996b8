//! The API's errors. Of the codes only 1000 is published; the others, and all words but those of 1000, stand for what
//! VBOUT's documents do not name.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub status: u16,
    code: u32,
    message: String,
}

impl Failure {
    fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub fn unauthorized() -> Self {
        Self::new(401, 1000, "Missing or Invalid authentication key.")
    }

    pub fn limited() -> Self {
        Self::new(429, 1029, "Too Many Requests")
    }

    pub fn wrong_method() -> Self {
        Self::new(405, 1005, "Method Not Allowed")
    }

    pub fn unknown_operation() -> Self {
        Self::new(404, 1004, "Unknown command.")
    }

    /// Errors about the content of a call have the status 200.
    pub fn no_contact() -> Self {
        Self::new(200, 2001, "Contact does not exist!")
    }

    pub fn no_list() -> Self {
        Self::new(200, 2002, "List does not exist!")
    }

    pub fn missing(name: &str) -> Self {
        Self::new(200, 2003, format!("The parameter {name} is required."))
    }

    pub fn invalid(name: &str) -> Self {
        Self::new(200, 2004, format!("The parameter {name} is invalid."))
    }

    pub fn is_subscribed() -> Self {
        Self::new(200, 2005, "You have already been subscribed to this list!")
    }

    pub fn data(&self) -> Value {
        json!({ "errorCode": self.code, "errorMessage": self.message })
    }
}
