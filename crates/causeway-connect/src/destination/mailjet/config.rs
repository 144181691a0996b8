//! The keys of a destination at Mailjet, read and checked.

use std::time::Duration;

use causeway_core::mapping::Tables;
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Limit,
    destination::fields::Fields,
    http::{Options, read_header, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The API key, under Account settings > API key management.
    api_key: SecretRef,
    /// The secret key that belongs to it.
    secret_key: SecretRef,
    /// The number of the contact list for the destination's purpose. Without it opt-outs exclude the person from all
    /// campaigns, and opt-ins are not written.
    list: Option<u64>,
    /// Contact property = where its value comes from. Default: firstname, name and country.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Calls in a second. Default 5.
    #[serde(default = "five")]
    calls_per_s: u32,
    /// The version of Mailjet's API. Default v3.
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

fn five() -> u32 {
    5
}

fn version() -> String {
    "v3".to_owned()
}

fn base_url() -> String {
    "https://api.mailjet.com".to_owned()
}

/// The mapping without `fields`: the properties that each account has from the start.
const FIELDS: &str = r#"
firstname = "contact.firstName"
name = "contact.lastName"
country = "contact.country"
"#;

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub api_version: String,
    pub list: Option<u64>,
    pub fields: Fields,
    pub limit: Limit,
    pub options: Options,
    api_key: SecretRef,
    secret_key: SecretRef,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.list == Some(0) {
            return Err(ConfigError::new("list", "0 is not the number of a list")
                .hint("it is the number in the address of the list's page"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        let digits = config.api_version.strip_prefix('v').unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                ConfigError::new("api_version", "is not a version of Mailjet's API")
                    .hint("api_version = \"v3\""),
            );
        }
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        // Mailjet's names are in small letters, and it passes over any other.
        if let Some(name) = fields.keys().find(|name| name.to_lowercase() != **name) {
            return Err(ConfigError::new(
                &format!("fields.{name}"),
                "Mailjet's properties are in small letters",
            )
            .hint(format!("write {}", name.to_lowercase())));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        Ok(Self {
            base,
            api_version: config.api_version,
            list: config.list,
            fields: Fields::read("fields", &fields, tables)?,
            limit: Limit {
                calls: config.calls_per_s,
                per: Duration::from_secs(1),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            api_key: config.api_key,
            secret_key: config.secret_key,
        })
    }

    /// The headers of each request. Reads the secrets.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let key = self.api_key.resolve("api_key", &context.dir)?;
        let secret = self.secret_key.resolve("secret_key", &context.dir)?;
        let pair = format!("{}:{}", key.reveal().trim(), secret.reveal().trim());
        let basic = format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let basic = read_header("secret_key", AUTHORIZATION.as_str(), &basic, true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([basic, (CONTENT_TYPE, json)]))
    }
}
