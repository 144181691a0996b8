//! The HTTP side of the program.
//! The HTTP side of the program: what comes in ([`ingest`]) and what watches it ([`health`]). [`serve`] runs both, and
//! whatever other pages are merged in, on the sockets it is given.
pub mod console;
pub mod error;
pub mod events;
pub mod health;
pub mod ingest;
mod secrets;
mod serve;
mod site;
pub mod verify;
pub use secrets::Secrets;
pub use serve::{Limits, serve};
pub use site::{Parts, start};
