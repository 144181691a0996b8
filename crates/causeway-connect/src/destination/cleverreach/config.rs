//! The keys of a destination at CleverReach, read and checked.

use std::time::Duration;

use causeway_core::mapping::Tables;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::{Credential, Limit},
    destination::{Needs, fields::Fields},
    http::{Options, read_url},
    oauth::{self, Defaults},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The OAuth app of your account (Account > Extras > REST API).
    oauth: Option<oauth::Config>,
    /// In place of an app: an access token of it, which ends after a year.
    token: Option<SecretRef>,
    /// The number of the group (recipient list) for the destination's purpose.
    group: u64,
    /// What a bounce, a block or a complaint becomes: `deactivate` in the group, or also an entry of the `blacklist`.
    #[serde(default)]
    on_suppress: OnSuppress,
    /// Tags that each receiver gets: names with `=`, or where they come from.
    #[schemars(with = "Vec<serde_json::Value>")]
    #[serde(default)]
    tags: Vec<toml::Value>,
    /// Attribute of all groups = where its value comes from. Default: names, postcode and country.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Attribute of this group = where its value comes from. Default: none.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    group_fields: Option<toml::Table>,
    /// Calls in a second. Default 10.
    #[serde(default = "ten")]
    calls_per_s: u32,
    /// The version of CleverReach's API. Default v3.
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnSuppress {
    #[default]
    Deactivate,
    Blacklist,
}

fn ten() -> u32 {
    10
}

fn version() -> String {
    "v3".to_owned()
}

fn base_url() -> String {
    "https://rest.cleverreach.com".to_owned()
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
firstname = "contact.firstName"
lastname = "contact.lastName"
zip = "contact.postcode"
country = "contact.country"
"#;

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub api_version: String,
    pub group: u64,
    pub on_suppress: OnSuppress,
    pub tags: Option<Fields>,
    pub fields: Fields,
    pub group_fields: Option<Fields>,
    pub limit: Limit,
    pub options: Options,
    pub credential: Credential,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.group == 0 {
            return Err(ConfigError::new("group", "0 is not the number of a group")
                .hint("it is the number in the address of the list's page"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        let digits = config.api_version.strip_prefix('v').unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                ConfigError::new("api_version", "is not a version of CleverReach's API")
                    .hint("api_version = \"v3\""),
            );
        }
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        let group_fields = config
            .group_fields
            .map(|table| attributes("group_fields", &table, tables));
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        let defaults = defaults(&base);
        Ok(Self {
            base,
            api_version: config.api_version,
            group: config.group,
            on_suppress: config.on_suppress,
            tags: Fields::list("tags", config.tags, tables)?,
            fields: attributes("fields", &fields, tables)?,
            group_fields: group_fields.transpose()?,
            limit: Limit {
                calls: config.calls_per_s,
                per: Duration::from_secs(1),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 4 << 20,
                ..Options::default()
            },
            credential: Credential::read(config.token, config.oauth, defaults, config.allow_private)?,
        })
    }

    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.needs();
        let more = self.tags.iter().chain(&self.group_fields);
        for other in more.map(Fields::needs) {
            needs.history |= other.history;
            needs.warnings.extend(other.warnings);
        }
        needs
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::new();
        self.credential.authorize(&mut headers, context)?;
        headers.insert(ACCEPT, json.clone());
        headers.insert(CONTENT_TYPE, json);
        Ok(headers)
    }
}

/// Where tokens come from, and where a person signs in.
fn defaults(base: &Url) -> Defaults {
    let at = |path: &str| {
        let mut url = base.clone();
        url.set_path(path);
        Some(url)
    };
    Defaults {
        token_url: at("oauth/token.php"),
        authorize_url: at("oauth/authorize.php"),
        sign_in: vec![("grant", "basic")],
        ..Defaults::default()
    }
}

/// CleverReach's names are in small letters, and it passes over any other.
fn attributes(key: &str, table: &toml::Table, tables: &Tables) -> Result<Fields, ConfigError> {
    if let Some(name) = table.keys().find(|name| name.to_lowercase() != **name) {
        let error = ConfigError::new(
            &format!("{key}.{name}"),
            "CleverReach's attributes are in small letters",
        );
        return Err(error.hint(format!("write {}", name.to_lowercase())));
    }
    Fields::read(key, table, tables)
}
