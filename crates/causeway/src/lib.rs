//! The program: engine (the four verbs), web (ingest and console), command line, configuration.
//!
//! `cli` and `web` call `engine` and the store; `engine` knows neither.

pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod hub;
mod people;
pub mod sources;
pub mod tasks;
pub mod telemetry;
pub mod vault;
pub mod web;
