//! The only integration test program. Each file is one subject. Add its `mod` line in alphabetical order.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these end a test that has failed, also in functions that several tests share"
)]

mod acceptance;
mod amqp;
mod answered;
mod asking;
mod automations;
mod backfill;
mod bad_input;
mod cli;
mod clients;
mod clock;
mod config_corpus;
mod confirming;
mod connecting;
mod consent;
mod console;
mod crash;
mod demo;
mod direction;
mod docs;
mod erasing;
mod events;
mod failing_store;
mod fault;
mod flow;
mod hub_to_hub;
mod ingest;
mod interop;
mod lanes;
mod late;
mod live;
mod mapping;
mod migrate;
mod private;
mod reconcile;
mod refused;
mod reloading;
mod repeats;
mod rig;
mod running;
mod samples;
mod several;
mod sync;
mod sync_docs;
mod syncs;
mod traced;
mod trying;
mod words;
mod workspaces;
