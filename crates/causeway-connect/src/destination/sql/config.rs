//! The keys of `kind = "sql"`, read and checked.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use causeway_core::mapping::{Mapping, Tables, Term};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    statement::TableName,
    target::{Target, Tls},
};
use crate::{
    config::{ConfigError, Context, SecretRef, read, term_json},
    destination::Needs,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, `mysql://…` (MariaDB too) or `sqlite:PATH`.
    pub url: SecretRef,
    /// Instead of a password in the URL.
    #[serde(default)]
    password: Option<SecretRef>,
    /// Default: what the URL's `sslmode` says, else `prefer`.
    #[serde(default)]
    tls: Option<Tls>,
    /// Certificates (PEM) of the authority that signed the server's certificate, for `tls = "verify"`. Default: the
    /// public authorities.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// Cut text that is too long for its column instead of rejecting the record. Key columns are never cut.
    #[serde(default)]
    truncate: bool,
    /// One row per contact.
    #[serde(default)]
    contacts: Option<TableConfig>,
    /// One row per action.
    #[serde(default)]
    actions: Option<TableConfig>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableConfig {
    /// Its name, or `SCHEMA.NAME`; upper and lower case as in the database.
    table: String,
    /// The columns that tell whether a row is there already; the table has a unique index on exactly these.
    #[serde(default)]
    key: Option<Vec<String>>,
    /// Column → expression (`"contact.firstName"`), template (`"{{ … }}"`), or `"=text"`.
    #[serde(default)]
    columns: Option<Columns>,
    /// What to do when the row is there. Default: `update` for contacts, `ignore` for actions.
    #[serde(default)]
    on_conflict: Option<OnConflict>,
    /// What to do with a record that has no value for a key column.
    #[serde(default)]
    missing_key: MissingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnConflict {
    /// Set the mapped columns; a value that the record does not have leaves the old one (but for consent).
    Update,
    /// Leave the row as it is.
    Ignore,
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

/// Pairs in the order of the file, which becomes the order of the columns in a table that we make.
#[derive(Debug, JsonSchema)]
#[schemars(with = "BTreeMap<String, serde_json::Value>")]
struct Columns(Vec<(String, toml::Value)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of column = \"expression\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Columns(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The configuration, checked. Holds the secrets in `target`.
#[derive(Debug)]
pub(super) struct Settings {
    pub target: Target,
    pub truncate: bool,
    /// Contacts first: rows of actions may refer to them.
    pub tables: Vec<Table>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Contacts,
    Actions,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub role: Role,
    pub name: TableName,
    /// Column and where its value comes from; never empty.
    pub columns: Vec<(String, Term)>,
    pub key: Vec<String>,
    pub on_conflict: OnConflict,
    pub missing_key: MissingKey,
}

impl Table {
    pub(super) fn is_key(&self, column: &str) -> bool {
        self.key.iter().any(|key| key == column)
    }
}

/// All that can be said without reading a secret.
pub(super) fn parse(
    table: &toml::Table,
    lookups: &Tables,
) -> Result<(Config, Vec<Table>, Needs), ConfigError> {
    let config: Config = read(table)?;
    if let SecretRef::Text(url) = &config.url {
        Target::parse(url, None, config.tls, None, std::path::Path::new(""))?;
    }
    let (mut tables, mut needs) = (Vec::new(), Needs::default());
    for (role, table) in [
        (Role::Contacts, &config.contacts),
        (Role::Actions, &config.actions),
    ] {
        if let Some(table) = table {
            let (table, mapping) = resolve(role, table, lookups)?;
            needs.history |= mapping.needs_history();
            needs.warnings.extend(mapping.doubts());
            tables.push(table);
        }
    }
    if tables.is_empty() {
        return Err(ConfigError::new(
            "contacts",
            "neither `contacts` nor `actions` says which table to write",
        )
        .hint("contacts = { table = \"contacts\" } is enough for a start"));
    }
    Ok((config, tables, needs))
}

/// Reads the secrets too.
pub(super) fn settings(context: &Context, table: &toml::Table) -> Result<Settings, ConfigError> {
    let (config, tables, _) = parse(table, &context.tables)?;
    let url = config.url.resolve("url", &context.dir)?;
    let password = match &config.password {
        Some(password) => Some(password.resolve("password", &context.dir)?),
        None => None,
    };
    let target = Target::parse(
        url.reveal(),
        password,
        config.tls,
        config.ca_file.as_deref(),
        &context.dir,
    )?;
    Ok(Settings {
        target,
        truncate: config.truncate,
        tables,
    })
}

const CONTACT_COLUMNS: &[(&str, &str)] = &[
    ("email", "contact.email"),
    ("first_name", "contact.firstName"),
    ("last_name", "contact.lastName"),
    ("phone", "contact.phone"),
    ("country", "contact.country"),
    ("postcode", "contact.postcode"),
    ("subscribed", "consent.email.subscribed"),
    ("consent", "consent.email.state"),
    ("consent_since", "consent.email.since"),
    ("source", "source"),
    ("updated_at", "at"),
];

const ACTION_COLUMNS: &[(&str, &str)] = &[
    ("source", "source"),
    ("action_id", "action.id"),
    ("action_type", "action.type"),
    ("email", "contact.email"),
    ("campaign", "campaign.name"),
    ("page", "page.name"),
    ("fields", "action.fields"),
    ("created_at", "action.createdAt"),
];

fn resolve(role: Role, config: &TableConfig, lookups: &Tables) -> Result<(Table, Mapping), ConfigError> {
    let (at, default_columns, default_key, default_conflict) = match role {
        Role::Contacts => ("contacts", CONTACT_COLUMNS, &["email"][..], OnConflict::Update),
        Role::Actions => (
            "actions",
            ACTION_COLUMNS,
            &["source", "action_id"][..],
            OnConflict::Ignore,
        ),
    };
    let name = TableName::parse(&config.table)
        .map_err(|message| ConfigError::new(&format!("{at}.table"), message))?;
    let pairs: Vec<(String, Value)> = match &config.columns {
        Some(Columns(pairs)) => pairs
            .iter()
            .map(|(column, value)| (column.clone(), term_json(value.clone())))
            .collect(),
        None => default_columns
            .iter()
            .map(|(column, path)| ((*column).to_owned(), (*path).into()))
            .collect(),
    };
    for (column, _) in &pairs {
        let key = format!("{at}.columns.{column}");
        super::statement::check_name(column).map_err(|message| ConfigError::new(&key, message))?;
    }
    let pairs = pairs.iter().map(|(column, value)| (column.as_str(), value));
    let mapping = Mapping::read(pairs, lookups, &[])
        .map_err(|error| ConfigError::from_mapping(&format!("{at}.columns"), error))?;
    let columns: Vec<(String, Term)> = mapping
        .terms()
        .map(|(column, term)| (column.to_owned(), term.clone()))
        .collect();
    let key: Vec<String> = match &config.key {
        Some(key) => key.clone(),
        None => default_key.iter().map(|key| (*key).to_owned()).collect(),
    };
    if key.is_empty() {
        return Err(ConfigError::new(
            &format!("{at}.key"),
            "without a key a repeated delivery would make a second row",
        ));
    }
    if let Some(missing) = key
        .iter()
        .find(|key| !columns.iter().any(|(name, _)| name == *key))
    {
        let message = format!("the key column {missing:?} is not among the columns");
        return Err(ConfigError::new(&format!("{at}.key"), message)
            .hint(format!("give it a value in `{at}.columns`, or set `{at}.key`")));
    }
    let table = Table {
        role,
        name,
        columns,
        key,
        on_conflict: config.on_conflict.unwrap_or(default_conflict),
        missing_key: config.missing_key,
    };
    Ok((table, mapping))
}
