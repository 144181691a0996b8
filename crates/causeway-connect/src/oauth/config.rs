//! The table `oauth` of a destination.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{App, Grant, Settings, SignIn};
use crate::{
    config::{ConfigError, Context, SecretRef},
    http::read_url,
};

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ client_id = \"…\", client_secret = { env = \"NAME\" } }"
)]
pub struct Config {
    /// The id of the app that you registered at the vendor.
    pub client_id: String,
    pub client_secret: Option<SecretRef>,
    /// `client_credentials` (default), or `refresh_token` after `causeway connect NAME`.
    #[serde(default)]
    pub grant: GrantName,
    /// A first refresh token, if you have one already.
    pub refresh_token: Option<SecretRef>,
    /// What the token may do, in the vendor's words.
    pub scope: Option<String>,
    /// Where tokens come from.
    pub token_url: Option<String>,
    /// Where a person signs in, for `causeway connect`.
    pub authorize_url: Option<String>,
    /// Sends id and secret as Basic authentication, not in the form.
    pub basic: Option<bool>,
    /// Further members of the request for a token, such as `audience`.
    #[serde(default)]
    pub more: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantName {
    #[default]
    ClientCredentials,
    RefreshToken,
}

/// What a vendor's documents say, for keys that the table leaves out.
#[derive(Clone, Default)]
pub struct Defaults {
    pub token_url: Option<Url>,
    pub authorize_url: Option<Url>,
    pub scope: Option<String>,
    /// Whether the vendor wants id and secret as Basic authentication.
    pub basic: bool,
    /// Further parameters of the address where a person signs in.
    pub sign_in: Vec<(&'static str, &'static str)>,
}

impl Config {
    /// Checks the table without reading secrets.
    pub fn check(&self, defaults: &Defaults, allow_private: bool) -> Result<(), ConfigError> {
        self.token_url(defaults, allow_private)?;
        if self.client_id.trim().is_empty() {
            return Err(ConfigError::new("oauth.client_id", "is empty"));
        }
        if self.grant == GrantName::ClientCredentials && self.client_secret.is_none() {
            return Err(ConfigError::new("oauth.client_secret", "is missing")
                .hint("client_secret = { env = \"NAME\" }"));
        }
        if let Some(url) = &self.authorize_url {
            read_url("oauth.authorize_url", url, allow_private, false)?;
        }
        Ok(())
    }

    fn token_url(&self, defaults: &Defaults, allow_private: bool) -> Result<Url, ConfigError> {
        match (&self.token_url, &defaults.token_url) {
            (Some(url), _) => read_url("oauth.token_url", url, allow_private, false),
            (None, Some(url)) => Ok(url.clone()),
            (None, None) => Err(ConfigError::new("oauth.token_url", "is missing")
                .hint("the vendor's documents name it: token_url = \"https://…/oauth/token\"")),
        }
    }

    fn app(&self, defaults: &Defaults, context: &Context) -> Result<App, ConfigError> {
        let secret = self.client_secret.as_ref();
        Ok(App {
            id: self.client_id.clone(),
            secret: secret
                .map(|secret| secret.resolve("oauth.client_secret", &context.dir))
                .transpose()?,
            in_header: self.basic.unwrap_or(defaults.basic),
        })
    }

    /// Reads the secrets.
    pub fn settings(
        &self,
        defaults: &Defaults,
        context: &Context,
        allow_private: bool,
    ) -> Result<Settings, ConfigError> {
        let app = self.app(defaults, context)?;
        let grant = match self.grant {
            GrantName::ClientCredentials => Grant::ClientCredentials {
                app,
                scope: self.scope.clone().or_else(|| defaults.scope.clone()),
                more: self.more.clone().into_iter().collect(),
            },
            GrantName::RefreshToken => Grant::Refresh {
                app,
                first: match &self.refresh_token {
                    Some(secret) => Some(secret.resolve("oauth.refresh_token", &context.dir)?),
                    None => None,
                },
            },
        };
        Ok(Settings {
            token_url: self.token_url(defaults, allow_private)?,
            grant,
        })
    }

    /// For `causeway connect`. Reads the secrets.
    pub fn sign_in(
        &self,
        defaults: &Defaults,
        context: &Context,
        allow_private: bool,
    ) -> Result<SignIn, ConfigError> {
        if self.grant != GrantName::RefreshToken {
            return Err(ConfigError::new(
                "oauth.grant",
                "this destination signs in by its app alone: nobody has to",
            )
            .hint("to sign in as a person: grant = \"refresh_token\""));
        }
        let authorize_url = match (&self.authorize_url, &defaults.authorize_url) {
            (Some(url), _) => read_url("oauth.authorize_url", url, allow_private, false)?,
            (None, Some(url)) => url.clone(),
            (None, None) => {
                return Err(ConfigError::new("oauth.authorize_url", "is missing")
                    .hint("the vendor's documents name it: authorize_url = \"https://…/oauth/authorize\""));
            }
        };
        Ok(SignIn {
            authorize_url,
            token_url: self.token_url(defaults, allow_private)?,
            app: self.app(defaults, context)?,
            scope: self.scope.clone().or_else(|| defaults.scope.clone()),
            more: defaults.sign_in.clone(),
        })
    }
}
