//! Access tokens by OAuth 2.0: client credentials, a refresh token, or a signed assertion (JWT bearer). And by a user's
//! password, for Supabase Auth.
//!
//! Invariants: one renewal at a time for a credential, in all processes; a refresh token that a response brings is on disk
//! before the access token beside it is used.

mod config;
mod grant;
mod jwt;
mod response;
mod sign_in;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::{Clock, Timestamp},
    destination::{AttemptResult, CheckError, Outcome},
    secret::Secret,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

pub use self::{
    config::{Config, Defaults, GrantName},
    grant::{App, Grant, Password},
    jwt::Assertion,
    sign_in::{SignIn, Started},
};
use crate::{
    http::{Client, HttpRequest, SendError},
    vault::{Kept, Vault, VaultError},
};

/// A token is renewed this long before it ends.
const BEFORE_END: Duration = Duration::from_mins(1);
/// How long a process may take to renew a token before another one tries.
const RENEWING: Duration = Duration::from_secs(45);
/// How long a token is used whose response does not say.
const USUAL_LIFE: Duration = Duration::from_mins(30);

/// Where tokens come from, and how.
pub struct Settings {
    pub token_url: Url,
    pub grant: Grant,
}

/// A credential that gets and renews its own access token.
#[derive(Clone)]
pub struct Access(Arc<Credential>);

struct Credential {
    /// The destination's name: the vault keeps its refresh token under it.
    name: Arc<str>,
    settings: Settings,
    client: Client,
    clock: Arc<dyn Clock>,
    vault: Arc<dyn Vault>,
    /// Held while a token is renewed, so that all others wait for it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// What could not be written into the vault, with the version that it replaces. The token in it must not get lost: the
    /// vendor may accept no other any more.
    unsaved: Option<(u64, Sealed)>,
}

#[derive(Clone)]
struct Token {
    value: Secret,
    ends_at: Timestamp,
}

impl Token {
    fn is_good(&self, now: Timestamp, rejected: Option<&Secret>) -> bool {
        let ends_at = self.ends_at.saturating_sub(BEFORE_END).unwrap_or(self.ends_at);
        now < ends_at && rejected != Some(&self.value)
    }
}

/// What the vault keeps for a refresh token.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sealed {
    refresh_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// A process renews the token until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewing_until: Option<Timestamp>,
}

impl Sealed {
    fn read(kept: &Kept) -> Result<Self, Failure> {
        serde_json::from_str(kept.secret.reveal())
            .map_err(|_| Failure::Refused("what is kept of the sign-in cannot be read".to_owned()))
    }

    fn secret(&self) -> Result<Secret, Failure> {
        serde_json::to_string(self)
            .map(Secret::new)
            .map_err(|error| Failure::Later(error.to_string(), None))
    }

    fn token(&self) -> Option<Token> {
        Some(Token {
            value: Secret::new(self.access_token.clone()?),
            ends_at: self.ends_at?,
        })
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Try again, after this time if it is given.
    Later(String, Option<Duration>),
    /// A person must act.
    Refused(String),
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unreachable(reason) => Self::Later(format!("renewing the token: {reason}"), None),
            SendError::Forbidden(reason) => Self::Refused(reason),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::Later(format!("the token could not be kept: {error}"), None)
    }
}

impl From<Failure> for AttemptResult {
    fn from(failure: Failure) -> Self {
        match failure {
            // Nobody can be sent anything without a token, so no delivery spends an attempt.
            Failure::Later(reason, after) => Outcome::Busy { reason, after },
            Failure::Refused(reason) => Outcome::Halt { reason },
        }
        .into()
    }
}

impl From<Failure> for CheckError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later(reason, _) => Self::Unavailable(reason),
            Failure::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// Stands for the token in requests that are only shown.
pub fn placeholder() -> HeaderValue {
    let mut value = HeaderValue::from_static("Bearer ***");
    value.set_sensitive(true);
    value
}

impl Access {
    pub fn new(
        name: Arc<str>,
        settings: Settings,
        client: Client,
        clock: Arc<dyn Clock>,
        vault: Arc<dyn Vault>,
    ) -> Self {
        Self(Arc::new(Credential {
            name,
            settings,
            client,
            clock,
            vault,
            state: Mutex::default(),
        }))
    }

    /// A token for the next request. `rejected` is one that the vendor did not accept: it is not returned again. Safe to
    /// drop at any time.
    pub async fn token(&self, rejected: Option<&Secret>) -> Result<Secret, Failure> {
        if let Ok(state) = self.0.state.try_lock()
            && state.unsaved.is_none()
            && let Some(token) = &state.token
            && token.is_good(self.0.clock.now(), rejected)
        {
            return Ok(token.value.clone());
        }
        let (credential, rejected) = (Arc::clone(&self.0), rejected.cloned());
        // A renewal that has begun is finished even if the delivery that needs it is given up: the response may hold the
        // only refresh token that is still good.
        let renewal = tokio::spawn(async move { credential.token(rejected.as_ref()).await });
        renewal
            .await
            .unwrap_or_else(|_| Err(Failure::Later("renewing the token failed".to_owned(), None)))
    }

    /// Puts a token into the headers of a request.
    pub fn authorize(headers: &mut HeaderMap, token: &Secret) -> Result<(), Failure> {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
        let mut value =
            value.map_err(|_| Failure::Refused("the token does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl Credential {
    async fn token(&self, rejected: Option<&Secret>) -> Result<Secret, Failure> {
        let mut state = self.state.lock().await;
        if let Some((version, sealed)) = &state.unsaved {
            self.vault
                .replace(&self.name, *version, &sealed.secret()?)
                .await?;
            state.unsaved = None;
        }
        if let Some(token) = &state.token
            && token.is_good(self.clock.now(), rejected)
        {
            return Ok(token.value.clone());
        }
        state.token = None;
        let renewed = match &self.settings.grant {
            Grant::Refresh { app, first } => {
                self.refresh(app, first.as_ref(), rejected, &mut state.unsaved)
                    .await?
            }
            grant => {
                let request = grant.request(&self.settings.token_url, self.clock.now())?;
                self.ask(&request).await?.0
            }
        };
        let value = renewed.value.clone();
        state.token = Some(renewed);
        Ok(value)
    }

    /// Renews by the refresh token in the vault, or by the first one of the configuration.
    async fn refresh(
        &self,
        app: &App,
        first: Option<&Secret>,
        rejected: Option<&Secret>,
        unsaved: &mut Option<(u64, Sealed)>,
    ) -> Result<Token, Failure> {
        let now = self.clock.now();
        let kept = self.vault.read(&self.name).await?;
        let (mut sealed, version) = if let Some(kept) = &kept {
            (Sealed::read(kept)?, kept.version)
        } else {
            let first = first.ok_or_else(|| {
                Failure::Refused(format!(
                    "nobody has signed in yet: run `causeway connect {}`",
                    self.name
                ))
            })?;
            let sealed = Sealed {
                refresh_token: first.reveal().to_owned(),
                ..Sealed::default()
            };
            (sealed, 0)
        };
        // Another process may have renewed it meanwhile.
        if let Some(token) = sealed.token().filter(|token| token.is_good(now, rejected)) {
            return Ok(token);
        }
        if sealed.renewing_until.is_some_and(|until| until > now) {
            return Err(Failure::Later(
                "another process renews the token".to_owned(),
                Some(Duration::from_secs(2)),
            ));
        }
        let until = now.saturating_add(RENEWING).unwrap_or(now);
        sealed.renewing_until = Some(until);
        sealed.access_token = None;
        if !self.vault.replace(&self.name, version, &sealed.secret()?).await? {
            return Err(Failure::Later(
                "another process renews the token".to_owned(),
                Some(Duration::from_secs(2)),
            ));
        }
        let form = vec![
            ("grant_type".to_owned(), Secret::new("refresh_token")),
            (
                "refresh_token".to_owned(),
                Secret::new(sealed.refresh_token.clone()),
            ),
        ];
        let request = grant::request(&self.settings.token_url, &form, Some(app))?;
        let answered = self.ask(&request).await;
        sealed.renewing_until = None;
        let (token, refresh_token) = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                // The old token may still be good.
                self.vault
                    .replace(&self.name, version + 1, &sealed.secret()?)
                    .await?;
                return Err(failure);
            }
        };
        if let Some(next) = refresh_token {
            sealed.refresh_token = next;
        }
        sealed.access_token = Some(token.value.reveal().to_owned());
        sealed.ends_at = Some(token.ends_at);
        let secret = sealed.secret()?;
        *unsaved = Some((version + 1, sealed));
        // If it was replaced meanwhile, somebody signed in anew, and that counts.
        self.vault.replace(&self.name, version + 1, &secret).await?;
        *unsaved = None;
        Ok(token)
    }

    /// Asks for a token. Returns it, and the next refresh token if there is one.
    async fn ask(&self, request: &HttpRequest) -> Result<(Token, Option<String>), Failure> {
        let answer = self.client.send(request).await?;
        let now = self.clock.now();
        let granted = response::read(&answer, now, &self.name)?;
        let life = granted.life.unwrap_or(USUAL_LIFE);
        let token = Token {
            value: granted.access_token,
            ends_at: now.saturating_add(life).unwrap_or(now),
        };
        Ok((token, granted.refresh_token))
    }
}
