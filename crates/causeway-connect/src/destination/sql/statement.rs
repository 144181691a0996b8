//! The SQL texts, in three dialects. Every name is quoted; every value is a parameter.

use super::{
    coerce::Column,
    config::{OnConflict, Table},
    mapping::{keeps_when_missing, path},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    /// MariaDB too.
    Mysql,
    Sqlite,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        }
    }

    pub(super) fn quote(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Whether two spellings mean one column.
    pub(super) fn same(self, a: &str, b: &str) -> bool {
        match self {
            Self::Postgres => a == b,
            Self::Mysql | Self::Sqlite => a.eq_ignore_ascii_case(b),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub schema: Option<String>,
    pub table: String,
}

impl TableName {
    /// `TABLE` or `SCHEMA.TABLE`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table),
            None => (None, text),
        };
        if table.contains('.') {
            return Err("a table is named TABLE or SCHEMA.TABLE".to_owned());
        }
        for name in schema.iter().map(String::as_str).chain([table]) {
            check_name(name)?;
        }
        Ok(Self {
            schema,
            table: table.to_owned(),
        })
    }

    pub(super) fn quoted(&self, dialect: Dialect) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", dialect.quote(schema), dialect.quote(&self.table)),
            None => dialect.quote(&self.table),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// PostgreSQL cuts longer names silently, which would make two columns one.
const LONGEST_NAME_BYTES: usize = 63;

pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is missing".to_owned());
    }
    if name.len() > LONGEST_NAME_BYTES {
        return Err(format!("a name has at most {LONGEST_NAME_BYTES} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    Ok(())
}

/// PostgreSQL's statement for any number of rows: one parameter per column, a list of texts, each cast to the
/// column's type by the server. One prepared statement serves every batch.
pub(super) fn from_lists(table: &Table, columns: &[Column]) -> String {
    let casts: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| match &column.cast {
            Some(cast) => format!("CAST(r.c{i} AS {cast})"),
            None => format!("r.c{i}"),
        })
        .collect();
    let lists: Vec<String> = (1..=columns.len()).map(|i| format!("${i}::text[]")).collect();
    let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    format!(
        "{} SELECT {} FROM unnest({}) AS r({}) {}",
        head(Dialect::Postgres, table),
        casts.join(", "),
        lists.join(", "),
        names.join(", "),
        tail(Dialect::Postgres, table),
    )
}

/// The statement for a number of rows, with one parameter per value.
pub(super) fn from_values(dialect: Dialect, table: &Table, rows: usize) -> String {
    let width = table.columns.len();
    let row = |row: usize| {
        let marks: Vec<String> = (1..=width)
            .map(|column| match dialect {
                Dialect::Postgres => format!("${}", row * width + column),
                Dialect::Mysql | Dialect::Sqlite => "?".to_owned(),
            })
            .collect();
        format!("({})", marks.join(", "))
    };
    values(dialect, table, &(0..rows).map(row).collect::<Vec<_>>().join(", "))
}

/// Asks the database to plan the statement without running it: proves that we may.
pub(super) fn explain(dialect: Dialect, table: &Table) -> String {
    let nulls = vec!["NULL"; table.columns.len()].join(", ");
    format!("EXPLAIN {}", values(dialect, table, &format!("({nulls})")))
}

fn values(dialect: Dialect, table: &Table, rows: &str) -> String {
    format!("{} VALUES {rows} {}", head(dialect, table), tail(dialect, table))
}

fn head(dialect: Dialect, table: &Table) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, _)| dialect.quote(name))
        .collect();
    let old = match dialect {
        Dialect::Mysql => "",
        Dialect::Postgres | Dialect::Sqlite => " AS old",
    };
    format!(
        "INSERT INTO {}{old} ({})",
        table.name.quoted(dialect),
        columns.join(", ")
    )
}

fn tail(dialect: Dialect, table: &Table) -> String {
    let mut sets = Vec::new();
    if table.on_conflict == OnConflict::Update {
        for (name, source) in table.columns.iter().filter(|(name, _)| !table.is_key(name)) {
            let name = dialect.quote(name);
            let (new, old) = match dialect {
                // Deprecated in MySQL 8.0.20, and the only way that MariaDB knows too.
                Dialect::Mysql => (format!("VALUES({name})"), name.clone()),
                Dialect::Postgres | Dialect::Sqlite => (format!("excluded.{name}"), format!("old.{name}")),
            };
            sets.push(if keeps_when_missing(source) {
                format!("{name} = COALESCE({new}, {old})")
            } else {
                format!("{name} = {new}")
            });
        }
    }
    let key: Vec<String> = table.key.iter().map(|name| dialect.quote(name)).collect();
    match dialect {
        Dialect::Mysql => {
            // Not INSERT IGNORE, which would also swallow values that do not fit.
            if let (true, Some(key)) = (sets.is_empty(), key.first()) {
                sets.push(format!("{key} = {key}"));
            }
            format!("ON DUPLICATE KEY UPDATE {}", sets.join(", "))
        }
        Dialect::Postgres | Dialect::Sqlite if sets.is_empty() => {
            format!("ON CONFLICT ({}) DO NOTHING", key.join(", "))
        }
        Dialect::Postgres | Dialect::Sqlite => {
            format!(
                "ON CONFLICT ({}) DO UPDATE SET {}",
                key.join(", "),
                sets.join(", ")
            )
        }
    }
}

/// Makes the table, unless it is there, with types that follow from where the values come from. The key becomes the
/// primary key.
pub(super) fn create(dialect: Dialect, table: &Table) -> String {
    let mut lines: Vec<String> = table
        .columns
        .iter()
        .map(|(name, source)| {
            let kind = if table.is_key(name) {
                format!("{} NOT NULL", key_type(dialect, table.key.len()))
            } else {
                column_type(dialect, &path(source)).to_owned()
            };
            format!("  {} {kind}", dialect.quote(name))
        })
        .collect();
    let key: Vec<String> = table.key.iter().map(|name| dialect.quote(name)).collect();
    lines.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    let options = match dialect {
        Dialect::Mysql => " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4",
        Dialect::Postgres | Dialect::Sqlite => "",
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\n{}\n){options}",
        table.name.quoted(dialect),
        lines.join(",\n")
    )
}

/// MySQL's keys have a length: 3072 bytes, 4 a character, for all columns together. Compared byte by byte: ids that
/// differ in case are two.
fn key_type(dialect: Dialect, columns: usize) -> String {
    match dialect {
        Dialect::Postgres | Dialect::Sqlite => text_type(dialect).to_owned(),
        Dialect::Mysql => {
            let length = (768 / columns.max(1)).clamp(1, 320);
            format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        }
    }
}

fn text_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "text",
        Dialect::Mysql | Dialect::Sqlite => "TEXT",
    }
}

/// Paths to more than one value.
const OBJECTS: [&str; 11] = [
    "contact",
    "contact.address",
    "contact.ids",
    "consent",
    "action",
    "action.fields",
    "action.donation",
    "action.tracking",
    "campaign",
    "page",
    "page.organisation",
];

fn column_type(dialect: Dialect, path: &str) -> &'static str {
    let last = path.rsplit('.').next().unwrap_or_default();
    let [postgres, mysql, sqlite] = match (path, last) {
        (_, "subscribed") | ("action.withConsent" | "action.testing", _) => ["boolean", "BOOLEAN", "BOOLEAN"],
        ("at" | "action.createdAt", _) => ["timestamptz", "DATETIME(6)", "DATETIME"],
        (_, "since") if path.starts_with("consent.") => ["timestamptz", "DATETIME(6)", "DATETIME"],
        ("contact.birthDate", _) => ["date", "DATE", "DATE"],
        ("campaign.externalId", _) => ["bigint", "BIGINT", "INTEGER"],
        _ if OBJECTS.contains(&path) => ["jsonb", "JSON", "JSON"],
        _ if path.starts_with("consent.") && path.matches('.').count() == 1 => ["jsonb", "JSON", "JSON"],
        _ => [
            text_type(Dialect::Postgres),
            text_type(Dialect::Mysql),
            text_type(Dialect::Sqlite),
        ],
    };
    match dialect {
        Dialect::Postgres => postgres,
        Dialect::Mysql => mysql,
        Dialect::Sqlite => sqlite,
    }
}
