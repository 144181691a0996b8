//! The HTTP listener on real sockets, with a fake inbox behind it.
#![expect(
    clippy::unwrap_used,
    reason = "tests may fail loudly; the exemption for tests does not reach functions beside them"
)]

mod answers;
mod credentials;
mod hostile;
mod minted;
mod presets;
pub mod rig;
mod watching;
