//! Who may call: Basic authentication, and tokens of OAuth 2 apps.

use std::time::Duration;

use causeway_core::clock::Timestamp;
use data_encoding::BASE64;
use serde_json::json;
use url::form_urlencoded;

use super::{CLIENT_ID, CLIENT_SECRET, Mautic, PASSWORD, USER, errors::Failure};
use crate::fake_api::{Reply, Request};

/// Life of an access token.
const LIFE: Duration = Duration::from_hours(1);

impl Mautic {
    pub(super) fn authorize(&self, request: &Request) -> Result<(), Failure> {
        if !self.is_api_enabled {
            return Err(Failure::of_kind(403, "API disabled.", "api_disabled"));
        }
        let header = request.header("authorization").unwrap_or_default();
        let is_known = if let Some(pair) = header.strip_prefix("Basic ") {
            if !self.is_basic_enabled {
                let message = "Basic authentication is disabled.";
                return Err(Failure::of_kind(403, message, "access_denied"));
            }
            pair == BASE64.encode(format!("{USER}:{PASSWORD}").as_bytes())
        } else {
            let token = header.strip_prefix("Bearer ").unwrap_or_default();
            let ends_at = self.tokens.get(token);
            if ends_at.is_some_and(|ends_at| *ends_at <= self.now()) {
                let message = "The access token provided has expired.";
                return Err(Failure::of_kind(401, message, "invalid_grant"));
            }
            ends_at.is_some()
        };
        is_known
            .then_some(())
            .ok_or_else(|| Failure::of_kind(401, "API authorization denied.", "access_denied"))
    }

    /// `/oauth/v2/token`.
    pub(super) fn token(&mut self, request: &Request) -> Reply {
        let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| {
            form.iter()
                .find(|(have, _)| have == name)
                .map(|(_, value)| value.as_str())
        };
        if (field("client_id"), field("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            let failure = Failure::of_kind(400, "The client credentials are invalid", "invalid_client");
            return failure.reply();
        }
        if field("grant_type") != Some("client_credentials") {
            let message = "The grant type is unauthorized for this client_id";
            return Failure::of_kind(400, message, "unauthorized_client").reply();
        }
        let token = format!("fake{:04}{}", self.next_id(), "Q".repeat(60));
        let ends_at: Timestamp = self.now().saturating_add(LIFE).unwrap_or(Timestamp::MAX);
        self.tokens.insert(token.clone(), ends_at);
        let body = json!({
            "access_token": token, "expires_in": LIFE.as_secs(), "token_type": "bearer", "scope": null,
        });
        Reply::json(200, &body)
    }
}
