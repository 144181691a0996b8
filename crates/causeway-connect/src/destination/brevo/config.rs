//! The keys of a Brevo destination, read and checked.

use std::{collections::BTreeSet, time::Duration};

use causeway_core::mapping::Tables;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Limit,
    destination::{Needs, fields::Fields},
    http::{Options, read_header, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// An API key (Settings > SMTP & API > API keys).
    token: SecretRef,
    /// Numbers of the lists on which a person who agreed is put.
    lists: Vec<u64>,
    /// More lists for a person who agreed: where their numbers come from, such as a campaign's settings. Default: none.
    #[schemars(with = "Vec<serde_json::Value>")]
    #[serde(default)]
    campaign_lists: Vec<toml::Value>,
    /// What an opt-out does: `block` the contact for all e-mail campaigns, or `unlink` it from `lists`.
    #[serde(default)]
    opt_out: OptOut,
    /// Attribute of the contact = where its value comes from. Default: the names.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The event that an action becomes. Default: none.
    event: Option<Event>,
    /// Days after which the same values are written again. Default 30; 0 writes them always.
    #[serde(default = "renew_days")]
    renew_days: u16,
    /// Calls in a second. Default 10; larger plans have 20 or 60.
    #[serde(default = "ten")]
    calls_per_s: u32,
    /// The version of Brevo's API. Default v3.
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
struct Event {
    /// Letters, digits, `_` and `-`.
    name: String,
    /// Property of the event = where its value comes from.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    #[serde(default)]
    properties: toml::Table,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OptOut {
    #[default]
    Block,
    Unlink,
}

fn ten() -> u32 {
    10
}

fn renew_days() -> u16 {
    30
}

fn version() -> String {
    "v3".to_owned()
}

fn base_url() -> String {
    "https://api.brevo.com".to_owned()
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
FIRSTNAME = "contact.firstName"
LASTNAME = "contact.lastName"
"#;

/// The property of an event that names the delivery.
pub(super) const EVENT_KEY: &str = "causeway";

const DAY: i64 = 24 * 60 * 60;

/// The keys, without the secret.
pub(super) struct Settings {
    /// With the version at its end.
    pub base: Url,
    pub lists: BTreeSet<u64>,
    pub campaign_lists: Option<Fields>,
    pub opt_out: OptOut,
    pub fields: Fields,
    pub event: Option<(String, Fields)>,
    /// Seconds.
    pub renew_after: Option<i64>,
    pub limit: Limit,
    pub options: Options,
    token: SecretRef,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.lists.is_empty() {
            let error = ConfigError::new("lists", "names no list, so nobody could be subscribed");
            return Err(error.hint("the number of a list is in the table of Contacts > Lists: lists = [12]"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        let version = config.api_version.strip_prefix('v');
        if version.is_none_or(|number| number.parse::<u8>().is_err()) {
            let error = ConfigError::new(
                "api_version",
                format!("{:?} is not a version", config.api_version),
            );
            return Err(error.hint("write it like \"v3\""));
        }
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        if let Some(name) = fields.keys().find(|name| name.eq_ignore_ascii_case("EMAIL")) {
            let error = ConfigError::new(&format!("fields.{name}"), "a changed address would lift a block");
            return Err(error.hint("leave it out: the address is always sent"));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        // Brevo's pages give the address with the version.
        let path = base.path().trim_end_matches('/');
        let root = path.strip_suffix(&*config.api_version).unwrap_or(path);
        let path = format!("{}/{}", root.trim_end_matches('/'), config.api_version);
        base.set_path(&path);
        Ok(Self {
            base,
            lists: config.lists.into_iter().collect(),
            campaign_lists: Fields::list("campaign_lists", config.campaign_lists, tables)?,
            opt_out: config.opt_out,
            fields: Fields::read("fields", &fields, tables)?,
            event: config.event.map(|event| event.read(tables)).transpose()?,
            renew_after: Some(i64::from(config.renew_days) * DAY).filter(|seconds| *seconds > 0),
            limit: Limit {
                calls: config.calls_per_s,
                per: Duration::from_secs(1),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            token: config.token,
        })
    }

    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.needs();
        let more = self.event.iter().map(|(_, fields)| fields);
        for more in more.chain(&self.campaign_lists).map(Fields::needs) {
            needs.history |= more.history;
            needs.warnings.extend(more.warnings);
        }
        needs
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let (name, key) = read_header("token", "api-key", token.reveal(), true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([(name, key), (CONTENT_TYPE, json)]))
    }
}

/// Whether Brevo takes this as the name of an event or of a property.
fn is_name(name: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(is_sign)
}

impl Event {
    fn read(self, tables: &Tables) -> Result<(String, Fields), ConfigError> {
        if !is_name(&self.name) {
            let error = ConfigError::new("event.name", format!("{:?} is not a name of an event", self.name));
            return Err(error.hint("it has letters, digits, _ and -"));
        }
        if let Some(name) = self.properties.keys().find(|name| !is_name(name)) {
            let error = ConfigError::new(
                "event.properties",
                format!("{name:?} is not a name of a property"),
            );
            return Err(error.hint("it has letters, digits, _ and -"));
        }
        if self.properties.contains_key(EVENT_KEY) {
            let error = ConfigError::new("event.properties.causeway", "names the delivery already");
            return Err(error.hint("choose another name"));
        }
        let properties = if self.properties.is_empty() {
            toml::Table::from_iter([
                ("campaign".to_owned(), "campaign.name".into()),
                ("action_type".to_owned(), "action.type".into()),
            ])
        } else {
            self.properties
        };
        Ok((self.name, Fields::read("event.properties", &properties, tables)?))
    }
}
