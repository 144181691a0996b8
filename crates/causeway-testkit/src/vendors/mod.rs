//! The fakes of vendors' APIs, and the vendors' own clients that prove them (`tests/vendors`): what the connector wrote is
//! read with such a client, and it writes what the connector must cope with.

pub mod clients;

pub use causeway_fakes::vendors::*;
