//! Errors of SQL, sorted by what the caller does next. Their texts never hold stored values.

use causeway_core::store::StoreError;
use rusqlite::ErrorCode;

#[derive(Debug)]
pub(crate) enum Error {
    Sql(rusqlite::Error),
    /// A stored value that cannot be read.
    Broken(&'static str),
    /// The caller asks for something that the store cannot do now.
    Refused(String),
    Io(std::io::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Error {
    /// Whether the error concerns the database as a whole, so that no other command of the transaction can
    /// succeed.
    pub(crate) fn is_unavailable(&self) -> bool {
        let Self::Sql(rusqlite::Error::SqliteFailure(error, _)) = self else {
            return matches!(self, Self::Io(_));
        };
        matches!(
            error.code,
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OperationAborted
        )
    }

    /// Whether the error concerns the content of one row only, so that other rows can still be read.
    pub(crate) fn is_of_one_row(&self) -> bool {
        matches!(
            self,
            Self::Broken(_)
                | Self::Sql(
                    rusqlite::Error::FromSqlConversionFailure(..)
                        | rusqlite::Error::InvalidColumnType(..)
                        | rusqlite::Error::IntegralValueOutOfRange(..)
                        | rusqlite::Error::Utf8Error(..)
                        | rusqlite::Error::QueryReturnedNoRows
                )
        )
    }

    pub(crate) fn text(&self) -> String {
        match self {
            // These texts of SQLite name tables and columns, never values.
            Self::Sql(error @ rusqlite::Error::SqliteFailure(..)) => error.to_string(),
            Self::Sql(rusqlite::Error::SqlInputError { error, msg, .. }) => format!("{error}: {msg}"),
            // These texts may quote the value.
            Self::Sql(
                rusqlite::Error::FromSqlConversionFailure(column, ..)
                | rusqlite::Error::InvalidColumnType(column, ..)
                | rusqlite::Error::IntegralValueOutOfRange(column, _)
                | rusqlite::Error::Utf8Error(column, _),
            ) => format!("column {column} of a row cannot be read"),
            Self::Sql(rusqlite::Error::QueryReturnedNoRows) => "a row is missing".to_owned(),
            Self::Sql(_) => "a statement failed".to_owned(),
            Self::Broken(what) => format!("{what} cannot be read"),
            Self::Refused(reason) => reason.clone(),
            Self::Io(error) => error.to_string(),
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if error.is_unavailable() {
            Self::Unavailable(error.text())
        } else {
            Self::Failed(error.text())
        }
    }
}
