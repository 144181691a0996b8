//! The keys of a Mailchimp destination, read and checked.

use causeway_core::mapping::Tables;
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    destination::{Needs, fields::Fields},
    http::{Options, read_header, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// An API key, or the access token of an OAuth application.
    token: SecretRef,
    /// The id of the audience (Audience > Settings > Audience name and defaults).
    list: String,
    /// The data centre: `us21`. Default: the end of the API key.
    data_center: Option<String>,
    /// What an opt-in becomes: `subscribed`, or `pending`, so that Mailchimp asks the person to confirm by a mail.
    #[serde(default)]
    opt_in: OptIn,
    /// What a person becomes who is no member and did not agree: `transactional` or `unsubscribed`.
    #[serde(default)]
    others: Others,
    /// What an erasure does: `delete` for good, or `archive`.
    #[serde(default)]
    on_remove: OnRemove,
    /// Tags that each person gets: names with `=`, or where they come from.
    #[schemars(with = "Vec<serde_json::Value>")]
    #[serde(default)]
    tags: Vec<toml::Value>,
    /// Ids of the groups ("interests") that a person who agreed joins.
    #[serde(default)]
    interests: Vec<String>,
    /// Ids of the marketing permissions (GDPR fields) that an opt-in gives and an opt-out takes back.
    #[serde(default)]
    marketing_permissions: Vec<String>,
    /// Writes the language of the action's page. Default true.
    #[serde(default = "yes")]
    language: bool,
    /// Lets tags and events start Mailchimp's automations.
    #[serde(default)]
    automations: bool,
    /// Merge tag of the audience = where its value comes from. Default: the names.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The event that an action becomes. Default: none.
    event: Option<Event>,
    /// The version of Mailchimp's API. Default 3.0.
    #[serde(default = "version")]
    api_version: String,
    /// Default: the address of the data centre.
    base_url: Option<String>,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Event {
    /// 2 to 30 characters.
    name: String,
    /// Property of the event = where its value comes from.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    #[serde(default)]
    properties: toml::Table,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OptIn {
    #[default]
    Subscribed,
    Pending,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Others {
    #[default]
    Transactional,
    Unsubscribed,
}

impl Others {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnRemove {
    #[default]
    Delete,
    Archive,
}

fn yes() -> bool {
    true
}

fn version() -> String {
    "3.0".to_owned()
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
FNAME = "contact.firstName"
LNAME = "contact.lastName"
"#;

/// The property of an event that names the delivery.
pub(super) const EVENT_KEY: &str = "causeway";

/// The keys, without the secret.
pub(super) struct Settings {
    pub list: String,
    pub opt_in: OptIn,
    pub others: Others,
    pub on_remove: OnRemove,
    pub tags: Option<Fields>,
    pub interests: Vec<String>,
    pub marketing_permissions: Vec<String>,
    pub language: bool,
    pub automations: bool,
    pub fields: Fields,
    pub event: Option<(String, Fields)>,
    pub options: Options,
    version: String,
    data_center: Option<String>,
    base: Option<Url>,
    token: SecretRef,
}

/// Where Mailchimp is, and what proves who calls.
pub(super) struct Access {
    /// With the version at its end.
    pub base: Url,
    pub headers: HeaderMap,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_word(&config.list) {
            let error = ConfigError::new("list", format!("{:?} is not the id of an audience", config.list));
            return Err(error.hint("it looks like 57afe96172"));
        }
        if let Some(name) = config.data_center.as_deref().filter(|name| !is_data_center(name)) {
            let error = ConfigError::new("data_center", format!("{name:?} is not a data centre"));
            return Err(
                error.hint("it is the first part of the address that Mailchimp has in the browser: us21")
            );
        }
        let is_version = |text: &str| text.split('.').all(|part| part.parse::<u8>().is_ok());
        if !is_version(&config.api_version) {
            let error = ConfigError::new(
                "api_version",
                format!("{:?} is not a version", config.api_version),
            );
            return Err(error.hint("write it like \"3.0\""));
        }
        for (key, ids) in [
            ("interests", &config.interests),
            ("marketing_permissions", &config.marketing_permissions),
        ] {
            if let Some(id) = ids.iter().find(|id| !is_word(id)) {
                return Err(ConfigError::new(key, format!("{id:?} is not an id")));
            }
        }
        let base = config.base_url.as_deref();
        let base = base.map(|text| read_url("base_url", text, config.allow_private, false));
        Ok(Self {
            list: config.list,
            opt_in: config.opt_in,
            others: config.others,
            on_remove: config.on_remove,
            tags: Fields::list("tags", config.tags, tables)?,
            interests: config.interests,
            marketing_permissions: config.marketing_permissions,
            language: config.language,
            automations: config.automations,
            fields: fields(config.fields, tables)?,
            event: config.event.map(|event| event.read(tables)).transpose()?,
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            version: config.api_version,
            data_center: config.data_center,
            base: base.transpose()?,
            token: config.token,
        })
    }

    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.needs();
        let more = self
            .tags
            .iter()
            .chain(self.event.iter().map(|(_, fields)| fields));
        for other in more.map(Fields::needs) {
            needs.history |= other.history;
            needs.warnings.extend(other.warnings);
        }
        needs
    }

    /// Reads the secret. A preview needs no data centre.
    pub fn access(&self, context: &Context, is_preview: bool) -> Result<Access, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let suffix = token.reveal().rsplit_once('-').map(|(_, end)| end);
        let of_key = suffix.filter(|end| is_data_center(end));
        let header = match of_key {
            Some(_) => format!(
                "Basic {}",
                BASE64.encode(format!("causeway:{}", token.reveal()).as_bytes())
            ),
            None => format!("Bearer {}", token.reveal()),
        };
        let (_, header) = read_header("token", AUTHORIZATION.as_str(), &header, true)?;
        let mut base = match (&self.base, self.data_center.as_deref().or(of_key)) {
            (Some(base), _) => base.clone(),
            (None, Some(name)) => of_data_center(name)?,
            (None, None) if is_preview => of_data_center("dc")?,
            (None, None) => {
                let error = ConfigError::new("token", "does not end with a data centre, as API keys do");
                return Err(error.hint("write data_center = \"us21\" if this is an OAuth token"));
            }
        };
        let path = format!("{}/{}", base.path().trim_end_matches('/'), self.version);
        base.set_path(&path);
        let json = HeaderValue::from_static("application/json");
        Ok(Access {
            base,
            headers: HeaderMap::from_iter([(AUTHORIZATION, header), (CONTENT_TYPE, json)]),
        })
    }
}

/// Letters, then digits. It becomes a part of a host, so nothing else may be in it.
fn is_data_center(text: &str) -> bool {
    let digits = text.trim_start_matches(|sign: char| sign.is_ascii_lowercase());
    let letters = text.len() - digits.len();
    (1..=4).contains(&letters)
        && (1..=4).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn of_data_center(name: &str) -> Result<Url, ConfigError> {
    read_url(
        "data_center",
        &format!("https://{name}.api.mailchimp.com"),
        false,
        false,
    )
}

fn fields(table: Option<toml::Table>, tables: &Tables) -> Result<Fields, ConfigError> {
    let table = match table {
        Some(table) => table,
        None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
    };
    if let Some(name) = table.keys().find(|name| name.eq_ignore_ascii_case("EMAIL")) {
        let error = ConfigError::new(&format!("fields.{name}"), "the address is always sent");
        return Err(error.hint("leave it out"));
    }
    Fields::read("fields", &table, tables)
}

impl Event {
    fn read(self, tables: &Tables) -> Result<(String, Fields), ConfigError> {
        if !(2..=30).contains(&self.name.len()) {
            let error = ConfigError::new("event.name", format!("{:?} is too long or too short", self.name));
            return Err(error.hint("Mailchimp takes 2 to 30 characters"));
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
