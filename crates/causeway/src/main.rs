//! The program: see `causeway --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Messages are many small values that one thread makes and another one drops. The system's allocator takes a fifth of the
/// processing time for that, this one an eighth (`docs/speed.md`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    causeway::cli::run().await
}
