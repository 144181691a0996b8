//! Envelopes to events, one module per format.

pub mod at_format;
pub mod body;
pub mod consent_from;
pub mod dates;
pub mod events;
pub mod follow_up;
pub mod generic;
mod multipart;
pub mod names;
pub mod placeholders;
pub mod proca;
pub mod sync;

#[cfg(test)]
mod clearing_tests;
