//! What a command works on: the open transaction, and what the writer knows without asking the file.

use rusqlite::Connection;

use super::state::State;

/// An open transaction of the writer. Its commit makes `connection`'s changes durable; after a rollback
/// `state` is read from the file again.
pub(crate) struct Tx<'a> {
    pub connection: &'a Connection,
    pub state: &'a mut State,
}
