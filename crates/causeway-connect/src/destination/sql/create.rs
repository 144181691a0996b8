//! The statements that create tables, for `causeway destination create`.

use super::{config::Table, statement::Dialect};

/// Creates the table, unless it exists, with types that follow from the sources of the values. The key
/// becomes the primary key.
pub(super) fn create(dialect: Dialect, table: &Table) -> String {
    let mut lines: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let kind = if column.is_key {
                format!("{} NOT NULL", key_type(dialect, table.key.len()))
            } else {
                column_type(dialect, &column.path()).to_owned()
            };
            format!("  {} {kind}", dialect.quote(&column.name))
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

/// MySQL's keys have a limit of 3072 bytes, at 4 per character, for all columns together. They are compared
/// byte by byte, so ids that differ in case are different.
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
        ("at" | "action.createdAt" | "row.at", _) => ["timestamptz", "DATETIME(6)", "DATETIME"],
        (_, "since") if path.starts_with("consent.") => ["timestamptz", "DATETIME(6)", "DATETIME"],
        ("contact.birthDate", _) => ["date", "DATE", "DATE"],
        ("campaign.externalId" | "action.dupeRank" | "row.count", _) => ["bigint", "BIGINT", "INTEGER"],
        ("row.score", _) => ["double precision", "DOUBLE", "REAL"],
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
