//! The keys of `kind = "sql"`, read and checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use causeway_core::mapping::{ConsentShown, Mapping, Tables, omission::Person};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    engagement,
    statement::TableName,
    target::Target,
    tls::{Tls, Wanted},
};
use crate::{
    config::{ConfigError, Context, SecretRef, read, term_json},
    destination::{
        Needs,
        columns::{Mapped, ROW},
    },
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, `mysql://…` (also for MariaDB) or `sqlite:PATH`.
    pub url: SecretRef,
    /// Instead of a password in the URL.
    #[serde(default)]
    password: Option<SecretRef>,
    /// Default: the URL's `sslmode`, otherwise `verify`, and `prefer` on this machine.
    #[serde(default)]
    tls: Option<Tls>,
    /// Certificates (PEM) of the authority that signed the server's certificate; implies `verify`. Default: the
    /// authorities that the system trusts.
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
    /// One row per engagement: an opened mail, a clicked link, a visited page.
    #[serde(default)]
    engagements: Option<TableConfig>,
}

impl Config {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            key: self.tls,
            url: None,
            ca_file: self.ca_file.as_deref(),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableConfig {
    /// The name, or `SCHEMA.NAME`; upper and lower case as in the database.
    table: String,
    /// The columns that identify a row; the table has a unique index on exactly these.
    #[serde(default)]
    key: Option<Vec<String>>,
    /// Column → expression (`"contact.firstName"`), template (`"{{ … }}"`), or `"=text"`.
    #[serde(default)]
    columns: Option<Columns>,
    /// What to do if the row exists. Default: `ignore` for actions, otherwise `update`.
    #[serde(default)]
    on_conflict: Option<OnConflict>,
    /// What to do with a record that has no value for a key column.
    #[serde(default)]
    missing_key: MissingKey,
    /// What happens to the rows of an erased contact. Default: `delete`.
    #[serde(default)]
    on_remove: Option<OnRemove>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnConflict {
    /// Set the mapped columns. A value that the record does not have keeps the old one (except for consent).
    Update,
    /// Keep the row as it is, except for an opt-out, which is always written.
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnRemove {
    /// Delete the row.
    Delete,
    /// Keep the row and empty the mapped columns with personal data; an address that is the key is replaced.
    Blank,
    /// Only for `contacts`: keep the row with its data and set its consent columns.
    Unsubscribe,
    /// Only for `actions` and `engagements`: keep the rows as they are.
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

/// Pairs in the order of the file, which is the order of the columns in a table that the hub creates.
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
    /// Contacts first, because rows of actions may refer to them.
    pub tables: Vec<Table>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Contacts,
    Actions,
    Engagements,
}

impl Role {
    /// The key of the table.
    fn key(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Actions => "actions",
            Self::Engagements => "engagements",
        }
    }

    /// Names that only the columns of this table may read.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Contacts | Self::Actions => &[],
            Self::Engagements => &[ROW],
        }
    }

    fn default_columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Contacts => CONTACT_COLUMNS,
            Self::Actions => ACTION_COLUMNS,
            Self::Engagements => ENGAGEMENT_COLUMNS,
        }
    }

    fn default_key(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["email"],
            Self::Actions => &["source", "action_id"],
            Self::Engagements => &["engagement_id"],
        }
    }

    fn default_conflict(self) -> OnConflict {
        match self {
            // The count and the score of an engagement may grow.
            Self::Contacts | Self::Engagements => OnConflict::Update,
            Self::Actions => OnConflict::Ignore,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub role: Role,
    pub name: TableName,
    /// Never empty.
    pub columns: Vec<Mapped>,
    pub key: Vec<String>,
    pub on_conflict: OnConflict,
    pub missing_key: MissingKey,
    pub on_remove: OnRemove,
}

impl Table {
    /// The positions of the columns for which `test` holds.
    pub(super) fn places(&self, test: impl Fn(&Mapped) -> bool) -> Vec<usize> {
        let all = self.columns.iter().enumerate();
        all.filter(|(_, column)| test(column)).map(|(at, _)| at).collect()
    }

    /// The position of the column with the contact's address.
    pub(super) fn address(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.is_address)
    }

    /// Whether a person's row is found by data of the person that is neither an address nor an id.
    fn is_found_by_data_only(&self) -> bool {
        let keys = self.columns.iter().filter(|column| column.is_key);
        let reads = keys.map(|column| column.term.reads().person).max();
        reads == Some(Person::Data)
    }
}

/// What `config check` reports about columns that do not show an opt-out.
const SHOWS_NO_CONSENT: &str = "no column of `contacts` shows whether the person opted out, so opt-outs are not written and you \
                    have to enter them by hand: map `consent.PURPOSE.subscribed`, `consent.PURPOSE.state` or `change` \
                    of this destination's purpose to a column";

/// What `config check` reports if the rows of an erased contact cannot be found.
fn unfindable(role: Role) -> String {
    format!(
        "`{}.columns` has no column that is `contact.email` alone, so the rows of an erased contact cannot be found and \
         stay: add one, or write `on_remove = \"keep\"`",
        role.key()
    )
}

/// A warning about a table of contacts whose key is a telephone number, for example.
const CHANGEABLE: &str = "the key of `contacts` is a field that may change. An opt-out after a change looks for the new value, \
                          and the row with the old one stays as it is: use `contact.email` or an id as the key";

/// Everything that can be checked without reading a secret.
pub(super) fn parse(
    table: &toml::Table,
    lookups: &Tables,
) -> Result<(Config, Vec<Table>, Needs), ConfigError> {
    let config: Config = read(table)?;
    let at_no_host = std::iter::empty();
    config.wanted().choose(at_no_host, std::path::Path::new(""))?;
    if let SecretRef::Text(url) = &config.url {
        let mut wanted = config.wanted();
        if !url.starts_with("sqlite:") {
            // The file need not exist here.
            wanted.ca_file = None;
        }
        Target::parse(url, None, wanted, std::path::Path::new(""))?;
    }
    let mut tables = Vec::new();
    let mut needs = Needs {
        // Opt-outs are written into the contact's row. Without such a row there is no place for them.
        consent_shown: ConsentShown::Only(BTreeSet::new()),
        shows_no_consent: SHOWS_NO_CONSENT,
        ..Needs::default()
    };
    for (role, table) in [
        (Role::Contacts, &config.contacts),
        (Role::Actions, &config.actions),
        (Role::Engagements, &config.engagements),
    ] {
        if let Some(table) = table {
            let (table, mapping) = resolve(role, table, lookups)?;
            needs.history |= role == Role::Engagements || mapping.needs_history();
            needs.warnings.extend(mapping.doubts());
            match role {
                Role::Contacts => {
                    needs.consent_shown = mapping.consent_shown();
                    if table.is_found_by_data_only() {
                        needs.warnings.push(CHANGEABLE.to_owned());
                    }
                }
                Role::Actions | Role::Engagements => {
                    if table.on_remove != OnRemove::Keep && table.address().is_none() {
                        needs.warnings.push(unfindable(role));
                    }
                }
            }
            needs.deletes_on_erasure |= matches!(table.on_remove, OnRemove::Delete | OnRemove::Blank);
            tables.push(table);
        }
    }
    if tables.is_empty() {
        return Err(ConfigError::new(
            "contacts",
            "none of `contacts`, `actions` and `engagements` says which table to write",
        )
        .hint("contacts = { table = \"contacts\" } is enough for a start"));
    }
    Ok((config, tables, needs))
}

/// Reads the secrets, too.
pub(super) fn settings(context: &Context, table: &toml::Table) -> Result<Settings, ConfigError> {
    let (config, tables, _) = parse(table, &context.tables)?;
    let url = config.url.resolve("url", &context.dir)?;
    let password = match &config.password {
        Some(password) => Some(password.resolve("password", &context.dir)?),
        None => None,
    };
    let target = Target::parse(url.reveal(), password, config.wanted(), &context.dir)?;
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

const ENGAGEMENT_COLUMNS: &[(&str, &str)] = &[
    ("engagement_id", "row.id"),
    ("email", "contact.email"),
    ("kind", "row.kind"),
    ("item", "row.key"),
    ("name", "row.name"),
    ("happened_at", "row.at"),
    ("times", "row.count"),
    ("score", "row.score"),
    ("source", "source"),
];

fn resolve(role: Role, config: &TableConfig, lookups: &Tables) -> Result<(Table, Mapping), ConfigError> {
    let at = role.key();
    let name = TableName::parse(&config.table)
        .map_err(|message| ConfigError::new(&format!("{at}.table"), message))?;
    let pairs: Vec<(String, Value)> = match &config.columns {
        Some(Columns(pairs)) => pairs
            .iter()
            .map(|(column, value)| (column.clone(), term_json(value.clone())))
            .collect(),
        None => role
            .default_columns()
            .iter()
            .map(|(column, path)| ((*column).to_owned(), (*path).into()))
            .collect(),
    };
    for (column, _) in &pairs {
        let key = format!("{at}.columns.{column}");
        super::statement::check_name(column).map_err(|message| ConfigError::new(&key, message))?;
    }
    let mapping = Mapping::read(
        pairs.iter().map(|(column, value)| (column.as_str(), value)),
        lookups,
        role.names(),
    )
    .map_err(|error| ConfigError::from_mapping(&format!("{at}.columns"), error))?;
    check_members(role, &mapping)?;
    let key: Vec<String> = match &config.key {
        Some(key) => key.clone(),
        None => role.default_key().iter().map(|key| (*key).to_owned()).collect(),
    };
    if key.is_empty() {
        return Err(ConfigError::new(
            &format!("{at}.key"),
            "without a key a repeated delivery would make a second row",
        ));
    }
    let columns = pairs
        .iter()
        .map(|(column, value)| Mapped::read(column, value, key.contains(column), lookups, role.names()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::from_mapping(&format!("{at}.columns"), error))?;
    if let Some(missing) = key
        .iter()
        .find(|key| !columns.iter().any(|column| column.name == **key))
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
        on_conflict: config.on_conflict.unwrap_or(role.default_conflict()),
        missing_key: config.missing_key,
        on_remove: on_remove(role, config.on_remove)
            .map_err(|(message, hint)| ConfigError::new(&format!("{at}.on_remove"), message).hint(hint))?,
    };
    Ok((table, mapping))
}

/// Refuses a part of an engagement that there is not.
fn check_members(role: Role, mapping: &Mapping) -> Result<(), ConfigError> {
    if role != Role::Engagements {
        return Ok(());
    }
    for (column, term) in mapping.terms() {
        for path in term.names() {
            let [root, member, ..] = path.steps.as_slice() else {
                continue;
            };
            if root == ROW && !engagement::MEMBERS.contains(&member.as_str()) {
                let message = format!("an engagement has no `{path}`");
                return Err(
                    ConfigError::new(&format!("engagements.columns.{column}"), message)
                        .hint(format!("there are row.{}", engagement::MEMBERS.join(", row."))),
                );
            }
        }
    }
    Ok(())
}

fn on_remove(role: Role, wanted: Option<OnRemove>) -> Result<OnRemove, (&'static str, &'static str)> {
    match (role, wanted.unwrap_or(OnRemove::Delete)) {
        (Role::Contacts, OnRemove::Keep) => Err((
            "\"keep\" would leave an erased contact subscribed",
            "\"delete\", \"blank\" or \"unsubscribe\"",
        )),
        (Role::Actions, OnRemove::Unsubscribe) => Err((
            "\"unsubscribe\" is for `contacts` only",
            "\"delete\", \"blank\" or \"keep\"",
        )),
        (Role::Engagements, OnRemove::Unsubscribe | OnRemove::Blank) => Err((
            "the rows of an erased contact's engagements are deleted or kept",
            "\"delete\" or \"keep\"",
        )),
        (_, on_remove) => Ok(on_remove),
    }
}
