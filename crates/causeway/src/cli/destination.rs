//! `causeway destination`

use std::sync::Arc;

use causeway_connect::{config::Context as ConnectContext, destination as kinds};
use causeway_core::store::{Store, Views};
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, print_line},
    delivery::{known, listed},
};
use crate::clock::SystemClock;

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway destination kinds\n         causeway destination sample webhook >> causeway.toml"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists the kinds of destinations.
    #[command(after_help = "Example: causeway destination kinds")]
    Kinds,
    /// Prints what the kinds do, side by side, as a table in Markdown.
    #[command(after_help = "Example: causeway destination table")]
    Table,
    /// Prints a complete section for one kind, each key with unit and default.
    #[command(after_help = "Example: causeway destination sample webhook >> causeway.toml")]
    Sample { kind: String },
    /// Creates the tables that a destination writes to, if they are missing. Never changes or drops one.
    #[command(after_help = "Example: causeway destination create members-db")]
    Create { destination: String },
    /// Deletes the record of who was sent to a destination that is no longer in the configuration, or in the people's
    /// workspace. Use it after these people were deleted there. Until then `doctor` and the console list the destination,
    /// because no opt-out reaches it.
    #[command(after_help = "Example: causeway destination forget old-newsletter")]
    Forget { destination: String },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Kinds => {
            for kind in kinds::KINDS {
                print_line(&format!("{:<12} {}", kind.name, kind.summary));
                let words: Vec<&str> = kind
                    .supported_changes
                    .iter()
                    .map(|change| change.as_str())
                    .collect();
                print_line(&format!("{:<12} consent: {}", "", words.join(", ")));
            }
        }
        Verb::Table => print_line(&kinds::facts::table()),
        Verb::Sample { kind } => {
            let found = kinds::kind(&kind).ok_or_else(|| {
                let names: Vec<&str> = kinds::KINDS.iter().map(|kind| kind.name).collect();
                Failure::Usage(format!(
                    "there is no destination of kind {kind:?}; there are: {}",
                    names.join(", ")
                ))
            })?;
            print_line(found.sample.trim_end());
        }
        Verb::Create { destination } => create(context, &destination).await?,
        Verb::Forget { destination } => forget(context, &destination).await?,
    }
    Ok(())
}

async fn forget(context: &Context, destination: &str) -> Result<(), Failure> {
    let config = context.load()?;
    let store = context.open(&config).await?;
    let places = config.rules().places();
    let left = store.left_behind(places.clone()).await?;
    if !left.contains_key(destination) {
        let names: Vec<&str> = left.keys().map(|name| &**name).collect();
        let why = if config.destinations.contains_key(destination) {
            format!("{destination} receives all opt-outs, so there is nobody to forget")
        } else {
            format!("there is no former destination {destination:?} that still has people")
        };
        return Err(Failure::Usage(format!(
            "{why}; destinations that can be forgotten: {}",
            listed(&names)
        )));
    }
    let workspace = places.into_iter().find(|(name, _)| **name == *destination);
    let workspace = workspace.map(|(_, workspace)| workspace);
    let people = match store.forget_destination(destination, workspace).await? {
        1 => "1 person is".to_owned(),
        people => format!("{people} people are"),
    };
    print_line(&format!("{people} forgotten at {destination}."));
    Ok(())
}

async fn create(context: &Context, destination: &str) -> Result<(), Failure> {
    let config = context.load()?;
    let name = known(&config, destination)?;
    let Some(destination) = config.destinations.get(&name) else {
        return Ok(());
    };
    let Some(create) = destination.kind.create else {
        return Err(Failure::Usage(format!(
            "{name} is a {}: it has no tables to make",
            destination.kind.name
        )));
    };
    let context = ConnectContext {
        name,
        clock: Arc::new(SystemClock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
        vault: causeway_connect::vault::NoVault::shared(),
    };
    for statement in
        (create.statements)(&context, &destination.table).map_err(|error| anyhow::anyhow!("{error}"))?
    {
        print_line(&statement);
    }
    let run = (create.run)(&context, &destination.table).map_err(|error| anyhow::anyhow!("{error}"))?;
    run.await.map_err(|error| anyhow::anyhow!("{error}"))?;
    print_line("All tables exist.");
    Ok(())
}
