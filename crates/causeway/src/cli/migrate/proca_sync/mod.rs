//! Converts an environment file of proca-sync into a configuration of Causeway.
//!
//! Invariants: the output names every key of the input and its result. It contains no value that could be a secret: only
//! the values of keys that are known to hold no secret are copied.

mod destination;

use std::fmt::Write as _;

use toml::Value;

use super::{
    connectors::{CONNECTORS, Connector, CrmType, find},
    env_file::{EnvFile, read},
    field_map,
};
use crate::config::one_of;

/// A configuration, and the list of what is left to do by hand.
pub struct Migrated {
    pub text: String,
    pub to_do: Vec<String>,
}

/// Keys without a counterpart, and why none is needed.
const WITHOUT: [(&str, &str); 9] = [
    (
        "NODE_ENV",
        "not needed: there is only one mode; Proca's own flag marks test actions (`testing`)",
    ),
    (
        "PROCA_ENV",
        "not needed: there is only one mode; give each environment its own configuration",
    ),
    (
        "SENTRY_URL",
        "errors are in the log and in the metrics at /metrics: set alarms there",
    ),
    (
        "REACT_APP_API_URL",
        "campaigns are learned from the queue, and from Proca's API with [source.proca.reconcile]",
    ),
    (
        "CIVICRM_PATH",
        "the path of CiviCRM's API: part of base_url, which you must check",
    ),
    ("CRM_ID", "a credential of the CRM: it is not in this file"),
    (
        "ORG",
        "not needed: the queue's name contains the number of the organisation",
    ),
    ("VERBOSE", "CAUSEWAY_LOG=debug logs more, never personal data"),
    ("PAUSE", "`rate_per_s` of the destination sets the pace"),
];

pub fn migrate(name: &str, text: &str) -> Migrated {
    let file = read(text);
    let mut work = Work {
        file: &file,
        fates: Vec::new(),
        to_do: Vec::new(),
        exports: Vec::new(),
    };
    let connector = work.connector();
    let crm_type = work.crm_type(connector);
    let source = work.source(crm_type);
    let destination = work.destination(connector, crm_type);
    work.rest();
    let text = work.print(name, connector, &source, &destination);
    Migrated {
        text,
        to_do: work.to_do,
    }
}

struct Work<'a> {
    file: &'a EnvFile,
    /// Key and its result.
    fates: Vec<(String, String)>,
    to_do: Vec<String>,
    /// Environment variable and the value that it must have.
    exports: Vec<(String, String)>,
}

impl<'a> Work<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.file.get(key).filter(|value| !value.trim().is_empty())
    }

    fn fate(&mut self, key: &str, what: impl Into<String>) {
        if self.file.get(key).is_some() && !self.fates.iter().any(|(known, _)| known == key) {
            self.fates.push((key.to_owned(), what.into()));
        }
    }

    fn export(&mut self, name: &str, what: impl Into<String>) {
        if !self.exports.iter().any(|(known, _)| known == name) {
            self.exports.push((name.to_owned(), what.into()));
        }
    }

    fn connector(&mut self) -> Option<&'static Connector> {
        let Some(name) = self.get("CRM") else {
            self.fate("CRM", "empty: the target of the records is unknown");
            self.to_do
                .push("CRM is empty: replace the web hook by the right destination".to_owned());
            return None;
        };
        let found = find(name);
        if let Some(connector) = found {
            self.fate(
                "CRM",
                format!("the destination below, instead of {}", connector.name),
            );
        } else {
            self.fate("CRM", "unknown connector: the destination is a web hook");
            let names: Vec<&str> = CONNECTORS.iter().map(|connector| connector.name).collect();
            let wanted = if field_map::is_name(name) { name } else { "" };
            let hint = one_of(wanted, &names);
            self.to_do.push(format!("CRM names an unknown connector: {hint}"));
        }
        found
    }

    fn crm_type(&mut self, connector: Option<&Connector>) -> CrmType {
        let default = connector.map_or(CrmType::OptIn, |connector| connector.crm_type);
        let mut chosen = default;
        // One connector reads ACTION_TYPE, all others CRM_TYPE.
        for key in ["ACTION_TYPE", "CRM_TYPE"] {
            let Some(text) = self.get(key) else {
                self.fate(key, "empty: the connector's default is used");
                continue;
            };
            if let Some(known) = CrmType::read(text) {
                chosen = known;
                self.fate(
                    key,
                    format!(
                        "consent = {:?} of the source and {:?} of the destination",
                        known.of_source(),
                        known.of_destination()
                    ),
                );
            } else {
                self.fate(
                    key,
                    "not ActionContact, Contact, OptIn or DoubleOptIn: the connector's default is used",
                );
                self.to_do
                    .push(format!("{key} has an unknown value: check `consent` below"));
            }
        }
        chosen
    }

    fn source(&mut self, crm_type: CrmType) -> String {
        let url = self.url();
        let mut out = String::from("[source.proca]\nkind = \"proca\"\n");
        // Writing into a String cannot fail.
        writeln!(out, "url = {{ env = {} }}", quoted(url)).ok();
        let queue = self.queue();
        writeln!(out, "queue = {}", quoted(&queue)).ok();
        if !has_number(&queue) {
            out.push_str("own_orgs = [0]                        # to do: the number of your organisation\n");
        }
        writeln!(
            out,
            "consent = {:<26} # what makes an opt-in valid: single, double_opt_in",
            quoted(crm_type.of_source())
        )
        .ok();
        out.push_str("testing = \"skip\"                      # proca-sync treated test actions like real ones; \"deliver\" does so, too\n");
        out.push_str("# keystore = [\"proca-keys.json\"]      # if contacts are encrypted: proca-sync could not read them\n");
        out
    }

    fn queue(&mut self) -> String {
        match self.get("PROCA_QUEUE") {
            Some(queue)
                if queue.len() <= 255
                    && queue
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) =>
            {
                self.fate("PROCA_QUEUE", "queue of [source.proca]");
                if !has_number(queue) {
                    self.to_do.push(
                        "the queue's name does not contain the organisation: set `own_orgs` to its number"
                            .to_owned(),
                    );
                }
                queue.to_owned()
            }
            Some(_) => {
                self.fate(
                    "PROCA_QUEUE",
                    "not the name of a queue of Proca, such as cus.12.deliver: enter it by hand",
                );
                self.to_do
                    .push("PROCA_QUEUE is not a queue of Proca: set `queue` to the queue's name".to_owned());
                "cus.0.deliver".to_owned()
            }
            None => {
                self.fate("PROCA_QUEUE", "empty");
                self.to_do.push(
                    "PROCA_QUEUE is missing: set `queue` to the queue's name, such as cus.12.deliver"
                        .to_owned(),
                );
                "cus.0.deliver".to_owned()
            }
        }
    }

    /// The variable with the broker's address.
    fn url(&mut self) -> &'static str {
        const OWN: &str = "PROCA_AMQP_URL";
        let scheme = |text: &str| text.starts_with("amqp://") || text.starts_with("amqps://");
        let given = self.get("PROCA_URL");
        let has_user = given.is_some_and(|url| scheme(url) && url.contains('@'));
        let (name, recipe) = match given {
            Some(_) if has_user => {
                self.fate("PROCA_URL", "url of [source.proca], unchanged");
                for key in ["PROCA_USERNAME", "PROCA_PASSWORD"] {
                    self.fate(key, "not needed: PROCA_URL has user and password");
                }
                ("PROCA_URL", "unchanged, user and password percent-encoded")
            }
            Some(url) if scheme(url) => (
                OWN,
                "PROCA_URL with USER:PASSWORD@ after the //, both percent-encoded",
            ),
            Some(_) => (
                OWN,
                "amqps://USER:PASSWORD@ followed by PROCA_URL, user and password percent-encoded",
            ),
            None => (
                OWN,
                "amqps://USER:PASSWORD@api.proca.app/proca_live, user and password percent-encoded",
            ),
        };
        self.fate("PROCA_URL", format!("part of {name}, which you must export"));
        for (key, part) in [("PROCA_USERNAME", "USER"), ("PROCA_PASSWORD", "PASSWORD")] {
            self.fate(key, format!("{part} in {name}, which you must export"));
            if !has_user && self.get(key).is_none() {
                self.to_do
                    .push(format!("{key} is missing: the broker requires it in {name}"));
            }
        }
        self.export(name, recipe);
        name
    }

    /// Lists all keys that were not used.
    fn rest(&mut self) {
        let file = self.file;
        for (key, _) in &file.entries {
            let known = WITHOUT.iter().find(|(name, _)| name == key);
            let what = match known {
                Some((_, why)) => (*why).to_owned(),
                None if is_secret(key) => "a URL or credential of the CRM: it is not in this file".to_owned(),
                None => "unknown: nothing below depends on it".to_owned(),
            };
            let is_unknown = known.is_none() && !is_secret(key);
            if is_unknown && !self.fates.iter().any(|(name, _)| name == key) {
                self.to_do
                    .push(format!("{key} is unknown: check whether it matters"));
            }
            self.fate(key, what);
        }
        for key in &file.repeated {
            self.to_do
                .push(format!("{key} appears more than once: the last one counts"));
        }
        for line in &file.not_understood {
            self.to_do
                .push(format!("line {line} is neither KEY=value nor a comment"));
        }
    }

    fn print(&self, name: &str, connector: Option<&Connector>, source: &str, destination: &str) -> String {
        let mut out = format!(
            "# Made from {} by `causeway migrate proca-sync`. It contains no secrets.\n\
             # Next: `causeway config check`, then `causeway send MESSAGE --dry-run`, then `causeway doctor`.\n\
             # Stop proca-sync first: two programs on one queue take messages from each other.\n",
            comment(name)
        );
        out.push_str("#\n# Environment variables to set before the start:\n");
        for (name, what) in &self.exports {
            writeln!(out, "#   {name:<20} {what}").ok();
        }
        if !self.to_do.is_empty() {
            out.push_str("#\n# To do by hand:\n");
            for what in &self.to_do {
                writeln!(out, "#   - {}", comment(what)).ok();
            }
        }
        out.push_str("#\n# The result for each key:\n");
        for (key, _) in &self.file.entries {
            let fate = self.fates.iter().find(|(name, _)| name == key);
            let what = fate.map_or("nothing", |(_, what)| what.as_str());
            writeln!(out, "#   {key:<20} {}", comment(what)).ok();
        }
        for key in &self.file.switched_off {
            writeln!(out, "#   {key:<20} left out, because it is commented out there").ok();
        }
        if let Some(connector) = connector {
            writeln!(out, "#\n# Differences from the connector {}:", connector.name).ok();
            for what in connector.differs {
                writeln!(out, "#   - {what}").ok();
            }
        }
        out.push_str(
            "#   - bounces, complaints and unsubscriptions stopped it; here they are sent to the destination \
                      as withdrawals\n",
        );
        write!(out, "\n{source}\n{destination}").ok();
        out
    }
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// One line of a comment.
fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Whether the name has a number, as in `cus.12.…`.
fn has_number(queue: &str) -> bool {
    let number = queue
        .strip_prefix("cus.")
        .and_then(|rest| rest.split_once('.'))
        .filter(|(_, rest)| !rest.is_empty());
    number.is_some_and(|(number, _)| number.parse::<u64>().is_ok())
}

fn is_secret(key: &str) -> bool {
    let key = key.to_uppercase();
    [
        "TOKEN", "KEY", "SECRET", "PASS", "USER", "LOGIN", "URL", "CLIENT", "AUTH",
    ]
    .iter()
    .any(|part| key.contains(part))
}
