//! SQLite. Calls block, so each runs on a blocking thread, which takes the connection and returns it. If the
//! caller is dropped meanwhile, the connection is closed on that thread, which rolls back.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection, Error, ErrorCode, OpenFlags, ffi, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::{
    coerce::{Cell, Column, EQUALS, Kind, Limit},
    link::{Described, NO_COLUMN, SqlError, Texts},
    statement::{Form, Relation, TableName},
};

pub(super) struct SqliteLink {
    path: PathBuf,
    /// Device and inode of the open file. Another file may have taken its name, and data written into a file
    /// without a name is lost.
    file: (u64, u64),
    /// `None` while a call runs, and for good after a call was cut off.
    connection: Option<Connection>,
}

/// How long to wait for another writer of the file.
const BUSY: Duration = Duration::from_secs(5);

impl SqliteLink {
    pub(super) async fn connect(path: &Path, make: bool) -> Result<Self, SqlError> {
        let path = path.to_owned();
        let place = path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let before = identity(&path);
            if !make && !path.exists() {
                return Err(SqlError::Halt(format!("there is no database {}", path.display())));
            }
            if make {
                // It will hold people's data. A file that exists keeps its mode.
                let mut open = OpenOptions::new();
                let opened = open
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .mode(0o600)
                    .open(&path);
                opened.map_err(|error| SqlError::Halt(format!("{}: {error}", path.display())))?;
            }
            let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            flags.set(OpenFlags::SQLITE_OPEN_CREATE, make);
            let connection = Connection::open_with_flags(&path, flags).map_err(sql_error)?;
            connection.busy_timeout(BUSY).map_err(sql_error)?;
            connection
                .pragma_update(None, "foreign_keys", true)
                .map_err(sql_error)?;
            let after = identity(&path).ok_or_else(replaced)?;
            // A file that was just created had no identity before.
            if before.is_some_and(|before| before != after) {
                return Err(replaced());
            }
            Ok((connection, after))
        });
        let (connection, file) = opened.await.map_err(|_| lost())??;
        Ok(Self {
            path: place,
            file,
            connection: Some(connection),
        })
    }

    /// Fails if the path leads to another file than the open one.
    pub(super) fn still_there(&self) -> Result<(), SqlError> {
        match identity(&self.path) {
            Some(file) if file == self.file => Ok(()),
            _ => Err(replaced()),
        }
    }

    async fn call<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, SqlError> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let (connection, result) = tokio::task::spawn_blocking(move || {
            let result = work(&connection);
            (connection, result)
        })
        .await
        .map_err(|_| lost())?;
        self.connection = Some(connection);
        result.map_err(sql_error)
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, SqlError> {
        let table = table.clone();
        self.call(move |connection| describe(connection, &table)).await
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<(), SqlError> {
        let sql = sql.to_owned();
        self.call(move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })
        .await
    }

    pub(super) async fn stored(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<Vec<Vec<Texts>>, SqlError> {
        let sql = relation.stored(find, show, Form::Rows(1));
        let (rows, width) = (rows.to_vec(), show.len());
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let texts = |row: &rusqlite::Row<'_>| (0..width).map(|at| row.get(at)).collect();
            rows.iter()
                .map(|row| {
                    let found = statement.query_map(params_from_iter(row.iter().map(value)), texts)?;
                    found.collect()
                })
                .collect()
        })
        .await
    }

    pub(super) async fn insert(
        &mut self,
        relation: &Relation,
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        self.change(relation.insert(set, Form::Rows(1)), rows.to_vec())
            .await
    }

    pub(super) async fn update(
        &mut self,
        relation: &Relation,
        find: &[usize],
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        self.change(relation.update(find, set, Form::Rows(1)), rows.to_vec())
            .await
    }

    pub(super) async fn delete(
        &mut self,
        relation: &Relation,
        find: &[usize],
        cells: &[Cell],
    ) -> Result<u64, SqlError> {
        self.change(relation.delete(find, Form::Rows(1)), vec![cells.to_vec()])
            .await
    }

    /// Changes row by row, because without a network there is nothing to save. Stops at the first error.
    async fn change(&mut self, sql: String, rows: Vec<Vec<Cell>>) -> Result<u64, SqlError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut changed = 0;
            for row in &rows {
                changed += statement.execute(params_from_iter(row.iter().map(value)))?;
            }
            Ok(u64::try_from(changed).unwrap_or(u64::MAX))
        })
        .await
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

fn replaced() -> SqlError {
    SqlError::Broken("the database file was removed or replaced while it was open".to_owned())
}

fn value(cell: &Cell) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match cell {
        Cell::Null => ValueRef::Null,
        Cell::Boolean(value) => ValueRef::Integer((*value).into()),
        Cell::Integer(value) => ValueRef::Integer(*value),
        Cell::Float(value) => ValueRef::Real(*value),
        Cell::Text(text) => ValueRef::Text(text.as_bytes()),
    })
}

fn describe(connection: &Connection, table: &TableName) -> Result<Described, Error> {
    let schema = table.schema.as_deref().unwrap_or("main");
    let is_view = connection
        .prepare("SELECT EXISTS (SELECT 1 FROM pragma_table_list(?1) WHERE schema = ?2 AND type = 'view')")?
        .query_row((&table.table, schema), |row| row.get(0))?;
    let mut statement =
        connection.prepare("SELECT name, type, pk FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0")?;
    let found = statement
        .query_map((&table.table, schema), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let primary: Vec<String> = found
        .iter()
        .filter(|(_, _, place)| *place > 0)
        .map(|(name, _, _)| name.clone())
        .collect();
    let mut unique = vec![primary];
    let mut loose = HashMap::new();
    let mut statement = connection.prepare(
        "SELECT i.name FROM pragma_index_list(?1, ?2) AS i WHERE i.\"unique\" = 1 AND i.partial = 0",
    )?;
    let indexes = statement
        .query_map((&table.table, schema), |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for index in indexes {
        let mut statement =
            connection.prepare("SELECT name, coll FROM pragma_index_xinfo(?1, ?2) WHERE key = 1")?;
        let columns = statement
            .query_map((index, schema), |row| {
                Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        for (name, collation) in &columns {
            if let (Some(name), false) = (name, collation.eq_ignore_ascii_case("BINARY")) {
                loose.insert(name.clone(), format!("collation {collation}"));
            }
        }
        unique.extend(
            columns
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Option<Vec<_>>>(),
        );
    }
    let columns = found
        .into_iter()
        .map(|(name, type_name, _)| Column {
            loose: loose.remove(&name),
            name,
            kind: kind(&type_name),
            type_name,
            base: String::new(),
            equals: EQUALS.to_owned(),
            fraction: None,
        })
        .collect();
    Ok(Described {
        columns,
        unique,
        is_view,
        is_guarded: false,
        schema: None,
    })
}

/// The kind by the declared type. SQLite itself has few types, but people mean the usual ones. A declared
/// limit applies here although SQLite does not enforce it.
fn kind(declared: &str) -> Kind {
    let word = declared.to_ascii_uppercase();
    let inside = word.split_once('(').and_then(|(_, rest)| rest.split(')').next());
    let mut numbers = inside
        .unwrap_or_default()
        .split(',')
        .map(|number| number.trim().parse::<usize>().ok());
    let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
    let has = |part: &str| word.contains(part);
    match word.split('(').next().unwrap_or_default().trim() {
        "DATE" => Kind::Date,
        "UUID" => Kind::Uuid,
        _ if has("JSON") => Kind::Json,
        _ if has("DATETIME") || has("TIMESTAMP") => Kind::DateTime,
        _ if has("BOOL") => Kind::Boolean,
        _ if has("INT") => Kind::Integer {
            least: i64::MIN.into(),
            most: i64::MAX.into(),
        },
        _ if has("CHAR") || has("TEXT") || has("CLOB") => Kind::Text(first.map(Limit::Characters)),
        _ if has("REAL") || has("FLOA") || has("DOUB") => Kind::Float,
        _ if has("DEC") || has("NUMERIC") => Kind::Decimal {
            whole_digits: first.and_then(|precision| precision.checked_sub(second.unwrap_or(0))),
        },
        "" => Kind::Other,
        _ if has("BLOB") => Kind::Other,
        // The affinity of every other word, `STRING` among them.
        _ => Kind::Numeric,
    }
}

fn lost() -> SqlError {
    SqlError::Broken("the connection to the database was cut off".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn sql_error(error: Error) -> SqlError {
    let (code, text) = match &error {
        Error::SqliteFailure(code, text) => (*code, text.clone().unwrap_or_default()),
        Error::SqlInputError { error, msg, .. } => (*error, msg.clone()),
        // Names what was requested and is missing; no value of a record.
        _ => return SqlError::Halt(format!("reading the database: {error}")),
    };
    let message = format!("{text} (SQLite error {})", code.extended_code);
    match code.code {
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => SqlError::Row {
            reason: row_reason(code.extended_code, &text),
            message: Some(text),
            code: Some(format!("SQLite error {}", code.extended_code)),
        },
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::SystemIoFailure
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::SchemaChanged => SqlError::Retry(message),
        ErrorCode::CannotOpen => SqlError::Halt(format!("the database cannot be opened: {message}")),
        _ => SqlError::Halt(message),
    }
}

/// Messages name tables, columns and checks; only a trigger's message may hold a value.
fn row_reason(code: i32, text: &str) -> String {
    let name = text.split_once(": ").map_or(text, |(_, name)| name);
    match code {
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            let column = name.rsplit('.').next().unwrap_or_default();
            format!("column {column:?} must have a value")
        }
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            format!("breaks the unique constraint on {name}")
        }
        ffi::SQLITE_CONSTRAINT_CHECK => format!("breaks the check constraint {name:?}"),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "breaks a foreign key constraint".to_owned(),
        ffi::SQLITE_CONSTRAINT_TRIGGER => "a trigger of the database refused the row".to_owned(),
        code => format!("{NO_COLUMN} (SQLite error {code})"),
    }
}
