//! What every command of the store stands on: connections and their schema, the writer thread and its
//! transactions, names, counters and conversions.

pub(crate) mod checkpoint;
pub(crate) mod counters;
pub(crate) mod error;
pub(crate) mod ids;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod read;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod state;
pub(crate) mod tx;
pub(crate) mod work;
pub(crate) mod writer;
