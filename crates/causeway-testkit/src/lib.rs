//! What tests of several crates share: fake systems, real servers, contracts, invented people.

pub mod builders;
pub mod clock;
pub mod destination_contract;
pub mod failing_store;
pub mod fake_proca;
pub mod rig;
pub mod store_contract;
pub mod vendors;
pub mod wait;

pub use causeway_fakes::fake_api;
