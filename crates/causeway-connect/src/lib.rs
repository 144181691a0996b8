//! Everything that talks to external systems: sources, destinations, and the only HTTP client.

pub mod config;
pub mod connector;
pub mod destination;
pub mod http;
pub mod oauth;
pub mod signature;
pub mod source;
pub mod vault;
