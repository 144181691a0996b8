//! Access tokens, and the endpoint that issues them: for the signed assertion of a service account, and for the refresh
//! token of a person who connected an app.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::SignedDuration;
use rustls::{SignatureScheme, crypto::ring};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Google, PROJECT, SERVICE_ACCOUNT, error::ApiError};
use crate::fake_api::{Reply, Request};

pub const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
/// The key of the service account, made for these tests.
const PRIVATE_KEY: &str = include_str!("key.pem");
/// Its public half, as a PKCS #1 structure.
const PUBLIC_KEY: &[u8] = include_bytes!("public.der");
const KEY_ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
/// Seconds for which an access token works.
const LIFE: i64 = 3_599;
/// How far an assertion's times may be off.
const LEEWAY: i64 = 300;

#[derive(Debug, Clone)]
pub struct Token {
    /// The e-mail address of the person or service account.
    pub principal: String,
    pub scopes: BTreeSet<String>,
    /// `None`: never.
    pub expires: Option<Timestamp>,
}

impl Token {
    pub(super) fn of(principal: &str) -> Self {
        Self {
            principal: principal.to_owned(),
            scopes: [SCOPE.to_owned()].into(),
            expires: None,
        }
    }
}

/// An app that persons connect with their Google account.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// Refresh token → the person. Removing one revokes the consent.
    pub refresh_tokens: BTreeMap<String, String>,
}

impl Google {
    /// The JSON key file of the service account.
    pub fn key_file(&self, base: &str) -> Value {
        json!({
            "type": "service_account", "project_id": "rivers-1", "private_key_id": KEY_ID, "private_key": PRIVATE_KEY,
            "client_email": SERVICE_ACCOUNT, "client_id": "110000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": format!("{base}/token"),
            "universe_domain": "googleapis.com",
        })
    }

    /// Who calls, unless the gateway refuses the token.
    pub(super) fn principal(&self, request: &Request) -> Result<String, ApiError> {
        let unauthenticated = |reason: &'static str, message: &str| {
            Err(ApiError::gateway(401, "UNAUTHENTICATED", reason, message))
        };
        let header = request.header("authorization").unwrap_or_default();
        let Some(text) = header.strip_prefix("Bearer ") else {
            let message = "Request is missing required authentication credential.";
            return unauthenticated("CREDENTIALS_MISSING", message);
        };
        let found = self.tokens.get(text);
        let valid = found.filter(|token| token.expires.is_none_or(|at| at > self.now()));
        let Some(token) = valid else {
            let reason = if found.is_some() {
                "ACCESS_TOKEN_EXPIRED"
            } else {
                "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            };
            return unauthenticated(reason, "Request had invalid authentication credentials.");
        };
        let forbidden = |reason: &'static str, message: String| {
            Err(ApiError::gateway(403, "PERMISSION_DENIED", reason, message))
        };
        if !token.scopes.contains(SCOPE) {
            let message = "Request had insufficient authentication scopes.";
            return forbidden("ACCESS_TOKEN_SCOPE_INSUFFICIENT", message.to_owned());
        }
        if !self.is_enabled {
            let message =
                format!("Data Manager API has not been used in project {PROJECT} before or it is disabled.");
            return forbidden("SERVICE_DISABLED", message);
        }
        Ok(token.principal.clone())
    }

    /// `POST /token`
    pub(super) fn token(&mut self, request: &Request) -> Reply {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let member = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let granted = match member("grant_type") {
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                self.service_account(request, member("assertion"))
            }
            "refresh_token" => self.refreshed(request, &form),
            _ => Err((400, "unsupported_grant_type", "Invalid grant_type.")),
        };
        match granted {
            Ok(token) => {
                self.issued += 1;
                let prefix = if token.principal == SERVICE_ACCOUNT {
                    "ya29.c."
                } else {
                    "ya29.a0"
                };
                let text = format!("{prefix}{}", self.issued);
                let scopes: Vec<&str> = token.scopes.iter().map(String::as_str).collect();
                let body = json!({
                    "access_token": text, "expires_in": LIFE, "scope": scopes.join(" "), "token_type": "Bearer",
                });
                self.tokens.insert(text, token);
                Reply::json(200, &body)
            }
            Err((status, error, description)) => Reply::json(
                status,
                &json!({ "error": error, "error_description": description }),
            ),
        }
    }

    fn issue(&self, principal: &str, scopes: BTreeSet<String>) -> Token {
        Token {
            principal: principal.to_owned(),
            scopes,
            expires: Some(self.now() + SignedDuration::from_secs(LIFE)),
        }
    }

    fn service_account(&self, request: &Request, assertion: &str) -> Result<Token, Refusal> {
        let signature = (400, "invalid_grant", "Invalid JWT Signature.");
        let (signed, sent) = assertion.rsplit_once('.').ok_or(signature)?;
        let (header, claims) = signed.split_once('.').ok_or(signature)?;
        let part = |text: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
        };
        let (header, claims) = (part(header).ok_or(signature)?, part(claims).ok_or(signature)?);
        let is_known = header["alg"] == "RS256" && header.get("kid").is_none_or(|kid| kid == KEY_ID);
        let sent = BASE64URL_NOPAD.decode(sent.as_bytes()).map_err(|_| signature)?;
        if !is_known || !is_signed(signed.as_bytes(), &sent) {
            return Err(signature);
        }
        if claims["iss"] != SERVICE_ACCOUNT || !self.has_service_account {
            return Err((400, "invalid_grant", "Invalid grant: account not found"));
        }
        let own = format!("http://{}/token", request.header("host").unwrap_or_default());
        if claims["aud"] != own.as_str() && claims["aud"] != "https://oauth2.googleapis.com/token" {
            return Err((400, "invalid_grant", "Invalid JWT: Failed audience check."));
        }
        let number = |name: &str| claims[name].as_i64().unwrap_or_default();
        let (from, until, now) = (number("iat"), number("exp"), self.now().as_second());
        if until - from > 3_600 || until <= now || (from - now).abs() > 3_600 || from > now + LEEWAY {
            let why = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                       Check your iat and exp values in the JWT claim.";
            return Err((400, "invalid_grant", why));
        }
        let scopes = claims["scope"].as_str().unwrap_or_default();
        let scopes: BTreeSet<String> = scopes
            .split(' ')
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect();
        if scopes.is_empty() {
            return Err((
                400,
                "invalid_scope",
                "Invalid OAuth scope or ID token audience provided.",
            ));
        }
        Ok(self.issue(SERVICE_ACCOUNT, scopes))
    }

    fn refreshed(&mut self, request: &Request, form: &BTreeMap<String, String>) -> Result<Token, Refusal> {
        let basic = request
            .header("authorization")
            .and_then(|text| text.strip_prefix("Basic "));
        let basic = basic.and_then(|text| String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok());
        let basic = basic.as_deref().and_then(|text| text.split_once(':'));
        let member = |name: &str| form.get(name).map(String::as_str);
        let client = basic.or(member("client_id").zip(member("client_secret")));
        if client != Some((&self.app.client_id, &self.app.client_secret)) {
            return Err((401, "invalid_client", "The OAuth client was not found."));
        }
        let person = member("refresh_token").and_then(|token| self.app.refresh_tokens.get(token));
        let dead = (400, "invalid_grant", "Token has been expired or revoked.");
        let person = person.cloned().ok_or(dead)?;
        Ok(self.issue(&person, [SCOPE.to_owned()].into()))
    }
}

/// HTTP status, error and description.
type Refusal = (u16, &'static str, &'static str);

fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let mut rsa = algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)
        .flat_map(|(_, verifiers)| verifiers.iter());
    rsa.any(|verifier| verifier.verify_signature(PUBLIC_KEY, message, signature).is_ok())
}
