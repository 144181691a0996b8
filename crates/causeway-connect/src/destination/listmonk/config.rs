//! The keys of a listmonk destination, read and checked.

use causeway_core::mapping::Tables;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    destination::fields::Fields,
    http::{Options, read_header, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where listmonk is: `https://news.example.org`, without `/api`.
    base_url: String,
    /// The name of the API user.
    user: String,
    /// The token of the API user.
    token: SecretRef,
    /// Numbers of the lists to which each person is added who agreed.
    #[serde(default)]
    lists: Vec<u64>,
    /// What an opt-out does. Default: `lists` if there are any, else `blocklist`.
    opt_out: Option<OptOut>,
    /// The name = where its value comes from.
    name: Option<String>,
    /// Attribute = where its value comes from. Default: language and country.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptOut {
    /// The person leaves `lists`.
    Lists,
    /// No mail at all.
    Blocklist,
}

const NAME: &str = "{{ contact.firstName }} {{ contact.lastName }}";

/// The mapping without `fields`.
const FIELDS: &str = r#"
language = "page.locale"
country = "contact.country"
"#;

/// The keys, without the secret.
pub(super) struct Settings {
    pub base: Url,
    pub lists: Vec<u64>,
    pub opt_out: OptOut,
    /// Its only name is `name`.
    pub name: Fields,
    pub fields: Option<Fields>,
    pub options: Options,
    user: String,
    token: SecretRef,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if config.user.is_empty() || config.user.contains(':') {
            return Err(ConfigError::new(
                "user",
                format!("{:?} is not the name of an API user", config.user),
            ));
        }
        let opt_out = match config.opt_out {
            Some(OptOut::Lists) if config.lists.is_empty() => {
                let error = ConfigError::new("opt_out", "`lists` needs a list that people can leave");
                return Err(error.hint("name it in lists, or set opt_out = \"blocklist\""));
            }
            Some(opt_out) => opt_out,
            None if config.lists.is_empty() => OptOut::Blocklist,
            None => OptOut::Lists,
        };
        let fields = match config.fields {
            Some(table) if table.is_empty() => None,
            Some(table) => Some(table),
            None => Some(toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?),
        };
        let name = config.name.as_deref().unwrap_or(NAME);
        let name = toml::Table::from_iter([("name".to_owned(), name.into())]);
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        let path = base.path().trim_end_matches('/').to_owned();
        if path.ends_with("/api") {
            return Err(ConfigError::new("base_url", "ends with /api").hint("leave /api out"));
        }
        base.set_path(&path);
        Ok(Self {
            base,
            lists: config.lists,
            opt_out,
            name: Fields::read("name", &name, tables)?,
            fields: fields
                .map(|table| Fields::read("fields", &table, tables))
                .transpose()?,
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 4 << 20,
                ..Options::default()
            },
            user: config.user,
            token: config.token,
        })
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let token = format!("token {}:{}", self.user, token.reveal());
        let token = read_header("token", AUTHORIZATION.as_str(), &token, true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([token, (CONTENT_TYPE, json)]))
    }
}
