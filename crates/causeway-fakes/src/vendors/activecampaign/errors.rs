//! The API's errors, in their two forms.

use serde_json::{Value, json};

use crate::fake_api::Reply;

#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    body: Value,
}

impl Failure {
    pub fn message(status: u16, message: &str) -> Self {
        let body = json!({ "message": message });
        Self { status, body }
    }

    pub fn forbidden() -> Self {
        Self::message(403, "Forbidden")
    }

    pub fn not_found(what: &str, id: &str) -> Self {
        Self::message(404, &format!("No Result found for {what} with id {id}"))
    }

    /// A member that is missing or invalid.
    pub fn invalid(title: &str, code: &str, member: &str) -> Self {
        let source = json!({ "pointer": format!("/data/attributes/{member}") });
        let error = json!({ "title": title, "detail": "", "code": code, "source": source });
        Self {
            status: 422,
            body: json!({ "errors": [error] }),
        }
    }

    pub fn too_many_contacts() -> Self {
        Self::message(402, "Your plan does not allow more contacts")
    }

    /// What the database says about a name that exists.
    pub fn duplicate_name(name: &str) -> Self {
        let error = format!("Duplicate entry '{name}' for key 'name'");
        Self {
            status: 422,
            body: json!({ "message": "Could not process request", "error": error }),
        }
    }

    pub fn limited() -> Reply {
        Self::message(429, "Rate limit exceeded")
            .reply()
            .header("retry-after", "30")
    }

    pub fn reply(&self) -> Reply {
        Reply::json(self.status, &self.body)
    }
}
