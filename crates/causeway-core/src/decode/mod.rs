//! Envelopes to events, one module per format.

pub mod proca;
