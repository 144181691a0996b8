//! The API's errors.

use serde_json::json;

use crate::fake_api::Reply;

#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    message: String,
    number: i64,
}

impl Failure {
    fn new(status: u16, number: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            number,
        }
    }

    /// The message repeats what was sent, in the real one also a token that is nearly right.
    pub fn invalid_key(given: &str) -> Self {
        Self::new(401, 10_000_000, format!("Invalid api key [{given}]"))
    }

    pub fn unregistered_address() -> Self {
        let message =
            "Authentication call is being made from an unregistered source address for this ENS api key";
        Self::new(401, 10_000_001, message)
    }

    pub fn invalid_session() -> Self {
        Self::new(401, 10_000_002, "Invalid ens-auth-token")
    }

    /// The limit of the hour is a 401.
    pub fn used_up() -> Self {
        let message = "The user with username [api@example.org] has exceeded its api limit";
        Self::new(401, 10_000_003, message)
    }

    /// The limit of actions is a 429.
    pub fn too_many() -> Self {
        Self::new(429, 10_000_004, "Too many requests. Please try again later.")
    }

    pub fn forbidden() -> Self {
        Self::new(403, 10_000_006, "ApiUser does not have adequate permissions")
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, 10_000_005, message)
    }

    pub fn unknown_fields(names: &[String]) -> Self {
        let names = names.join(", ");
        Self::bad(format!(
            "The following fields are not present in the account, please review: {names}"
        ))
    }

    pub fn invalid_address() -> Self {
        Self::bad("Email address not found or is not valid")
    }

    pub fn no_page(id: &str) -> Self {
        Self::new(
            404,
            353_979_450,
            format!("Unable to find an page with pageId {id}"),
        )
    }

    pub fn no_supporter(is_404: bool) -> Self {
        if is_404 {
            return Self::new(404, 353_979_451, "Unable to find a supporter");
        }
        Self::new(204, 0, "")
    }

    pub fn no_route() -> Self {
        Self::new(404, 353_979_452, "Unable to find a service")
    }

    pub fn reply(&self) -> Reply {
        if self.status == 204 {
            return Reply::status(204);
        }
        let body = json!({ "message": self.message, "messageId": self.number, "developerMessage": "" });
        Reply::json(self.status, &body)
    }
}
