//! `causeway demo`

mod crm;
mod people;
mod progress;
mod run;
mod senders;
mod vendors;

use std::{path::PathBuf, time::Duration};

use self::run::Demo;
use super::Failure;

/// Starts a whole hub on embedded storage, with its listener and console, on loopback. Sends invented supporters and
/// platform contacts through the real listener, to a simulated CRM that sometimes fails and to a CSV file. Stop it with
/// Ctrl-C: the summary shows that the numbers add up.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway demo\n         causeway demo --rate 500 --seconds 30\n         causeway demo --with hubspot,meta"
)]
pub(super) struct Args {
    /// Messages per second.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// Send to these vendors, too: their APIs run in memory, and a page shows what has arrived there. Separate names with
    /// commas, or write `all`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    with: Vec<String>,
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
    let mut with = args.with;
    if with.iter().any(|name| name == "all") {
        with = vendors::NAMES.map(str::to_owned).into();
    }
    if let Some(unknown) = with.iter().find(|name| !vendors::NAMES.contains(&name.as_str())) {
        return Err(Failure::Usage(format!(
            "--with: there is no {unknown:?}; there are: {}",
            vendors::NAMES.join(", ")
        )));
    }
    with.sort();
    with.dedup();
    let seconds = args
        .seconds
        .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    run::run(Demo {
        rate: args.rate,
        with,
        stop_after: seconds,
        dir: args.dir,
    })
    .await?;
    Ok(())
}
