//! `causeway reload`

use std::{
    path::Path,
    time::{Duration, Instant},
};

use causeway_store::{Served, SqliteStore};

use super::{
    Failure,
    context::{Context, print_line},
};
use crate::config::whole_path;

/// How often the answer is looked for.
const EVERY: Duration = Duration::from_millis(100);

/// Checks the configuration, and has the running hub put it into force. Destinations and sources that did not change are not
/// disturbed. After an error the hub goes on with the old configuration.
///
/// `http.listen`, `http.console` and `data_dir` take a restart. SIGHUP to the hub does the same, and reports to its log.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway reload")]
pub(super) struct Args {
    /// Seconds to wait for the hub.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let mut refused = crate::hub::refusals(&config);
    // The hub may have secrets that this command lacks. If it lacks them, too, it says so.
    refused.retain(|refused| !refused.error.absent);
    if !refused.is_empty() {
        return Err(Failure::Config(refused));
    }
    crate::hub::existing_store(&config)?;
    let path = config.store_path();
    if !causeway_store::is_served(&path) {
        return Err(no_hub(&path));
    }
    let store = context.open(&config).await?;
    let before = store.served().await?;
    if let Some(served) = &before
        && served.file != whole_path(&config.path)
    {
        return Err(Failure::Usage(format!(
            "the running hub reads {}, and not {}: name that file with --config",
            served.file.display(),
            config.path.display()
        )));
    }
    let asked = store.ask_reload().await?;
    let until = Instant::now() + Duration::from_secs(args.timeout);
    while Instant::now() < until {
        tokio::time::sleep(EVERY).await;
        let now = store.served().await?;
        if let Some(now) = now.filter(|now| now.answered >= asked) {
            return report(before.as_ref(), now);
        }
        if !causeway_store::is_served(&path) {
            return Err(no_hub(&path));
        }
    }
    Err(late(&store, args.timeout).await)
}

fn report(before: Option<&Served>, now: Served) -> Result<(), Failure> {
    if let Some(reason) = now.refused {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the hub keeps generation {} of the configuration: {reason}",
            now.generation
        )));
    }
    let is_same = before.is_some_and(|before| before.generation == now.generation);
    print_line(&if is_same {
        format!(
            "Nothing has changed: generation {} is in force since {}.",
            now.generation, now.since
        )
    } else {
        format!("Generation {} of the configuration is in force.", now.generation)
    });
    Ok(())
}

fn no_hub(store: &Path) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "no hub runs with {}: `causeway serve` starts one, with the configuration of now",
        store.display()
    ))
}

async fn late(store: &SqliteStore, seconds: u64) -> Failure {
    let generation = store.served().await.ok().flatten();
    let generation = generation.map_or(0, |served| served.generation);
    Failure::Failed(anyhow::anyhow!(
        "the hub did not answer within {seconds} s; generation {generation} was in force. Look at its log"
    ))
}
