//! The keys of a source with `kind = "events"`.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use axum::http::StatusCode;
use causeway_connect::{
    config::{ConfigError, Context, read},
    source::{Entry, Kind, Ours},
};
use causeway_core::{
    decode::{events::EventsDecoder, placeholders::Placeholders},
    event::Decode,
    id::Name,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::web::{
    intake::{Gate, HasTokens, check_ranges, read_tokens},
    secrets::{Fingerprint, Secrets},
};

pub const KIND: Kind = Kind {
    name: "events",
    summary: "receives visits, opens, clicks, tags, scores and consent from POST /v1/events",
    sample: include_str!("../../../../../samples/sources/events.toml"),
    schema: || schema_for!(Config),
    parse: |name, table| Config::parse(table).map(|config| config.ours(name)),
    decoder: |context, table| Ok(Config::parse(table)?.decoder(context)),
    entry: Entry::Events,
};

/// The own keys of an events source, without those of every source (`kind`, `workspace`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Senders send one of these tokens: `Authorization: Bearer TOKEN`. Several may be valid at once. Each has at least 22
    /// characters: letters, digits and `-._~`. No other source may have the same token.
    pub tokens: Secrets,
    /// The namespace in which the sender's ids of contacts and visitors are unique. Default: the source's name.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The Proca instance that `contactRef` is from.
    #[serde(default = "proca")]
    pub proca: String,
    /// Placeholders for ids of people and browsers, besides the usual ones (0, null, …).
    #[serde(default)]
    pub placeholder_ids: Vec<String>,
    /// Values that count as an empty field in `fields`. Default: NULL, N/A and the like.
    #[serde(default)]
    pub empty_values: Option<Vec<String>>,
    /// How long, in seconds, an event without an id and a time is recognised as a duplicate, if no other message
    /// about the contact arrived.
    #[serde(default = "one_minute")]
    pub dedup_window_s: u32,
    #[serde(default)]
    pub limits: Limits,
}

fn proca() -> String {
    "proca".to_owned()
}

fn one_minute() -> u32 {
    60
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The maximum number of events in one request.
    pub items: u32,
    /// The maximum size of a body, in units of 1024 bytes.
    pub body_kb: u32,
    /// The maximum number of requests of this source at the same time.
    pub concurrency: u32,
    /// How long a body may take to arrive, in seconds.
    pub body_timeout_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items: 1_000,
            body_kb: 1_024,
            concurrency: 256,
            body_timeout_s: 30,
        }
    }
}

impl Config {
    /// Reads and checks the keys, without any I/O.
    pub fn parse(table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Self = read(table)?;
        let limits = config.limits;
        check_ranges(&[
            ("items", limits.items, 10_000),
            ("body_kb", limits.body_kb, 64 * 1_024),
            ("concurrency", limits.concurrency, 100_000),
            ("body_timeout_s", limits.body_timeout_s, 3_600),
        ])?;
        Ok(config)
    }

    /// The rules' values of the source called `name`.
    pub fn ours(&self, name: &str) -> Ours {
        Ours {
            namespace: self.namespace.as_deref().unwrap_or(name).into(),
            own_orgs: BTreeSet::new(),
            queue_org: None,
            purposes: BTreeSet::new(),
        }
    }

    /// The decoder of the source called `context.name`.
    pub fn decoder(&self, context: &Context) -> Arc<dyn Decode> {
        Arc::new(self.reading(&context.name))
    }

    fn reading(&self, name: &str) -> EventsDecoder {
        EventsDecoder {
            namespace: self.ours(name).namespace,
            proca: self.proca.as_str().into(),
            placeholders: Placeholders::new(&self.placeholder_ids, self.empty_values.as_deref()),
        }
    }
}

/// A configured source of kind `events`, ready to check requests.
pub struct Sender {
    pub(super) name: Name,
    tokens: Vec<Fingerprint>,
    pub(super) decoder: EventsDecoder,
    pub(super) max_items: usize,
    pub(super) gate: Gate,
    pub(super) dedup_window_ms: i64,
}

impl HasTokens for Sender {
    const KEY: &str = "tokens";

    fn name(&self) -> &Name {
        &self.name
    }

    fn tokens(&self) -> &[Fingerprint] {
        &self.tokens
    }
}

impl Sender {
    /// Reads the secrets; relative paths of secret files start at `dir`.
    pub fn new(name: Name, config: &Config, dir: &Path) -> Result<Self, ConfigError> {
        let limits = config.limits;
        Ok(Self {
            tokens: read_tokens(Self::KEY, &config.tokens, dir, false)?,
            decoder: config.reading(&name),
            max_items: limits.items as usize,
            gate: Gate::new(
                limits.body_kb,
                limits.body_timeout_s,
                limits.concurrency,
                StatusCode::TOO_MANY_REQUESTS,
            ),
            dedup_window_ms: i64::from(config.dedup_window_s) * 1_000,
            name,
        })
    }
}
