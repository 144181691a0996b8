//! Decodes envelopes into events, with one module for each format.

pub mod at_format;
pub mod body;
pub mod consent_from;
pub mod events;
pub mod follow_up;
pub mod generic;
pub mod json;
mod multipart;
pub mod names;
pub mod params;
pub mod parts;
pub mod path;
pub mod placeholders;
pub mod proca;
pub mod sync;

#[cfg(test)]
mod tests;
