//! Converts configurations of other programs.

pub mod connectors;
pub mod env_file;
pub mod field_map;
pub mod proca_sync;
