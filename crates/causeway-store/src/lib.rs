//! The embedded store and all of its SQL. `sqlite` is one database file with one writer.
//!
//! The contract is [`causeway_core::store`]. No type of a database library is part of this crate's interface.

mod sqlite;

pub use sqlite::{
    EventsOf, ImportRun, Options, Served, SqliteStore, Stored, StoredCount, StoredMessage, TrialDelivery,
    TrialResult, TrialStep, backup, is_served, open, open_to_read, rehearse,
};
