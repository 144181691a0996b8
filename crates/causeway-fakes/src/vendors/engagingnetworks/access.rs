//! Sessions of an API user.

use serde_json::{Value, json};

use super::{Call, EngagingNetworks, TOKEN, errors::Failure};
use crate::fake_api::Request;

/// The form of the log-in. The vendor's documents disagree about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The token and nothing else.
    Raw,
    /// `{"ens-auth-token": "…"}`.
    Json,
}

impl EngagingNetworks {
    pub(super) fn authenticate(&mut self, request: &Request, call: &Call<'_>) -> Result<Value, Failure> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match (call.method, &*path) {
            ("POST", ["authenticate"]) => self.log_in(request, call),
            ("GET", [_, session]) => Ok(json!({ "valid": self.is_open(session), "ens-auth-token": session })),
            ("DELETE", [_, session]) => {
                self.sessions.remove(*session);
                Ok(json!(1))
            }
            _ => Err(Failure::no_route()),
        }
    }

    fn log_in(&mut self, request: &Request, call: &Call<'_>) -> Result<Value, Failure> {
        let text = request.text();
        let given = match self.log_in {
            Body::Raw => Some(text.trim()),
            Body::Json => call.body["ens-auth-token"].as_str(),
        };
        if given != Some(TOKEN) {
            return Err(Failure::invalid_key(given.unwrap_or(text.trim())));
        }
        if !self.allows_address {
            return Err(Failure::unregistered_address());
        }
        self.log_ins += 1;
        let session = format!("session-{}", self.log_ins);
        let ends_at = self.now() + self.session;
        self.sessions.insert(session.clone(), ends_at);
        let millis = u64::try_from(self.session.as_millis()).unwrap();
        Ok(json!({ "ens-auth-token": session, "expires": millis }))
    }

    fn is_open(&self, session: &str) -> bool {
        let ends_at = self.sessions.get(session);
        ends_at.is_some_and(|ends_at| self.now() < *ends_at)
    }

    pub(super) fn check_session(&self, request: &Request) -> Result<(), Failure> {
        let session = request.header("ens-auth-token").unwrap_or_default();
        if self.is_open(session) {
            Ok(())
        } else {
            Err(Failure::invalid_session())
        }
    }
}
