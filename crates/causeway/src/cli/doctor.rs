//! `causeway doctor`: tries everything that the configuration names.

use std::{sync::Arc, time::Duration};

use causeway_connect::config::Context as ConnectContext;
use causeway_core::{clock::Clock, destination::CheckError, store::Views};

use super::{
    Failure,
    context::{Context, say},
};
use crate::{
    clock::SystemClock,
    config::Config,
    hub::{orphan_in_words, orphans},
    sources,
};

/// Opens the store if there is one, reads secrets and keystores, asks the broker for each queue, and
/// has each destination prove address and credentials. Takes no message and sends none. Says `ok` or `BAD` for each; exit
/// code 1 if one is bad.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway doctor")]
pub(super) struct Args {
    /// Seconds to wait for each.
    #[arg(long, default_value_t = 15)]
    timeout: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let timeout = Duration::from_secs(args.timeout);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut well = true;
    say(&format!("ok    configuration {}", config.path.display()));

    if let Err(none) = crate::hub::existing_store(&config) {
        say(&format!("ok    store: {none:#}"));
    } else {
        well &= store(context, &config).await?;
    }
    for (name, source) in &config.sources {
        let label = format!("source {name}");
        well &= match sources::prove(&config, name, source, &clock) {
            Ok(None) => told(&label, Ok(Ok(())), timeout),
            Ok(Some(source)) => told(
                &label,
                tokio::time::timeout(timeout, source.check()).await,
                timeout,
            ),
            Err(error) => bad(&label, &config.error_in("source", name, error).to_string()),
        };
    }
    for (name, destination) in &config.destinations {
        let label = format!("destination {name}");
        let context = ConnectContext {
            name: Arc::clone(name),
            clock: Arc::clone(&clock),
            dir: config.dir.clone(),
            tables: config.lookups.clone(),
        };
        match (destination.kind.connect)(&context, &destination.table) {
            Ok(connected) => {
                well &= told(
                    &label,
                    tokio::time::timeout(timeout, connected.check()).await,
                    timeout,
                );
            }
            Err(error) => well = bad(&label, &config.error_in("destination", name, error).to_string()),
        }
    }
    if well { Ok(()) } else { Err(Failure::Said) }
}

fn told(
    label: &str,
    result: Result<Result<(), CheckError>, tokio::time::error::Elapsed>,
    timeout: Duration,
) -> bool {
    match result {
        Ok(Ok(())) => {
            say(&format!("ok    {label}"));
            true
        }
        Ok(Err(error)) => bad(label, &error.to_string()),
        Err(_) => bad(label, &format!("no answer within {} s", timeout.as_secs())),
    }
}

fn bad(label: &str, reason: &str) -> bool {
    say(&format!("BAD   {label}: {reason}"));
    false
}

async fn store(context: &Context, config: &Config) -> Result<bool, Failure> {
    Ok(match context.open_to_read(config).await {
        Ok(store) => match store.health().await {
            Ok(health) => {
                let path = config.store_path();
                say(&format!(
                    "ok    store {} ({} bytes)",
                    path.display(),
                    health.bytes
                ));
                let mut well = true;
                for (name, waiting) in orphans(config, &*store, SystemClock.now()).await? {
                    well = bad(&format!("destination {name}"), &orphan_in_words(&name, waiting));
                }
                well
            }
            Err(error) => bad("store", &error.to_string()),
        },
        Err(Failure::Failed(error)) => bad("store", &format!("{error:#}")),
        Err(other) => return Err(other),
    })
}
