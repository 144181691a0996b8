//! Everything that is kept, and all SQL. `sqlite` is the embedded store: one file, one writer.
//!
//! The contract is [`causeway_core::store`]; nothing of a database's own types gets out of here.

mod sqlite;

pub use sqlite::{
    ImportRun, Of, Options, Play, Played, SqliteStore, Stored, StoredCount, StoredRecord, Told, backup,
    is_served, open, open_to_read, rehearse,
};
