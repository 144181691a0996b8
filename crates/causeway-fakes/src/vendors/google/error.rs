//! Errors in the form of `google.rpc.Status`. Clients decide by the reason, because the HTTP status varies.

use serde_json::{Map, Value, json};

use crate::fake_api::Reply;

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In snake case: `audience_members[12].user_data.user_identifiers[0].email_address`.
    pub field: String,
    pub description: String,
    pub reason: Option<&'static str>,
}

impl Violation {
    pub(super) fn new(field: impl Into<String>, reason: &'static str) -> Self {
        Self {
            field: field.into(),
            description: sentence(reason),
            reason: Some(reason),
        }
    }
}

/// What the API documents about a reason, in short.
fn sentence(reason: &str) -> String {
    let mut words = reason.to_lowercase().replace('_', " ");
    words.push('.');
    words
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub http: u16,
    pub status: &'static str,
    pub message: String,
    /// Empty for what only the gateway found.
    pub reason: &'static str,
    /// Whether it is the API's own error, and not the gateway's.
    pub is_own: bool,
    pub metadata: Vec<(&'static str, String)>,
    pub violations: Vec<Violation>,
    /// Seconds, for `RetryInfo`.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// An error that the API itself found.
    pub fn new(reason: &'static str) -> Self {
        let (http, status) = code(reason);
        Self {
            http,
            status,
            message: sentence(reason),
            reason,
            is_own: true,
            metadata: Vec::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// An error of Google's gateway in front of the API.
    pub(super) fn gateway(
        http: u16,
        status: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            http,
            status,
            message: message.into(),
            is_own: false,
            metadata: vec![("service", "datamanager.googleapis.com".to_owned())],
            ..Self::new(reason)
        }
    }

    /// A request with wrong fields.
    pub(super) fn invalid(violations: Vec<Violation>) -> Self {
        Self {
            message: "There was a problem with the request.".to_owned(),
            violations,
            ..Self::new("INVALID_ARGUMENT")
        }
    }

    /// A body that is no such message. The gateway refuses it and names no reason.
    pub(super) fn unreadable(violations: Vec<Violation>) -> Self {
        let texts: Vec<&str> = violations.iter().map(|one| one.description.as_str()).collect();
        Self {
            message: texts.join("\n"),
            reason: "",
            violations,
            ..Self::new("INVALID_ARGUMENT")
        }
    }

    pub(super) fn reply(&self, request_id: &str, camel: bool) -> Reply {
        let mut details = Vec::new();
        if !self.reason.is_empty() {
            let mut metadata: Map<String, Value> = self
                .metadata
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
                .collect();
            metadata.insert("requestId".to_owned(), request_id.into());
            let domain = if self.is_own {
                "datamanager.googleapis.com"
            } else {
                "googleapis.com"
            };
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": self.reason, "domain": domain, "metadata": metadata,
            }));
        }
        if !self.violations.is_empty() {
            let violations: Vec<Value> = self.violations.iter().map(|one| violation(one, camel)).collect();
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations,
            }));
        }
        if let Some(seconds) = self.retry_after {
            let delay = format!("{seconds}s");
            details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
        }
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id,
        }));
        let error = json!({
            "code": self.http, "message": self.message, "status": self.status, "details": details,
        });
        Reply::json(self.http, &json!({ "error": error }))
    }
}

fn violation(one: &Violation, camel: bool) -> Value {
    let field = if camel {
        let parts = one.field.split('.').map(super::schema::camel);
        parts.collect::<Vec<_>>().join(".")
    } else {
        one.field.clone()
    };
    let mut violation = json!({ "field": field, "description": one.description });
    if let Some(reason) = one.reason {
        violation["reason"] = reason.into();
    }
    violation
}

/// The HTTP status and the code of a reason.
fn code(reason: &str) -> (u16, &'static str) {
    match reason {
        "INTERNAL_ERROR" => (500, "INTERNAL"),
        "DEADLINE_EXCEEDED" => (504, "DEADLINE_EXCEEDED"),
        "RESOURCE_EXHAUSTED" => (429, "RESOURCE_EXHAUSTED"),
        "NOT_FOUND" => (404, "NOT_FOUND"),
        "ALREADY_EXISTS" | "DISPLAY_NAME_ALREADY_USED" => (409, "ALREADY_EXISTS"),
        "PERMISSION_DENIED"
        | "NOT_ALLOWLISTED"
        | "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
        | "TERMS_AND_CONDITIONS_NOT_SIGNED"
        | "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"
        | "ADVERTISER_TOS_NOT_ACCEPTED"
        | "SENSITIVE_USER_LIST_IMMUTABLE"
        | "OWNERSHIP_REQUIRED_FOR_UPDATE"
        | "REQUIRED_PREREQUISITE_LINK_MISSING" => (403, "PERMISSION_DENIED"),
        _ => (400, "INVALID_ARGUMENT"),
    }
}

/// The page that Google's front end shows while the API is away.
pub fn html_502() -> Reply {
    Reply::status(502)
        .header("content-type", "text/html; charset=UTF-8")
        .body("<!DOCTYPE html><title>Error 502 (Server Error)!!1</title><p>502. That is an error.")
}
