//! The real program between real sources and destinations.

mod files;
mod keys;
mod lanes;
mod whole;
