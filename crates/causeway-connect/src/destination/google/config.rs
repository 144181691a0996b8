//! The keys of a destination at Google, read and checked.

use causeway_core::{
    mapping::{Scope, Tables, omission::Omissions},
    secret::Secret,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    memory::{Identifier, MOST_IDENTIFIERS},
    normal,
};
use crate::{
    config::{ConfigError, Context, SecretRef, read},
    destination::fields::Fields,
    http::{Options, read_header, read_url},
    oauth::{self, Assertion, Defaults, Grant, GrantName, SignIn},
};

const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
const TERMS: &str = "https://support.google.com/adspolicy/answer/6299717";
const DAY: i64 = 86_400;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The JSON key file of a service account that is a user of the account of Google Ads.
    service_account: Option<SecretRef>,
    /// In place of a service account: an app of yours, for which `causeway connect NAME` signs in.
    oauth: Option<oauth::Config>,
    /// An access token, for trials: it ends after an hour.
    token: Option<SecretRef>,
    /// The customer id of the account of Google Ads: `123-456-7890`.
    account: String,
    /// The manager account through which `account` is reached. Default: `account` itself.
    login_account: Option<String>,
    /// The number of the list.
    list: u64,
    /// Confirms that your organisation accepts the terms of Customer Match. Must be `true`.
    #[serde(default)]
    accept_terms: bool,
    /// What identifies a person: `email`, `phone` and `address` (name, country and postcode). Default `email`.
    #[serde(default = "email")]
    identifiers: Vec<Sort>,
    /// Days after which a person who is in the list already is sent again. 0 sends each record. Default 100.
    #[serde(default = "renew_days")]
    renew_days: u16,
    /// Calls in a minute. Google allows 300 for all programs of a project. Default 280.
    #[serde(default = "calls_per_minute")]
    calls_per_minute: u32,
    #[serde(default = "version")]
    api_version: String,
    #[serde(default = "base_url")]
    base_url: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Email,
    Phone,
    Address,
}

impl Sort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Address => "address",
        }
    }

    /// The values of the record that it is made of.
    fn paths(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Email => &[("email", "contact.email")],
            // The number as it is says whether the contact has one.
            Self::Phone => &[
                ("phone", "contact.phone | phone(default=none)"),
                ("phone_given", "contact.phone"),
            ],
            Self::Address => &[
                ("given", "contact.firstName"),
                ("family", "contact.lastName"),
                ("region", "contact.country | country(default=none)"),
                ("postcode", "contact.postcode"),
            ],
        }
    }
}

fn email() -> Vec<Sort> {
    vec![Sort::Email]
}

fn renew_days() -> u16 {
    100
}

fn calls_per_minute() -> u32 {
    280
}

fn version() -> String {
    "v1".to_owned()
}

fn base_url() -> String {
    "https://datamanager.googleapis.com".to_owned()
}

/// The part of a service account's key file that is needed.
#[derive(Deserialize)]
struct KeyFile {
    private_key_id: Option<String>,
    private_key: String,
    client_email: String,
    token_uri: Option<String>,
}

/// Where the credentials are.
enum Credentials {
    ServiceAccount(SecretRef),
    OAuth(oauth::Config),
    Token(SecretRef),
}

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub version: String,
    /// Digits.
    pub account: String,
    pub login_account: Option<String>,
    pub list: u64,
    /// In seconds; `None`: each record is sent.
    pub renew_after: Option<i64>,
    pub calls_per_minute: u32,
    pub options: Options,
    sorts: Vec<Sort>,
    fields: Fields,
    credentials: Credentials,
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        if !config.accept_terms {
            return Err(ConfigError::new(
                "accept_terms",
                "Google takes nobody before its terms are accepted",
            )
            .hint(format!(
                "read {TERMS}, accept the terms in Google Ads, and set accept_terms = true"
            )));
        }
        if config.list == 0 {
            return Err(ConfigError::new("list", "0 is not the number of a list")
                .hint("it is in the list's address in Google Ads: list = 8812345678"));
        }
        for (at, sort) in config.identifiers.iter().enumerate() {
            if config.identifiers.iter().take(at).any(|earlier| earlier == sort) {
                let text = format!("{} is there twice", sort.as_str());
                return Err(ConfigError::new("identifiers", text));
            }
        }
        // A withdrawal and an erasure always know the address, and nothing else for sure.
        if !config.identifiers.contains(&Sort::Email) {
            return Err(
                ConfigError::new("identifiers", "without email nobody could be removed for sure")
                    .hint("identifiers = [\"email\", \"phone\"]"),
            );
        }
        if !config.api_version.starts_with('v')
            || !config
                .api_version
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        {
            let error = ConfigError::new("api_version", "not a version of the Data Manager API");
            return Err(error.hint("api_version = \"v1\""));
        }
        if config.calls_per_minute == 0 {
            return Err(ConfigError::new("calls_per_minute", "0 would never call"));
        }
        let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
        base.set_path("");
        let paths = config.identifiers.iter().flat_map(|sort| sort.paths());
        let paths = paths.map(|(name, path)| ((*name).to_owned(), (*path).into()));
        let login = config.login_account.as_deref();
        let options = Options {
            allow_private: config.allow_private,
            ..Options::default()
        };
        Ok(Self {
            base,
            version: config.api_version,
            account: customer("account", &config.account)?,
            login_account: login.map(|login| customer("login_account", login)).transpose()?,
            list: config.list,
            renew_after: Some(i64::from(config.renew_days) * DAY).filter(|seconds| *seconds > 0),
            calls_per_minute: config.calls_per_minute,
            options,
            fields: Fields::read("identifiers", &paths.collect(), tables)?,
            sorts: config.identifiers,
            credentials: credentials(
                config.service_account,
                config.oauth,
                config.token,
                options.allow_private,
            )?,
        })
    }

    /// The list in all of Google.
    pub fn list_name(&self) -> String {
        format!("{}/{}", self.account, self.list)
    }

    /// Who a person is. Notes name the identifiers that cannot be made.
    pub fn identifiers(&self, scope: &Scope, omissions: &mut Omissions) -> (Vec<Identifier>, Vec<String>) {
        // A value that cannot be read does not stop a delivery.
        let values = self.fields.apply(scope, omissions).unwrap_or_default();
        let text = |name: &str| {
            let found = values.iter().find(|(have, _)| have == name);
            match found.map(|(_, value)| value) {
                Some(Value::String(text)) => text.trim().to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            }
        };
        let (mut ids, mut notes) = (Vec::new(), Vec::new());
        for sort in &self.sorts {
            let (found, is_given) = match sort {
                Sort::Email => {
                    let email = text("email");
                    (
                        normal::emails(&email)
                            .into_iter()
                            .map(Identifier::Email)
                            .collect(),
                        !email.is_empty(),
                    )
                }
                Sort::Phone => {
                    let phone = normal::phone(&text("phone"));
                    (
                        phone.into_iter().map(Identifier::Phone).collect(),
                        !text("phone_given").is_empty(),
                    )
                }
                Sort::Address => (address(&text).into_iter().collect::<Vec<_>>(), false),
            };
            if found.is_empty() && is_given {
                notes.push(format!(
                    "{} is left out: nothing of it can be sent",
                    sort.as_str()
                ));
            }
            ids.extend(found);
        }
        ids.truncate(MOST_IDENTIFIERS);
        (ids, notes)
    }

    /// The headers of each request; with a token, unless one is put in later.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let authorization = match &self.credentials {
            Credentials::Token(token) => {
                let token = token.resolve("token", &context.dir)?;
                let bearer = format!("Bearer {}", token.reveal());
                read_header("token", AUTHORIZATION.as_str(), &bearer, true)?.1
            }
            _ => oauth::placeholder(),
        };
        let json = HeaderValue::from_static("application/json");
        Ok(HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (CONTENT_TYPE, json),
        ]))
    }

    /// For `causeway connect`. Reads the secrets.
    pub fn sign_in(&self, context: &Context) -> Result<SignIn, ConfigError> {
        match &self.credentials {
            Credentials::OAuth(config) => config.sign_in(&defaults(), context, self.options.allow_private),
            _ => Err(ConfigError::new(
                "oauth",
                "the destination has a service account or a token: nobody has to sign in",
            )
            .hint("to sign in as a person, write oauth = { client_id = \"…\", grant = \"refresh_token\" } instead")),
        }
    }

    /// Where tokens come from; `None` for a token that is configured.
    pub fn tokens(&self, context: &Context) -> Result<Option<oauth::Settings>, ConfigError> {
        let allow_private = self.options.allow_private;
        Ok(match &self.credentials {
            Credentials::Token(_) => None,
            Credentials::OAuth(config) => Some(config.settings(&defaults(), context, allow_private)?),
            Credentials::ServiceAccount(file) => {
                let file = file.resolve("service_account", &context.dir)?;
                Some(service_account(&file, allow_private)?)
            }
        })
    }
}

/// The ten digits of a customer id.
fn customer(key: &str, text: &str) -> Result<String, ConfigError> {
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    if digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits);
    }
    let error = ConfigError::new(key, "not a customer id of Google Ads");
    Err(error.hint(format!("it has ten digits: {key} = \"123-456-7890\"")))
}

fn credentials(
    file: Option<SecretRef>,
    oauth: Option<oauth::Config>,
    token: Option<SecretRef>,
    allow_private: bool,
) -> Result<Credentials, ConfigError> {
    match (file, oauth, token) {
        (Some(file), None, None) => Ok(Credentials::ServiceAccount(file)),
        (None, Some(config), None) => {
            if config.grant != GrantName::RefreshToken {
                return Err(
                    ConfigError::new("oauth.grant", "Google gives an app no token of its own")
                        .hint("grant = \"refresh_token\""),
                );
            }
            config.check(&defaults(), allow_private)?;
            Ok(Credentials::OAuth(config))
        }
        (None, None, Some(token)) => Ok(Credentials::Token(token)),
        (None, None, None) => Err(ConfigError::new("service_account", "is missing")
            .hint("service_account = { file = \"google-key.json\" }, or a table `oauth`")),
        _ => Err(ConfigError::new(
            "service_account",
            "only one of `service_account`, `oauth` and `token` can be used",
        )),
    }
}

/// What Google's documents say about tokens. A refresh token comes only with these two parameters.
pub(super) fn defaults() -> Defaults {
    Defaults {
        token_url: Url::parse("https://oauth2.googleapis.com/token").ok(),
        authorize_url: Url::parse("https://accounts.google.com/o/oauth2/v2/auth").ok(),
        scope: Some(SCOPE.to_owned()),
        basic: false,
        sign_in: vec![("access_type", "offline"), ("prompt", "consent")],
    }
}

fn service_account(file: &Secret, allow_private: bool) -> Result<oauth::Settings, ConfigError> {
    // The reader's message is left out: it may quote the key.
    let file: KeyFile = serde_json::from_str(file.reveal()).map_err(|_| {
        ConfigError::new("service_account", "not the JSON key file of a service account")
            .hint("create one in the Google Cloud console: IAM, Service accounts, Keys, Add key, JSON")
    })?;
    let token_url = match &file.token_uri {
        Some(url) => read_url("service_account", url, allow_private, false)?,
        None => defaults()
            .token_url
            .ok_or_else(|| ConfigError::new("service_account", "has no `token_uri`"))?,
    };
    let key = Secret::new(file.private_key);
    let mut assertion = Assertion::new(
        "service_account",
        &key,
        file.client_email,
        token_url.as_str().to_owned(),
    )?;
    assertion.scope = Some(SCOPE.to_owned());
    assertion.key_id = file.private_key_id;
    Ok(oauth::Settings {
        token_url,
        grant: Grant::Jwt(Box::new(assertion)),
    })
}

/// Google matches all four parts at once, so an address without one of them is not sent.
fn address(text: &impl Fn(&str) -> String) -> Option<Identifier> {
    Some(Identifier::Address(
        normal::name(&text("given"))?,
        normal::name(&text("family"))?,
        normal::region(&text("region"))?,
        normal::postcode(&text("postcode"))?,
    ))
}
