//! Read-only queries for people, for commands and for the console.

pub(crate) mod audit;
pub(crate) mod by_hand;
pub(crate) mod overview;
pub(crate) mod queries;
pub(crate) mod stored;
pub(crate) mod trace;
