//! The fakes of vendors' APIs, and the vendors' own clients that prove them (`tests/vendors`): what the connector wrote is
//! read with such a client, and it writes what the connector must cope with.

pub mod clients;
pub mod hubspot;
pub mod mailchimp;
pub mod listmonk;
pub mod mailjet;
pub mod meta;
pub mod salesforce;

pub use causeway_fakes::vendors::*;
