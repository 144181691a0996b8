//! What tests need: a clock to set, fakes, builders, and the contracts. A dev-dependency only.

pub mod clock;
pub mod destination_contract;
pub mod fake_api;
