//! Metrics for Prometheus, the states of sources, and the log. Invariant: none of them has personal data. Labels are names
//! from the configuration and words from the code.

mod log;
mod metrics;
mod sources;

pub use self::{
    log::{LogFormat, start_log},
    metrics::Metrics,
    sources::{SourceHealth, Sources},
};
