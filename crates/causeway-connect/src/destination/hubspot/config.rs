//! The keys of a HubSpot destination, read and checked.

use std::time::Duration;

use causeway_core::mapping::Tables;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::{Credential, Limit},
    destination::fields::Fields,
    http::{Options, read_url},
    oauth::{self, Defaults},
};

/// The version of the API that this connector was written for.
const VERSION: &str = "2026-09";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// A service key, or the token of a private app. Scopes: `crm.objects.contacts.read` and `.write`,
    /// `crm.schemas.contacts.read`, `communication_preferences.read_write`; for lists `crm.lists.read` and `.write`; for
    /// events `analytics.behavioral_events.send`.
    token: Option<SecretRef>,
    /// In place of a token: an app of yours, for which `causeway connect NAME` signs in.
    oauth: Option<oauth::Config>,
    /// The subscription type for the destination's purpose: its number in HubSpot. Without it opt-outs leave all
    /// subscription types, and opt-ins are not written.
    subscription: Option<u64>,
    /// The legal basis of an opt-in. Default `CONSENT_WITH_NOTICE`.
    #[serde(default = "consent_with_notice")]
    legal_basis: String,
    /// Reads and writes subscriptions of up to 100 people in one call. Needs Marketing Hub Enterprise and the scopes
    /// `communication_preferences.statuses.batch.read` and `.write`. Default false: two calls for each opt-in.
    #[serde(default)]
    batch_statuses: bool,
    /// Numbers of lists to which each person is added.
    #[serde(default)]
    lists: Vec<String>,
    /// A unique property of yours and its value, to find people by instead of their addresses.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    key: Option<toml::Table>,
    /// Property of the contact = where its value comes from. Default: names, telephone and address.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The custom event that an action becomes. Default: none.
    event: Option<Event>,
    /// Calls in 10 seconds. Default 100; Professional and Enterprise accounts have 190.
    #[serde(default = "hundred")]
    calls_per_10_s: u32,
    /// The version of HubSpot's API. Default 2026-09.
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
    /// Its full name: `pe12345678_action`.
    name: String,
    /// Property of the event = where its value comes from.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    #[serde(default)]
    properties: toml::Table,
}

fn consent_with_notice() -> String {
    "CONSENT_WITH_NOTICE".to_owned()
}

fn hundred() -> u32 {
    100
}

fn version() -> String {
    VERSION.to_owned()
}

fn base_url() -> String {
    "https://api.hubapi.com".to_owned()
}

const LEGAL_BASES: [&str; 7] = [
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_PQL",
    "LEGITIMATE_INTEREST_OTHER",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
    "NON_GDPR",
];

/// The mapping without `fields`.
const FIELDS: &str = r#"
firstname = "contact.firstName"
lastname = "contact.lastName"
phone = "contact.phone"
country = "contact.country"
zip = "contact.postcode"
city = "contact.locality"
"#;

/// The keys, without the secret.
pub(super) struct Settings {
    pub base: Url,
    pub batch_statuses: bool,
    pub version: String,
    pub subscription: Option<u64>,
    pub legal_basis: String,
    pub lists: Vec<String>,
    /// Property and value; the property is the only name of the mapping.
    pub key: Option<(String, Fields)>,
    pub fields: Fields,
    pub event: Option<(String, Fields)>,
    pub limit: Limit,
    pub options: Options,
    pub credential: Credential,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if !LEGAL_BASES.contains(&&*config.legal_basis) {
            let error = ConfigError::new("legal_basis", "not a legal basis of HubSpot");
            return Err(error.hint(LEGAL_BASES.join(", ")));
        }
        if let Some(list) = config.lists.iter().find(|list| list.parse::<u64>().is_err()) {
            return Err(
                ConfigError::new("lists", format!("{list:?} is not the number of a list"))
                    .hint("it is in the address of the list's page: lists = [\"412\"]"),
            );
        }
        let version = config.api_version.split_once('-');
        let is_number =
            |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        if !version.is_some_and(|(year, month)| is_number(year, 4) && is_number(month, 2)) {
            let error = ConfigError::new(
                "api_version",
                format!("{:?} is not a version", config.api_version),
            );
            return Err(error.hint(format!("write it like {VERSION:?}")));
        }
        if config.calls_per_10_s == 0 {
            return Err(ConfigError::new("calls_per_10_s", "0 would send nothing"));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        let defaults = defaults(&config, &base);
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        let credential = Credential::read(config.token, config.oauth, defaults, config.allow_private)?;
        Ok(Self {
            base,
            batch_statuses: config.batch_statuses,
            version: config.api_version,
            subscription: config.subscription,
            legal_basis: config.legal_basis,
            lists: config.lists,
            key: config.key.map(|table| key(&table, tables)).transpose()?,
            fields: Fields::read("fields", &fields, tables)?,
            event: config.event.map(|event| event.read(tables)).transpose()?,
            limit: Limit {
                calls: config.calls_per_10_s,
                per: Duration::from_secs(10),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            credential,
        })
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        self.credential.authorize(&mut headers, context)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }
}

/// What HubSpot's documents say about apps: tokens come from the dated path of the API, and the scopes follow from what the
/// destination writes.
fn defaults(config: &Config, base: &Url) -> Defaults {
    let mut scopes = vec![
        "oauth",
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.schemas.contacts.read",
        "communication_preferences.read_write",
    ];
    if !config.lists.is_empty() {
        scopes.extend(["crm.lists.read", "crm.lists.write"]);
    }
    if config.event.is_some() {
        scopes.push("analytics.behavioral_events.send");
    }
    let mut token_url = base.clone();
    token_url.set_path(&format!("oauth/{}/token", config.api_version));
    Defaults {
        token_url: Some(token_url),
        authorize_url: Url::parse("https://app.hubspot.com/oauth/authorize").ok(),
        scope: Some(scopes.join(" ")),
        ..Defaults::default()
    }
}

fn key(table: &toml::Table, tables: &Tables) -> Result<(String, Fields), ConfigError> {
    let mut names = table.keys();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok((name.clone(), Fields::read("key", table, tables)?)),
        _ => Err(ConfigError::new("key", "has one property and its value")
            .hint("key = { causeway_id = \"contact.contactRef\" }")),
    }
}

impl Event {
    fn read(self, tables: &Tables) -> Result<(String, Fields), ConfigError> {
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
