//! The keys of a CiviCRM destination, read and checked.

use std::collections::BTreeMap;

use causeway_core::mapping::Tables;
use jiff::tz::TimeZone;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
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
    /// Where `APIv4` is: `https://crm.example.org/civicrm/ajax/api4`.
    base_url: String,
    /// The API key of a contact with the rights that the documentation lists.
    api_key: SecretRef,
    /// The site key, if the site asks for it.
    site_key: Option<SecretRef>,
    /// The time zone of the site, such as `Europe/Brussels`.
    time_zone: String,
    /// Names of groups to which each person is added who agreed.
    #[serde(default)]
    groups: Vec<String>,
    /// What an opt-out changes. Default: `group` if there are groups, else `is_opt_out`.
    opt_out: Option<OptOut>,
    /// What an erasure does. Default `delete`.
    #[serde(default)]
    on_remove: OnRemove,
    /// Which contact is meant, if several have the address. Default `best_name`.
    #[serde(default)]
    several: Several,
    /// What happens to values that the contact has already. Default `keep`.
    #[serde(default)]
    existing: Existing,
    /// Whether activities belong to the campaign. Default `ignore`.
    #[serde(default)]
    link_campaigns: Campaigns,
    /// Field of the contact = where its value comes from. Default: first and last name.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Field of the address = where its value comes from. An empty table sends none.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    address: Option<toml::Table>,
    /// Field of the telephone number = where its value comes from. An empty table sends none.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    phone: Option<toml::Table>,
    /// The activity that an action becomes. Default: none.
    activity: Option<ActivityConfig>,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActivityConfig {
    /// Name of the activity type.
    #[serde(rename = "type", default = "petition")]
    kind: String,
    /// Other activity types for some types of action: `{ mail2target = "Email" }`.
    #[serde(default)]
    types: BTreeMap<String, String>,
    /// The field that names the action, and its value. An activity with the same value is not stored again.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    key: Option<toml::Table>,
    /// Field of the activity = where its value comes from.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
}

fn petition() -> String {
    "Petition".to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptOut {
    /// The person leaves the groups.
    Group,
    /// No bulk mail at all.
    #[serde(rename = "is_opt_out")]
    NoBulkMail,
    /// No mail at all.
    #[serde(rename = "do_not_email")]
    NoMail,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnRemove {
    #[default]
    Delete,
    Trash,
    OptOut,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Several {
    #[default]
    BestName,
    Oldest,
    Reject,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Existing {
    #[default]
    Keep,
    Overwrite,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Campaigns {
    #[default]
    Ignore,
    Link,
    Create,
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
first_name = "contact.firstName"
last_name = "contact.lastName"
"#;
const ADDRESS: &str = r#"
street_address = "contact.street"
city = "contact.locality"
postal_code = "contact.postcode"
"country_id:abbr" = "contact.country"
"#;
const PHONE: &str = r#"phone = "contact.phone""#;
const ACTIVITY: &str = r#"
subject = "coalesce(campaign.title, campaign.name)"
details = "action.fields.comment | default(none)"
"#;
const ACTIVITY_KEY: &str = r#"location = "{{ source }}:{{ action.id }}""#;

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub zone: TimeZone,
    pub groups: Vec<String>,
    pub opt_out: OptOut,
    pub on_remove: OnRemove,
    pub several: Several,
    pub existing: Existing,
    pub campaigns: Campaigns,
    pub fields: Fields,
    pub address: Option<Fields>,
    pub phone: Option<Fields>,
    pub activity: Option<Activity>,
    pub options: Options,
    api_key: SecretRef,
    site_key: Option<SecretRef>,
}

pub(super) struct Activity {
    pub kind: String,
    pub types: BTreeMap<String, String>,
    pub key: (String, Fields),
    pub fields: Fields,
}

/// Fields that only the connector writes.
const OWN: [&str; 5] = ["id", "contact_type", "is_opt_out", "do_not_email", "is_deleted"];

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let zone = TimeZone::get(&config.time_zone).map_err(|_| {
            ConfigError::new("time_zone", format!("unknown time zone `{}`", config.time_zone))
                .hint("use a name from the system's tzdata, such as Europe/Berlin")
        })?;
        if let Some(group) = config.groups.iter().find(|group| group.trim().is_empty()) {
            return Err(ConfigError::new(
                "groups",
                format!("{group:?} is not the name of a group"),
            ));
        }
        let opt_out = match config.opt_out {
            Some(OptOut::Group) if config.groups.is_empty() => {
                let error = ConfigError::new("opt_out", "`group` needs a group that people can leave");
                return Err(error.hint("name it in groups, or set opt_out = \"is_opt_out\""));
            }
            Some(opt_out) => opt_out,
            None if config.groups.is_empty() => OptOut::NoBulkMail,
            None => OptOut::Group,
        };
        let fields = fields("fields", config.fields, FIELDS, tables)?
            .ok_or_else(|| ConfigError::new("fields", "names no field"))?;
        if let Some(name) = fields.names().find(|name| OWN.contains(name)) {
            return Err(
                ConfigError::new("fields", format!("`{name}` is written by Causeway itself"))
                    .hint("consent is written as `opt_out` and `groups` say"),
            );
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        if let Some(path) = base.path().strip_suffix('/').map(str::to_owned) {
            base.set_path(&path);
        }
        Ok(Self {
            base,
            zone,
            groups: config.groups,
            opt_out,
            on_remove: config.on_remove,
            several: config.several,
            existing: config.existing,
            campaigns: config.link_campaigns,
            fields,
            address: self::fields("address", config.address, ADDRESS, tables)?,
            phone: self::fields("phone", config.phone, PHONE, tables)?,
            activity: config
                .activity
                .map(|activity| activity.read(tables))
                .transpose()?,
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 4 << 20,
                ..Options::default()
            },
            api_key: config.api_key,
            site_key: config.site_key,
        })
    }

    /// The headers of each request. Reads the secrets.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let key = self.api_key.resolve("api_key", &context.dir)?;
        let bearer = format!("Bearer {}", key.reveal());
        let mut headers = HeaderMap::from_iter([
            read_header("api_key", "x-civi-auth", &bearer, true)?,
            (
                HeaderName::from_static("x-requested-with"),
                HeaderValue::from_static("XMLHttpRequest"),
            ),
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if let Some(key) = &self.site_key {
            let key = key.resolve("site_key", &context.dir)?;
            headers.extend([read_header("site_key", "x-civi-key", key.reveal(), true)?]);
        }
        Ok(headers)
    }
}

/// A mapping, or the default one; `None` for an empty table.
fn fields(
    key: &str,
    given: Option<toml::Table>,
    default: &str,
    tables: &Tables,
) -> Result<Option<Fields>, ConfigError> {
    let table = match given {
        Some(table) if table.is_empty() => return Ok(None),
        Some(table) => table,
        None => toml::from_str(default).map_err(|error| ConfigError::from_toml(&error))?,
    };
    Fields::read(key, &table, tables).map(Some)
}

impl ActivityConfig {
    fn read(self, tables: &Tables) -> Result<Activity, ConfigError> {
        let key = fields("activity.key", self.key, ACTIVITY_KEY, tables)?;
        let mut names = key.iter().flat_map(Fields::names);
        let (Some(name), None) = (names.next().map(str::to_owned), names.next()) else {
            return Err(ConfigError::new("activity.key", "has one field and its value")
                .hint("key = { location = \"action_{{ action.id }}\" }"));
        };
        drop(names);
        let own = fields("activity.fields", self.fields, ACTIVITY, tables)?;
        match (key, own) {
            (Some(key), Some(fields)) => Ok(Activity {
                kind: self.kind,
                types: self.types,
                key: (name, key),
                fields,
            }),
            _ => Err(ConfigError::new("activity.fields", "names no field")),
        }
    }
}

impl Activity {
    /// The activity type for a type of action.
    pub fn type_of(&self, action: &str) -> &str {
        self.types.get(action).unwrap_or(&self.kind)
    }

    pub fn all_types(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self
            .types
            .values()
            .map(String::as_str)
            .chain([&*self.kind])
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
