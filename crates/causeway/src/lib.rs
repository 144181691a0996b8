//! The program: engine (the four verbs), web (ingest and console), command line, configuration.
//!
//! `cli` and `web` call `engine` and the store; `engine` knows neither.

pub mod clock;
pub mod config;
pub mod engine;
pub mod sources;
pub mod telemetry;
pub mod web;
