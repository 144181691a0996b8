//! The keys `token` and `oauth`, which connectors have in common.

use causeway_core::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use crate::{
    config::{ConfigError, Context, SecretRef},
    http::{Client, read_header},
    oauth::{self, Access, Defaults, SignIn},
};

/// A token that does not change, or an app that gets its tokens itself.
pub enum Credential {
    Token(SecretRef),
    App(Box<oauth::Config>, Defaults),
}

impl Credential {
    /// Exactly one of the keys must be there.
    pub fn read(
        token: Option<SecretRef>,
        app: Option<oauth::Config>,
        defaults: Defaults,
        allow_private: bool,
    ) -> Result<Self, ConfigError> {
        match (token, app) {
            (Some(token), None) => Ok(Self::Token(token)),
            (None, Some(app)) => {
                app.check(&defaults, allow_private)?;
                Ok(Self::App(Box::new(app), defaults))
            }
            (Some(_), Some(_)) => {
                Err(ConfigError::new("oauth", "there is a `token`, too").hint("remove one of them"))
            }
            (None, None) => {
                Err(ConfigError::new("token", "is missing")
                    .hint("token = { env = \"NAME\" }, or oauth = { … }"))
            }
        }
    }

    /// Puts the token into the headers; of an app, what stands for it until the call.
    pub fn authorize(&self, headers: &mut HeaderMap, context: &Context) -> Result<(), ConfigError> {
        let value = match self {
            Self::Token(token) => {
                let token: Secret = token.resolve("token", &context.dir)?;
                let bearer = format!("Bearer {}", token.reveal());
                read_header("token", AUTHORIZATION.as_str(), &bearer, true)?.1
            }
            Self::App(..) => oauth::placeholder(),
        };
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// What gets the tokens of an app. Reads its secrets.
    pub fn access(
        &self,
        context: &Context,
        client: &Client,
        allow_private: bool,
    ) -> Result<Option<Access>, ConfigError> {
        let Self::App(app, defaults) = self else {
            return Ok(None);
        };
        let settings = app.settings(defaults, context, allow_private)?;
        Ok(Some(Access::new(
            context.name.clone(),
            settings,
            client.clone(),
            context.clock.clone(),
            context.vault.clone(),
        )))
    }

    /// For `causeway connect`.
    pub fn sign_in(&self, context: &Context, allow_private: bool) -> Result<SignIn, ConfigError> {
        match self {
            Self::Token(_) => Err(ConfigError::new(
                "token",
                "the destination has a token that does not change: nobody has to sign in",
            )
            .hint("to sign in as a person, write oauth = { client_id = \"…\", grant = \"refresh_token\" } instead")),
            Self::App(app, defaults) => app.sign_in(defaults, context, allow_private),
        }
    }
}
