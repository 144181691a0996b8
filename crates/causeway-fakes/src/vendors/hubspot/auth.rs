//! Tokens, and the OAuth endpoints that issue them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    HubSpot, PORTAL_ID,
    answer::{Answer, Call, Failure, time},
};
use crate::fake_api::{Reply, Request};

/// Life of an access token of an OAuth app.
const LIFE: Duration = Duration::from_mins(30);

/// All scopes that the fake's endpoints ask for.
pub const SCOPES: [&str; 14] = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.lists.read",
    "crm.lists.write",
    "communication_preferences.read",
    "communication_preferences.write",
    "communication_preferences.read_write",
    "communication_preferences.statuses.batch.read",
    "communication_preferences.statuses.batch.write",
    "analytics.behavioral_events.send",
    "behavioral_events.event_definitions.read_write",
];

/// An access token, or a service key.
#[derive(Debug, Clone)]
pub struct Token {
    pub scopes: BTreeSet<String>,
    /// Tokens of OAuth apps end; keys do not.
    pub expires: Option<Timestamp>,
    /// The daily limit does not apply to OAuth apps, and answers to them have no headers about it.
    pub is_oauth: bool,
}

impl Token {
    /// A service key with all scopes.
    pub fn key() -> Self {
        Self {
            scopes: SCOPES.map(str::to_owned).into(),
            expires: None,
            is_oauth: false,
        }
    }

    #[must_use]
    pub fn without(mut self, scope: &str) -> Self {
        self.scopes.remove(scope);
        self
    }
}

/// An OAuth app that is installed in the account.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    pub scopes: BTreeSet<String>,
    /// Codes that were not used yet.
    pub codes: BTreeSet<String>,
    /// Valid refresh tokens. Removing one uninstalls the app.
    pub refresh_tokens: BTreeSet<String>,
}

impl HubSpot {
    /// The token of a request, with its name.
    pub(super) fn authorize(&self, request: &Request, now: Timestamp) -> Result<(String, Token), Failure> {
        let header = request.header("authorization").unwrap_or_default();
        let name = header.strip_prefix("Bearer ").unwrap_or_default();
        let Some(token) = self.tokens.get(name) else {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and \
                you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
            return Err(Failure::new(401, "INVALID_AUTHENTICATION", message));
        };
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            let ago = now.duration_since(expires).as_secs();
            let message = format!("The OAuth token used to make this call expired {ago} second(s) ago.");
            let failure = Failure::new(401, "EXPIRED_AUTHENTICATION", &message);
            return Err(failure.context("expire time", &[&time(expires)]));
        }
        Ok((name.to_owned(), token.clone()))
    }

    /// Below `/oauth/2026-09`. Parameters are in the body only.
    pub(super) fn oauth(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let form: BTreeMap<String, String> = call.form().into_iter().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if call.method != "POST" {
            return Err(Failure::not_found());
        }
        let app = self.apps.iter().position(|app| {
            app.client_id == field("client_id") && app.client_secret == field("client_secret")
        });
        let Some(app) = app else {
            return Err(oauth_error(
                "invalid_client",
                "BAD_CLIENT_ID",
                "missing or invalid client id or secret",
            ));
        };
        match rest {
            ["token"] => self.grant(app, &form, call.now),
            ["token", "introspect"] => {
                let token = self.tokens.get(field("token"));
                let token = token.filter(|token| token.expires.is_none_or(|expires| expires > call.now));
                let Some(token) = token else {
                    return Ok(Reply::json(200, &json!({ "active": false })));
                };
                let body = json!({
                    "active": true, "token_use": "access_token", "client_id": field("client_id"),
                    "hub_id": PORTAL_ID, "scopes": token.scopes,
                });
                Ok(Reply::json(200, &body))
            }
            ["token", "revoke"] => {
                self.tokens.remove(field("token"));
                for app in &mut self.apps {
                    app.refresh_tokens.remove(field("token"));
                }
                Ok(Reply::status(200))
            }
            _ => Err(Failure::not_found()),
        }
    }

    fn grant(&mut self, app: usize, form: &BTreeMap<String, String>, now: Timestamp) -> Answer {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let number = self.tokens.len();
        let Some(app) = self.apps.get_mut(app) else {
            return Err(Failure::not_found());
        };
        let refresh_token = match field("grant_type") {
            "authorization_code" => {
                if !app.codes.remove(field("code")) {
                    let message = "missing or unknown auth code";
                    return Err(oauth_error("invalid_grant", "BAD_AUTH_CODE", message));
                }
                let token = format!("eu1-refresh-{number}");
                app.refresh_tokens.insert(token.clone());
                token
            }
            "refresh_token" => {
                let token = field("refresh_token");
                if !app.refresh_tokens.contains(token) {
                    let message = "missing or invalid refresh token";
                    return Err(oauth_error("invalid_grant", "BAD_REFRESH_TOKEN", message));
                }
                token.to_owned()
            }
            _ => {
                let message = "missing or unknown grant type";
                return Err(oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE", message));
            }
        };
        // Real ones are longer than 300 characters.
        let access_token = format!("CKfake{number}{}", "x".repeat(320));
        let life = SignedDuration::try_from(LIFE).unwrap_or(SignedDuration::MAX);
        let token = Token {
            scopes: app.scopes.clone(),
            expires: now.checked_add(life).ok(),
            is_oauth: true,
        };
        let body = json!({
            "access_token": access_token, "refresh_token": refresh_token, "expires_in": LIFE.as_secs(),
            "token_type": "bearer", "token_use": "access_token", "hub_id": PORTAL_ID, "user_id": 991,
            "scopes": token.scopes,
        });
        self.tokens.insert(access_token, token);
        Ok(Reply::json(200, &body))
    }
}

fn oauth_error(error: &str, status: &str, message: &str) -> Failure {
    Failure::new(400, "", message)
        .with("status", json!(status))
        .with("error", json!(error))
        .with("error_description", json!(message))
}
