//! How a request shows who sends it: `auth`.

use causeway_core::{clock::Timestamp, secret::Secret};
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    hmac::{HmacConfig, Signer},
    plan::Resolve,
};
use crate::{
    config::{ConfigError, SecretRef},
    http::{HttpRequest, read_header},
};

/// Exactly one of them.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ bearer = … }, { basic = { user = …, password = … } }, { query = … } or { hmac = … }"
)]
pub(super) struct Auth {
    pub basic: Option<Basic>,
    pub bearer: Option<SecretRef>,
    /// A header with a secret, such as `X-Api-Key`.
    pub header: Option<Named>,
    /// A secret in the query of the address.
    pub query: Option<Named>,
    /// A digest of the request and the time, made with a shared secret.
    pub hmac: Option<HmacConfig>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ user = …, password = … }")]
pub(super) struct Basic {
    pub user: String,
    pub password: SecretRef,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ name = …, value = { env = … } }")]
pub(super) struct Named {
    pub name: String,
    pub value: SecretRef,
}

/// What is added to each request.
pub(super) enum Credentials {
    None,
    Header(HeaderName, HeaderValue),
    Query(String, Secret),
    Hmac(Box<Signer>),
}

impl Credentials {
    pub fn read(auth: Option<&Auth>, resolve: Resolve<'_>) -> Result<Self, ConfigError> {
        let Some(auth) = auth else {
            return Ok(Self::None);
        };
        match (&auth.basic, &auth.bearer, &auth.header, &auth.query, &auth.hmac) {
            (Some(user), None, None, None, None) => basic(user, resolve),
            (None, Some(token), None, None, None) => bearer(token, resolve),
            (None, None, Some(header), None, None) => {
                let text = resolve("auth.header.value", &header.value, "stand-in")?;
                let (name, value) = read_header("auth.header", &header.name, text.reveal(), true)?;
                Ok(Self::Header(name, value))
            }
            (None, None, None, Some(query), None) => {
                let text = resolve("auth.query.value", &query.value, "stand-in")?;
                if query.name.trim().is_empty() {
                    return Err(ConfigError::new("auth.query.name", "is empty"));
                }
                Ok(Self::Query(query.name.clone(), text))
            }
            (None, None, None, None, Some(hmac)) => Signer::read(hmac, resolve).map(Box::new).map(Self::Hmac),
            _ => Err(ConfigError::new(
                "auth",
                "needs exactly one of `basic`, `bearer`, `header`, `query` and `hmac`",
            )),
        }
    }

    /// Completes the request. With `masked`, a secret in the address is replaced by `***`, because a preview
    /// shows addresses.
    pub fn apply(
        &self,
        request: &mut HttpRequest,
        key: &str,
        now: Timestamp,
        masked: bool,
    ) -> Result<(), String> {
        match self {
            Self::None => {}
            Self::Header(name, value) => {
                request.headers.insert(name.clone(), value.clone());
            }
            Self::Query(name, value) => {
                let value = if masked { "***" } else { value.reveal() };
                request.url.query_pairs_mut().append_pair(name, value);
            }
            Self::Hmac(signer) => signer.sign(request, key, now)?,
        }
        Ok(())
    }
}

impl Credentials {
    /// A text with an address in which the secret is replaced.
    pub fn mask(&self, text: String) -> String {
        match self {
            Self::Query(name, value) => {
                let pair = |value: &str| {
                    form_urlencoded::Serializer::new(String::new())
                        .append_pair(name, value)
                        .finish()
                };
                text.replace(&pair(value.reveal()), &pair("***"))
            }
            Self::None | Self::Header(..) | Self::Hmac(_) => text,
        }
    }
}

fn basic(basic: &Basic, resolve: Resolve<'_>) -> Result<Credentials, ConfigError> {
    let password = resolve("auth.basic.password", &basic.password, "stand-in")?;
    if basic.user.contains(':') {
        return Err(ConfigError::new(
            "auth.basic.user",
            "a user name may not contain a colon",
        ));
    }
    let pair = format!("{}:{}", basic.user, password.reveal());
    let text = format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let (name, value) = read_header("auth.basic", AUTHORIZATION.as_str(), &text, true)?;
    Ok(Credentials::Header(name, value))
}

fn bearer(bearer: &SecretRef, resolve: Resolve<'_>) -> Result<Credentials, ConfigError> {
    let token = resolve("auth.bearer", bearer, "stand-in")?;
    if token.reveal().is_empty() {
        return Err(ConfigError::new(
            "auth.bearer",
            "is empty: leave `auth` out if the receiver asks for none",
        ));
    }
    let text = format!("Bearer {}", token.reveal());
    let (name, value) = read_header("auth.bearer", AUTHORIZATION.as_str(), &text, true)?;
    Ok(Credentials::Header(name, value))
}
