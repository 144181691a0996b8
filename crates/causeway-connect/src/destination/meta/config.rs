//! The keys of a destination at Meta, read and checked.

use causeway_core::mapping::{Scope, Tables, omission::Omissions};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    destination::fields::Fields,
    http::{Options, read_header, read_url},
};

/// The version of the API that this connector was written for.
const VERSION: &str = "v26.0";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The token of a system user that is assigned to the ad account, with the permission `ads_management`.
    token: SecretRef,
    /// The secret of the app, for `appsecret_proof`. Needed only if the app requires the proof.
    app_secret: Option<SecretRef>,
    /// The number of the custom audience.
    audience: u64,
    /// What identifies a person: `EMAIL`, `PHONE`, `FN`, `LN`, `CT`, `ZIP` and `COUNTRY`. Default `EMAIL`.
    #[serde(default = "email")]
    keys: Vec<Key>,
    /// The version of Meta's API. Default v26.0.
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

/// An identifier, by Meta's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Key {
    #[serde(rename = "EMAIL")]
    Email,
    #[serde(rename = "PHONE")]
    Phone,
    #[serde(rename = "FN")]
    FirstName,
    #[serde(rename = "LN")]
    LastName,
    #[serde(rename = "CT")]
    City,
    #[serde(rename = "ZIP")]
    Postcode,
    #[serde(rename = "COUNTRY")]
    Country,
}

impl Key {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::FirstName => "FN",
            Self::LastName => "LN",
            Self::City => "CT",
            Self::Postcode => "ZIP",
            Self::Country => "COUNTRY",
        }
    }

    /// Whether the key names a person by itself, at every later time.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Email)
    }

    /// The field, and how it gets its usual form.
    fn path(self) -> &'static str {
        match self {
            Self::Email => "contact.email",
            Self::Phone => "contact.phone | phone(default=none)",
            Self::FirstName => "contact.firstName",
            Self::LastName => "contact.lastName",
            Self::City => "contact.locality",
            Self::Postcode => "contact.postcode",
            Self::Country => "contact.country | country(default=none)",
        }
    }
}

fn email() -> Vec<Key> {
    vec![Key::Email]
}

fn version() -> String {
    VERSION.to_owned()
}

fn base_url() -> String {
    "https://graph.facebook.com".to_owned()
}

/// A value of the contact.
pub(super) struct Column(Fields);

impl Column {
    fn new(key: Key, tables: &Tables) -> Result<Self, ConfigError> {
        let table = toml::Table::from_iter([(key.as_str().to_owned(), key.path().into())]);
        Fields::read("keys", &table, tables).map(Self)
    }

    /// The value as text; empty if the contact has none. A value that cannot be read does not stop a delivery.
    pub fn text(&self, scope: &Scope, omissions: &mut Omissions) -> String {
        let values = self.0.apply(scope, omissions).unwrap_or_default();
        match values.into_iter().next() {
            Some((_, Value::String(text))) => text,
            Some((_, Value::Number(number))) => number.to_string(),
            _ => String::new(),
        }
    }
}

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub version: String,
    pub audience: u64,
    /// In the order of the schema.
    pub columns: Vec<(Key, Column)>,
    /// The rules for postcodes depend on it.
    pub country: Column,
    pub options: Options,
    token: SecretRef,
    app_secret: Option<SecretRef>,
}

/// What proves to Meta who calls.
pub(super) struct Access {
    pub headers: HeaderMap,
    pub proof: Option<String>,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.audience == 0 {
            return Err(ConfigError::new("audience", "0 is not the number of an audience")
                .hint("it is in the audience's details in Ads Manager: audience = 120330000000000001"));
        }
        for (at, key) in config.keys.iter().enumerate() {
            if config.keys.iter().take(at).any(|earlier| earlier == key) {
                return Err(ConfigError::new(
                    "keys",
                    format!("{} is there twice", key.as_str()),
                ));
            }
        }
        // A withdrawal and an erasure always know the address, and nothing else for sure.
        if !config.keys.contains(&Key::Email) {
            return Err(ConfigError::new("keys", "without EMAIL nobody could be removed")
                .hint("keys = [\"EMAIL\", \"COUNTRY\"]"));
        }
        if !is_version(&config.api_version) {
            let error = ConfigError::new("api_version", "not a version of Meta's API");
            return Err(error.hint(format!("api_version = {VERSION:?}")));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        let columns = config.keys.iter();
        let columns: Result<Vec<_>, ConfigError> = columns
            .map(|key| Ok((*key, Column::new(*key, tables)?)))
            .collect();
        Ok(Self {
            base,
            version: config.api_version,
            audience: config.audience,
            columns: columns?,
            country: Column::new(Key::Country, tables)?,
            options: Options {
                allow_private: config.allow_private,
                ..Options::default()
            },
            token: config.token,
            app_secret: config.app_secret,
        })
    }

    /// What `config check` remarks.
    pub fn warnings(&self) -> Vec<String> {
        let others = self.columns.iter().map(|(key, _)| *key);
        let others: Vec<&str> = others
            .filter(|key| !matches!(key, Key::Email | Key::Country))
            .map(Key::as_str)
            .collect();
        if others.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "people are removed by their address. If Meta found somebody by {} only, a removal after that value changed, or \
             after an erasure, may miss them",
            others.join(", ")
        )]
    }

    /// Reads the secrets.
    pub fn access(&self, context: &Context) -> Result<Access, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let bearer = format!("Bearer {}", token.reveal());
        let (_, bearer) = read_header("token", AUTHORIZATION.as_str(), &bearer, true)?;
        let json = HeaderValue::from_static("application/json");
        let proof = match &self.app_secret {
            Some(secret) => {
                let secret = secret.resolve("app_secret", &context.dir)?;
                Some(proof(secret.reveal(), token.reveal())?)
            }
            None => None,
        };
        Ok(Access {
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer), (CONTENT_TYPE, json)]),
            proof,
        })
    }
}

/// Proves that the caller of a token knows the secret of its app.
pub(super) fn proof(secret: &str, token: &str) -> Result<String, ConfigError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|error| ConfigError::new("app_secret", error.to_string()))?;
    mac.update(token.as_bytes());
    Ok(HEXLOWER.encode(&mac.finalize().into_bytes()))
}

/// `v26.0`
fn is_version(text: &str) -> bool {
    let numbers = text.strip_prefix('v').and_then(|numbers| numbers.split_once('.'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}
