//! `cargo run -p causeway-converge -- --help`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people who test"
)]

use std::{path::PathBuf, process::ExitCode};

use causeway_converge::{
    Options,
    feature::{Feature, Features},
};
use clap::Parser;

/// Drives the built program with random histories and compares the receivers' own data with an oracle.
#[derive(Parser)]
#[command(name = "converge")]
struct Args {
    /// Histories to run.
    #[arg(long, default_value_t = 200)]
    histories: usize,
    /// Where the seeds of the histories come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Skip this many histories of the seed, to continue a run that was stopped.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Run only the histories of these seeds, which findings name.
    #[arg(long, value_delimiter = ',')]
    replay: Vec<u64>,
    /// The program. Build it first: cargo build -p causeway.
    #[arg(long, env = "CAUSEWAY_BIN", default_value = "target/debug/causeway")]
    binary: PathBuf,
    /// Histories in one hub.
    #[arg(long, default_value_t = 40)]
    batch: usize,
    /// Only these features (see --features).
    #[arg(long, value_delimiter = ',')]
    only: Vec<Feature>,
    /// All features but these.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Feature>,
    /// List the features.
    #[arg(long)]
    features: bool,
    /// Keep the hub's folder of a batch with findings.
    #[arg(long)]
    keep: bool,
    /// Also check each request at the time of its start; not reliable on a busy machine.
    #[arg(long)]
    timed: bool,
    /// Failing histories to shrink to a minimal one.
    #[arg(long, default_value_t = 3)]
    shrink: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.features {
        for feature in Feature::ALL {
            println!("{feature:<18}{}", feature.about());
        }
        return ExitCode::SUCCESS;
    }
    let features = if args.only.is_empty() {
        Features::all()
    } else {
        Features::only(&args.only)
    };
    let Ok(program) = std::path::absolute(&args.binary) else {
        return ExitCode::from(2);
    };
    let options = Options {
        program,
        histories: args.histories,
        seed: args.seed,
        from: args.from,
        batch: args.batch,
        features: features.without(&args.without),
        replay: args.replay,
        keep: args.keep,
        is_timed: args.timed,
        shrink: args.shrink,
    };
    match causeway_converge::run(&options, &|line| println!("{line}")).await {
        Ok(outcome) => {
            println!("{outcome}");
            if outcome.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
