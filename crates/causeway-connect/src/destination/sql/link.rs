//! One connection to one of the three databases, and what can go wrong with it.
//!
//! Whoever holds a [`Link`] owns the connection. A link that is dropped in the middle of anything closes its
//! connection, which rolls back: nothing half-done is ever handed to the next user.

use causeway_core::destination::{CheckError, Ending, Outcome};

use super::{
    coerce::Column,
    config::Table,
    mysql::MysqlLink,
    plan::Row,
    postgres::PostgresLink,
    sqlite::SqliteLink,
    statement::{Dialect, TableName},
    target::Target,
};

/// What went wrong, sorted by what to do next. No reason holds a value.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database cannot do it now.
    Retry(String),
    /// The connection is gone; if it was an old one, a new one may do.
    Broken(String),
    /// Rolled back for the sake of another transaction: at once again.
    Conflict(String),
    /// A person has to act.
    Halt(String),
    /// The rows of the last statement, or one of them, cannot be stored.
    Row {
        reason: String,
        /// What the database said; may hold values.
        said: Option<String>,
    },
}

impl Trouble {
    pub(super) fn ending(&self) -> Ending {
        let outcome = match self.reason().to_owned() {
            reason if self.is_passing() => Outcome::Retry { reason, after: None },
            reason => match self {
                Self::Row { .. } => Outcome::Reject { reason },
                _ => Outcome::Halt { reason },
            },
        };
        Ending {
            excerpt: match self {
                Self::Row { said: Some(said), .. } => said
                    .get(..said.floor_char_boundary(Ending::EXCERPT_BYTES))
                    .map(str::to_owned),
                _ => None,
            },
            ..outcome.into()
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

    fn reason(&self) -> &str {
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
    /// Empty when there is no such table.
    pub columns: Vec<Column>,
    /// The columns of each unique index without conditions.
    pub unique: Vec<Vec<String>>,
}

pub(super) enum Link {
    Postgres(PostgresLink),
    Mysql(MysqlLink),
    Sqlite(SqliteLink),
}

/// Calls the same method of whichever link it is.
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
    /// `make`: a missing SQLite file is made.
    pub(super) async fn connect(target: &Target, make: bool) -> Result<Self, Trouble> {
        Ok(match target {
            Target::Postgres { config, tls } => Self::Postgres(PostgresLink::connect(config, tls).await?),
            Target::Mysql { opts, may_be_plain } => {
                Self::Mysql(MysqlLink::connect(opts, *may_be_plain).await?)
            }
            Target::Sqlite { path } => Self::Sqlite(SqliteLink::connect(path, make).await?),
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Described, Trouble> {
        each!(self, link => link.describe(table).await)
    }

    /// Runs a statement without parameters and without interest in rows.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        each!(self, link => link.run(sql).await)
    }

    pub(super) async fn begin(&mut self) -> Result<(), Trouble> {
        self.run(match self.dialect() {
            // Deferred constraints are checked with the row that breaks them, not with the whole batch at its end.
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE",
            Dialect::Mysql => "START TRANSACTION",
            // Takes the lock now: a transaction that starts by reading cannot wait for it later.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
        })
        .await
    }

    /// Whether a statement that failed spoils the transaction unless it has a savepoint.
    pub(super) fn needs_savepoints(&self) -> bool {
        self.dialect() == Dialect::Postgres
    }

    /// The most rows of one statement.
    pub(super) fn most_rows(&self) -> usize {
        match self.dialect() {
            Dialect::Postgres => 2_000,
            Dialect::Mysql | Dialect::Sqlite => 256,
        }
    }

    /// Upserts rows that have different keys. After [`Trouble::Row`] any of them may be stored, and storing them again
    /// does no harm.
    pub(super) async fn upsert(
        &mut self,
        table: &Table,
        columns: &[Column],
        rows: &[Row],
    ) -> Result<(), Trouble> {
        each!(self, link => link.upsert(table, columns, rows).await)
    }
}
