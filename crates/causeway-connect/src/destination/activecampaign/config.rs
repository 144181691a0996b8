//! The keys of a destination at ActiveCampaign, read and checked.

use std::time::Duration;

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

/// The names in `fields` that are no custom fields.
pub(super) const MEMBERS: [&str; 3] = ["firstName", "lastName", "phone"];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The account's API URL: `https://ACCOUNT.api-us1.com`. It is under Settings > Developer.
    base_url: String,
    /// The key of a user, under Settings > Developer.
    token: SecretRef,
    /// The number of the list for the destination's purpose. Without it opt-outs leave all lists, and opt-ins are not
    /// written.
    list: Option<u64>,
    /// Tags for each contact: numbers of tags, or expressions that yield them, such as `settings.tags`.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Value>")]
    tags: Vec<toml::Value>,
    /// `firstName`, `lastName`, `phone` or the number of a custom field = where its value comes from.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The custom object that an action becomes. Default: none.
    record: Option<Record>,
    /// Calls in a second, of the whole account. Default 5.
    #[serde(default = "five")]
    calls_per_s: u32,
    /// The version of ActiveCampaign's API. Default 3.
    #[serde(default = "three")]
    api_version: u8,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The id of the custom object's schema.
    schema: String,
    /// Id of the schema's field = where its value comes from.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    fields: toml::Table,
}

fn five() -> u32 {
    5
}

fn three() -> u8 {
    3
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
firstName = "contact.firstName"
lastName = "contact.lastName"
phone = "contact.phone"
"#;

/// The keys, without the secret.
pub(super) struct Settings {
    pub base: Url,
    pub api_version: u8,
    pub list: Option<u64>,
    /// Tags that are the same for each contact, for `doctor`.
    pub fixed_tags: Vec<u64>,
    pub tags: Option<Fields>,
    pub fields: Fields,
    pub record: Option<(String, Fields)>,
    pub limit: Limit,
    pub options: Options,
    token: SecretRef,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.list == Some(0) {
            return Err(ConfigError::new("list", "0 is not the number of a list")
                .hint("it is in the address of the list's page: listid=2"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        if !matches!(base.path().trim_end_matches('/'), "" | "/api/3") {
            return Err(ConfigError::new("base_url", "is not the address of an account")
                .hint("copy the URL under Settings > Developer: https://ACCOUNT.api-us1.com"));
        }
        base.set_path("");
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        let is_number = |name: &str| name.parse::<u64>().is_ok_and(|number| number > 0);
        if let Some(name) = fields
            .keys()
            .find(|name| !MEMBERS.contains(&name.as_str()) && !is_number(name))
        {
            return Err(ConfigError::new(&format!("fields.{name}"), "is no field of a contact").hint(
                "use firstName, lastName, phone, or the number of a custom field, which is in the address of its page",
            ));
        }
        let (fixed_tags, tags) = tags(&config.tags, tables)?;
        Ok(Self {
            base,
            api_version: config.api_version,
            list: config.list,
            fixed_tags,
            tags,
            fields: Fields::read("fields", &fields, tables)?,
            record: config.record.map(|record| record.read(tables)).transpose()?,
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

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let token = read_header("token", "api-token", token.reveal(), true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([token, (CONTENT_TYPE, json)]))
    }
}

/// The numbers among the tags, and all of them as a mapping.
fn tags(tags: &[toml::Value], tables: &Tables) -> Result<(Vec<u64>, Option<Fields>), ConfigError> {
    let mut fixed = Vec::new();
    let mut terms: Vec<toml::Value> = Vec::new();
    for tag in tags {
        let term = match tag {
            toml::Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) if number > 0 => {
                    fixed.push(number);
                    format!("={number}")
                }
                _ => {
                    return Err(ConfigError::new(
                        "tags",
                        format!("{number} is not the number of a tag"),
                    ));
                }
            },
            toml::Value::String(text) => text.clone(),
            _ => {
                return Err(ConfigError::new("tags", "a tag is a number, or an expression")
                    .hint("tags = [20, \"settings.tags\"]"));
            }
        };
        terms.push(term.into());
    }
    Ok((fixed, Fields::list("tags", terms, tables)?))
}

impl Record {
    fn read(self, tables: &Tables) -> Result<(String, Fields), ConfigError> {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if self.schema.is_empty() || !self.schema.bytes().all(is_id) {
            return Err(ConfigError::new("record.schema", "is not the id of a schema")
                .hint("ActiveCampaign's API lists them at /api/3/customObjects/schemas"));
        }
        Ok((self.schema, Fields::read("record.fields", &self.fields, tables)?))
    }
}
