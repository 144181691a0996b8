//! The keys of an Action Network destination, read and checked.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::mapping::Tables;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
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
    /// The API key of the group.
    api_key: SecretRef,
    /// Tags that each person gets: `=supporter` is a fixed name, `campaign.name` a value.
    #[serde(default)]
    tags: Vec<String>,
    /// Field of the person = where its value comes from. Default: names, language and address.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The page on which actions are stored. Default: none.
    action: Option<ActionConfig>,
    /// The system that identifiers begin with. Default `causeway`.
    #[serde(default = "system")]
    system: String,
    /// Calls in 10 seconds. Default 35; Action Network allows 4 in a second.
    #[serde(default = "calls")]
    calls_per_10_s: u32,
    /// The version of the API. Default `v2`.
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionConfig {
    /// What kind of page it is.
    on: Page,
    /// Its id: a fixed text with a leading `=`, or a value such as `settings.form`.
    id: String,
    /// Whether Action Network sends the page's thank-you mail. Default false.
    #[serde(default)]
    autoresponse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Page {
    Form,
    Petition,
    Letter,
    Event,
}

impl Page {
    /// The path of the page, and that of what people do there.
    pub fn paths(self) -> (&'static str, &'static str) {
        match self {
            Self::Form => ("forms", "submissions"),
            Self::Petition => ("petitions", "signatures"),
            Self::Letter => ("advocacy_campaigns", "outreaches"),
            Self::Event => ("events", "attendances"),
        }
    }
}

fn system() -> String {
    "causeway".to_owned()
}

fn calls() -> u32 {
    35
}

fn version() -> String {
    "v2".to_owned()
}

fn base_url() -> String {
    "https://actionnetwork.org".to_owned()
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
given_name = "contact.firstName"
family_name = "contact.lastName"
language = "page.locale"
street = "contact.street"
locality = "contact.locality"
postal_code = "contact.postcode"
country = "contact.country"
"#;

/// Names of `fields` that are no custom fields.
pub(super) const OWN: [&str; 9] = [
    "given_name",
    "family_name",
    "language",
    "street",
    "locality",
    "region",
    "postal_code",
    "country",
    "phone",
];

/// The keys, without the secret.
pub(super) struct Settings {
    pub base: Url,
    pub version: String,
    pub tags: Option<Fields>,
    pub fields: Fields,
    pub action: Option<Action>,
    pub system: String,
    pub limit: Limit,
    pub options: Options,
    api_key: SecretRef,
}

pub(super) struct Action {
    pub page: Page,
    /// Its only name is `id`.
    pub id: Fields,
    /// The id, if it is the same for all.
    pub fixed: Option<String>,
    pub autoresponse: bool,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.calls_per_10_s == 0 {
            return Err(ConfigError::new("calls_per_10_s", "0 would send nothing"));
        }
        let is_plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !is_plain(&config.system) {
            let error = ConfigError::new(
                "system",
                format!("{:?} cannot begin an identifier", config.system),
            );
            return Err(error.hint("use letters, digits and underscores"));
        }
        if !is_plain(&config.api_version) {
            return Err(ConfigError::new("api_version", "write it like \"v2\""));
        }
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        let tags: toml::Table = config
            .tags
            .iter()
            .enumerate()
            .map(|(at, tag)| (at.to_string(), tag.as_str().into()))
            .collect();
        let tags = (!tags.is_empty())
            .then(|| Fields::read("tags", &tags, tables))
            .transpose()?;
        let action = config.action.map(|action| action.read(tables)).transpose()?;
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        Ok(Self {
            base,
            version: config.api_version,
            tags,
            fields: Fields::read("fields", &fields, tables)?,
            action,
            system: config.system,
            limit: Limit {
                calls: config.calls_per_10_s,
                per: Duration::from_secs(10),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            api_key: config.api_key,
        })
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let key = self.api_key.resolve("api_key", &context.dir)?;
        let token = read_header("api_key", "osdi-api-token", key.reveal(), true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([token, (CONTENT_TYPE, json)]))
    }

    /// Names of custom fields.
    pub fn custom(&self) -> Vec<String> {
        let names = self.fields.names().filter(|name| !OWN.contains(name));
        names.map(str::to_owned).collect()
    }
}

impl ActionConfig {
    fn read(self, tables: &Tables) -> Result<Action, ConfigError> {
        let table = toml::Table::from_iter([("id".to_owned(), self.id.as_str().into())]);
        Ok(Action {
            page: self.on,
            id: Fields::read("action", &table, tables)?,
            fixed: self.id.strip_prefix('=').map(str::to_owned),
            autoresponse: self.autoresponse,
        })
    }
}
