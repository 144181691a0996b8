//! One connection to one of the three databases, and its errors.
//!
//! The holder of a [`Link`] owns the connection. A link that is dropped during an operation closes its
//! connection, which rolls back, so the next user never gets an unfinished transaction.

use causeway_core::destination::{AttemptResult, CheckError, Outcome};

use super::{
    coerce::{Cell, Column},
    mysql::MysqlLink,
    postgres::PostgresLink,
    sqlite::SqliteLink,
    statement::{Dialect, Relation, TableName},
    target::Target,
    tls::Tls,
};

/// Stored values of one row as texts, byte for byte.
pub(super) type Texts = Vec<Option<String>>;

/// Errors, sorted by what to do next. No reason holds a value.
#[derive(Debug)]
pub(super) enum SqlError {
    /// The database cannot do it now.
    Retry(String),
    /// The connection is broken. If it was an old one, a new one may work.
    Broken(String),
    /// Rolled back because of another transaction: retry at once.
    Conflict(String),
    /// A person must act.
    Halt(String),
    /// The rows of the last statement, or one of them, cannot be stored.
    Row {
        reason: String,
        /// The database's message; may hold values.
        message: Option<String>,
        /// The database's code: `SQLSTATE 23505`.
        code: Option<String>,
    },
}

/// The start of a row's reason if the database did not name the column.
pub(super) const NO_COLUMN: &str = "a value does not fit its column";

impl SqlError {
    /// A row that cannot be stored, for a reason that the hub found.
    pub(super) fn row(reason: &str) -> Self {
        Self::Row {
            reason: reason.to_owned(),
            message: None,
            code: None,
        }
    }

    pub(super) fn names_no_column(&self) -> bool {
        matches!(self, Self::Row { reason, .. } if reason.starts_with(NO_COLUMN))
    }

    /// The same error with the column of the value.
    pub(super) fn of_column(self, column: &str) -> Self {
        match self {
            Self::Row {
                reason,
                message,
                code,
            } => Self::Row {
                reason: format!(
                    "column {column}: {}",
                    reason.replace(NO_COLUMN, "the value does not fit")
                ),
                message,
                code,
            },
            other => other,
        }
    }

    pub(super) fn attempt_result(&self) -> AttemptResult {
        let outcome = match self.reason().to_owned() {
            reason if self.is_passing() => Outcome::Retry { reason, after: None },
            reason => match self {
                Self::Row { .. } => Outcome::Reject { reason },
                _ => Outcome::Halt { reason },
            },
        };
        AttemptResult {
            excerpt: self.answer(),
            ..outcome.into()
        }
    }

    /// What the database answered about a row that it refused.
    fn answer(&self) -> Option<String> {
        let Self::Row { message, code, .. } = self else {
            return None;
        };
        let mut text = message.clone()?;
        let code = code.as_ref().map_or(String::new(), |code| format!(" ({code})"));
        text.truncate(text.floor_char_boundary(AttemptResult::EXCERPT_BYTES.saturating_sub(code.len())));
        Some(text + &code)
    }

    /// The error as a line of the trace, without values.
    pub(super) fn in_trace(&self) -> String {
        let word = match self {
            Self::Row { .. } => "refused",
            _ => "failed",
        };
        match self {
            Self::Row {
                reason,
                code: Some(code),
                ..
            } if !reason.contains(code) => format!("{word}: {reason} ({code})"),
            other => format!("{word}: {}", other.reason()),
        }
    }

    pub(super) fn into_check_error(self) -> CheckError {
        let reason = self.reason().to_owned();
        if self.is_passing() {
            CheckError::Unavailable(reason)
        } else {
            CheckError::Refused(reason)
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Retry(_) | Self::Broken(_) | Self::Conflict(_))
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Retry(reason)
            | Self::Broken(reason)
            | Self::Conflict(reason)
            | Self::Halt(reason)
            | Self::Row { reason, .. } => reason,
        }
    }
}

/// A table as the database describes it.
#[derive(Debug, Default)]
pub(super) struct Described {
    /// Empty if the table does not exist.
    pub columns: Vec<Column>,
    /// The columns of each unique index without conditions.
    pub unique: Vec<Vec<String>>,
    pub is_view: bool,
    /// The database shows and changes only the rows that a policy allows.
    pub is_guarded: bool,
    /// The schema in which it was found; `None` for the one in the configuration.
    pub schema: Option<String>,
}

pub(super) enum Link {
    Postgres(PostgresLink),
    Mysql(MysqlLink),
    Sqlite(SqliteLink),
}

/// Calls the same method on each variant.
macro_rules! each {
    ($self:expr, $link:ident => $call:expr) => {
        match $self {
            Link::Postgres($link) => $call,
            Link::Mysql($link) => $call,
            Link::Sqlite($link) => $call,
        }
    };
}

impl Link {
    /// With `make` a missing SQLite file is created.
    pub(super) async fn connect(target: &Target, make: bool) -> Result<Self, SqlError> {
        Ok(match target {
            Target::Postgres { config, tls, .. } => Self::Postgres(PostgresLink::connect(config, tls).await?),
            Target::Mysql { opts, protection } => {
                Self::Mysql(MysqlLink::connect(opts, protection.tls == Tls::Prefer).await?)
            }
            Target::Sqlite { path } => Self::Sqlite(SqliteLink::connect(path, make).await?),
        })
    }

    /// What `doctor` reports about the connection to the database.
    pub(super) async fn remark_on(target: &Target) -> Option<String> {
        let Target::Postgres { config, tls, .. } = target else {
            return None;
        };
        let is_relayed = PostgresLink::is_relayed(config, tls).await?;
        is_relayed.then(|| {
            "a connection pooler or another relay is between the hub and the database; that works if it keeps the \
             connection of a transaction (PgBouncer: `pool_mode = transaction` or `session`)"
                .to_owned()
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, SqlError> {
        each!(self, link => link.describe(table).await)
    }

    /// Runs a statement without parameters, and ignores its rows.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), SqlError> {
        each!(self, link => link.run(sql).await)
    }

    /// Starts a transaction.
    pub(super) async fn begin(&mut self) -> Result<(), SqlError> {
        match self {
            Self::Postgres(link) => link.begin().await,
            Self::Mysql(link) => link.run("START TRANSACTION").await,
            Self::Sqlite(link) => {
                link.still_there()?;
                // Takes the lock now, because a transaction that starts by reading cannot wait for it later.
                link.run("BEGIN IMMEDIATE").await
            }
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), SqlError> {
        self.run("COMMIT").await?;
        match self {
            // Data written into a file that was replaced meanwhile would be lost.
            Self::Sqlite(link) => link.still_there(),
            Self::Postgres(_) | Self::Mysql(_) => Ok(()),
        }
    }

    /// Begins a part of the transaction that may fail without spoiling the rest. [`Link::settle`], or
    /// [`Link::release`] and [`Link::take_back`], end it. Only PostgreSQL needs it.
    pub(super) async fn savepoint(&mut self) -> Result<(), SqlError> {
        self.run_on_postgres("SAVEPOINT causeway").await
    }

    pub(super) async fn release(&mut self) -> Result<(), SqlError> {
        self.run_on_postgres("RELEASE SAVEPOINT causeway").await
    }

    pub(super) async fn take_back(&mut self) -> Result<(), SqlError> {
        self.run_on_postgres("ROLLBACK TO SAVEPOINT causeway; RELEASE SAVEPOINT causeway")
            .await
    }

    async fn run_on_postgres(&mut self, sql: &str) -> Result<(), SqlError> {
        match self {
            Self::Postgres(link) => link.run(sql).await,
            Self::Mysql(_) | Self::Sqlite(_) => Ok(()),
        }
    }

    /// Ends the part that [`Link::savepoint`] began. The inner error is a row that was rejected.
    pub(super) async fn settle<T>(
        &mut self,
        result: Result<T, SqlError>,
    ) -> Result<Result<T, SqlError>, SqlError> {
        match result {
            Ok(value) => {
                self.release().await?;
                Ok(Ok(value))
            }
            Err(error @ SqlError::Row { .. }) => {
                self.take_back().await?;
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Does the same for a statement that only some deliveries need: a missing right fails those, and no
    /// others.
    pub(super) async fn settle_forbidden<T>(
        &mut self,
        result: Result<T, SqlError>,
    ) -> Result<Result<T, SqlError>, SqlError> {
        self.settle(result.map_err(|error| match error {
            SqlError::Halt(reason) => SqlError::Row {
                reason,
                message: None,
                code: None,
            },
            other => other,
        }))
        .await
    }

    /// Maximum number of rows in one statement.
    pub(super) fn most_rows(&self) -> usize {
        match self.dialect() {
            Dialect::Postgres => 2_000,
            Dialect::Mysql | Dialect::Sqlite => 256,
        }
    }

    /// For each of `rows` (the cells of the columns `find`) every stored row with the same values, as the
    /// texts of the columns `show`. `show` begins with the columns of `find`.
    pub(super) async fn stored(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<Vec<Vec<Texts>>, SqlError> {
        each!(self, link => link.stored(relation, find, show, rows).await)
    }

    /// Inserts rows, and returns how many the database counted. After [`SqlError::Row`] any of them may be
    /// stored.
    pub(super) async fn insert(
        &mut self,
        relation: &Relation,
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        each!(self, link => link.insert(relation, set, rows).await)
    }

    /// Updates rows, each given as the cells of `find` and then of `set`. Returns how many the database
    /// found.
    pub(super) async fn update(
        &mut self,
        relation: &Relation,
        find: &[usize],
        set: &[usize],
        rows: &[Vec<Cell>],
    ) -> Result<u64, SqlError> {
        each!(self, link => link.update(relation, find, set, rows).await)
    }

    pub(super) async fn delete(
        &mut self,
        relation: &Relation,
        find: &[usize],
        cells: &[Cell],
    ) -> Result<u64, SqlError> {
        each!(self, link => link.delete(relation, find, cells).await)
    }

    /// The column whose value the database cannot read, quoted, if the database does not name it itself.
    pub(super) async fn blame(
        &mut self,
        relation: &Relation,
        cells: &[Option<Cell>],
    ) -> Result<Option<String>, SqlError> {
        let Self::Postgres(_) = self else {
            return Ok(None);
        };
        for (column, cell) in relation.columns.iter().zip(cells) {
            let Some(text) = cell.as_ref().and_then(Cell::text) else {
                continue;
            };
            self.savepoint().await?;
            let Self::Postgres(link) = self else { break };
            let result = link.cast(&text, &column.type_name).await;
            if self.settle(result).await?.is_err() {
                return Ok(Some(format!("{:?} ({})", column.name, column.type_name)));
            }
        }
        Ok(None)
    }
}
