//! Runs the clients that vendors publish against the fakes of these vendors. Each file or folder is one vendor.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these end a test that has failed, also in functions that several tests share"
)]

mod clients;
mod hubspot;
