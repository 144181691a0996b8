//! The HTTP side of the program.
//! Messages come in by [`ingest`] and [`events`], which share [`intake`]; [`health`] and [`console`] are for operators. [`serve`] runs them on the
//! sockets it is given.
pub mod console;
pub mod details;
pub mod error;
pub mod events;
pub mod health;
pub mod ingest;
pub mod intake;
mod secrets;
mod serve;
mod site;
pub mod verify;
pub use secrets::Secrets;
pub use serve::{Limits, Pages, serve};
pub use site::{Parts, Site, start};
