//! The program: engine (the four verbs), web (ingest and console), command line, configuration.
//!
//! `cli` and `web` call `engine` and the store; `engine` knows neither.

pub mod cli;
pub mod clock;
pub mod config;
mod demo;
pub mod engine;
pub mod hub;
pub mod migrate;
mod people;
pub mod sources;
pub mod telemetry;
pub mod trial;
pub mod web;
