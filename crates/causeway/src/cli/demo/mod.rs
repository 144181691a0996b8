//! `causeway demo`

mod crm;
mod people;
mod progress;
mod run;
mod senders;

use std::{path::PathBuf, time::Duration};

use self::run::Demo;
use super::Failure;

/// Starts a whole hub on embedded storage, with its listener and console, on loopback. Sends invented supporters and
/// platform contacts through the real listener, to a simulated CRM that sometimes fails and to a CSV file. Stop it with
/// Ctrl-C: the summary shows that the numbers add up.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway demo\n         causeway demo --rate 500 --seconds 30")]
pub(super) struct Args {
    /// Messages per second.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// Stop after this number of seconds; default: run until Ctrl-C.
    #[arg(long)]
    seconds: Option<f64>,
    /// Keep everything in this folder; default: a temporary one that is removed at the end.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if !(args.rate > 0.0 && args.rate <= 20_000.0) {
        return Err(Failure::Usage(
            "--rate must be above 0 and at most 20000".to_owned(),
        ));
    }
    let seconds = args
        .seconds
        .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    run::run(Demo {
        rate: args.rate,
        stop_after: seconds,
        dir: args.dir,
    })
    .await?;
    Ok(())
}
