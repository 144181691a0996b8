//! Everything that talks to other people's systems: sources, destinations, and the one HTTP client.

pub mod config;
pub mod destination;
pub mod http;
pub mod signature;
pub mod source;
