//! PostgreSQL. Values travel as lists of texts, one per column, and the server casts them.

use std::{collections::HashMap, error::Error as _};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Statement, error::DbError, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    coerce::{Column, Kind, Limit},
    config::Table,
    link::{Described, Trouble},
    plan::Row,
    statement::{Dialect, TableName, from_lists},
};

pub(super) struct PostgresLink {
    client: Client,
    statements: HashMap<String, Statement>,
    connection: JoinHandle<()>,
}

impl Drop for PostgresLink {
    /// Closes the socket even while a statement runs: the server rolls back.
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Both end what we left behind when the network failed in the middle; older servers do not know the second.
const SETTINGS: &str = "SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' \
     THEN '10s' ELSE '5min' END, false) FROM pg_catalog.pg_settings \
     WHERE name IN ('idle_in_transaction_session_timeout', 'client_connection_check_interval')";

const COLUMNS: &str = "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         b.typname::text, n.nspname::text, b.typcategory::text, \
         CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END \
     FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace \
     WHERE a.attrelid = pg_catalog.to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped";

const UNIQUE: &str = "SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = i.indrelid \
         AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) \
     FROM pg_catalog.pg_index i \
     WHERE i.indrelid = pg_catalog.to_regclass($1::text) AND i.indisunique AND i.indisvalid \
     AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL";

impl PostgresLink {
    pub(super) async fn connect(
        config: &tokio_postgres::Config,
        tls: &MakeRustlsConnect,
    ) -> Result<Self, Trouble> {
        let (client, connection) = config.connect(tls.clone()).await.map_err(connect_trouble)?;
        let connection = tokio::spawn(async move {
            // Its error also reaches whoever waits for an answer.
            connection.await.ok();
        });
        let link = Self {
            client,
            statements: HashMap::new(),
            connection,
        };
        link.client.batch_execute(SETTINGS).await.map_err(trouble)?;
        Ok(link)
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, Trouble> {
        let name = table.quoted(Dialect::Postgres);
        let rows = self.client.query(COLUMNS, &[&name]).await.map_err(trouble)?;
        let columns = rows
            .iter()
            .map(|row| {
                let (base, schema): (String, String) = (row.try_get(2)?, row.try_get(3)?);
                let (category, modifier): (String, i32) = (row.try_get(4)?, row.try_get(5)?);
                let kind = kind(&base, &category, modifier);
                Ok(Column {
                    name: row.try_get(0)?,
                    type_name: row.try_get(1)?,
                    kind,
                    // A cast to varchar(20) would cut the text; the assignment refuses it.
                    cast: (!matches!(kind, Kind::Text(_))).then(|| {
                        let quote = |name: &str| Dialect::Postgres.quote(name);
                        format!("{}.{}", quote(&schema), quote(&base))
                    }),
                })
            })
            .collect::<Result<_, Error>>()
            .map_err(trouble)?;
        let rows = self.client.query(UNIQUE, &[&name]).await.map_err(trouble)?;
        let unique = rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, Error>>()
            .map_err(trouble)?;
        Ok(Described { columns, unique })
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        self.client.batch_execute(sql).await.map_err(trouble)
    }

    pub(super) async fn upsert(
        &mut self,
        table: &Table,
        columns: &[Column],
        rows: &[Row],
    ) -> Result<(), Trouble> {
        let sql = from_lists(table, columns);
        let statement = if let Some(statement) = self.statements.get(&sql) {
            statement.clone()
        } else {
            let statement = self.client.prepare(&sql).await.map_err(trouble)?;
            self.statements.insert(sql, statement.clone());
            statement
        };
        let lists: Vec<Vec<Option<String>>> = (0..columns.len())
            .map(|at| rows.iter().map(|row| row.cells.get(at)?.text()).collect())
            .collect();
        let lists: Vec<&(dyn ToSql + Sync)> = lists.iter().map(|list| list as _).collect();
        self.client.execute(&statement, &lists).await.map_err(trouble)?;
        Ok(())
    }
}

fn kind(base: &str, category: &str, modifier: i32) -> Kind {
    let integer = |least: i64, most: i64| Kind::Integer {
        least: least.into(),
        most: most.into(),
    };
    match base {
        "varchar" | "bpchar" => Kind::Text(
            usize::try_from(modifier.saturating_sub(4))
                .ok()
                .map(Limit::Characters),
        ),
        "text" | "citext" => Kind::Text(None),
        "name" => Kind::Text(Some(Limit::Bytes(63))),
        "int2" => integer(i16::MIN.into(), i16::MAX.into()),
        "int4" => integer(i32::MIN.into(), i32::MAX.into()),
        "int8" => integer(i64::MIN, i64::MAX),
        "numeric" => Kind::Decimal {
            whole_digits: whole_digits(modifier),
        },
        "float4" | "float8" => Kind::Float,
        "bool" => Kind::Boolean,
        "date" => Kind::Date,
        "timestamp" => Kind::DateTime,
        "timestamptz" => Kind::TimestampTz,
        "uuid" => Kind::Uuid,
        "json" | "jsonb" => Kind::Json,
        _ if category == "A" => Kind::Array,
        _ => Kind::Other,
    }
}

/// Of `numeric(precision, scale)`, which the catalogue keeps in one number.
fn whole_digits(modifier: i32) -> Option<usize> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    // Eleven bits with a sign.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    usize::try_from(precision - scale).ok()
}

fn connect_trouble(error: Error) -> Trouble {
    if error.as_db_error().is_some() {
        return trouble(error);
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            let inner = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            return match inner {
                Some(rustls::Error::InvalidCertificate(_)) => Trouble::Halt(
                    "the server's certificate is not valid for its name and authority: set `ca_file`, or `tls = \"require\"`"
                        .to_owned(),
                ),
                _ => Trouble::Broken(format!("the database cannot be reached: {io}")),
            };
        }
        source = cause.source();
    }
    if error.is_closed() {
        return Trouble::Broken("the database closed the connection".to_owned());
    }
    // What is left are settings that do not go together: no password where one is asked for, TLS where there is none.
    Trouble::Halt(format!("connecting to the database: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn trouble(error: Error) -> Trouble {
    match error.as_db_error() {
        Some(said) => classify(said),
        None => Trouble::Broken("the connection to the database broke".to_owned()),
    }
}

fn classify(said: &DbError) -> Trouble {
    let code = said.code().code();
    // With a context it comes from the user's own functions, which may quote values.
    let message = match said.where_() {
        None => format!("{} (SQLSTATE {code})", said.message()),
        Some(_) => format!("SQLSTATE {code} in a function of the database"),
    };
    match code {
        "40001" | "40P01" => return Trouble::Conflict(message),
        "25006" | "42P04" | "55P03" | "55006" => return Trouble::Retry(message),
        // A plan that the server had cached and that an ALTER TABLE has made useless.
        "0A000" if said.routine() == Some("RevalidateCachedQuery") => return Trouble::Conflict(message),
        "57P01" | "57P02" | "57P03" => return Trouble::Broken(message),
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        "22" | "23" | "44" | "P0" | "54" | "21" => Trouble::Row {
            reason: row_reason(said),
            said: Some(match said.detail() {
                Some(detail) => format!("{}: {detail}", said.message()),
                None => said.message().to_owned(),
            }),
        },
        "08" => Trouble::Broken(message),
        "28" | "3D" | "3F" | "42" | "0A" | "0L" | "0P" => Trouble::Halt(message),
        _ => Trouble::Retry(message),
    }
}

fn row_reason(said: &DbError) -> String {
    let code = said.code().code();
    if let Some(constraint) = said.constraint() {
        let sort = match code {
            "23503" => "foreign key",
            "23505" => "unique",
            "23514" => "check",
            "23P01" => "exclusion",
            _ => "table",
        };
        return format!("breaks the {sort} constraint {constraint:?}");
    }
    match (code, said.column()) {
        ("23502", Some(column)) => format!("column {column:?} must have a value"),
        (_, Some(column)) => format!("column {column:?}: the value does not fit (SQLSTATE {code})"),
        ("P0001", None) => "a trigger or function of the database refused the row".to_owned(),
        (_, None) => format!("a value does not fit its column (SQLSTATE {code})"),
    }
}
