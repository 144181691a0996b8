//! Errors, as `application/problem+json`.

use serde_json::{Value, json};

use crate::fake_api::Reply;

pub(super) type Answer = Result<Reply, Problem>;

#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: String,
    /// Fields and what is wrong with them.
    pub errors: Vec<(String, String)>,
}

impl Problem {
    pub fn new(status: u16, title: &str, detail: &str) -> Self {
        Self {
            status,
            title: title.to_owned(),
            detail: detail.to_owned(),
            errors: Vec::new(),
        }
    }

    /// The same for an unknown list, an unknown member, and an address that does not exist.
    pub fn not_found() -> Self {
        Self::new(
            404,
            "Resource Not Found",
            "The requested resource could not be found.",
        )
    }

    pub fn invalid(detail: &str) -> Self {
        Self::new(400, "Invalid Resource", detail)
    }

    /// A field that the schema does not allow.
    pub fn field(field: &str, message: &str) -> Self {
        Self::fields(vec![(field.to_owned(), message.to_owned())])
    }

    pub fn fields(errors: Vec<(String, String)>) -> Self {
        let detail = "The resource submitted could not be validated. \
                      For field-specific details, see the 'errors' array.";
        Self {
            errors,
            ..Self::invalid(detail)
        }
    }

    pub fn in_compliance_state(email: &str) -> Self {
        let detail = format!(
            "{email} is already a list member in compliance state due to unsubscribe, bounce, or compliance \
             review and cannot be subscribed."
        );
        Self::new(400, "Member In Compliance State", &detail)
    }

    pub fn forgotten(email: &str) -> Self {
        let detail = format!(
            "{email} was permanently deleted and cannot be re-imported. \
             The contact must re-subscribe to get back on the list."
        );
        Self::new(400, "Forgotten Email Not Subscribed", &detail)
    }

    pub fn exists(email: &str) -> Self {
        let detail = format!("{email} is already a list member. Use PUT to insert or update list members.");
        Self::new(400, "Member Exists", &detail)
    }

    pub fn reply(&self, number: usize) -> Reply {
        let mut body = json!({
            "type": "https://mailchimp.com/developer/marketing/docs/errors/",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": format!("00000000-0000-4000-8000-{number:012x}"),
        });
        if !self.errors.is_empty() {
            let errors = self.errors.iter();
            let errors: Vec<Value> = errors
                .map(|(field, message)| json!({ "field": field, "message": message }))
                .collect();
            body["errors"] = errors.into();
        }
        Reply::status(self.status)
            .header("content-type", "application/problem+json; charset=utf-8")
            .body(body.to_string())
    }
}
