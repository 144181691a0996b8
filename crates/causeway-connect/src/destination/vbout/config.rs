//! The keys of a VBOUT destination, read and checked.

use std::time::Duration;

use causeway_core::{mapping::Tables, secret::Secret};
use jiff::tz::TimeZone;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Limit,
    destination::{Needs, fields::Fields},
    http::{Options, read_url},
};

/// The calls in a second that VBOUT allows an account.
const MOST_CALLS: u32 = 15;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// A user key or an application key, under Settings > API integration.
    api_key: SecretRef,
    /// The number of the list for the destination's purpose.
    list: u64,
    /// The listeners to which automations of this account send their contacts.
    #[serde(default)]
    own_sources: Vec<String>,
    /// Number of a custom field of the list = where its value comes from. Default: none, because each list has
    /// numbers of its own.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Tags that each person gets: names with `=`, or where they come from.
    #[schemars(with = "Vec<serde_json::Value>")]
    #[serde(default)]
    tags: Vec<toml::Value>,
    /// The text of the activity that an action becomes on the contact's timeline. "" for none.
    #[serde(default = "activity")]
    activity: String,
    /// The status of a person who opted out. Default "Disactive".
    #[serde(default = "disactive")]
    opt_out_status: String,
    /// The status of an address that bounced or whose owner complained. Default: `opt_out_status`.
    suppress_status: Option<String>,
    /// The time zone of the account. Default "UTC".
    #[serde(default = "utc")]
    time_zone: String,
    /// Calls in a second. Default 10.
    #[serde(default = "ten")]
    calls_per_s: u32,
    /// The version of VBOUT's API. Default "1".
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

fn activity() -> String {
    "{{ action.type }}{% if campaign %}: {{ coalesce(campaign.title, campaign.name) }}{% endif %}".to_owned()
}

fn disactive() -> String {
    "Disactive".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn ten() -> u32 {
    10
}

fn version() -> String {
    "1".to_owned()
}

fn base_url() -> String {
    "https://api.vbout.com".to_owned()
}

/// The keys, without the secret.
pub(super) struct Settings {
    /// With the version at its end.
    pub base: Url,
    pub list: u64,
    pub own_sources: Vec<String>,
    pub fields: Option<Fields>,
    pub tags: Option<Fields>,
    pub activity: Option<Fields>,
    pub opt_out_status: String,
    pub suppress_status: String,
    pub zone: TimeZone,
    pub limit: Limit,
    pub options: Options,
    api_key: SecretRef,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.list == 0 {
            return Err(ConfigError::new("list", "0 is not the number of a list")
                .hint("it is the number in the address of the list's page"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        if config.api_version.is_empty() || !config.api_version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ConfigError::new("api_version", "is not a version of VBOUT's API")
                .hint("api_version = \"1\""));
        }
        let suppress_status = config
            .suppress_status
            .unwrap_or_else(|| config.opt_out_status.clone());
        for (key, word) in [
            ("opt_out_status", &config.opt_out_status),
            ("suppress_status", &suppress_status),
        ] {
            check_status(key, word)?;
        }
        let zone = TimeZone::get(&config.time_zone).map_err(|_| {
            ConfigError::new("time_zone", format!("unknown time zone `{}`", config.time_zone))
                .hint("write it like \"Europe/Paris\"")
        })?;
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        let path = format!("{}/{}", base.path().trim_end_matches('/'), config.api_version);
        base.set_path(&path);
        base.set_query(None);
        Ok(Self {
            base,
            list: config.list,
            own_sources: config.own_sources,
            fields: config
                .fields
                .map(|fields| by_number(&fields, tables))
                .transpose()?,
            tags: Fields::list("tags", config.tags, tables)?,
            activity: text_of("activity", config.activity, tables)?,
            opt_out_status: config.opt_out_status,
            suppress_status,
            zone,
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
        })
    }

    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let all = self.fields.iter().chain(&self.tags).chain(&self.activity);
        for more in all.map(Fields::needs) {
            needs.history |= more.history;
            needs.warnings.extend(more.warnings);
        }
        if self.limit.calls > MOST_CALLS {
            needs.warnings.push(format!(
                "`calls_per_s`: VBOUT allows an account {MOST_CALLS} calls in a second, unless it agreed to more"
            ));
        }
        needs
    }

    /// Reads the secret.
    pub fn key(&self, context: &Context) -> Result<Secret, ConfigError> {
        let key = self.api_key.resolve("api_key", &context.dir)?;
        if key.reveal().trim().is_empty() {
            return Err(ConfigError::new("api_key", "is empty"));
        }
        Ok(key)
    }
}

/// The headers of each request. The key is a part of the address.
pub(super) fn headers() -> HeaderMap {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let json = HeaderValue::from_static("application/json");
    HeaderMap::from_iter([(ACCEPT, json), (CONTENT_TYPE, form)])
}

/// An opt-out must never be written as the status of people who are mailed.
fn check_status(key: &str, word: &str) -> Result<(), ConfigError> {
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_active = word == "1" || word.eq_ignore_ascii_case("active");
    if is_word && !is_active {
        return Ok(());
    }
    let error = ConfigError::new(
        key,
        format!("{word:?} is not a status of people who are not mailed"),
    );
    Err(error.hint("write \"Disactive\", \"2\" for unsubscribed, or \"3\" for bounced"))
}

fn by_number(fields: &toml::Table, tables: &Tables) -> Result<Fields, ConfigError> {
    let is_number = |name: &str| name.parse::<u64>().is_ok_and(|number| number > 0);
    if let Some(name) = fields.keys().find(|name| !is_number(name)) {
        let error = ConfigError::new(&format!("fields.{name}"), "is not the number of a field");
        return Err(error.hint("`causeway doctor` lists the numbers of the list's fields"));
    }
    Fields::read("fields", fields, tables)
}

/// A mapping of one text. `None` if it is empty.
fn text_of(key: &str, text: String, tables: &Tables) -> Result<Option<Fields>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Fields::one(key, text, tables).map(Some)
}
