//! `causeway store`

use causeway_core::store::{Store, Views};
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, print_line},
};

#[derive(clap::Args)]
#[command(after_help = "Example: causeway store migrate")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings the store up to date with this version of the program, as `serve` does when it starts. Stop the hub first.
    #[command(after_help = "Example: causeway backup before.db && causeway store migrate")]
    Migrate,
    /// Confirms that the system clock is right now: ends the alarm of a clock that was ahead, or that went forward at
    /// once.
    #[command(after_help = "Example: causeway store acknowledge-clock")]
    AcknowledgeClock,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    match args.verb {
        Verb::Migrate => {
            crate::hub::migrate_store(&config).await?;
            print_line(&format!("{} is up to date", config.store_path().display()));
        }
        Verb::AcknowledgeClock => {
            let store = context.open(&config).await?;
            let alarm = store.health().await?.clock_alarm;
            store.set_clock_alarm(None).await?;
            print_line(match alarm {
                Some(_) => "The alarm has ended.",
                None => "There was no alarm.",
            });
        }
    }
    Ok(())
}
