//! The convergence test: random histories through the built program, and the receivers' own data compared with an
//! oracle.
//!
//! The oracle (`oracle/`) is written from the documents about Proca, platforms and consent, never from the program's
//! rules, and the program is driven only as its users drive it: by HTTP, RabbitMQ, files, its command line and its
//! configuration.
//!
//! `generate` makes a history from a seed, `wire` and `config` render it, `drive` runs many histories in one hub that
//! is killed, stopped and reconfigured meanwhile, `check` compares, `shrink` makes a failing history small.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test of a whole program: it reads the clock, and a wrong index ends it"
)]

mod api;
mod check;
mod client;
mod config;
mod dice;
mod drive;
pub mod feature;
mod generate;
mod http;
mod hub;
mod message;
mod oracle;
mod print;
mod proxy;
mod receiver;
mod rig;
mod run;
mod shrink;
mod tables;
mod vendors;
mod wire;
mod world;

pub use run::{Options, Outcome, run};
