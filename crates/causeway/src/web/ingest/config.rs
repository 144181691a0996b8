//! The keys of a source with `kind = "listener"`.

use std::collections::BTreeMap;

use causeway_connect::{
    config::{ConfigError, read},
    source::{Entry, Kind},
};
use causeway_core::decode::placeholders::Emptied;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use super::{answering::AnswerKeys, reading};
use crate::web::{intake::check_ranges, secrets::Secrets, verify};

pub const KIND: Kind = Kind {
    name: "listener",
    summary: "receives what other systems send to a URL of its own",
    sample: include_str!("../../../../../samples/sources/listener.toml"),
    schema: || schema_for!(Config),
    parse: |name, table| Config::parse(table).map(|config| config.ours(name)),
    decoder: |context, table| Config::parse(table)?.decoder(context),
    entry: Entry::Listener,
};

/// The own keys of a listener, without those of every source (`kind`, `workspace`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The format of the messages.
    pub preset: Preset,
    /// The namespace in which the sender's ids are unique. Default: the source's name; for Proca `proca`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Senders post to `/in/TOKEN`. Several tokens may be valid at once. Each has at least 22 characters: letters,
    /// digits and `-._~`. Without a token, only URLs that `causeway source url` created are accepted.
    #[serde(default)]
    pub token: Option<Secrets>,
    /// Allows short tokens, for tests on your own machine.
    #[serde(default)]
    pub insecure_token: bool,
    #[serde(default)]
    pub basic: Option<Basic>,
    #[serde(default)]
    pub header_secret: Option<HeaderSecret>,
    #[serde(default)]
    pub signature: Option<verify::Config>,
    /// Addresses and networks (`192.0.2.0/24`) that may send. Empty: all.
    #[serde(default)]
    pub allow_ips: Vec<String>,
    /// Reads the caller's address from the last entry of `X-Forwarded-For`. Only use it behind a proxy that sets this header.
    #[serde(default)]
    pub trust_forwarded_for: bool,
    /// Responds with 200 to HEAD, and to GET without data.
    #[serde(default = "yes")]
    pub probes: bool,
    #[serde(default)]
    pub limits: Limits,
    /// Placeholders for ids of contacts, besides the usual ones (0, null, …).
    #[serde(default)]
    pub placeholder_ids: Vec<String>,
    /// Values that count as an empty field. Default: NULL, N/A and the like.
    #[serde(default)]
    pub empty_values: Option<Vec<String>>,
    /// The effect of an empty text on a field: `keep` (the known value stays) or `clear` (the sender emptied the field, so it is
    /// cleared). Default: keep.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["keep", "clear"]))]
    pub empty: Option<Emptied>,
    /// The effect of null on a field. Default: clear.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["keep", "clear"]))]
    pub null: Option<Emptied>,
    /// The charset of texts that are not UTF-8, if the message names none, such as `windows-1252`. Default: invalid
    /// bytes are replaced, and a known value stays.
    #[serde(default)]
    pub charset: Option<String>,
    /// Names for parameters without meaningful names: `{ param1 = "email", param2 = "firstName" }`.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// How long, in seconds, the same bytes count as a duplicate, if the sender gives no id and no other message about the
    /// contact arrived. Default: one day; 10 minutes for `sync-to-third-party`, where each sync is an event.
    #[serde(default)]
    pub dedup_window_s: Option<u32>,
    #[serde(default)]
    pub answer: Option<AnswerKeys>,
    #[serde(default)]
    pub sync: Option<reading::Sync>,
    #[serde(default)]
    pub generic: Option<reading::Generic>,
    #[serde(default)]
    pub proca: Option<reading::Proca>,
}

impl Config {
    /// The window with its default. A sender without a response tries again within minutes; the same sync a day later is another
    /// event.
    pub fn dedup_window_s(&self) -> u32 {
        self.dedup_window_s.unwrap_or(match self.preset {
            Preset::SyncToThirdParty => 600,
            Preset::Proca | Preset::Generic => 86_400,
        })
    }

    /// Reads and checks a listener's own keys, without any I/O.
    pub fn parse(table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Self = read(table)?;
        config.limits.check()?;
        config.check_reading()?;
        Ok(config)
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The 11 groups of a platform's "Sync to Third Party" action, by GET or form post.
    SyncToThirdParty,
    /// Proca's own messages, sent by HTTP instead of a queue.
    Proca,
    /// Any other format, by paths to the values.
    Generic,
}

/// HTTP Basic.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub user: String,
    #[serde(alias = "password")]
    pub passwords: Secrets,
}

/// A header whose whole value is a secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderSecret {
    pub name: String,
    pub secrets: Secrets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The maximum size of a body, in units of 1024 bytes.
    pub body_kb: u32,
    /// The maximum number of fields of a form (including the query), values of JSON, or elements and attributes of XML.
    pub pairs: u32,
    /// The maximum nesting, up to 100: brackets in a field's name or in JSON, elements of XML.
    pub depth: u32,
    /// The maximum number of requests of this source at the same time.
    pub concurrency: u32,
    /// How long a body may take to arrive, in seconds.
    pub body_timeout_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_kb: 1024,
            pairs: 20_000,
            depth: 64,
            concurrency: 256,
            body_timeout_s: 30,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_ranges(&[
            ("body_kb", self.body_kb, 64 * 1_024),
            ("pairs", self.pairs, 1_000_000),
            // Deeper messages could be stored, but not decoded.
            ("depth", self.depth, 100),
            ("concurrency", self.concurrency, 100_000),
            ("body_timeout_s", self.body_timeout_s, 3_600),
        ])
    }
}
