//! The keys of `kind = "proca"`, and what follows from the queue's name.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use causeway_core::consent::EMAIL;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::{ConfigError, SecretRef, read},
    source::{
        ConsentFrom, Ours, checked_purpose, consent_rules, purposes,
        reconcile::{self, Reconcile},
    },
};

/// The namespace of the only Proca server in most configurations.
const NAMESPACE: &str = "proca";
const MB: usize = 1024 * 1024;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `amqp://` or `amqps://`, user and password percent-encoded.
    pub url: SecretRef,
    /// For example `cus.12.deliver`.
    pub queue: String,
    /// The namespace of the ids: another word for each Proca server. Default: `proca`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Ids of your own organisations; by default the one in the queue's name.
    #[serde(default)]
    pub own_orgs: Option<Vec<u64>>,
    /// Files with private keys, relative to the configuration file.
    #[serde(default)]
    pub keystore: Vec<PathBuf>,
    /// Which consent suffices for e-mail.
    pub consent: Consent,
    #[serde(default)]
    pub testing: Testing,
    /// The purpose of the consent.
    #[serde(default = "default_purpose")]
    pub purpose: String,
    /// What custom fields of an action say about other purposes.
    #[serde(default)]
    pub consent_from: Vec<ConsentFrom>,
    /// Values of `contactRef` that identify nobody, besides the built-in ones (0, null, …).
    #[serde(default)]
    pub placeholder_ids: Vec<String>,
    /// Texts that stand for an empty value in a field of the contact. Default: NULL, N/A and the like.
    #[serde(default)]
    pub empty_values: Option<Vec<String>>,
    /// Compares with Proca's API from time to time, because an event that the broker lost is not sent again.
    #[serde(default)]
    pub reconcile: Option<Reconcile>,
    /// Answers Proca's questions about people (`detailBackend`) at `/proca/SOURCE/details` of the listener.
    #[serde(default)]
    pub details: Option<Details>,
    /// Allows a queue of actions that wait for confirmation (`cus.12.confirm.…`), which no other program gets
    /// then. A destination of kind `proca` confirms them.
    #[serde(default)]
    pub confirm_queue: bool,
    /// Number of messages delivered before the first is acknowledged.
    #[serde(default = "default_prefetch")]
    pub prefetch: u16,
    /// Maximum number of messages committed and acknowledged together.
    #[serde(default = "default_batch")]
    pub batch: u16,
    /// Megabytes of messages held in memory.
    #[serde(default = "default_in_flight_mb")]
    pub in_flight_mb: u16,
    /// The queue where the broker parks rejected messages; only its depth is read.
    #[serde(default)]
    pub fail_queue: Option<String>,
    /// PEM file with an additional certificate authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The name in the broker's certificate, if `url` has another one (through an SSH tunnel).
    #[serde(default)]
    pub server_name: Option<String>,
    /// Allows `amqp://`, which is not encrypted, to a host that is not known to be in a private network.
    #[serde(default)]
    pub allow_plain: bool,
    /// Seconds between two checks of the queues' depth.
    #[serde(default = "default_depth_every_s")]
    pub depth_every_s: u32,
    /// Seconds between two attempts after the broker has rejected the credentials three times.
    #[serde(default = "default_refused_retry_s")]
    pub refused_retry_s: u32,
}

/// Proca's `detailBackend`: it asks who the person of an action is to this hub.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The user of the service in Proca. Without it, Proca sends the password as the header `Authorization`.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of the service in Proca: at least 22 characters.
    pub password: SecretRef,
    /// Also answers whether the person opted in, which Proca then takes for an answer to the action's form.
    #[serde(default)]
    pub opt_in: bool,
    /// Requests per second, 1 to 10000.
    #[serde(default = "default_per_s")]
    pub per_s: u32,
}

impl Details {
    fn check(&self) -> Result<(), ConfigError> {
        if self
            .user
            .as_ref()
            .is_some_and(|user| user.is_empty() || user.contains(':'))
        {
            return Err(ConfigError::new("details.user", "must be a name without a colon"));
        }
        if !(1..=10_000).contains(&self.per_s) {
            return Err(ConfigError::new("details.per_s", "must be 1 to 10000"));
        }
        Ok(())
    }
}

fn default_per_s() -> u32 {
    100
}

/// Which consent suffices for e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Opted in on a form.
    Single,
    /// Opted in on a form, and confirmed by the link in a mail.
    DoubleOptIn,
}

/// What to do with actions marked as tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Testing {
    #[default]
    Skip,
    /// Only to destinations marked as sandbox.
    Sandbox,
    /// Like any other action.
    Deliver,
}

fn default_purpose() -> String {
    EMAIL.to_owned()
}

fn default_prefetch() -> u16 {
    1000
}

fn default_batch() -> u16 {
    250
}

fn default_in_flight_mb() -> u16 {
    64
}

fn default_depth_every_s() -> u32 {
    15
}

fn default_refused_retry_s() -> u32 {
    180
}

impl Config {
    /// Reads and checks the table, without I/O.
    pub fn parse(table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Self = read(table)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_queue()?;
        if self
            .fail_queue
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.len() > 255)
        {
            return Err(ConfigError::new(
                "fail_queue",
                "a queue's name has 1 to 255 bytes",
            ));
        }
        if self.own_orgs().is_empty() {
            return Err(
                ConfigError::new("own_orgs", "the ids of your own organisations are missing")
                    .hint("name their ids, or use a queue named cus.ID.…"),
            );
        }
        for (key, is_zero) in [
            ("prefetch", self.prefetch == 0),
            ("batch", self.batch == 0),
            ("in_flight_mb", self.in_flight_mb == 0),
            ("depth_every_s", self.depth_every_s == 0),
            ("refused_retry_s", self.refused_retry_s == 0),
        ] {
            if is_zero {
                return Err(ConfigError::new(key, "must be at least 1"));
            }
        }
        if self.batch > 10_000 {
            return Err(ConfigError::new("batch", "must be at most 10000"));
        }
        checked_purpose("purpose", &self.purpose)?;
        consent_rules("consent_from", &self.consent_from)?;
        if let Some(reconcile) = &self.reconcile {
            reconcile.check()?;
        }
        if let Some(details) = &self.details {
            details.check()?;
        }
        if let SecretRef::Text(url) = &self.url {
            let uri = super::connect::parse_url(url).map_err(|message| ConfigError::new("url", message))?;
            super::connect::check_protection(
                self.server_name.as_deref(),
                self.ca_file.is_some(),
                self.allow_plain,
                &uri,
            )?;
        }
        Ok(())
    }

    /// Rejects queues that another program must read: a queue is emptied by the program that reads it.
    fn check_queue(&self) -> Result<(), ConfigError> {
        let queue = self.queue.as_str();
        // AMQP's short strings hold 255 bytes.
        if queue.is_empty() || queue.len() > 255 {
            return Err(ConfigError::new("queue", "a queue's name has 1 to 255 bytes")
                .hint("such as \"cus.12.deliver\", where 12 is the organisation"));
        }
        let parts: Vec<&str> = queue.split('.').collect();
        let deliver = |org: &str| format!("read \"cus.{org}.deliver\"");
        match parts.as_slice() {
            ["cus", org, "confirm", ..] if !self.confirm_queue => {
                let error = ConfigError::new(
                    "queue",
                    format!(
                        "{queue:?} holds actions that wait for a program to confirm them; if this hub only read them, they \
                         would never be delivered"
                    ),
                );
                let hint = format!(
                    "{}; or set confirm_queue = true, and let a destination of kind \"proca\" confirm them",
                    deliver(org)
                );
                Err(error.hint(hint))
            }
            ["wrk", org, ..] | ["org", org, "fail"] => {
                let error = ConfigError::new("queue", format!("{queue:?} is for Proca's own programs"));
                Err(error.hint(deliver(org)))
            }
            _ => Ok(()),
        }
    }

    /// What reconciliation must know about the queue.
    pub(super) fn as_reconciled(&self) -> reconcile::Queue {
        reconcile::Queue {
            own_orgs: self.own_orgs(),
            org: org_of(&self.queue),
            include_testing: self.testing == Testing::Deliver,
            waits_for_click: self.consent == Consent::DoubleOptIn,
        }
    }

    pub(super) fn ours(&self) -> Ours {
        Ours {
            namespace: self.namespace().into(),
            own_orgs: self.own_orgs(),
            queue_org: org_of(&self.queue).map(|org| org.to_string()),
            purposes: purposes(&self.purpose, &self.consent_from),
        }
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE)
    }

    /// Host and virtual host of the broker, which identify a Proca server. `None` if the URL is not available
    /// here.
    pub fn server(&self, dir: &Path) -> Option<String> {
        let url = self.url.resolve("url", dir).ok()?;
        let uri = super::connect::parse_url(url.reveal()).ok()?;
        let host = uri.authority.host.to_ascii_lowercase();
        Some(format!("{host}/{}", uri.vhost.trim_start_matches('/')))
    }

    /// Your own organisations.
    pub fn own_orgs(&self) -> BTreeSet<String> {
        match (&self.own_orgs, org_of(&self.queue)) {
            (Some(orgs), _) => orgs.iter().map(u64::to_string).collect(),
            (None, Some(org)) => BTreeSet::from([org.to_string()]),
            (None, None) => BTreeSet::new(),
        }
    }

    /// The queue in which rejected messages wait, if it is known.
    pub fn fail_queue(&self) -> Option<String> {
        self.fail_queue
            .clone()
            .or_else(|| org_of(&self.queue).map(|org| format!("org.{org}.fail")))
    }

    pub(super) fn in_flight_bytes(&self) -> usize {
        usize::from(self.in_flight_mb) * MB
    }
}

/// The number in `cus.NUMBER.…`.
fn org_of(queue: &str) -> Option<u64> {
    let (org, rest) = queue.strip_prefix("cus.")?.split_once('.')?;
    if rest.is_empty() { None } else { org.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let table = toml::from_str(text).unwrap();
        Config::parse(&table).map_err(|error| error.to_string())
    }

    const LEAST: &str = "url = 'amqp://a:b@localhost/v'\nconsent = 'single'\n";

    #[test]
    fn the_sample_names_every_key_and_is_valid() {
        let sample: toml::Table = toml::from_str(super::super::KIND.sample).unwrap();
        let mut table = sample["source"]["proca"].as_table().unwrap().clone();
        assert_eq!(table.remove("kind"), Some("proca".into()));
        Config::parse(&table).unwrap();
        let schema = serde_json::to_value((super::super::KIND.schema)()).unwrap();
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(
                super::super::KIND.sample.contains(&format!("\n{key} = "))
                    || ["ca_file", "server_name"].contains(&key.as_str()),
                "{key}"
            );
        }
    }

    #[test]
    fn the_queue_s_name_gives_organisation_and_fail_queue() {
        let orgs = |orgs: &[&str]| -> BTreeSet<String> { orgs.iter().map(|org| (*org).to_owned()).collect() };
        for (line, own, fail) in [
            ("queue = 'cus.12.deliver'", orgs(&["12"]), Some("org.12.fail")),
            (
                "queue = 'cus.12.deliver_t4f'\nown_orgs = [3, 4]",
                orgs(&["3", "4"]),
                Some("org.12.fail"),
            ),
            ("queue = 'system.deliver'\nown_orgs = [5]", orgs(&["5"]), None),
            (
                "queue = 'cus.12.deliver'\nfail_queue = 'other'",
                orgs(&["12"]),
                Some("other"),
            ),
        ] {
            let config = parse(&format!("{LEAST}{line}")).unwrap();
            assert_eq!(config.own_orgs(), own, "{line}");
            assert_eq!(config.fail_queue().as_deref(), fail, "{line}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_the_key() {
        for (line, message) in [
            ("queue = ''", "`queue`: a queue's name has 1 to 255 bytes"),
            (
                "queue = 'other'",
                "`own_orgs`: the ids of your own organisations are missing",
            ),
            (
                "queue = 'cus.x.deliver'",
                "`own_orgs`: the ids of your own organisations are missing",
            ),
            (
                "queue = 'cus.12.'",
                "`own_orgs`: the ids of your own organisations are missing",
            ),
            (
                "queue = 'cus.12.deliver'\nown_orgs = []",
                "`own_orgs`: the ids of your own organisations are missing",
            ),
            (
                "queue = 'cus.12.deliver'\nprefetch = 0",
                "`prefetch`: must be at least 1",
            ),
            (
                "queue = 'cus.12.deliver'\nbatch = 20000",
                "`batch`: must be at most 10000",
            ),
            (
                "queue = 'cus.12.deliver'\nserver_name = 'api.example.org'",
                "`server_name`: only an amqps:// connection has a certificate",
            ),
            (
                "queue = 'cus.12.deliver'\nca_file = 'ca.pem'",
                "`ca_file`: only an amqps:// connection has a certificate",
            ),
            (
                "queue = 'cus.12.deliver'\nprefetsh = 1",
                "`prefetsh`: unknown field",
            ),
        ] {
            let error = parse(&format!("{LEAST}{line}")).unwrap_err();
            assert!(error.starts_with(message), "{line}: {error}");
        }
        let error = parse("url = 'http://u:geheim@example.org'\nconsent = 'single'\nqueue = 'cus.1.deliver'")
            .unwrap_err();
        assert_eq!(error, "`url`: must start with amqp:// or amqps://");
        let public =
            "url = 'amqp://u:geheim@broker.example.org'\nconsent = 'single'\nqueue = 'cus.1.deliver'";
        let error = parse(public).unwrap_err();
        assert!(
            error.starts_with("`url`: amqp:// would send") && !error.contains("geheim"),
            "{error}"
        );
        parse(&format!("{public}\nallow_plain = true")).unwrap();
        assert!(
            parse("url = 'amqp://h'\nqueue = 'cus.1.deliver'")
                .unwrap_err()
                .contains("consent")
        );
    }
}
