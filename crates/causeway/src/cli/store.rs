//! `causeway store`

use clap::Subcommand;

use super::{
    Failure,
    context::{Context, say},
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
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    match args.verb {
        Verb::Migrate => {
            crate::hub::migrate_store(&config).await?;
            say(&format!("{} is up to date", config.store_path().display()));
        }
    }
    Ok(())
}
