//! The token endpoint, and tokens.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::errors::Failure;
use crate::fake_api::{Reply, Request};

/// A token that is valid from the start and never ends.
pub const TOKEN: &str = "token-of-tests";
/// The OAuth app.
pub const CLIENT_ID: &str = "app-of-tests";
pub const CLIENT_SECRET: &str = "secret-of-tests";

/// How long a token lives, in seconds: a year.
pub(super) const LIFE: i64 = 31_536_000;

#[derive(Debug, Default)]
pub struct Access {
    /// Token → when it ends, in Unix seconds. [`TOKEN`] is not among them.
    pub tokens: BTreeMap<String, i64>,
    /// Tokens that were issued.
    pub issued: usize,
    /// The app lacks a right: the API answers 403.
    pub is_forbidden: bool,
}

impl Access {
    pub(super) fn check(&self, token: Option<&str>, now: i64) -> Result<(), Failure> {
        let token = token.unwrap_or_default();
        let is_valid = token == TOKEN || self.tokens.get(token).is_some_and(|end| now < *end);
        if !is_valid {
            return Err(Failure::new(401, "Unauthorized"));
        }
        if self.is_forbidden {
            return Err(Failure::new(403, "Forbidden: invalid scope"));
        }
        Ok(())
    }

    /// The app's id and secret are in a form, or in the header beside a body in JSON.
    pub(super) fn answer(&mut self, request: &Request, now: i64) -> Reply {
        let refuse = |status: u16, error: &str, text: &str| {
            Reply::json(status, &json!({ "error": error, "error_description": text }))
        };
        if request.method != "POST" {
            return refuse(405, "invalid_request", "The request method must be POST");
        }
        let content: BTreeMap<String, String> = match serde_json::from_slice::<Value>(&request.body) {
            Ok(Value::Object(members)) => members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            _ => form_urlencoded::parse(&request.body).into_owned().collect(),
        };
        let member = |name: &str| content.get(name).cloned().unwrap_or_default();
        let pair = basic(request).unwrap_or_else(|| (member("client_id"), member("client_secret")));
        match &*member("grant_type") {
            "client_credentials" => {}
            "" => {
                return refuse(
                    400,
                    "invalid_request",
                    "The grant type was not specified in the request",
                );
            }
            other => {
                let text = format!("Grant type \"{other}\" not supported");
                return refuse(400, "unsupported_grant_type", &text);
            }
        }
        if pair != (CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned()) {
            return refuse(401, "invalid_client", "The client credentials are invalid");
        }
        self.issued += 1;
        let token = format!("session-{}", self.issued);
        self.tokens.insert(token.clone(), now + LIFE);
        let body =
            json!({ "access_token": token, "expires_in": LIFE, "token_type": "bearer", "scope": "basic" });
        Reply::json(200, &body)
    }
}

fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(header.as_bytes()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
