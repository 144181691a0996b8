//! Errors of the Graph API. Clients decide by the code and subcode: the HTTP status is 400 for most.

use serde_json::{Value, json};

use crate::fake_api::Reply;

/// The API's error object.
#[derive(Debug, Clone)]
pub struct GraphError {
    status: u16,
    kind: &'static str,
    pub code: u32,
    pub subcode: Option<u32>,
    message: String,
    is_transient: Option<bool>,
    user: Option<(&'static str, String)>,
}

/// What every answer about a node says that is missing or hidden from the token.
const NOT_LOADED: &str = "does not exist, cannot be loaded due to missing permissions, or does not support this \
                          operation. Please read the Graph API documentation at \
                          https://developers.facebook.com/docs/graph-api";

impl GraphError {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "OAuthException",
            code,
            subcode: None,
            message: message.into(),
            is_transient: None,
            user: None,
        }
    }

    /// A message that starts with the code, as those of the Marketing API do.
    pub(super) fn numbered(code: u32, message: impl AsRef<str>) -> Self {
        Self::new(code, format!("(#{code}) {}", message.as_ref()))
    }

    #[must_use]
    pub fn subcode(self, subcode: u32) -> Self {
        Self {
            subcode: Some(subcode),
            ..self
        }
    }

    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    #[must_use]
    pub(super) fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    #[must_use]
    pub fn is_transient(self, is_transient: bool) -> Self {
        Self {
            is_transient: Some(is_transient),
            ..self
        }
    }

    /// The title and text for the person in front of a screen.
    #[must_use]
    pub(super) fn for_user(self, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            user: Some((title, text.into())),
            ..self
        }
    }

    /// Code 2: something broke on Meta's side.
    pub fn transient() -> Self {
        let text = "An unexpected error has occurred. Please retry your request later.";
        Self::new(2, text).status(500).is_transient(true)
    }

    pub(super) fn invalid(message: impl AsRef<str>) -> Self {
        Self::numbered(100, message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::invalid(format!("Missing parameter(s): {parameter}"))
    }

    /// The node is missing, or the token may not see it, or it has no such edge.
    pub(super) fn not_loaded(method: &str, node: &str) -> Self {
        let method = method.to_lowercase();
        let message = format!("Unsupported {method} request. Object with ID '{node}' {NOT_LOADED}");
        Self::new(100, message).subcode(33).kind("GraphMethodException")
    }

    pub(super) fn permission() -> Self {
        Self::numbered(
            200,
            "Ad account owner has NOT grant ads_management or ads_read permission",
        )
    }

    /// The audience was flagged: nobody can be added or removed.
    pub(super) fn flagged() -> Self {
        let text =
            "Resolve the integrity restrictions of this audience in Audience Manager, or create a new one.";
        let error = Self::new(100, "Invalid parameter").subcode(1_713_230);
        error
            .is_transient(false)
            .for_user("Audience Upload Blocked", text)
    }

    /// Code 2650: the audience cannot be updated (now, or in this way).
    pub(super) fn not_updated(message: &str) -> Self {
        Self::numbered(2650, format!("Failed to update the custom audience: {message}"))
    }

    pub(super) fn body(&self, trace: &str) -> Value {
        let mut error = json!({ "message": self.message, "type": self.kind, "code": self.code });
        let mut set = |name: &str, value: Option<Value>| {
            if let (Some(value), Some(error)) = (value, error.as_object_mut()) {
                error.insert(name.to_owned(), value);
            }
        };
        set("error_subcode", self.subcode.map(Value::from));
        set("is_transient", self.is_transient.map(Value::from));
        let user = self.user.as_ref();
        set("error_user_title", user.map(|(title, _)| Value::from(*title)));
        set("error_user_msg", user.map(|(_, text)| Value::from(text.as_str())));
        set("fbtrace_id", Some(trace.into()));
        json!({ "error": error })
    }

    /// The response, to be given to [`FakeVendor::fail`](super::super::FakeVendor::fail).
    pub fn reply(&self) -> Reply {
        self.traced("AScriptedFault")
    }

    pub(super) fn traced(&self, trace: &str) -> Reply {
        let reply = Reply::json(self.status, &self.body(trace));
        if self.code == 190 {
            let challenge = format!(
                "OAuth \"Facebook Platform\" \"invalid_token\" \"{}\"",
                self.message
            );
            return reply.header("www-authenticate", &challenge);
        }
        reply
    }
}

/// What stands before the API sends when it is down: a page for people.
pub fn html_502() -> Reply {
    Reply::status(502)
        .header("content-type", "text/html; charset=utf-8")
        .body(
            "<!DOCTYPE html><html><head><title>Facebook | Error</title></head>\
             <body>Sorry, something went wrong.</body></html>",
        )
}
