//! The keys that all sources and all destinations share.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use causeway_connect::{
    config::{ConfigError, did_you_mean, expected_names, json_members, read},
    destination::{self, BatchNeed, Effort, Kind, Needs},
    source::{self, checked_purpose},
};
use causeway_core::{
    consent::{Change, EMAIL, Policy},
    mapping::Tables,
    nearest::nearest,
    retry::RetryPolicy,
    rules::{self, DEFAULT_WORKSPACE, DestinationRule, Filter, Settings, SourceRule},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::settings;
use crate::engine::{Circuit, Pace};

/// `[source.NAME]`
#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub rule: SourceRule,
    pub kind: &'static source::Kind,
    /// The organisation that owns the queue.
    pub queue_org: Option<String>,
    /// The purposes for which this source brings consent.
    pub purposes: BTreeSet<String>,
    /// Sources of other organisations that this consent counts for, too.
    pub consent_shared_with: BTreeSet<String>,
    /// The kind's own keys.
    pub table: toml::Table,
}

/// `[destination.NAME]`
#[derive(Clone)]
pub struct DestinationConfig {
    pub rule: DestinationRule,
    pub pace: Pace,
    pub kind: &'static Kind,
    /// The kind's own keys.
    pub table: toml::Table,
    /// Whether the configuration sets `takes`.
    pub sets_takes: bool,
    /// Warnings about these keys, for `config check`.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for DestinationConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DestinationConfig")
            .field("rule", &self.rule)
            .field("kind", &self.kind.name)
            .finish_non_exhaustive()
    }
}

/// The keys of every `[destination.NAME]`, whatever its kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// See `causeway destination kinds`.
    pub kind: String,
    /// The destination's former name. People sent under that name stay known, so that opt-outs still reach the destination.
    pub renamed_from: Option<String>,
    /// It receives only events of this workspace.
    #[serde(default = "default_workspace")]
    pub workspace: String,
    /// The people that the destination may be sent: everybody (`all`), people who gave their data (`with_consent`), people who may
    /// be mailed (`opt_in`), people who confirmed by mail (`double_opt_in`).
    #[serde(default)]
    #[schemars(with = "String")]
    pub consent: Policy,
    /// The purpose whose consent counts.
    #[serde(default = "default_purpose")]
    pub purpose: String,
    /// Receives test actions, and only those.
    #[serde(default)]
    pub sandbox: bool,
    /// Only events from these sources. Default: all.
    pub sources: Option<BTreeSet<String>>,
    /// Only events of the campaigns with these names. Default: all.
    pub campaigns: Option<BTreeSet<String>>,
    /// Only actions of these types. Default: all.
    pub action_types: Option<BTreeSet<String>>,
    /// Only actions with the form of the contact's data: no shares and the like.
    #[serde(default)]
    pub forms_only: bool,
    /// `contact`: one contact's deliveries go out one after the other, and a failing one holds back the next until
    /// `escape_after`; `none`: after one failed attempt the next one passes. Two are never in flight together.
    #[serde(default)]
    pub order: Order,
    /// After this number of failed attempts, the contact's next delivery may pass this one.
    #[serde(default = "default_escape_after")]
    pub escape_after: u32,
    /// If several deliveries of one contact are waiting, send only the newest: for destinations that store contacts, not
    /// actions.
    #[serde(default)]
    pub coalesce: bool,
    /// `all`: of the events that the keys above allow, actions, each contact that a platform sends, and other events
    /// with new information about people; `changes`: like `all`, but a platform's contact only if it has new
    /// information or the destination never received the contact; `automations`: only what automations send.
    /// Withdrawals are sent in all cases. Required if an automation names the destination; else `all`.
    pub takes: Option<Takes>,
    /// Values for the mapping (`settings.NAME`), the same for all campaigns.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub settings: toml::Table,
    /// Campaign name → the settings that differ for it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub campaign_settings: BTreeMap<String, toml::Table>,
    /// Calls at the same time.
    pub concurrency: Option<u32>,
    /// Deliveries in one call.
    pub batch: Option<u32>,
    /// Deliveries per second. Default: no limit.
    pub rate_per_s: Option<f64>,
    /// Seconds until a call without a response is given up and retried later.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: f64,
    /// Seconds between the attempts; after the last the delivery is dead.
    pub retry_s: Option<Vec<f64>>,
    /// Consecutive failures after which the destination rests; 0 = never.
    #[serde(default = "default_circuit_failures")]
    pub circuit_failures: u32,
    /// Seconds of the first rest; it doubles while the destination keeps failing.
    #[serde(default = "default_circuit_rest_s")]
    pub circuit_rest_s: f64,
    /// Seconds of the longest rest.
    #[serde(default = "default_circuit_rest_max_s")]
    pub circuit_rest_max_s: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    #[default]
    Contact,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    All,
    Changes,
    Automations,
}

fn default_workspace() -> String {
    DEFAULT_WORKSPACE.to_owned()
}
fn default_purpose() -> String {
    EMAIL.to_owned()
}
fn default_escape_after() -> u32 {
    5
}
fn default_timeout_s() -> f64 {
    30.0
}
fn default_circuit_failures() -> u32 {
    20
}
fn default_circuit_rest_s() -> f64 {
    5.0
}
fn default_circuit_rest_max_s() -> f64 {
    300.0
}

/// The names of [`Common`]'s keys, taken from its schema so that no second list must be kept.
pub(crate) fn common_keys() -> Vec<String> {
    let schema = schemars::schema_for!(Common);
    let properties = schema
        .get("properties")
        .and_then(|properties| properties.as_object());
    properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

pub(super) fn destination(
    name: &str,
    mut own: toml::Table,
    tables: &Tables,
) -> Result<DestinationConfig, Vec<ConfigError>> {
    let mut shared = toml::Table::new();
    for key in common_keys() {
        if let Some(value) = own.remove(&key) {
            shared.insert(key, value);
        }
    }
    let common: Common = read(&shared).map_err(|error| vec![error])?;
    let Some(kind) = destination::kind(&common.kind) else {
        let kinds: Vec<&str> = destination::KINDS.iter().map(|kind| kind.name).collect();
        let error = ConfigError::new(
            "kind",
            format!("there is no destination of kind {:?}", common.kind),
        );
        return Err(vec![error.hint(one_of(&common.kind, &kinds))]);
    };
    let mut errors = Vec::new();
    errors.extend(checked_purpose("purpose", &common.purpose).err());
    let needs = (kind.parse)(tables, &own).unwrap_or_else(|mut error| {
        if error.message.starts_with("unknown field") && !error.key.contains('.') {
            let keys = common_keys();
            let own = expected_names(&error.message);
            let hint = match nearest(&error.key, own.chain(keys.iter().map(String::as_str))) {
                Some(meant) => did_you_mean(meant),
                None => format!("every destination also has: {}", keys.join(", ")),
            };
            error = error.hint(hint);
        }
        errors.push(error);
        Needs::default()
    });
    if needs.confirms {
        let unused = ["consent", "purpose", "takes", "coalesce"];
        errors.extend(
            unused
                .iter()
                .filter(|key| shared.contains_key(**key))
                .map(|&key| {
                    ConfigError::new(
                        key,
                        format!("{} only confirms actions, whoever they are of", common.kind),
                    )
                    .hint("leave it out")
                }),
        );
    }
    let mut warnings = needs.warnings;
    let is_mute = !needs.consent_shown.has(&common.purpose) && !needs.confirms;
    if is_mute {
        warnings.push(needs.shows_no_consent.to_owned());
    }
    warnings.extend(settings::doubts(&own, &common.settings));
    match pace(&common, kind, needs.batch) {
        Ok(pace) if errors.is_empty() => {
            warnings.extend(needs.effort.and_then(|effort| too_slow(&effort, &pace)));
            Ok(DestinationConfig {
                sets_takes: common.takes.is_some(),
                rule: DestinationRule {
                    deletes_on_erasure: needs.deletes_on_erasure,
                    ..confirming_if(needs.confirms, rule(name, common, kind, is_mute, needs.history))
                },
                pace,
                kind,
                table: own,
                warnings,
            })
        }
        Ok(_) => Err(errors),
        Err(error) => {
            errors.push(error);
            Err(errors)
        }
    }
}

/// Warns of batches that cannot end in time.
fn too_slow(effort: &Effort, pace: &Pace) -> Option<String> {
    let time = effort.time(pace.batch);
    (time > pace.timeout).then(|| {
        format!(
            "`batch`: {} deliveries probably take {} s, and a call ends after {} s (`timeout_s`). Lower `batch`, raise \
             `timeout_s`, or send many records in one request with `each`",
            pace.batch,
            time.as_secs_f64().ceil(),
            pace.timeout.as_secs_f64()
        )
    })
}

/// The known names as a hint, and the one that was probably meant.
pub(crate) fn one_of(wanted: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(wanted, known.iter().copied()) {
        Some(meant) => format!("{} There are: {all}", did_you_mean(meant)),
        None => format!("one of {all}"),
    }
}

/// The rule of a destination that perhaps only confirms actions: whose people have agreed to nothing yet.
fn confirming_if(confirms: bool, rule: DestinationRule) -> DestinationRule {
    if !confirms {
        return rule;
    }
    DestinationRule {
        policy: Policy::All,
        takes: rules::Takes::Confirmations,
        ..rule
    }
}

fn rule(name: &str, common: Common, kind: &Kind, is_mute: bool, history: bool) -> DestinationRule {
    DestinationRule {
        name: name.into(),
        renamed_from: common.renamed_from.map(Into::into),
        workspace: common.workspace.into(),
        policy: common.consent,
        purpose: common.purpose.into(),
        sandbox: common.sandbox,
        // Without an order, the first failed attempt already lets the next delivery pass.
        escape_after: match common.order {
            Order::Contact => common.escape_after,
            Order::None => 1,
        },
        coalesce: common.coalesce,
        filter: Filter {
            sources: common.sources,
            campaigns: common.campaigns,
            action_types: common.action_types,
            forms_only: common.forms_only,
        },
        // A withdrawal that looks like an ordinary record would subscribe the person who opted out.
        supported_changes: if is_mute {
            vec![Change::Subscribe]
        } else {
            kind.supported_changes.to_vec()
        },
        deletes_on_erasure: false,
        history,
        takes: match common.takes {
            None | Some(Takes::All) => rules::Takes::All,
            Some(Takes::Changes) => rules::Takes::Changes,
            Some(Takes::Automations) => rules::Takes::Automations,
        },
        settings: Settings {
            defaults: json_members(common.settings),
            campaigns: common
                .campaign_settings
                .into_iter()
                .map(|(campaign, table)| (campaign, json_members(table)))
                .collect(),
        },
    }
}

/// Deliveries per call.
fn batch(common: &Common, kind: &Kind, need: Option<BatchNeed>) -> Result<u32, ConfigError> {
    let Some(BatchNeed { key, more_than }) = need else {
        return at_least_one("batch", common.batch.unwrap_or(kind.batch));
    };
    let batch = at_least_one("batch", common.batch.unwrap_or(more_than.saturating_mul(2)))?;
    if batch > more_than {
        return Ok(batch);
    }
    let error = ConfigError::new(
        "batch",
        format!("{batch} is too small: `{key}` needs more than {more_than}"),
    );
    Err(error.hint(format!("leave `batch` out, or change `{key}`")))
}

fn pace(common: &Common, kind: &Kind, need: Option<BatchNeed>) -> Result<Pace, ConfigError> {
    let retry = match &common.retry_s {
        None => RetryPolicy::default(),
        Some(waits) => {
            let waits = waits
                .iter()
                .map(|wait| seconds("retry_s", *wait))
                .collect::<Result<_, _>>()?;
            RetryPolicy {
                waits,
                ..RetryPolicy::default()
            }
        }
    };
    if let Some(rate) = common.rate_per_s
        && !(rate > 0.0 && rate.is_finite())
    {
        return Err(ConfigError::new("rate_per_s", "must be above 0").hint("leave it out for no limit"));
    }
    let timeout = seconds("timeout_s", common.timeout_s)?;
    if timeout < Duration::from_millis(10) {
        return Err(ConfigError::new("timeout_s", "must be at least 0.01"));
    }
    Ok(Pace {
        concurrency: at_least_one("concurrency", common.concurrency.unwrap_or(kind.concurrency))?,
        batch: batch(common, kind, need)?,
        rate_per_s: common.rate_per_s,
        timeout,
        retry,
        circuit: Circuit {
            failures: common.circuit_failures,
            rest: seconds("circuit_rest_s", common.circuit_rest_s)?,
            rest_max: seconds("circuit_rest_max_s", common.circuit_rest_max_s)?,
        },
    })
}

fn at_least_one(key: &str, value: u32) -> Result<u32, ConfigError> {
    if (1..=10_000).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError::new(key, "must be 1 to 10000"))
    }
}

/// Up to 30 days.
fn seconds(key: &str, value: f64) -> Result<Duration, ConfigError> {
    let within = (0.0..=2_592_000.0).contains(&value);
    within
        .then(|| Duration::try_from_secs_f64(value).ok())
        .flatten()
        .ok_or_else(|| {
            ConfigError::new(
                key,
                format!("{value} is not a number of seconds between 0 and 30 days"),
            )
        })
}

/// The keys of every `[source.NAME]`, whatever its kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommonSource {
    /// `proca` (a queue on RabbitMQ), `listener` (other systems send by HTTP) or `events` (the events API).
    pub kind: String,
    /// Its messages belong to this workspace.
    #[serde(default = "default_workspace")]
    pub workspace: String,
    /// Sources of other organisations with which this one shares consent: an opt-in to one counts for the other.
    #[serde(default)]
    pub consent_shared_with: BTreeSet<String>,
}

pub(super) fn source(name: &str, mut own: toml::Table) -> Result<SourceConfig, Vec<ConfigError>> {
    let mut shared = toml::Table::new();
    for key in ["kind", "workspace", "consent_shared_with"] {
        if let Some(value) = own.remove(key) {
            shared.insert(key.to_owned(), value);
        }
    }
    let common: CommonSource = read(&shared).map_err(|error| vec![error])?;
    let kind = crate::sources::kind(&common.kind).map_err(|error| vec![error])?;
    let ours = (kind.parse)(name, &own).map_err(|error| vec![error])?;
    Ok(SourceConfig {
        rule: SourceRule {
            name: name.into(),
            workspace: common.workspace.into(),
            own_orgs: ours.own_orgs,
            namespace: ours.namespace,
        },
        queue_org: ours.queue_org,
        purposes: ours.purposes,
        consent_shared_with: common.consent_shared_with,
        kind,
        table: own,
    })
}
