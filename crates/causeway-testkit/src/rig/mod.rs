//! The rig: real servers for tests and benchmarks, private, on loopback, on free ports.
//!
//! Each `start()` returns a value that stops its server and removes its files when it is dropped. Each
//! `shared()` returns the instance that `./test` has started and named in the environment, or starts one for
//! this process. All functions block until the server answers or the deadline passes. A missing program fails
//! the test and names the way to install it. Nothing here touches a server that it did not start.

#![expect(
    clippy::panic,
    reason = "a test whose servers do not start has failed, and says why"
)]

use std::time::Duration;

pub mod directus;
pub mod mariadb;
pub mod pgbouncer;
pub mod php;
pub mod port;
pub mod postgres;
pub mod process;
pub mod rabbit;
pub mod topology;

/// How long a server may take to answer. It needs far less; this only ends a test that would hang.
pub const START_LIMIT: Duration = Duration::from_mins(2);

/// A number that no other test of this run gets, for names of databases and organisations. It fits Proca's
/// numeric organisation ids, and is at least 1000.
pub fn unique_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Linux's process ids end at 4 194 304, so 256 numbers for each fit in 31 bits.
    std::process::id() * 256 + 1000 + NEXT.fetch_add(1, Ordering::Relaxed) % 256
}

/// Reads a variable that `./test` sets; an empty one counts as unset.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
