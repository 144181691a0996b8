//! Vendors' APIs in memory, for tests and for `causeway demo --with`.

pub mod fake_api;
pub mod vendors;
