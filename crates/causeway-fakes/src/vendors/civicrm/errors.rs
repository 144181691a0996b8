//! Errors of APIv4. Almost all have status 500, and their code says nothing.

use serde_json::{Value, json};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub status: u16,
    pub message: String,
}

impl ApiError {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            status: 500,
            message: message.into(),
        }
    }

    pub fn unauthorized(message: &str) -> Self {
        Self {
            status: 403,
            message: message.to_owned(),
        }
    }

    /// The error object. Its text is hidden from users without the permission to see debug output, unless the error is
    /// about permissions.
    pub fn body(&self, is_shown: bool, number: usize) -> Value {
        let id = format!("FaKe-{number:04}-CiVi");
        if is_shown || self.status == 403 {
            return json!({ "error_id": id, "error_code": 0, "error_message": self.message, "status": self.status });
        }
        let message = format!("Sorry an error occurred and your request was not completed. (Error ID: {id})");
        json!({ "error_code": "1", "error_message": message, "status": self.status })
    }
}
