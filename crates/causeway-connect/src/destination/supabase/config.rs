//! The keys of a destination behind PostgREST, read and checked.

use std::{collections::BTreeSet, sync::Arc};

use causeway_core::{
    consent::Change,
    mapping::{ConsentShown, Mapping, Tables, omission::Person},
    record::Record,
    secret::Secret,
};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::rows::Guard;
use crate::{
    config::{ConfigError, Context, SecretRef, read, term_json},
    destination::{Needs, columns::Mapped},
    http::{Client, Options, read_header, read_url},
    oauth::{self, Access, Grant, Password},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The address of the REST API: `https://REF.supabase.co/rest/v1`, or the root of a PostgREST of yours.
    base_url: String,
    /// A secret key (`sb_secret_…`), a publishable key with `user`, or a legacy `service_role` or `anon` key.
    api_key: Option<SecretRef>,
    /// A JWT for a PostgREST of yours.
    token: Option<SecretRef>,
    /// Signs in as a user of Supabase Auth, whose rights the tables' policies decide.
    user: Option<UserConfig>,
    /// The schema of the tables. Default: the first that the API exposes.
    schema: Option<String>,
    /// One row per contact.
    contacts: Option<TableConfig>,
    /// One row per action.
    actions: Option<TableConfig>,
    /// Leaves consent as it is in a row that shows an opt-out at or after the opt-in.
    #[serde(default = "yes")]
    keep_opt_outs: bool,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UserConfig {
    email: String,
    password: SecretRef,
    /// Default: `base_url` with `/auth/v1` in place of `/rest/v1`.
    auth_url: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableConfig {
    /// The name of the table or view, as in the database.
    table: String,
    /// The columns that identify a row; the table has a unique index on exactly these.
    key: Option<Vec<String>>,
    /// Column → expression (`"contact.firstName"`), template (`"{{ … }}"`), or `"=text"`.
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    columns: Option<toml::Table>,
    /// What to do if the row exists. Default: `update` for contacts, `ignore` for actions.
    on_conflict: Option<OnConflict>,
    /// What to do with a record that has no value for a key column.
    #[serde(default)]
    missing_key: MissingKey,
    /// What happens to the rows of an erased contact.
    #[serde(default)]
    on_remove: OnRemove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnConflict {
    /// Set the mapped columns. A value that the record does not have keeps the old one.
    Update,
    /// Keep the row as it is, except for an opt-out, which is always written.
    Ignore,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnRemove {
    /// Delete the rows.
    #[default]
    Delete,
    /// Keep the rows and empty the mapped columns with personal data; an address that is the key is replaced.
    Blank,
    /// Only for `contacts`: keep the row with its data and set its consent columns.
    Unsubscribe,
    /// Only for `actions`: keep the rows as they are.
    Keep,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MissingKey {
    /// Reject the record.
    #[default]
    Reject,
    /// Write no row into this table.
    Skip,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::destination) enum Role {
    Contacts,
    Actions,
}

impl Role {
    /// The key of the table.
    fn key(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Actions => "actions",
        }
    }

    fn default_key(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["email"],
            Self::Actions => &["source", "action_id"],
        }
    }

    /// The mapping without `columns`.
    fn default_columns(self) -> &'static str {
        match self {
            Self::Contacts => CONTACT_COLUMNS,
            Self::Actions => ACTION_COLUMNS,
        }
    }
}

const CONTACT_COLUMNS: &str = r#"
email = "contact.email"
first_name = "contact.firstName"
last_name = "contact.lastName"
phone = "contact.phone"
country = "contact.country"
postcode = "contact.postcode"
subscribed = "consent.email.subscribed"
consent = "consent.email.state"
consent_since = "consent.email.since"
source = "source"
updated_at = "at"
"#;

const ACTION_COLUMNS: &str = r#"
source = "source"
action_id = "action.id"
action_type = "action.type"
email = "contact.email"
campaign = "campaign.name"
page = "page.name"
fields = "action.fields"
created_at = "action.createdAt"
"#;

pub(super) struct Table {
    pub role: Role,
    pub name: String,
    /// Never empty.
    pub columns: Vec<Mapped>,
    pub on_conflict: OnConflict,
    pub missing_key: MissingKey,
    pub on_remove: OnRemove,
}

impl Table {
    pub fn keys(&self) -> impl Iterator<Item = &Mapped> {
        self.columns.iter().filter(|column| column.is_key)
    }

    pub fn is_key(&self, name: &str) -> bool {
        self.keys().any(|column| column.name == name)
    }

    /// The column with the contact's address.
    pub fn address(&self) -> Option<&Mapped> {
        self.columns.iter().find(|column| column.is_address)
    }
}

/// A user of Supabase Auth.
struct User {
    email: String,
    password: SecretRef,
    token_url: Url,
}

/// The keys, without the secrets.
pub(super) struct Settings {
    /// Ends without a slash.
    pub base: Url,
    pub options: Options,
    contacts: Option<Table>,
    actions: Option<Table>,
    keep_opt_outs: bool,
    schema: Option<String>,
    api_key: Option<SecretRef>,
    token: Option<SecretRef>,
    user: Option<User>,
}

/// What `config check` reports about columns that do not show an opt-out.
const SHOWS_NO_CONSENT: &str = "no column of `contacts` shows whether the person opted out, so opt-outs are not written and you \
                    have to enter them by hand: map `consent.PURPOSE.subscribed`, `consent.PURPOSE.state` or `change` \
                    of this destination's purpose to a column";

/// A warning about a table of actions whose rows cannot be found after an erasure.
const UNFINDABLE: &str = "`actions.columns` has no column that is `contact.email` alone, so the rows of an erased contact \
                          cannot be found and stay: add one, or write `on_remove = \"keep\"`";

/// A warning about a table of contacts whose key is a telephone number, for example.
const CHANGEABLE: &str = "the key of `contacts` is a field that may change. An opt-out after a change looks for the new value, \
                          and the row with the old one stays as it is: use `contact.email` or an id as the key";

impl Settings {
    pub fn parse(table: &toml::Table, lookups: &Tables) -> Result<(Self, Needs), ConfigError> {
        let config: Config = read(table)?;
        let base = base(&config)?;
        let mut needs = Needs {
            // Opt-outs are written into the contact's row. Without such a table there is no place for them.
            consent_shown: ConsentShown::Only(BTreeSet::new()),
            shows_no_consent: SHOWS_NO_CONSENT,
            ..Needs::default()
        };
        let mut read = |role, table: Option<TableConfig>| {
            table
                .map(|table| resolve(role, table, lookups, &mut needs))
                .transpose()
        };
        let (contacts, actions) = (
            read(Role::Contacts, config.contacts)?,
            read(Role::Actions, config.actions)?,
        );
        if contacts.is_none() && actions.is_none() {
            let error = ConfigError::new("contacts", "neither `contacts` nor `actions` names a table");
            return Err(error.hint("contacts = { table = \"contacts\" } is enough for a start"));
        }
        if let Some(schema) = &config.schema {
            check_name("schema", schema)?;
        }
        if config.api_key.is_none() && config.token.is_none() {
            let error = ConfigError::new("api_key", "is missing");
            return Err(
                error.hint("api_key = { env = \"SUPABASE_KEY\" }, or a token for a PostgREST of yours")
            );
        }
        if config.token.is_some() && config.user.is_some() {
            let error = ConfigError::new("user", "there is a `token`, too");
            return Err(error.hint("remove one of them: both would be the bearer of the request"));
        }
        if config.api_key.is_none() && config.user.is_some() {
            let error = ConfigError::new("user", "the sign-in needs an `api_key`, too");
            return Err(error.hint("use the project's publishable key: api_key = { env = \"SUPABASE_KEY\" }"));
        }
        let user = config
            .user
            .map(|user| user.read(&base, config.allow_private))
            .transpose()?;
        let settings = Self {
            base,
            options: Options {
                allow_private: config.allow_private,
                // An answer repeats the keys of its rows.
                answer_bytes: 4 << 20,
                ..Options::default()
            },
            contacts,
            actions,
            keep_opt_outs: config.keep_opt_outs,
            schema: config.schema,
            api_key: config.api_key,
            token: config.token,
            user,
        };
        Ok((settings, needs))
    }

    /// The configured tables: contacts, then actions.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.contacts.iter().chain(&self.actions)
    }

    /// The columns by which a contact's row may speak against the record. `None` if the record decides alone.
    pub fn guard(&self, table: &Table, record: &Record) -> Option<Guard> {
        let may_add = matches!(record.change, Change::Subscribe | Change::None);
        (self.keep_opt_outs && may_add)
            .then(|| Guard::of(table, &record.purpose))
            .flatten()
    }

    /// The headers of each request. Reads the secrets. Of a user, the token is put in before the call.
    pub fn headers(&self, context: &Context) -> Result<HeaderMap, ConfigError> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        let bearer = |key: &str, token: &str| {
            let text = format!("Bearer {token}");
            Ok::<_, ConfigError>(read_header(key, AUTHORIZATION.as_str(), &text, true)?.1)
        };
        if let Some(key) = &self.api_key {
            let key = key.resolve("api_key", &context.dir)?;
            let key = key.reveal().trim();
            let (name, value) = read_header("api_key", "apikey", key, true)?;
            headers.insert(name, value);
            // PostgREST reads the bearer as a JWT, so only a key that is one belongs there.
            if is_jwt(key) {
                headers.insert(AUTHORIZATION, bearer("api_key", key)?);
            }
        }
        if let Some(token) = &self.token {
            let token = token.resolve("token", &context.dir)?;
            headers.insert(AUTHORIZATION, bearer("token", token.reveal().trim())?);
        }
        if self.user.is_some() {
            headers.insert(AUTHORIZATION, oauth::placeholder());
        }
        if let Some(schema) = &self.schema {
            for name in ["accept-profile", "content-profile"] {
                let (_, value) = read_header("schema", name, schema, false)?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(headers)
    }

    /// Gets the tokens of a user. Reads the password.
    pub fn access(&self, context: &Context, client: &Client) -> Result<Option<Access>, ConfigError> {
        let Some(user) = &self.user else {
            return Ok(None);
        };
        let key = match &self.api_key {
            Some(key) => key.resolve("api_key", &context.dir)?,
            None => Secret::new(""),
        };
        let grant = Grant::Password(Password {
            email: user.email.clone(),
            password: user.password.resolve("user.password", &context.dir)?,
            headers: HeaderMap::from_iter([read_header("api_key", "apikey", key.reveal().trim(), true)?]),
        });
        let settings = oauth::Settings {
            token_url: user.token_url.clone(),
            grant,
        };
        Ok(Some(Access::new(
            context.name.clone(),
            settings,
            client.clone(),
            Arc::clone(&context.clock),
            Arc::clone(&context.vault),
        )))
    }
}

/// A legacy key of Supabase is a JWT: a JSON object in Base64 and two more parts.
fn is_jwt(key: &str) -> bool {
    key.starts_with("eyJ") && key.split('.').count() == 3
}

/// Reads the address of the API.
fn base(config: &Config) -> Result<Url, ConfigError> {
    let mut base = read_url("base_url", &config.base_url, config.allow_private, false)?;
    if base.query().is_some() || base.fragment().is_some() {
        return Err(
            ConfigError::new("base_url", "has a query or a fragment").hint("https://REF.supabase.co/rest/v1")
        );
    }
    let path = base.path().trim_end_matches('/').to_owned();
    let is_supabase = base.host_str().is_some_and(|host| {
        [".supabase.co", ".supabase.in", ".supabase.red"]
            .iter()
            .any(|end| host.ends_with(end))
    });
    if is_supabase && path.is_empty() {
        return Err(
            ConfigError::new("base_url", "is the address of the project, not of its REST API")
                .hint("https://REF.supabase.co/rest/v1"),
        );
    }
    base.set_path(&path);
    Ok(base)
}

impl UserConfig {
    fn read(self, base: &Url, allow_private: bool) -> Result<User, ConfigError> {
        let mut token_url = if let Some(url) = &self.auth_url {
            read_url("user.auth_url", url, allow_private, false)?
        } else {
            let Some(start) = base.path().strip_suffix("/rest/v1") else {
                let error = ConfigError::new("user.auth_url", "is missing");
                return Err(error.hint("auth_url = \"https://REF.supabase.co/auth/v1\""));
            };
            let mut url = base.clone();
            url.set_path(&format!("{start}/auth/v1"));
            url
        };
        let path = format!("{}/token", token_url.path().trim_end_matches('/'));
        token_url.set_path(&path);
        token_url.set_query(Some("grant_type=password"));
        Ok(User {
            email: self.email,
            password: self.password,
            token_url,
        })
    }
}

/// Refuses a name that no table or column can have.
fn check_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let is_wrong = name.is_empty() || name.len() > 63 || name.chars().any(char::is_control);
    if is_wrong {
        return Err(ConfigError::new(
            key,
            "a name has 1 to 63 bytes, and no control characters",
        ));
    }
    Ok(())
}

fn resolve(
    role: Role,
    config: TableConfig,
    lookups: &Tables,
    needs: &mut Needs,
) -> Result<Table, ConfigError> {
    let at = role.key();
    check_name(&format!("{at}.table"), &config.table)?;
    if config.table.contains('.') && !config.table.contains(' ') {
        let error = ConfigError::new(&format!("{at}.table"), "names a schema, too");
        return Err(error.hint("write the schema into the key `schema`"));
    }
    let columns = match config.columns {
        Some(columns) => columns,
        None => toml::from_str(role.default_columns()).map_err(|error| ConfigError::from_toml(&error))?,
    };
    let pairs: Vec<(String, Value)> = columns
        .into_iter()
        .map(|(column, value)| (column, term_json(value)))
        .collect();
    for (column, _) in &pairs {
        check_name(&format!("{at}.columns.{column}"), column)?;
    }
    let wrong = |error| ConfigError::from_mapping(&format!("{at}.columns"), error);
    let named = pairs.iter().map(|(column, value)| (column.as_str(), value));
    let mapping = Mapping::read(named, lookups, &[]).map_err(wrong)?;
    let keys = config
        .key
        .unwrap_or_else(|| role.default_key().iter().map(|key| (*key).to_owned()).collect());
    if keys.is_empty() {
        return Err(ConfigError::new(
            &format!("{at}.key"),
            "without a key a repeated delivery would make a second row",
        ));
    }
    let columns = pairs
        .iter()
        .map(|(column, value)| Mapped::read(column, value, keys.contains(column), lookups, &[]))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    if let Some(missing) = keys
        .iter()
        .find(|key| !columns.iter().any(|column| column.name == **key))
    {
        let message = format!("the key column {missing:?} is not among the columns");
        return Err(ConfigError::new(&format!("{at}.key"), message)
            .hint(format!("give it a value in `{at}.columns`, or set `{at}.key`")));
    }
    check_removal(role, config.on_remove)?;
    let table = Table {
        role,
        name: config.table,
        columns,
        on_conflict: config.on_conflict.unwrap_or(match role {
            Role::Contacts => OnConflict::Update,
            // A second attempt of a delivery changes nothing.
            Role::Actions => OnConflict::Ignore,
        }),
        missing_key: config.missing_key,
        on_remove: config.on_remove,
    };
    add_needs(&table, &mapping, needs);
    Ok(table)
}

fn check_removal(role: Role, on_remove: OnRemove) -> Result<(), ConfigError> {
    let (message, hint) = match (role, on_remove) {
        (Role::Contacts, OnRemove::Keep) => (
            "\"keep\" would leave an erased contact subscribed",
            "\"delete\", \"blank\" or \"unsubscribe\"",
        ),
        (Role::Actions, OnRemove::Unsubscribe) => (
            "\"unsubscribe\" is for `contacts` only",
            "\"delete\", \"blank\" or \"keep\"",
        ),
        _ => return Ok(()),
    };
    Err(ConfigError::new(&format!("{}.on_remove", role.key()), message).hint(hint))
}

fn add_needs(table: &Table, mapping: &Mapping, needs: &mut Needs) {
    needs.history |= mapping.needs_history();
    needs.warnings.extend(mapping.doubts());
    match table.role {
        Role::Contacts => {
            needs.consent_shown = mapping.consent_shown();
            let reads = table.keys().map(|column| column.term.reads().person).max();
            if reads == Some(Person::Data) {
                needs.warnings.push(CHANGEABLE.to_owned());
            }
        }
        Role::Actions => {
            if table.on_remove != OnRemove::Keep && table.address().is_none() {
                needs.warnings.push(UNFINDABLE.to_owned());
            }
        }
    }
    needs.deletes_on_erasure |= matches!(table.on_remove, OnRemove::Delete | OnRemove::Blank);
}
