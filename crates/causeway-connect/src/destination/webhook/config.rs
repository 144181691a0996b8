//! The keys of a web hook, as they are written.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use causeway_core::{
    consent::Change,
    shortcode::{Rules, Slash, Unknown},
};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answers::{AnswerRule, Means},
    auth::Auth,
    body::Content,
    each::{Each, EachConfig},
    find::FindConfig,
    payload::{Groups, Payload},
    update::Update,
};
use crate::{
    config::{ConfigError, SecretRef},
    connector::Limit,
    http::{ClientCertificate, NetworkKeys},
    oauth,
};

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The URL, with shortcodes if you like. If it is written as a secret, only its host is ever shown.
    pub url: SecretRef,
    /// `POST`, unless `content` is `query`.
    pub method: Option<Verb>,
    /// Default: `json`; for DELETE without `fields`, `none`.
    pub content: Option<Content>,
    /// Further headers, with shortcodes if you like. Those written as secrets are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretRef>,
    pub auth: Option<Auth>,
    /// Gets and renews an access token. Not together with `auth`.
    pub oauth: Option<oauth::Config>,
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
    /// Leaves out members that are null, for receivers that take null for an order to delete.
    #[serde(default)]
    pub omit_null: bool,
    /// Sends several records in one request.
    pub each: Option<EachConfig>,
    /// Other requests for the changes of consent that are named here.
    #[serde(default)]
    pub on: On,
    /// Looks a person up before the request.
    pub find: Option<FindConfig>,
    /// The request about a person whom `find` found.
    pub found: Option<Variant>,
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
    /// What statuses mean: `409 = "duplicate"`, `4xx = "retry"`.
    #[serde(default)]
    pub statuses: BTreeMap<String, Means>,
    /// What responses mean, by their content. The first rule that fits counts.
    #[serde(default)]
    pub answers: Vec<AnswerRule>,
    /// How many requests the receiver allows in a period.
    pub limit: Option<LimitConfig>,
    /// Path of the record's new id in the JSON response.
    #[serde(default = "id")]
    pub remote_id_path: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    pub allow_private: bool,
    /// Allows http://, which anybody on the way can read.
    #[serde(default)]
    pub allow_http: bool,
    /// A PEM file with the authorities that certificates of the receiver may come from. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate that the hub shows.
    pub client_certificate: Option<ClientCertificate>,
    /// A proxy that requests go through: `http://`, `https://` or `socks5h://`, with user and password if needed.
    pub proxy: Option<SecretRef>,
    /// Seconds until an attempt to connect is given up.
    #[serde(default = "ten")]
    pub connect_timeout_s: u16,
}

impl Config {
    /// This configuration with the request of a variant.
    pub fn with(&self, key: &str, variant: &Variant) -> Result<Self, ConfigError> {
        if variant.is_empty() {
            return Err(ConfigError::new(key, "changes nothing about the request")
                .hint("name at least one of url, method, content, headers and fields"));
        }
        let mut config = self.clone();
        config.url = variant.url.clone().unwrap_or(config.url);
        match (variant.method, variant.content) {
            (None, None) => {}
            (None, Some(content)) => {
                config.content = Some(content);
                config.method = config.method.filter(|_| content != Content::Query);
            }
            (Some(method), content) => {
                config.method = Some(method);
                let inherited = config.content.filter(|content| content.media_type().is_some());
                config.content = match method {
                    Verb::Delete => content,
                    Verb::Get => content.or(Some(Content::None)),
                    Verb::Post | Verb::Put | Verb::Patch => content.or(inherited),
                };
            }
        }
        for (name, value) in &variant.headers {
            config
                .headers
                .retain(|known, _| !known.eq_ignore_ascii_case(name));
            config.headers.insert(name.clone(), value.clone());
        }
        if let Some(fields) = &variant.fields {
            config.fields = Some(fields.clone());
            (config.sync, config.payload) = (None, None);
        }
        if let Some(members) = &variant.members {
            let each = config.each.as_mut();
            let each = each.ok_or_else(|| ConfigError::new(&format!("{key}.members"), "needs `each`"))?;
            each.members.clone_from(members);
            // They are checked like those of the main request.
            Each::read(each, &self.clone()).map_err(|error| error.within(key))?;
        }
        let has_no_body = match config.content {
            None => config.method == Some(Verb::Delete) && variant.fields.is_none(),
            Some(content) => content == Content::None && variant.fields.is_none(),
        };
        if has_no_body {
            (config.fields, config.sync, config.payload) = (None, None, None);
        }
        Ok(config)
    }

    pub fn network(&self) -> NetworkKeys<'_> {
        NetworkKeys {
            ca_file: self.ca_file.as_deref(),
            client_certificate: self.client_certificate.as_ref(),
            proxy: self.proxy.as_ref(),
        }
    }

    pub fn content(&self) -> Content {
        self.content.unwrap_or(match self.method {
            Some(Verb::Delete) if self.fields.is_none() => Content::None,
            _ => Content::Json,
        })
    }

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

/// A request that differs from the main one. What is not named here is as there.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Variant {
    pub url: Option<SecretRef>,
    pub method: Option<Verb>,
    pub content: Option<Content>,
    /// They are added to the headers of the main request, or replace those with the same name.
    pub headers: BTreeMap<String, SecretRef>,
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub fields: Option<toml::Table>,
    /// Other `members` of `each`.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub members: Option<toml::Table>,
}

impl Variant {
    fn is_empty(&self) -> bool {
        self.url.is_none()
            && self.method.is_none()
            && self.content.is_none()
            && self.headers.is_empty()
            && self.fields.is_none()
            && self.members.is_none()
    }
}

/// The requests for single changes of consent.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct On {
    pub subscribe: Option<Variant>,
    pub unsubscribe: Option<Variant>,
    pub suppress: Option<Variant>,
    pub remove: Option<Variant>,
    pub none: Option<Variant>,
}

impl On {
    pub fn all(&self) -> impl Iterator<Item = (Change, &Variant)> {
        let all = [
            (Change::Subscribe, &self.subscribe),
            (Change::Unsubscribe, &self.unsubscribe),
            (Change::Suppress, &self.suppress),
            (Change::Remove, &self.remove),
            (Change::None, &self.none),
        ];
        all.into_iter()
            .filter_map(|(change, variant)| Some((change, variant.as_ref()?)))
    }
}

/// At most so much in any period of this length.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ calls = 100, per_s = 60 }")]
pub(super) struct LimitConfig {
    /// Requests.
    pub calls: u32,
    /// Seconds of the period.
    pub per_s: u32,
}

impl LimitConfig {
    pub fn limit(self) -> Result<Limit, ConfigError> {
        if self.calls == 0 || self.per_s == 0 {
            return Err(ConfigError::new(
                "limit",
                "needs `calls` and `per_s` of at least 1",
            ));
        }
        Ok(Limit {
            calls: self.calls,
            per: Duration::from_secs(self.per_s.into()),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Verb {
    Post,
    Put,
    Patch,
    Delete,
    Get,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "{ secrets = [{ env = \"NAME\" }] }")]
pub(super) struct Sign {
    /// Secrets of the form `whsec_…`. Several while the receiver changes its secret.
    pub secrets: Vec<SecretRef>,
}

#[derive(Clone, Default, Deserialize, JsonSchema)]
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

#[derive(Clone, Deserialize, JsonSchema)]
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
