//! The keys of a web hook, as they are written.

use std::collections::BTreeMap;

use causeway_core::shortcode::{Rules, Slash, Unknown};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    body::Content,
    payload::{Groups, Payload},
    update::Update,
};
use crate::config::{ConfigError, SecretRef};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The URL, with shortcodes if you like. If it is written as a secret, only its host is ever shown.
    pub url: SecretRef,
    /// `POST`, unless `content` is `query`.
    pub method: Option<Verb>,
    #[serde(default)]
    pub content: Content,
    /// Further headers, with shortcodes if you like. Those written as secrets are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretRef>,
    pub auth: Option<Auth>,
    /// Signs by Standard Webhooks 1.0.
    pub sign: Option<Sign>,
    /// The header with the delivery's idempotency key, by which the receiver recognises a duplicate; empty
    /// for none.
    #[serde(default = "idempotency_key")]
    pub idempotency_header: String,
    /// The receiver's name = expression (`contact.email`), template (`{{ … }}`), or "=text". Default: the
    /// whole record.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub fields: Option<toml::Table>,
    /// The groups of a platform's "Sync Contact to Third Party" to send: "all", or a list of names. `fields`
    /// come after them.
    pub sync: Option<Groups>,
    /// How the groups are written.
    pub payload: Option<Payload>,
    /// Values of the response to write into the contact: field = path in the response.
    #[serde(default)]
    pub update: BTreeMap<String, Update>,
    /// How shortcodes are read.
    #[serde(default)]
    pub shortcodes: Shortcodes,
    /// A field's name = its number at the receiver.
    #[serde(default)]
    pub field_ids: BTreeMap<String, FieldId>,
    /// A field's name = its label at the receiver.
    #[serde(default)]
    pub field_names: BTreeMap<String, String>,
    /// The time zone of dates in requests and responses. Default: UTC.
    pub time_zone: Option<String>,
    /// Path of the success flag in the JSON response, for APIs that answer 200 to everything.
    pub success_path: Option<String>,
    /// Path of the record's new id in the JSON response.
    #[serde(default = "id")]
    pub remote_id_path: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    pub allow_private: bool,
    /// Allows http://, which anybody on the way can read.
    #[serde(default)]
    pub allow_http: bool,
    /// Seconds until an attempt to connect is given up.
    #[serde(default = "ten")]
    pub connect_timeout_s: u16,
}

impl Config {
    pub fn zone(&self) -> Result<TimeZone, ConfigError> {
        let Some(name) = &self.time_zone else {
            return Ok(TimeZone::UTC);
        };
        TimeZone::get(name).map_err(|_| {
            ConfigError::new("time_zone", format!("unknown time zone `{name}`"))
                .hint("use a name from the system's tzdata, such as Europe/Berlin")
        })
    }

    /// How shortcodes are read.
    pub fn rules(&self, zone: &TimeZone) -> Rules {
        let ids = self.field_ids.iter().map(|(name, id)| match id {
            FieldId::Number(number) => (name.clone(), number.to_string()),
            FieldId::Text(text) => (name.clone(), text.clone()),
        });
        Rules {
            slash: match self.shortcodes.slash {
                SlashMeans::Take => Slash::Take,
                SlashMeans::Word => Slash::Word,
            },
            unknown: match self.shortcodes.unknown {
                UnknownName::Lenient => Unknown::Lenient,
                UnknownName::Strict => Unknown::Strict,
            },
            zone: zone.clone(),
            field_ids: ids.collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Verb {
    Post,
    Put,
    Patch,
    Get,
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ bearer = … } or { basic = { user = …, password = … } }"
)]
pub(super) struct Auth {
    pub basic: Option<Basic>,
    pub bearer: Option<SecretRef>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ user = …, password = … }")]
pub(super) struct Basic {
    pub user: String,
    pub password: SecretRef,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ secrets = [{ env = \"NAME\" }] }")]
pub(super) struct Sign {
    /// Secrets of the form `whsec_…`. Several while the receiver changes its secret.
    pub secrets: Vec<SecretRef>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shortcodes {
    /// What `/2` means.
    pub slash: SlashMeans,
    /// What happens to a record if a shortcode names nothing that is known about the contact.
    pub unknown: UnknownName,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SlashMeans {
    /// The first two characters.
    #[default]
    Take,
    /// The second word.
    Word,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnknownName {
    /// The shortcode becomes an empty text.
    #[default]
    Lenient,
    /// The delivery is dead.
    Strict,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the number of the field")]
pub(super) enum FieldId {
    Number(i64),
    Text(String),
}

fn idempotency_key() -> String {
    "Idempotency-Key".to_owned()
}

fn id() -> String {
    "id".to_owned()
}

fn ten() -> u16 {
    10
}
