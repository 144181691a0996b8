//! The program: see `causeway --help`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    causeway::cli::run().await
}
