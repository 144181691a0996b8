//! The program: see `causeway --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Messages consist of many small values that one thread allocates and another one frees. The system's allocator takes a
/// fifth of the processing time for that, mimalloc an eighth (`docs/speed.md`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    causeway::cli::run().await
}
