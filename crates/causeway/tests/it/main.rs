//! The one integration test program. Each file is one subject; add its `mod` line in alphabetical order.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these end a test that has failed, also in functions that several tests share"
)]

mod amqp;
mod config_corpus;
mod crash;
mod direction;
mod docs;
mod ingest;
mod live;
mod rig;
