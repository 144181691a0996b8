//! MySQL and MariaDB. A failed statement leaves the transaction as it was before, so no savepoints are
//! needed.

use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, Params, Value, prelude::Queryable};

use super::{
    coerce::{Cell, Column, EQUALS, Kind, Limit},
    link::{Described, NO_COLUMN, SqlError, Texts},
    statement::{Dialect, Form, Relation, TableName},
    tls,
};

pub(super) struct MysqlLink {
    conn: Conn,
    is_mariadb: bool,
}

const COLUMNS: &str = "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, \
         NUMERIC_PRECISION, NUMERIC_SCALE, COLLATION_NAME, DATETIME_PRECISION \
     FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

const IS_VIEW: &str = "SELECT TABLE_TYPE <> 'BASE TABLE' FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?";

const UNIQUE: &str = "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
     WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND NON_UNIQUE = 0 \
     ORDER BY INDEX_NAME, SEQ_IN_INDEX";

/// MariaDB's JSON is a long text with a check.
const CHECKS: &str = "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
     WHERE CONSTRAINT_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?";

type ColumnRow = (
    String,
    String,
    String,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<String>,
    Option<u64>,
);

impl MysqlLink {
    pub(super) async fn connect(opts: &Opts, may_be_plain: bool) -> Result<Self, SqlError> {
        let conn = match Conn::new(opts.clone()).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if may_be_plain => {
                Conn::new(OptsBuilder::from_opts(opts.clone()).ssl_opts(None)).await
            }
            other => other,
        };
        let mut conn = conn.map_err(sql_error)?;
        let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(sql_error)?;
        let is_mariadb = version.is_some_and(|version| version.contains("MariaDB"));
        Ok(Self { conn, is_mariadb })
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, SqlError> {
        let at = (&table.schema, &table.table);
        let rows: Vec<ColumnRow> = self.conn.exec(COLUMNS, at).await.map_err(sql_error)?;
        let checks: Vec<String> = if self.is_mariadb && !rows.is_empty() {
            self.conn.exec(CHECKS, at).await.map_err(sql_error)?
        } else {
            Vec::new()
        };
        let columns = rows
            .into_iter()
            .map(
                |(name, type_name, base, length, precision, scale, collation, time_digits)| {
                    let check = format!("json_valid({})", Dialect::Mysql.quote(&name));
                    let is_json = checks.iter().any(|clause| clause.eq_ignore_ascii_case(&check));
                    let kind = if is_json {
                        Kind::Json
                    } else {
                        kind(&base, &type_name, length, precision, scale)
                    };
                    let fraction = match kind {
                        Kind::Decimal { .. } => scale,
                        _ => time_digits,
                    };
                    Column {
                        name,
                        type_name,
                        kind,
                        base: String::new(),
                        equals: EQUALS.to_owned(),
                        fraction: fraction.and_then(|digits| usize::try_from(digits).ok()),
                        loose: collation
                            .filter(|name| !name.ends_with("_bin") && name != "binary")
                            .map(|name| format!("collation {name}")),
                    }
                },
            )
            .collect();

        let rows: Vec<(String, Option<String>, Option<u64>)> =
            self.conn.exec(UNIQUE, at).await.map_err(sql_error)?;
        let mut indexes: Vec<(String, Vec<Option<String>>)> = Vec::new();
        for (index, column, prefix) in rows {
            // An index on an expression or on the start of a text does not identify rows like one on the
            // whole column.
            let column = column.filter(|_| prefix.is_none());
            match indexes.last_mut() {
                Some((last, columns)) if *last == index => columns.push(column),
                _ => indexes.push((index, vec![column])),
            }
        }
        let unique = indexes
            .into_iter()
            .filter_map(|(_, columns)| columns.into_iter().collect())
            .collect();
        let is_view: Option<bool> = self.conn.exec_first(IS_VIEW, at).await.map_err(sql_error)?;
        Ok(Described {
            columns,
            unique,
            is_view: is_view.unwrap_or(false),
            is_guarded: false,
            schema: None,
        })
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<(), SqlError> {
        self.conn.query_drop(sql).await.map_err(sql_error)
    }

    pub(super) async fn stored(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<Vec<Vec<Texts>>, SqlError> {
        if let [row] = rows {
            return Ok(vec![self.stored_by(relation, find, show, row).await?]);
        }
        let mut all: Vec<Texts> = Vec::new();
        let mut waiting = rows;
        while !waiting.is_empty() {
            let (piece, rest) = next_piece(waiting, find.len());
            let sql = relation.stored(find, show, Form::Rows(piece.len()));
            all.extend(self.texts(sql, piece.iter().flatten()).await?);
            waiting = rest;
        }
        // A found row belongs to the searched row with exactly the same text. If the collation found further
        // rows, each row is searched separately.
        let is_exact = |row: &[Cell], texts: &Texts| {
            row.iter()
                .zip(texts)
                .all(|(cell, text)| cell.text().is_some() && cell.text() == *text)
        };
        let mut stored: Vec<Vec<Texts>> = rows
            .iter()
            .map(|row| all.iter().filter(|texts| is_exact(row, texts)).cloned().collect())
            .collect();
        if stored.iter().map(Vec::len).sum::<usize>() < all.len() {
            for (row, stored) in rows.iter().zip(&mut stored) {
                *stored = self.stored_by(relation, find, show, row).await?;
            }
        }
        Ok(stored)
    }

    async fn stored_by(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        row: &[Cell],
    ) -> Result<Vec<Texts>, SqlError> {
        self.texts(relation.stored(find, show, Form::Rows(1)), row).await
    }

    async fn texts(
        &mut self,
        sql: String,
        cells: impl IntoIterator<Item = &Cell>,
    ) -> Result<Vec<Texts>, SqlError> {
        let found: Vec<mysql_async::Row> = self.conn.exec(sql, parameters(cells)).await.map_err(sql_error)?;
        let text = |value| match value {
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        Ok(found
            .into_iter()
            .map(|row| row.unwrap().into_iter().map(text).collect())
            .collect())
    }

    /// Uses statements of 256, 64, 16, 4 and 1 rows: only a few different ones, which stay prepared.
    pub(super) async fn insert(
        &mut self,
        relation: &Relation,
        set: &[usize],
        mut rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        let mut changed = 0;
        while !rows.is_empty() {
            let (piece, rest) = next_piece(rows, set.len());
            let sql = relation.insert(set, Form::Rows(piece.len()));
            changed += self.change(&sql, piece.iter().flatten()).await?;
            rows = rest;
        }
        Ok(changed)
    }

    /// Updates row by row. `INSERT … ON DUPLICATE KEY UPDATE` could take many rows, but would treat any
    /// unique index as the key, and so overwrite another person's row.
    pub(super) async fn update(
        &mut self,
        relation: &Relation,
        find: &[usize],
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        let sql = relation.update(find, set, Form::Rows(1));
        let mut changed = 0;
        for row in rows {
            let (found_by, values) = row.split_at_checked(find.len()).unwrap_or((row, &[]));
            changed += self.change(&sql, values.iter().chain(found_by)).await?;
        }
        Ok(changed)
    }

    pub(super) async fn delete(
        &mut self,
        relation: &Relation,
        find: &[usize],
        cells: &[Cell],
    ) -> Result<u64, SqlError> {
        let sql = relation.delete(find, Form::Rows(1));
        self.change(&sql, cells).await
    }

    /// Returns the number of rows that were found, changed or not.
    async fn change(&mut self, sql: &str, cells: impl IntoIterator<Item = &Cell>) -> Result<u64, SqlError> {
        self.conn
            .exec_drop(sql, parameters(cells))
            .await
            .map_err(sql_error)?;
        Ok(self.conn.affected_rows())
    }
}

fn next_piece(rows: &[Vec<Cell>], width: usize) -> (&[Vec<Cell>], &[Vec<Cell>]) {
    const MAX_PARAMETERS: usize = 65_535;
    let fitting = rows.len().min(MAX_PARAMETERS / width.max(1));
    let size = [256, 64, 16, 4]
        .into_iter()
        .find(|size| *size <= fitting)
        .unwrap_or(1);
    rows.split_at_checked(size).unwrap_or((rows, &[]))
}

fn parameters<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Params {
    Params::Positional(cells.into_iter().map(value).collect())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::NULL,
        Cell::Boolean(value) => Value::Int((*value).into()),
        Cell::Integer(value) => Value::Int(*value),
        Cell::Float(value) => Value::Double(*value),
        Cell::Text(value) => Value::Bytes(value.clone().into_bytes()),
    }
}

fn kind(base: &str, whole: &str, length: Option<u64>, precision: Option<u64>, scale: Option<u64>) -> Kind {
    let number = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    let length = number(length);
    let integer = |bits: u32| {
        let size = 1_i128 << bits;
        if whole.contains("unsigned") {
            let (least, most) = (0, size - 1);
            Kind::Integer { least, most }
        } else {
            let (least, most) = (-size / 2, size / 2 - 1);
            Kind::Integer { least, most }
        }
    };
    match base.to_ascii_lowercase().as_str() {
        "varchar" | "char" => Kind::Text(length.map(Limit::Characters)),
        "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text(length.map(Limit::Bytes)),
        "tinyint" if whole == "tinyint(1)" => Kind::Boolean,
        "bit" if whole == "bit(1)" => Kind::Boolean,
        "tinyint" => integer(8),
        "smallint" => integer(16),
        "mediumint" => integer(24),
        "int" => integer(32),
        "bigint" => integer(64),
        "decimal" => Kind::Decimal {
            whole_digits: number(precision)
                .zip(number(scale))
                .and_then(|(precision, scale)| precision.checked_sub(scale)),
        },
        "float" | "double" => Kind::Float,
        "date" => Kind::Date,
        "datetime" | "timestamp" => Kind::DateTime,
        "uuid" => Kind::Uuid,
        "json" => Kind::Json,
        _ => Kind::Other,
    }
}

fn sql_error(error: Error) -> SqlError {
    let reply = match error {
        Error::Server(reply) => reply,
        Error::Io(IoError::Io(error)) if tls::is_bad_certificate(&error) => {
            return SqlError::Halt(tls::BAD_CERTIFICATE.to_owned());
        }
        Error::Io(IoError::Tls(error)) => {
            return SqlError::Halt(format!("securing the connection to the database: {error}"));
        }
        Error::Io(IoError::Io(error)) => {
            return SqlError::Broken(format!("the database cannot be reached: {error}"));
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            return SqlError::Halt(tls::NO_TLS.to_owned());
        }
        Error::Driver(
            error @ (DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled
            | DriverError::UnknownAuthPlugin { .. }),
        ) => return SqlError::Halt(format!("connecting to the database: {error}")),
        Error::Driver(DriverError::PacketTooLarge) => {
            return SqlError::Row {
                reason: "the row is longer than the server's max_allowed_packet".to_owned(),
                message: None,
                code: None,
            };
        }
        // The text is not used, because it may hold a row.
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            return SqlError::Broken("the connection to the database was lost".to_owned());
        }
    };
    let message = || format!("{} (error {})", reply.message, reply.code);
    match reply.code {
        1213 => SqlError::Conflict(message()),
        // Shut down, killed, gone.
        1053 | 1077 | 1079 | 1927 | 2006 | 2013 => SqlError::Broken(message()),
        // Too many connections, lock wait, disk or table full, read-only, interrupted.
        1015 | 1020 | 1021 | 1026 | 1030 | 1036 | 1040 | 1114 | 1129 | 1180 | 1203 | 1205 | 1226 | 1290
        | 1317 | 1792 | 1836 | 1969 | 3024 | 4031 => SqlError::Retry(message()),
        // Host not allowed, password expired, statements that its binary log does not allow.
        1130 | 1251 | 1665 | 1698 | 1820 | 1862 => SqlError::Halt(message()),
        1048
        | 1062
        | 1118
        | 1216
        | 1217
        | 1264..=1265
        | 1292
        | 1364
        | 1366
        | 1406
        | 1411
        | 1451
        | 1452
        | 1526
        | 1586
        | 1644
        | 1690
        | 3140
        | 3141
        | 3819
        | 4025 => row(&reply),
        _ => match reply.state.get(..2).unwrap_or_default() {
            "22" | "23" | "44" | "45" => row(&reply),
            "28" | "3D" | "42" => SqlError::Halt(message()),
            _ => SqlError::Retry(format!("the database answered with error {}", reply.code)),
        },
    }
}

/// The server's messages hold values. Only the name is taken, from messages that name a constraint or a
/// column at a known place.
fn row(reply: &mysql_async::ServerError) -> SqlError {
    let text = reply.message.as_str();
    let reason = match reply.code {
        1062 | 1586 => named("breaks the unique constraint", last_quoted(text, '\'')),
        1216 | 1217 | 1451 | 1452 => named("breaks the foreign key constraint", after(text, "CONSTRAINT `")),
        4025 => named("breaks the check constraint", after(text, "CONSTRAINT `")),
        3819 => named("breaks the check constraint", after(text, "constraint '")),
        1048 | 1364 => match first_quoted(text) {
            Some(column) => format!("column {column:?} must have a value"),
            None => "a column must have a value".to_owned(),
        },
        code @ (1264 | 1265 | 1292 | 1366 | 1406) => match column(text) {
            Some(column) => format!("column {column:?}: the value does not fit (error {code})"),
            None => format!("{NO_COLUMN} (error {code})"),
        },
        1644 => "a trigger or function of the database refused the row".to_owned(),
        code => format!("{NO_COLUMN} (error {code})"),
    };
    SqlError::Row {
        reason,
        message: Some(reply.message.clone()),
        code: Some(format!("error {}, SQLSTATE {}", reply.code, reply.state)),
    }
}

fn named(what: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{what} {name:?}"),
        None => what.to_owned(),
    }
}

/// The text between `start` and the next quote.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split(['\'', '`']).next().filter(|name| !name.is_empty())
}

/// `Duplicate entry '…' for key 'name'`: read from the end, because the entry may hold quotes.
fn last_quoted(text: &str, quote: char) -> Option<&str> {
    let rest = text.strip_suffix(quote)?;
    rest.rsplit(quote).next().filter(|name| !name.is_empty())
}

/// `Column 'name' cannot be null`, `Field 'name' doesn't have a default value`.
fn first_quoted(text: &str) -> Option<&str> {
    text.split('\'').nth(1).filter(|name| !name.is_empty())
}

/// `… for column 'name' at row 1` or ``… for column `database`.`table`.`name` at row 1``; the value comes
/// before it.
fn column(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("for column ")?;
    let (names, _) = rest.split_once(" at row")?;
    let name = names.rsplit("`.`").next()?.trim_matches(['\'', '`']);
    (!name.is_empty()).then_some(name)
}
