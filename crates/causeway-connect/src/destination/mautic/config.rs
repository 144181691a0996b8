//! The keys of a Mautic destination, read and checked.

use std::time::Duration;

use causeway_core::mapping::Tables;
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::{Credential, Limit},
    destination::{Needs, fields::Fields},
    http::{Client, Options, read_header, read_url},
    oauth::{self, Access, Defaults, SignIn},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where Mautic is: `https://mautic.example.org`, without `/api`.
    base_url: String,
    /// The user for Basic authentication, which the API settings must allow.
    user: Option<String>,
    /// The password of this user.
    password: Option<SecretRef>,
    /// In place of user and password: OAuth 2 credentials, under Settings > API Credentials.
    oauth: Option<oauth::Config>,
    /// The channel that an opt-out closes: `email`, `sms` or another one of Mautic. Default `email`.
    #[serde(default = "email")]
    channel: String,
    /// What a new contact becomes who did not agree: `do_not_contact` or `contactable`.
    #[serde(default)]
    others: Others,
    /// Numbers of segments that a person who agreed is put into.
    #[serde(default)]
    segments: Vec<u64>,
    /// Tags of each contact: names with `=`, or where they come from. `-name` takes a tag away. Default: the name of
    /// the campaign.
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    tags: Option<Vec<toml::Value>>,
    /// Alias of a contact field = where its value comes from. Default: name, telephone and address.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// The note that an action becomes: title of a line = where its text comes from. Default: none.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    note: Option<toml::Table>,
    /// The points that an action gives: a whole number, or where it comes from. Default: none.
    #[schemars(with = "Option<serde_json::Value>")]
    points: Option<toml::Value>,
    /// Calls in a second. Default 10.
    #[serde(default = "ten")]
    calls_per_s: u32,
    /// The path of version 1 of Mautic's API. Default `api`.
    #[serde(default = "api")]
    api_path: String,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Others {
    #[default]
    DoNotContact,
    Contactable,
}

fn email() -> String {
    "email".to_owned()
}

fn ten() -> u32 {
    10
}

fn api() -> String {
    "api".to_owned()
}

/// Mautic's own channels. Plug-ins may add others.
const CHANNELS: [&str; 4] = ["email", "sms", "notification", "mobile_notification"];

/// The mapping without `fields`. Mautic names countries in English.
const FIELDS: &str = r#"
firstname = "contact.firstName"
lastname = "contact.lastName"
phone = "contact.phone"
address1 = "contact.street"
zipcode = "contact.postcode"
city = "contact.locality"
country = "contact.country | country('name', default=none)"
"#;

/// Members of a contact in Mautic's API that Causeway sets itself, or that change how the others are written.
const RESERVED: [&str; 7] = [
    "id",
    "email",
    "tags",
    "doNotContact",
    "points",
    "frequencyRules",
    "overwriteWithBlank",
];

/// The keys, without the secrets.
pub(super) struct Settings {
    /// With the path of the API at its end.
    pub base: Url,
    pub channel: String,
    pub others: Others,
    pub segments: Vec<u64>,
    pub tags: Option<Fields>,
    pub fields: Fields,
    pub note: Option<Fields>,
    pub points: Option<Fields>,
    pub limit: Limit,
    pub options: Options,
    login: Login,
}

enum Login {
    Basic { user: String, password: SecretRef },
    App(Credential),
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let mut config: Config = read(table)?;
        let is_word = |text: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            !text.is_empty() && text.bytes().all(is_plain)
        };
        if !is_word(&config.channel) {
            let error = ConfigError::new("channel", format!("{:?} is not a channel", config.channel));
            return Err(error.hint("channel = \"email\""));
        }
        if config.segments.contains(&0) {
            let error = ConfigError::new("segments", "0 is not the number of a segment");
            return Err(error.hint("the list of segments shows it in its last column"));
        }
        if config.calls_per_s == 0 {
            return Err(ConfigError::new("calls_per_s", "0 would send nothing"));
        }
        let api_path = config.api_path.trim_matches('/').to_owned();
        if !api_path.split('/').all(is_word) {
            let error = ConfigError::new("api_path", format!("{:?} is not a path", config.api_path));
            return Err(error.hint("api_path = \"api\""));
        }
        let site = site(&config)?;
        let login = login(&mut config, &site)?;
        let note = config.note.map(|note| Fields::read("note", &note, tables));
        let points = config.points.map(|points| Fields::one("points", points, tables));
        Ok(Self {
            base: below(&site, &api_path),
            channel: config.channel,
            others: config.others,
            segments: config.segments,
            tags: tags(config.tags, tables)?,
            fields: fields(config.fields, tables)?,
            note: note.transpose()?,
            points: points.transpose()?,
            limit: Limit {
                calls: config.calls_per_s,
                per: Duration::from_secs(1),
            },
            options: Options {
                allow_private: config.allow_private,
                // Mautic shows each contact with the definitions of all its fields.
                answer_bytes: 16 << 20,
                ..Options::default()
            },
            login,
        })
    }

    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.needs();
        let more = [&self.tags, &self.note, &self.points];
        for other in more.into_iter().flatten().map(Fields::needs) {
            needs.history |= other.history;
            needs.warnings.extend(other.warnings);
        }
        if !CHANNELS.contains(&self.channel.as_str()) {
            needs.warnings.push(format!(
                "`channel` is {:?}, which is none of Mautic's own ({}). An opt-out of it stops no mails",
                self.channel,
                CHANNELS.join(", ")
            ));
        }
        needs
    }

    /// The headers of each request. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        match &self.login {
            Login::Basic { user, password } => {
                let password = password.resolve("password", &context.dir)?;
                let pair = format!("{user}:{}", password.reveal());
                let basic = format!("Basic {}", BASE64.encode(pair.as_bytes()));
                headers.extend([read_header("password", AUTHORIZATION.as_str(), &basic, true)?]);
            }
            Login::App(credential) => credential.authorize(&mut headers, context)?,
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }

    pub fn access(&self, context: &Context, client: &Client) -> Result<Option<Access>, ConfigError> {
        match &self.login {
            Login::Basic { .. } => Ok(None),
            Login::App(credential) => credential.access(context, client, self.options.allow_private),
        }
    }

    pub fn sign_in(&self, context: &Context) -> Result<SignIn, ConfigError> {
        match &self.login {
            Login::Basic { .. } => Err(ConfigError::new(
                "user",
                "the destination has a user and a password: nobody has to sign in",
            )
            .hint("to sign in as a person, write oauth = { client_id = \"…\", grant = \"refresh_token\" } instead")),
            Login::App(credential) => credential.sign_in(context, self.options.allow_private),
        }
    }
}

/// The address of the site, which may be in a folder.
fn site(config: &Config) -> Result<Url, ConfigError> {
    let mut site = read_url("base_url", &config.base_url, config.allow_private, false)?;
    let path = site.path().trim_end_matches('/').to_owned();
    if path.ends_with("/api") {
        return Err(ConfigError::new("base_url", "ends with /api").hint("leave /api out"));
    }
    site.set_path(&path);
    site.set_query(None);
    Ok(site)
}

fn below(site: &Url, path: &str) -> Url {
    let mut url = site.clone();
    url.set_path(&format!("{}/{path}", site.path().trim_end_matches('/')));
    url
}

/// User and password, or an app of Mautic's.
fn login(config: &mut Config, site: &Url) -> Result<Login, ConfigError> {
    match (config.user.take(), config.password.take(), config.oauth.take()) {
        (Some(user), Some(password), None) => {
            if user.is_empty() || user.contains(':') {
                return Err(ConfigError::new(
                    "user",
                    format!("{user:?} is not the name of a user"),
                ));
            }
            Ok(Login::Basic { user, password })
        }
        (None, None, Some(app)) => {
            let defaults = Defaults {
                token_url: Some(below(site, "oauth/v2/token")),
                authorize_url: Some(below(site, "oauth/v2/authorize")),
                ..Defaults::default()
            };
            Credential::read(None, Some(app), defaults, config.allow_private).map(Login::App)
        }
        (_, _, Some(_)) => Err(
            ConfigError::new("oauth", "there is a `user` or a `password`, too")
                .hint("remove them, or `oauth`"),
        ),
        (Some(_), None, None) => {
            Err(ConfigError::new("password", "is missing").hint("password = { env = \"NAME\" }"))
        }
        (None, _, None) => Err(ConfigError::new("user", "is missing").hint(
            "user = \"causeway\" with a password, or oauth = { client_id = \"…\", client_secret = … }",
        )),
    }
}

fn fields(table: Option<toml::Table>, tables: &Tables) -> Result<Fields, ConfigError> {
    let table = match table {
        Some(table) => table,
        None => toml::from_str(FIELDS).map_err(|error| ConfigError::from_toml(&error))?,
    };
    if let Some(name) = table.keys().find(|name| RESERVED.contains(&name.as_str())) {
        let hint = match name.as_str() {
            "email" => "leave it out: the address is always sent",
            "tags" => "write tags = [\"campaign.name\"] outside `fields`",
            "points" => "write points = 5 outside `fields`: this number would replace all points",
            _ => "leave it out",
        };
        let error = ConfigError::new(&format!("fields.{name}"), "is not a field that can be mapped");
        return Err(error.hint(hint));
    }
    Fields::read("fields", &table, tables)
}

fn tags(tags: Option<Vec<toml::Value>>, tables: &Tables) -> Result<Option<Fields>, ConfigError> {
    let tags = tags.unwrap_or_else(|| vec!["campaign.name".into()]);
    Fields::list("tags", tags, tables)
}
