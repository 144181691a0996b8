//! The keys of a Salesforce destination, read and checked.

use std::sync::Arc;

use causeway_core::mapping::{Scope, Tables, omission::Omissions};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::config::{Action, Bounce, Bulk, Campaign, Config, Jwt, NewContacts, Object, OnRemove, VERSION};
use crate::{
    config::{ConfigError, Context, SecretRef, read},
    connector::Credential,
    destination::fields::Fields,
    http::{Client, Options, read_url},
    oauth,
};

/// Salesforce accepts an assertion that ends at most three minutes ahead.
const ASSERTION_LIFE_S: u32 = 120;

/// A batch has at most 10,000 deliveries, and by default twice as many as `above`.
const MOST_ABOVE: usize = 5_000;

/// The mapping without `fields`. The country is left out: an org with country picklists takes it in another field.
const FIELDS: &str = r#"
FirstName = "contact.firstName"
LastName = "contact.lastName"
Phone = "contact.phone"
"#;
const CONTACT_FIELDS: &str = r#"
MailingPostalCode = "contact.postcode"
MailingCity = "contact.locality"
"#;
const LEAD_FIELDS: &str = r#"
PostalCode = "contact.postcode"
City = "contact.locality"
"#;

/// A mapping of one value.
pub(super) struct One(Fields);

impl One {
    fn read(key: &str, path: &str, tables: &Tables) -> Result<Self, ConfigError> {
        let table = toml::Table::from_iter([("value".to_owned(), path.into())]);
        Fields::read(key, &table, tables).map(Self)
    }

    /// The value as text; `None` if it is empty.
    pub fn text(&self, scope: &Scope, omissions: &mut Omissions) -> Result<Option<String>, String> {
        let values = self.0.apply(scope, omissions);
        let values = values.map_err(|error| error.to_string())?;
        let value = values.into_iter().next().map(|(_, value)| value);
        Ok(match value {
            Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            _ => None,
        })
    }
}

pub(super) struct Campaigns {
    pub key: String,
    pub value: One,
    pub status: Option<String>,
    pub create: bool,
}

pub(super) struct Actions {
    pub object: String,
    pub key: String,
    pub person: String,
    pub fields: Fields,
}

/// The keys, without the secrets.
pub(super) struct Settings {
    pub base: Url,
    pub version: String,
    pub object: Object,
    pub key: String,
    pub key_value: Option<One>,
    pub fields: Fields,
    /// The checkbox of the opt-in.
    pub opt_in: Option<String>,
    pub opt_in_date: Option<String>,
    pub opt_out_date: Option<String>,
    pub new_contacts: NewContacts,
    pub bounce: Bounce,
    pub on_remove: OnRemove,
    pub allow_duplicates: bool,
    pub api_usage_percent: u64,
    /// A batch of more people is written with the Bulk API.
    pub bulk: Option<usize>,
    pub campaigns: Option<Campaigns>,
    pub actions: Option<Actions>,
    pub options: Options,
    login: Login,
}

/// What opens the sessions.
enum Login {
    /// `token` or `oauth`.
    Usual(Credential),
    /// `jwt`.
    Certificate(Jwt),
}

impl Settings {
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let base = base(&config.base_url, config.allow_private)?;
        check_version(&config.api_version)?;
        if !(1..=100).contains(&config.api_usage_percent) {
            return Err(ConfigError::new("api_usage_percent", "has to be from 1 to 100"));
        }
        let fields = match config.fields {
            Some(table) => table,
            None => default_fields(config.object)?,
        };
        let fields = Fields::read("fields", &fields, tables)?;
        let (opt_in, opt_in_date) = match config.opt_in {
            Some(opt_in) => (Some(opt_in.field), opt_in.date),
            None => (None, None),
        };
        let own = [
            ("key", Some(&config.key)),
            ("opt_in.field", opt_in.as_ref()),
            ("opt_in.date", opt_in_date.as_ref()),
            ("opt_out_date", config.opt_out_date.as_ref()),
        ];
        for (key, name) in own {
            check_name(key, name.map(String::as_str))?;
        }
        for name in fields.names() {
            check_name("fields", Some(name))?;
            let is_ours = [
                "Id",
                "HasOptedOutOfEmail",
                "EmailBouncedReason",
                "EmailBouncedDate",
            ];
            if is_ours.contains(&name) || name == config.key {
                return Err(ConfigError::new(
                    "fields",
                    format!("Causeway writes `{name}` itself"),
                ));
            }
        }
        let key_value = config.key_value.as_deref();
        let has_jobs = config.bulk.is_some();
        Ok(Self {
            login: login(
                config.token,
                config.oauth,
                config.jwt,
                &base,
                config.allow_private,
            )?,
            base,
            version: config.api_version,
            object: config.object,
            key: config.key,
            key_value: key_value
                .map(|path| One::read("key_value", path, tables))
                .transpose()?,
            fields,
            opt_in,
            opt_in_date,
            opt_out_date: config.opt_out_date,
            new_contacts: config.new_contacts,
            bounce: config.bounce,
            on_remove: config.on_remove,
            allow_duplicates: config.allow_duplicates,
            api_usage_percent: config.api_usage_percent,
            bulk: config.bulk.as_ref().map(Bulk::read).transpose()?,
            campaigns: config
                .campaign
                .map(|campaign| campaign.read(tables))
                .transpose()?,
            actions: config.action.map(|action| action.read(tables)).transpose()?,
            options: Options {
                allow_private: config.allow_private,
                // The results of a job repeat its file.
                answer_bytes: if has_jobs { 64 << 20 } else { 4 << 20 },
                ..Options::default()
            },
        })
    }

    /// The headers of each request, with the token if it is fixed. Reads the secret.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // No mail to whoever Salesforce would assign a new lead to.
            (
                HeaderName::from_static("sforce-auto-assign"),
                HeaderValue::from_static("FALSE"),
            ),
        ]);
        match &self.login {
            Login::Usual(credential) => credential.authorize(&mut headers, context)?,
            Login::Certificate(_) => {
                headers.insert(AUTHORIZATION, oauth::placeholder());
            }
        }
        Ok(headers)
    }

    /// What gets and renews the token, unless it is fixed. Reads the secrets.
    pub fn access(&self, context: &Context, client: &Client) -> Result<Option<oauth::Access>, ConfigError> {
        let jwt = match &self.login {
            Login::Usual(credential) => {
                return credential.access(context, client, self.options.allow_private);
            }
            Login::Certificate(jwt) => jwt,
        };
        let settings = oauth::Settings {
            token_url: endpoint(&self.base, "token"),
            grant: oauth::Grant::Jwt(Box::new(jwt.assertion(context)?)),
        };
        Ok(Some(oauth::Access::new(
            Arc::clone(&context.name),
            settings,
            client.clone(),
            Arc::clone(&context.clock),
            Arc::clone(&context.vault),
        )))
    }

    /// For `causeway connect`.
    pub fn sign_in(&self, context: &Context) -> Result<oauth::SignIn, ConfigError> {
        match &self.login {
            Login::Usual(credential) => credential.sign_in(context, self.options.allow_private),
            Login::Certificate(_) => Err(ConfigError::new(
                "jwt",
                "the destination signs in by its certificate: nobody has to",
            )),
        }
    }
}

impl Jwt {
    fn assertion(&self, context: &Context) -> Result<oauth::Assertion, ConfigError> {
        let pem = self.key.resolve("jwt.key", &context.dir)?;
        let (issuer, audience) = (self.client_id.clone(), self.audience.clone());
        let mut assertion = oauth::Assertion::new("jwt.key", &pem, issuer, audience)?;
        assertion.subject = Some(self.username.clone());
        assertion.life_s = ASSERTION_LIFE_S;
        Ok(assertion)
    }
}

impl Bulk {
    fn read(&self) -> Result<usize, ConfigError> {
        let above = usize::try_from(self.above).ok();
        let above = above.filter(|above| (1..=MOST_ABOVE).contains(above));
        above.ok_or_else(|| ConfigError::new("bulk.above", "has to be from 1 to 5000"))
    }
}

impl Campaign {
    fn read(self, tables: &Tables) -> Result<Campaigns, ConfigError> {
        check_name("campaign.key", Some(&self.key))?;
        Ok(Campaigns {
            value: One::read("campaign.value", &self.value, tables)?,
            key: self.key,
            status: self.status,
            create: self.create,
        })
    }
}

impl Action {
    fn read(self, tables: &Tables) -> Result<Actions, ConfigError> {
        let names = [
            ("action.object", &self.object),
            ("action.key", &self.key),
            ("action.person", &self.person),
        ];
        for (key, name) in names {
            check_name(key, Some(name))?;
        }
        let fields = Fields::read("action.fields", &self.fields, tables)?;
        for name in fields.names() {
            check_name("action.fields", Some(name))?;
        }
        Ok(Actions {
            object: self.object,
            key: self.key,
            person: self.person,
            fields,
        })
    }
}

fn default_fields(object: Object) -> Result<toml::Table, ConfigError> {
    let more = match object {
        Object::Contact => CONTACT_FIELDS,
        Object::Lead => LEAD_FIELDS,
    };
    toml::from_str(&format!("{FIELDS}{more}")).map_err(|error| ConfigError::from_toml(&error))
}

fn login(
    token: Option<SecretRef>,
    oauth: Option<oauth::Config>,
    jwt: Option<Jwt>,
    base: &Url,
    allow_private: bool,
) -> Result<Login, ConfigError> {
    match (token, oauth, jwt) {
        (None, None, Some(jwt)) => Ok(Login::Certificate(jwt)),
        (token, oauth, None) => {
            Credential::read(token, oauth, defaults(base), allow_private).map(Login::Usual)
        }
        (_, _, Some(_)) => {
            Err(ConfigError::new("jwt", "there is a `token` or `oauth`, too").hint("remove one of them"))
        }
    }
}

fn endpoint(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("services/oauth2/{name}"));
    url
}

/// Client credentials are accepted on the org's own host only.
fn defaults(base: &Url) -> oauth::Defaults {
    oauth::Defaults {
        token_url: Some(endpoint(base, "token")),
        authorize_url: Some(endpoint(base, "authorize")),
        // The scope of a sign-in. Client credentials have the scopes of the app, and Salesforce ignores this.
        scope: Some("api refresh_token".to_owned()),
        ..oauth::Defaults::default()
    }
}

fn base(text: &str, allow_private: bool) -> Result<Url, ConfigError> {
    let mut base = read_url("base_url", text, allow_private, false)?;
    let host = base.host_str().unwrap_or_default();
    let is_other = host.ends_with(".lightning.force.com")
        || matches!(host, "login.salesforce.com" | "test.salesforce.com");
    if is_other {
        return Err(
            ConfigError::new("base_url", format!("{host} is not the API of your org"))
                .hint("use the My Domain of Setup > My Domain: https://NAME.my.salesforce.com"),
        );
    }
    base.set_path("");
    base.set_query(None);
    Ok(base)
}

fn check_version(text: &str) -> Result<(), ConfigError> {
    let numbers = text.strip_prefix('v').and_then(|numbers| numbers.split_once('.'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.is_some_and(|(major, minor)| is_number(major) && is_number(minor)) {
        return Ok(());
    }
    let error = ConfigError::new("api_version", format!("{text:?} is not a version"));
    Err(error.hint(format!("write it like {VERSION:?}")))
}

/// Names become parts of queries and addresses.
fn check_name(key: &str, name: Option<&str>) -> Result<(), ConfigError> {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match name.filter(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => Err(ConfigError::new(key, format!("{name:?} is not an API name"))
            .hint("the API name is in Setup > Object Manager: Causeway_Id__c")),
    }
}
