//! PostgreSQL. Values travel as lists of texts, one per column, and the server casts them.
//!
//! Safe behind a pooler that gives each transaction another connection (PgBouncer, `pool_mode =
//! transaction`): no statement is prepared under a name, which could belong to another client of the pooler,
//! and no setting outlives a transaction.

use std::error::Error as _;

use tokio::{net::TcpStream, task::JoinHandle};
use tokio_postgres::{
    Client, Error,
    config::Host,
    error::DbError,
    tls::MakeTlsConnect,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    coerce::{Cell, Column, EQUALS, Kind, Limit},
    link::{Described, NO_COLUMN, SqlError, Texts},
    statement::{Dialect, Form, Relation, TableName},
    tls,
};

pub(super) struct PostgresLink {
    client: Client,
    begin: &'static str,
    connection: JoinHandle<()>,
}

impl Drop for PostgresLink {
    /// Closes the socket even while a statement runs; the server then rolls back.
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Both settings end a transaction that a network failure left open. Deferred constraints are checked with
/// the row that breaks them, and not with the whole batch at its end.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5min'; \
     SET LOCAL client_connection_check_interval = '10s'; SET CONSTRAINTS ALL IMMEDIATE";

/// For servers before version 14, and for servers on other systems than Linux.
const BEGIN_13: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5min'; \
     SET CONSTRAINTS ALL IMMEDIATE";

const RELATION: &str = "SELECT n.nspname::text, c.relkind IN ('v', 'f'), \
         pg_catalog.row_security_active(c.oid) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.oid = pg_catalog.to_regclass($1::text)";

/// Servers before version 12 have no non-deterministic collation, and no column that says so.
const COLUMNS: &str = "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         b.typname::text, n.nspname::text, b.typcategory::text, \
         CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
         CASE WHEN pg_catalog.to_jsonb(c) ->> 'collisdeterministic' = 'false' THEN c.collname::text END, \
         (SELECT s.nspname::text FROM pg_catalog.pg_operator o \
             JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace \
             WHERE o.oprname = '=' AND o.oprleft = b.oid AND o.oprright = b.oid LIMIT 1) \
     FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace \
     LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
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
    ) -> Result<Self, SqlError> {
        let (client, connection) = config.connect(tls.clone()).await.map_err(connect_error)?;
        let version = connection.parameter("server_version").and_then(|version| {
            let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u32>().ok()
        });
        let connection = tokio::spawn(async move {
            // Its error also reaches every caller that waits for a response.
            connection.await.ok();
        });
        Ok(Self {
            client,
            begin: if version.is_some_and(|version| version >= 14) {
                BEGIN
            } else {
                BEGIN_13
            },
            connection,
        })
    }

    /// Whether a relay is between here and the server: the server then sees another port than the client's.
    /// `None` if that cannot be found out.
    pub(super) async fn is_relayed(config: &tokio_postgres::Config, tls: &MakeRustlsConnect) -> Option<bool> {
        let [Host::Tcp(host)] = config.get_hosts() else {
            return None;
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
        let own = stream.local_addr().ok()?.port();
        let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), host).ok()?;
        let (client, connection) = config.connect_raw(stream, tls).await.ok()?;
        let connection = tokio::spawn(async move { connection.await.ok() });
        let rows = client.query_typed("SELECT inet_client_port()", &[]).await.ok();
        connection.abort();
        let seen: Option<i32> = rows?.first()?.try_get(0).ok()?;
        Some(seen != Some(own.into()))
    }

    pub(super) async fn begin(&mut self) -> Result<(), SqlError> {
        match self.run(self.begin).await {
            // A server whose system cannot watch its clients rejects the setting.
            Err(SqlError::Row { .. }) if self.begin == BEGIN => {
                self.begin = BEGIN_13;
                self.run("ROLLBACK").await?;
                self.run(self.begin).await
            }
            result => result,
        }
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, SqlError> {
        let name = table.quoted(Dialect::Postgres);
        let name: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
        let found = self
            .client
            .query_typed(RELATION, &name)
            .await
            .map_err(sql_error)?;
        let Some(found) = found.first() else {
            return Ok(Described::default());
        };
        let rows = self.client.query_typed(COLUMNS, &name).await.map_err(sql_error)?;
        let columns = rows
            .iter()
            .map(|row| {
                let (base, schema): (String, String) = (row.try_get(2)?, row.try_get(3)?);
                let (category, modifier): (String, i32) = (row.try_get(4)?, row.try_get(5)?);
                let quote = |name: &str| Dialect::Postgres.quote(name);
                let (loose, operator): (Option<String>, Option<String>) = (row.try_get(6)?, row.try_get(7)?);
                Ok(Column {
                    name: row.try_get(0)?,
                    type_name: row.try_get(1)?,
                    kind: kind(&base, &category, modifier),
                    base: format!("{}.{}", quote(&schema), quote(&base)),
                    equals: operator.map_or_else(
                        || EQUALS.to_owned(),
                        |schema| format!("OPERATOR({}.=)", quote(&schema)),
                    ),
                    fraction: fraction(&base, modifier),
                    loose: match base.as_str() {
                        "citext" => Some("citext".to_owned()),
                        _ => loose.map(|collation| format!("collation {collation}")),
                    },
                })
            })
            .collect::<Result<_, Error>>()
            .map_err(sql_error)?;
        let rows = self.client.query_typed(UNIQUE, &name).await.map_err(sql_error)?;
        let unique = rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, Error>>()
            .map_err(sql_error)?;
        Ok(Described {
            columns,
            unique,
            is_view: found.try_get(1).map_err(sql_error)?,
            is_guarded: found.try_get(2).map_err(sql_error)?,
            schema: Some(found.try_get(0).map_err(sql_error)?),
        })
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<(), SqlError> {
        self.client.batch_execute(sql).await.map_err(sql_error)
    }

    pub(super) async fn stored(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<Vec<Vec<Texts>>, SqlError> {
        let sql = relation.stored(find, show, Form::Lists);
        let lists = lists(rows, find.len());
        let found = self
            .client
            .query_typed(&sql, &parameters(&lists))
            .await
            .map_err(sql_error)?;
        let mut stored = vec![Vec::new(); rows.len()];
        for row in found {
            let number: i64 = row.try_get(0).map_err(sql_error)?;
            let texts = (1..=show.len())
                .map(|at| row.try_get(at))
                .collect::<Result<Texts, Error>>()
                .map_err(sql_error)?;
            let place = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
            if let Some(stored) = place.and_then(|at| stored.get_mut(at)) {
                stored.push(texts);
            }
        }
        Ok(stored)
    }

    pub(super) async fn insert(
        &mut self,
        relation: &Relation,
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        self.change(&relation.insert(set, Form::Lists), &lists(rows, set.len()))
            .await
    }

    pub(super) async fn update(
        &mut self,
        relation: &Relation,
        find: &[usize],
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        let sql = relation.update(find, set, Form::Lists);
        self.change(&sql, &lists(rows, find.len() + set.len())).await
    }

    pub(super) async fn delete(
        &mut self,
        relation: &Relation,
        find: &[usize],
        cells: &[Cell],
    ) -> Result<u64, SqlError> {
        let texts: Vec<Option<String>> = cells.iter().map(Cell::text).collect();
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            texts.iter().map(|text| (text as _, Type::TEXT)).collect();
        let sql = relation.delete(find, Form::Rows(1));
        self.client
            .execute_typed(&sql, &parameters)
            .await
            .map_err(sql_error)
    }

    /// Checks that the database can read the text as a value of this type. `type_name` is the database's own
    /// spelling.
    pub(super) async fn cast(&mut self, text: &str, type_name: &str) -> Result<(), SqlError> {
        let sql = format!("SELECT CAST($1 AS {type_name}) IS NULL");
        self.client
            .query_typed(&sql, &[(&text, Type::TEXT)])
            .await
            .map(drop)
            .map_err(sql_error)
    }

    async fn change(&mut self, sql: &str, lists: &[Vec<Option<String>>]) -> Result<u64, SqlError> {
        let changed = self.client.execute_typed(sql, &parameters(lists)).await;
        changed.map_err(sql_error)
    }
}

/// One list per column.
fn lists(rows: &[Vec<Cell>], columns: usize) -> Vec<Vec<Option<String>>> {
    (0..columns)
        .map(|at| rows.iter().map(|row| row.get(at).and_then(Cell::text)).collect())
        .collect()
}

fn parameters(lists: &[Vec<Option<String>>]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    lists.iter().map(|list| (list as _, Type::TEXT_ARRAY)).collect()
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

/// The digits before the point of `numeric(precision, scale)`, which the catalogue stores in one number.
fn whole_digits(modifier: i32) -> Option<usize> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    usize::try_from(precision - scale(packed)).ok()
}

/// The digits after the point that the column keeps, from the same number.
fn fraction(base: &str, modifier: i32) -> Option<usize> {
    match base {
        "numeric" => {
            let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
            Some(usize::try_from(scale(packed)).unwrap_or(0))
        }
        "timestamp" | "timestamptz" => usize::try_from(modifier).ok(),
        _ => None,
    }
}

/// Eleven bits with a sign.
fn scale(packed: i32) -> i32 {
    ((packed & 0x7ff) ^ 1024) - 1024
}

fn connect_error(error: Error) -> SqlError {
    if error.as_db_error().is_some() {
        return sql_error(error);
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return if tls::is_bad_certificate(io) {
                SqlError::Halt(tls::BAD_CERTIFICATE.to_owned())
            } else {
                SqlError::Broken(format!("the database cannot be reached: {io}"))
            };
        }
        // The driver has no other sign of it.
        if cause.to_string() == "server does not support TLS" {
            return SqlError::Halt(tls::NO_TLS.to_owned());
        }
        source = cause.source();
    }
    if error.is_closed() {
        return SqlError::Broken("the database closed the connection".to_owned());
    }
    // The remaining errors are settings that do not go together: a missing password, or TLS on a server
    // without it.
    SqlError::Halt(format!("connecting to the database: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn sql_error(error: Error) -> SqlError {
    match error.as_db_error() {
        Some(error) => classify(error),
        None => SqlError::Broken("the connection to the database was lost".to_owned()),
    }
}

fn classify(error: &DbError) -> SqlError {
    let code = error.code().code();
    // A message with a context comes from the user's own functions, which may quote values.
    let message = match error.where_() {
        None => format!("{} (SQLSTATE {code})", error.message()),
        Some(_) => format!("SQLSTATE {code} in a function of the database"),
    };
    match code {
        "40001" | "40P01" => return SqlError::Conflict(message),
        "25006" | "42P04" | "55P03" | "55006" => return SqlError::Retry(message),
        // A plan that the server had cached and that an ALTER TABLE made invalid.
        "0A000" if error.routine() == Some("RevalidateCachedQuery") => return SqlError::Conflict(message),
        "57P01" | "57P02" | "57P03" => return SqlError::Broken(message),
        // Row security rejects one row, with the code for missing rights.
        "42501" if error.routine() == Some("ExecWithCheckOptions") => {
            return SqlError::Row {
                reason: "breaks a row security policy of the table".to_owned(),
                message: Some(error.message().to_owned()),
                code: Some(format!("SQLSTATE {code}")),
            };
        }
        _ if error.message().contains("statement pooling mode") => {
            return SqlError::Halt(
                "a connection pooler gives each statement another connection, so that no transaction can be written: \
                 set `pool_mode = transaction` (or session) there"
                    .to_owned(),
            );
        }
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        "22" | "23" | "44" | "P0" | "54" | "21" => SqlError::Row {
            reason: row_reason(error),
            message: Some(match error.detail() {
                Some(detail) => format!("{}: {detail}", error.message()),
                None => error.message().to_owned(),
            }),
            code: Some(format!("SQLSTATE {code}")),
        },
        "08" => SqlError::Broken(message),
        "28" | "3D" | "3F" | "42" | "0A" | "0L" | "0P" => SqlError::Halt(message),
        _ => SqlError::Retry(message),
    }
}

fn row_reason(error: &DbError) -> String {
    let code = error.code().code();
    if let Some(constraint) = error.constraint() {
        let sort = match code {
            "23503" => "foreign key",
            "23505" => "unique",
            "23514" => "check",
            "23P01" => "exclusion",
            _ => "table",
        };
        return format!("breaks the {sort} constraint {constraint:?}");
    }
    match (code, error.column()) {
        ("23502", Some(column)) => format!("column {column:?} must have a value"),
        (_, Some(column)) => format!("column {column:?}: the value does not fit (SQLSTATE {code})"),
        ("P0001", None) => "a trigger or function of the database refused the row".to_owned(),
        (_, None) => format!("{NO_COLUMN} (SQLSTATE {code})"),
    }
}
