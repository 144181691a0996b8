//! The gateway's keys, the roles behind them, and the sign-in of users.

use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ANON_JWT, PASSWORD, PUBLISHABLE_KEY, SECRET_KEY, SERVICE_JWT, Supabase, USER, error::Refusal};
use crate::fake_api::{Reply, Request};

/// How long an access token is good.
const LIFE: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Anon,
    Authenticated,
    /// Passes over all policies.
    Service,
}

impl Supabase {
    /// The role of the project's key.
    pub(super) fn key(&self, request: &Request) -> Result<Role, Refusal> {
        let Some(key) = request.header("apikey") else {
            let hint = Some("No `apikey` request header or url param was found.");
            return Err(Refusal::gateway(401, "No API key found in request", hint));
        };
        match key {
            SERVICE_JWT | ANON_JWT if !self.has_legacy_keys => {
                let hint = Some("Your legacy API keys were disabled. Use the new keys.");
                Err(Refusal::gateway(401, "Legacy API keys are disabled", hint))
            }
            SECRET_KEY | SERVICE_JWT => Ok(Role::Service),
            PUBLISHABLE_KEY | ANON_JWT => Ok(Role::Anon),
            _ => Err(Refusal::gateway(
                401,
                "Invalid API key",
                Some("Double check your Supabase API key."),
            )),
        }
    }

    /// The role of the bearer, if there is one: PostgREST reads it as a JWT.
    pub(super) fn role(&self, request: &Request, key: Role) -> Result<Role, Refusal> {
        let Some(bearer) = request.header("authorization") else {
            return Ok(key);
        };
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        let parts = token.split('.').count();
        if token.is_empty() || parts != 3 {
            let message = format!("Expected 3 parts in JWT; got {parts}");
            return Err(Refusal::postgrest(401, 301, &message));
        }
        match token {
            SERVICE_JWT => Ok(Role::Service),
            ANON_JWT => Ok(Role::Anon),
            _ => match self.tokens.get(token) {
                Some(end) if *end > self.now() => Ok(Role::Authenticated),
                Some(_) => Err(Refusal::postgrest(401, 303, "JWT expired")),
                None => Err(Refusal::postgrest(401, 301, "JWT cryptographic operation failed")),
            },
        }
    }

    /// Ends the sign-in of all users: their tokens are not accepted any more.
    pub fn sign_out(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn sign_in(&mut self, path: &str, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut query = form_urlencoded::parse(request.query.as_bytes());
        let grant = query
            .find(|(name, _)| name == "grant_type")
            .map(|(_, value)| value.into_owned());
        let refused = |status: u16, code: &str, text: &str| {
            Reply::json(
                status,
                &json!({ "code": status, "error_code": code, "msg": text }),
            )
        };
        let is_json = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        match (request.method.as_str(), path, grant.as_deref()) {
            ("POST", "/token", Some("password")) if is_json => {
                if body["email"] != USER || body["password"] != PASSWORD {
                    return refused(400, "invalid_credentials", "Invalid login credentials");
                }
            }
            ("POST", "/token", Some("refresh_token")) if is_json => {
                let known = |token: &String| body["refresh_token"] == **token;
                let Some(at) = self.refresh_tokens.iter().position(known) else {
                    return refused(
                        400,
                        "refresh_token_not_found",
                        "Invalid Refresh Token: Refresh Token Not Found",
                    );
                };
                self.refresh_tokens.remove(at);
            }
            ("POST", "/token", _) => return refused(400, "bad_json", "Could not read body as JSON"),
            _ => return refused(404, "not_found", "404 page not found"),
        }
        self.last_token += 1;
        let token = format!("eyJhbGciOiJFUzI1NiJ9.user-{}.of-tests", self.last_token);
        let refresh = format!("refresh-{}", self.last_token);
        let end = self.now() + LIFE;
        self.tokens.insert(token.clone(), end);
        self.refresh_tokens.push(refresh.clone());
        Reply::json(
            200,
            &json!({
                "access_token": token, "token_type": "bearer", "expires_in": LIFE.as_secs(),
                "expires_at": end.as_second(), "refresh_token": refresh,
                "user": { "id": "8d0fd2b3-9ca7-4d9e-a95f-9e13dded323e", "aud": "authenticated", "email": USER },
            }),
        )
    }
}
