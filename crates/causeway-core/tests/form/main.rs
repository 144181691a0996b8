//! Tests of the form codec and the date patterns through their public functions: against a real PHP, and over
//! the fuzz corpus.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

mod corpus;
mod dates;
mod fpm;
mod php;
mod requests;
#[path = "../../src/form/rows.rs"]
mod rows;
mod server;
