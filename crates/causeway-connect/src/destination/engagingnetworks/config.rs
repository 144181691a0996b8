//! The keys of a destination at Engaging Networks, read and checked.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::{mapping::Tables, secret::Secret};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Limit,
    destination::{Needs, fields::Fields},
    http::{Options, read_header, read_url},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The token of an API user.
    token: SecretRef,
    /// The data centre, with the path of the API.
    #[serde(default = "base_url")]
    base_url: String,
    /// The opt-in questions for the destination's purpose, by their names.
    #[serde(default)]
    opt_ins: Vec<String>,
    /// Opt-in questions that are answered with Y only for people who confirmed by a click. Default: none.
    #[serde(default)]
    double_opt_ins: Vec<String>,
    /// The account's name for the e-mail address. Default `Email Address`.
    #[serde(default = "email_field")]
    email_field: String,
    /// The page on which actions are stored. Default: none.
    action: Option<ActionConfig>,
    /// Supporter field = where its value comes from. Default: names, city, postcode and country.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// General question = where its answer comes from. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    questions: toml::Table,
    /// What becomes of a bounced or complaining address. Default `suppress`.
    #[serde(default)]
    on_suppress: OnSuppress,
    /// What an erasure does. Default `delete`.
    #[serde(default)]
    on_remove: OnRemove,
    /// Calls in an hour. Default 4800; Engaging Networks allows an API user 5000.
    #[serde(default = "calls")]
    calls_per_hour: u32,
    /// Actions in 5 minutes. Default 190; Engaging Networks allows an address 200.
    #[serde(default = "page_calls")]
    page_calls_per_5_min: u32,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActionConfig {
    /// The number of the page, or a value such as `settings.page`.
    #[schemars(with = "String")]
    page: toml::Value,
    /// Field of the transaction = where its value comes from. Default: `txn1` is the action's id.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Whether Engaging Networks sends the page's thank-you mail. Default false.
    #[serde(default)]
    autoresponse: bool,
    /// Whether the page is only tried, and nothing stored. Default false.
    #[serde(default)]
    demo: bool,
}

/// What becomes of an address that must not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnSuppress {
    /// The supporter gets no mail of the account any more.
    #[default]
    Suppress,
    OptOut,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnRemove {
    #[default]
    Delete,
    /// The supporter stays, opted out and suppressed.
    Suppress,
}

fn base_url() -> String {
    "https://ca.engagingnetworks.app/ens/service".to_owned()
}

fn email_field() -> String {
    "Email Address".to_owned()
}

fn calls() -> u32 {
    4_800
}

fn page_calls() -> u32 {
    190
}

/// The mapping without `fields`.
const FIELDS: &str = r#"
"First Name" = "contact.firstName"
"Last Name" = "contact.lastName"
City = "contact.locality"
Postcode = "contact.postcode"
Country = "contact.country"
"#;

/// Members of a supporter that are no fields.
const RESERVED: [&str; 4] = ["questions", "supporterId", "suppressed", "memberships"];

/// The keys, without the secret.
pub(super) struct Settings {
    pub base: Url,
    pub opt_ins: Vec<OptIn>,
    pub email_field: String,
    pub action: Option<Action>,
    pub fields: Fields,
    pub questions: Option<Fields>,
    pub on_suppress: OnSuppress,
    pub on_remove: OnRemove,
    pub limit: Limit,
    pub page_limit: Limit,
    pub options: Options,
    token: SecretRef,
}

pub(super) struct OptIn {
    pub name: String,
    /// Only a click in a mail makes it a Y.
    pub is_double: bool,
}

pub(super) struct Action {
    /// One value.
    pub page: Fields,
    /// The number, if it is the same for all.
    pub fixed: Option<String>,
    pub fields: Fields,
    pub autoresponse: bool,
    pub demo: bool,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        for (key, calls) in [
            ("calls_per_hour", config.calls_per_hour),
            ("page_calls_per_5_min", config.page_calls_per_5_min),
        ] {
            if calls == 0 {
                return Err(ConfigError::new(key, "0 would send nothing"));
            }
        }
        let opt_ins = opt_ins(config.opt_ins, config.double_opt_ins)?;
        let fields = match config.fields {
            Some(table) => table,
            None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
        };
        let is_taken = |name: &str| RESERVED.contains(&name) || *name == config.email_field;
        if let Some(name) = fields.keys().find(|name| is_taken(name)) {
            let error = ConfigError::new(&format!("fields.{name}"), "is written by Causeway itself");
            return Err(error.hint("leave it out; answers belong into `questions`"));
        }
        let is_opt_in = |name: &&String| opt_ins.iter().any(|opt_in| opt_in.name == **name);
        if let Some(name) = config.questions.keys().find(is_opt_in) {
            let error = ConfigError::new(&format!("questions.{name}"), "is an opt-in");
            return Err(error.hint("leave it out: Causeway answers it by the person's consent"));
        }
        let questions = (!config.questions.is_empty())
            .then(|| Fields::read("questions", &config.questions, tables))
            .transpose()?;
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self {
            base,
            opt_ins,
            email_field: config.email_field,
            action: config.action.map(|action| action.read(tables)).transpose()?,
            fields: Fields::read("fields", &fields, tables)?,
            questions,
            on_suppress: config.on_suppress,
            on_remove: config.on_remove,
            limit: Limit {
                calls: config.calls_per_hour,
                per: Duration::from_hours(1),
            },
            page_limit: Limit {
                calls: config.page_calls_per_5_min,
                per: Duration::from_mins(5),
            },
            options: Options {
                allow_private: config.allow_private,
                answer_bytes: 1 << 20,
                ..Options::default()
            },
            token: config.token,
        })
    }

    /// What the rest of the program must know.
    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.needs();
        let action = self
            .action
            .iter()
            .flat_map(|action| [&action.page, &action.fields]);
        for more in self.questions.iter().chain(action).map(Fields::needs) {
            needs.history |= more.history;
            needs.warnings.extend(more.warnings);
        }
        needs
    }

    /// The headers of each request, with what stands for the session's token.
    pub fn headers() -> HeaderMap {
        let mut token = HeaderValue::from_static("***");
        token.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        headers.insert(super::session::TOKEN, token);
        headers
    }

    /// The API user's token, which is sent for a session only.
    pub fn token(&self, context: &Context) -> Result<Secret, ConfigError> {
        let token = self.token.resolve("token", &context.dir)?;
        let token = Secret::new(token.reveal().trim());
        read_header("token", super::session::TOKEN, token.reveal(), true)?;
        Ok(token)
    }

    /// The names of all questions that are written.
    pub fn opt_in_names(&self) -> impl Iterator<Item = &str> {
        self.opt_ins.iter().map(|opt_in| &*opt_in.name)
    }
}

fn opt_ins(single: Vec<String>, double: Vec<String>) -> Result<Vec<OptIn>, ConfigError> {
    let single = single.into_iter().map(|name| (name, false));
    let double = double.into_iter().map(|name| (name, true));
    let mut all: Vec<OptIn> = Vec::new();
    for (name, is_double) in single.chain(double) {
        let key = if is_double { "double_opt_ins" } else { "opt_ins" };
        if name.trim().is_empty() {
            return Err(ConfigError::new(key, "an empty name is not a question"));
        }
        if all.iter().any(|known| known.name == name) {
            return Err(ConfigError::new(key, format!("{name:?} is named twice")));
        }
        all.push(OptIn { name, is_double });
    }
    if all.is_empty() {
        let error = ConfigError::new("opt_ins", "is missing: opt-outs would have no place");
        return Err(error.hint("opt_ins = [\"…\"], with the name of an opt-in question of the account"));
    }
    Ok(all)
}

impl ActionConfig {
    fn read(self, tables: &Tables) -> Result<Action, ConfigError> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let page = match self.page {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        let plain = page
            .strip_prefix('=')
            .or_else(|| Some(page.as_str()).filter(|text| is_number(text)));
        let fixed = plain.map(|text| text.trim().to_owned());
        if fixed.as_deref().is_some_and(|page| !is_number(page)) {
            return Err(ConfigError::new("action.page", "is not the number of a page")
                .hint("page = 112233: the number is in the address of the page"));
        }
        let fields = match self.fields {
            Some(fields) => fields,
            None => toml::Table::from_iter([("txn1".to_owned(), "action.id".into())]),
        };
        let is_known = |name: &str| {
            let number = name
                .strip_prefix("txn")
                .and_then(|number| number.parse::<u8>().ok());
            number.is_some_and(|number| (1..=10).contains(&number))
                || matches!(name, "trackingId" | "appealCode")
        };
        if let Some(name) = fields.keys().find(|name| !is_known(name)) {
            let key = format!("action.fields.{name}");
            return Err(ConfigError::new(&key, "is not a field of a transaction")
                .hint("use txn1 to txn10, trackingId and appealCode"));
        }
        Ok(Action {
            page: Fields::one("action.page", page, tables)?,
            fixed,
            fields: Fields::read("action.fields", &fields, tables)?,
            autoresponse: self.autoresponse,
            demo: self.demo,
        })
    }
}
