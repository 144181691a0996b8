//! The API's errors.

use serde_json::{Map, Value, json};

use crate::fake_api::Reply;

#[derive(Debug)]
pub(super) struct Failure {
    pub status: u16,
    message: String,
    /// Field → messages.
    details: Value,
    kind: Option<&'static str>,
    /// An exception: it ends the whole request, also in a batch.
    pub is_exception: bool,
}

impl Failure {
    pub fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            details: json!([]),
            kind: None,
            is_exception: false,
        }
    }

    pub fn of_kind(status: u16, message: &str, kind: &'static str) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(status, message)
        }
    }

    pub fn with_details(self, details: Value) -> Self {
        Self { details, ..self }
    }

    pub fn not_found() -> Self {
        Self::new(404, "Item was not found.")
    }

    pub fn denied() -> Self {
        Self::new(403, "You do not have access to the requested area/action.")
    }

    /// Values of a form that are refused.
    pub fn invalid(field: &str, message: &str) -> Self {
        Self::new(400, &format!("{field}: {message}")).with_details(json!({ field: [message] }))
    }

    /// Field → messages.
    pub fn into_messages(self) -> Map<String, Value> {
        match self.details {
            Value::Object(messages) => messages,
            _ => Map::new(),
        }
    }

    pub fn exception() -> Self {
        let message = "Looks like I encountered an error (error #500). If I do it again, please report me to the \
                       system administrator!";
        Self {
            is_exception: true,
            ..Self::new(500, message)
        }
    }

    /// As it is shown in the errors of a batch, where an error that the controller sets itself has no details.
    pub fn row(&self) -> Value {
        match self.status {
            403 | 404 => json!({ "message": self.message, "code": self.status, "type": "api" }),
            _ => json!({
                "code": self.status, "message": self.message, "details": self.details, "type": self.kind,
            }),
        }
    }

    pub fn reply(&self) -> Reply {
        let mut error = json!({ "code": self.status, "message": self.message, "type": self.kind });
        if !self.is_exception && self.kind.is_none() {
            error["details"] = self.details.clone();
        }
        Reply::json(self.status, &json!({ "errors": [error] }))
    }
}
