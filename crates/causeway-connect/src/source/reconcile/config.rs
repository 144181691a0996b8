//! The keys of `[source.NAME.reconcile]`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::{ConfigError, SecretRef},
    http::read_url,
};

/// Compares with Proca's API at times, because an event that the broker lost is not sent again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// The address of the API.
    #[serde(default = "default_url")]
    pub url: String,
    /// The short name of the queue's organisation in Proca.
    pub org: String,
    /// A token of the API: `API-…`.
    #[serde(default)]
    pub bearer: Option<SecretRef>,
    /// Or a user of it.
    #[serde(default)]
    pub basic: Option<Basic>,
    /// Hours between two comparisons, 1 to 8760.
    #[serde(default = "default_every_h")]
    pub every_h: u32,
    /// Age of the actions that are compared, in days, 1 to 3650.
    #[serde(default = "default_lookback_days")]
    pub lookback_days: u32,
    /// Actions in one call, 1 to 1000; automatically fewer if they are long.
    #[serde(default = "default_page")]
    pub page: u32,
    /// Hours for which the settings of a campaign are used before Proca is asked for them again, 1 to 8760; 0 never asks.
    #[serde(default = "default_campaigns_every_h")]
    pub campaigns_every_h: u32,
    /// Allows addresses in private networks.
    #[serde(default)]
    pub allow_private: bool,
}

/// HTTP Basic.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub user: String,
    pub password: SecretRef,
}

fn default_url() -> String {
    "https://api.proca.app/api".to_owned()
}

fn default_every_h() -> u32 {
    24
}

fn default_lookback_days() -> u32 {
    30
}

fn default_page() -> u32 {
    50
}

fn default_campaigns_every_h() -> u32 {
    1
}

impl Reconcile {
    /// Without I/O. Errors name the key below `reconcile`.
    pub fn check(&self) -> Result<(), ConfigError> {
        let below = |error: ConfigError| ConfigError {
            key: format!("reconcile.{}", error.key),
            ..error
        };
        read_url("url", &self.url, self.allow_private, false).map_err(below)?;
        if self.org.trim().is_empty() {
            return Err(ConfigError::new("reconcile.org", "is empty"));
        }
        if self.bearer.is_some() == self.basic.is_some() {
            return Err(ConfigError::new("reconcile", "give either `bearer` or `basic`"));
        }
        if self.basic.as_ref().is_some_and(|basic| basic.user.contains(':')) {
            return Err(ConfigError::new(
                "reconcile.basic.user",
                "a colon cannot be part of it",
            ));
        }
        for (key, value, most) in [
            ("every_h", self.every_h, 8_760),
            ("lookback_days", self.lookback_days, 3_650),
            ("page", self.page, 1_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::new(
                    &format!("reconcile.{key}"),
                    format!("must be 1 to {most}"),
                ));
            }
        }
        if self.campaigns_every_h > 8_760 {
            return Err(ConfigError::new(
                "reconcile.campaigns_every_h",
                "must be 1 to 8760, or 0 to never ask",
            ));
        }
        Ok(())
    }
}
