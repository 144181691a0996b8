//! Records on their whole way: the real program between real sources and destinations.

mod files;
mod keys;
mod lanes;
mod whole;
