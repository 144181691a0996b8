//! Tests of decoding and planning with Proca's messages, with a contact book in memory instead of a store.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may: what is wrong here shall stop the test"
)]

mod book;
mod corpus;
mod damage;
mod decode;
mod edge_cases;
mod flows;
mod message;
mod table;
