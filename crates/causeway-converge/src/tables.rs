//! Reads the receivers' own tables and files.

use std::path::Path;

use anyhow::Context as _;
use causeway_testkit::rig::{mariadb, postgres};
use rusqlite::Connection;

use crate::{
    config::table,
    receiver::{StoredChange, mailbox},
    world::{Database, DestinationKind},
};

/// A table or file of a destination, with its name at the receiver.
#[derive(Debug, Clone)]
pub struct Own {
    pub key: String,
    pub kind: DestinationKind,
}

fn columns(is_strict: bool, text: &str) -> String {
    let rest = if is_strict {
        "first_name varchar(30) NOT NULL, born date, code varchar(5)".to_owned()
    } else {
        "first_name varchar(60)".to_owned()
    };
    format!("(email {text} PRIMARY KEY, subscribed boolean, {rest})")
}

/// Creates the tables of the destinations.
pub fn create(
    tables: &[Own],
    folder: &Path,
    postgres_url: Option<&str>,
    mariadb_name: Option<&str>,
) -> anyhow::Result<()> {
    let of = |server| {
        tables.iter().filter_map(move |own| match own.kind {
            DestinationKind::Table {
                server: its,
                is_strict,
            } if its == server => Some((own, is_strict)),
            _ => None,
        })
    };
    let make = |own: &Own, is_strict: bool, text: &str| {
        format!("CREATE TABLE {} {};", table(&own.key), columns(is_strict, text))
    };
    let all: String = of(Database::Postgres)
        .map(|(own, is_strict)| make(own, is_strict, "text"))
        .collect();
    if let (Some(url), false) = (postgres_url, all.is_empty()) {
        postgres::shared().execute(url, &all);
    }
    let all: String = of(Database::MariaDb)
        .map(|(own, is_strict)| {
            make(
                own,
                is_strict,
                "varchar(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            )
        })
        .collect();
    if let (Some(name), false) = (mariadb_name, all.is_empty()) {
        mariadb::shared().execute(name, &all);
    }
    for (own, is_strict) in of(Database::Sqlite) {
        let database = Connection::open(folder.join("files").join(format!("{}.db", own.key)))
            .context("making a database")?;
        // SQLite accepts any value; the checks make it as strict as the servers.
        let mut sql = make(own, is_strict, "text");
        if is_strict {
            sql = sql.replace("code varchar(5)", "code varchar(5) CHECK (length(code) <= 5)");
        }
        database.execute_batch(&sql).context("making a table")?;
    }
    Ok(())
}

/// Every address of every table and file at the end.
pub fn read(
    tables: &[Own],
    folder: &Path,
    postgres_url: Option<&str>,
    mariadb_name: Option<&str>,
) -> anyhow::Result<Vec<StoredChange>> {
    let mut found = Vec::new();
    let select = |own: &Own, text: &str| {
        format!(
            "SELECT '{}' AS place, {text} AS email, COALESCE(subscribed, false) = true AS is_in FROM {}",
            own.key,
            table(&own.key)
        )
    };
    let of = |server: Database| -> Vec<&Own> {
        tables
            .iter()
            .filter(|own| matches!(own.kind, DestinationKind::Table { server: its, .. } if its == server))
            .collect()
    };
    if let (Some(url), own) = (postgres_url, of(Database::Postgres))
        && !own.is_empty()
    {
        let union: Vec<String> = own.iter().map(|own| select(own, "email")).collect();
        let rows = postgres::shared().execute(url, &union.join(" UNION ALL "));
        found.extend(rows.lines().filter_map(|line| row(line, '|')));
    }
    if let (Some(name), own) = (mariadb_name, of(Database::MariaDb))
        && !own.is_empty()
    {
        let union: Vec<String> = own.iter().map(|own| select(own, "email")).collect();
        let rows = mariadb::shared().execute(name, &union.join(" UNION ALL "));
        found.extend(rows.lines().filter_map(|line| row(line, '\t')));
    }
    for own in of(Database::Sqlite) {
        found.extend(sqlite(own, folder)?);
    }
    for own in tables {
        if let DestinationKind::File { is_csv } = own.kind {
            found.extend(file(own, folder, is_csv)?);
        }
    }
    Ok(found)
}

fn row(line: &str, separator: char) -> Option<StoredChange> {
    let mut cells = line.split(separator);
    let (destination, address, is_in) = (cells.next()?, cells.next()?, cells.next()?);
    Some(StoredChange {
        destination: destination.to_owned(),
        address: mailbox(address),
        is_subscribed: matches!(is_in, "t" | "1"),
    })
}

fn sqlite(own: &Own, folder: &Path) -> anyhow::Result<Vec<StoredChange>> {
    let database = Connection::open(folder.join("files").join(format!("{}.db", own.key)))
        .context("opening a database")?;
    let sql = format!("SELECT email, COALESCE(subscribed, 0) FROM {}", table(&own.key));
    let mut statement = database.prepare(&sql).context("reading a table")?;
    let rows = statement.query_map([], |row| {
        Ok(StoredChange {
            destination: own.key.clone(),
            address: mailbox(&row.get::<_, String>(0)?),
            is_subscribed: row.get::<_, bool>(1)?,
        })
    });
    rows.context("reading a table")?
        .collect::<Result<_, _>>()
        .context("reading a row")
}

/// Reads the lines in order. A line with a known key is a duplicate and ignored.
fn file(own: &Own, folder: &Path, is_csv: bool) -> anyhow::Result<Vec<StoredChange>> {
    let path = folder
        .join("files")
        .join(format!("{}.{}", own.key, if is_csv { "csv" } else { "jsonl" }));
    if !path.exists() {
        return Ok(Vec::new());
    }
    let lines: Vec<(String, String, Option<bool>)> = if is_csv {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_path(&path)
            .context("opening a file")?;
        let head = reader.headers().context("reading the head")?.clone();
        let place = |name: &str| head.iter().position(|column| column == name);
        let (key, email, subscribed) = (place("delivery"), place("email"), place("subscribed"));
        let cell = |record: &csv::StringRecord, place: Option<usize>| {
            place
                .and_then(|place| record.get(place))
                .unwrap_or_default()
                .to_owned()
        };
        let rows: Result<Vec<csv::StringRecord>, csv::Error> = reader.records().collect();
        let rows = rows.context("reading a line")?;
        rows.iter()
            .map(|row| {
                (
                    cell(row, key),
                    cell(row, email),
                    Some(cell(row, subscribed) == "true"),
                )
            })
            .collect()
    } else {
        let text = std::fs::read_to_string(&path).context("reading a file")?;
        let line = |line: &str| -> anyhow::Result<(String, String, Option<bool>)> {
            let json: serde_json::Value =
                serde_json::from_str(line).with_context(|| format!("the line {line}"))?;
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            let is_subscribed = match text("change").as_str() {
                "subscribe" => Some(true),
                "none" => None,
                _ => Some(false),
            };
            Ok((text("delivery"), text("email"), is_subscribed))
        };
        text.lines().map(line).collect::<anyhow::Result<_>>()?
    };
    let mut keys = std::collections::HashSet::new();
    let kept = lines
        .into_iter()
        .filter(|(key, _, _)| keys.insert(key.clone()))
        .filter_map(|(_, address, is_subscribed)| {
            Some(StoredChange {
                destination: own.key.clone(),
                address: mailbox(&address),
                is_subscribed: is_subscribed?,
            })
        });
    Ok(kept.collect())
}
