//! `causeway backup FILE`

use std::path::PathBuf;

use super::{
    Failure,
    context::{Context, print_line},
};
use anyhow::Context as _;

/// Writes a consistent copy of the store to FILE, which must not exist. The hub may run. To restore, stop the hub, put
/// the copy in the place of causeway.db, remove causeway.db-wal and causeway.db-shm, and start the hub.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway backup /backup/causeway-$(date +%F).db")]
pub(super) struct Args {
    file: PathBuf,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    if args.file.exists() {
        let text = format!(
            "{} exists already, and a backup never overwrites a file: give another name",
            args.file.display()
        );
        return Err(Failure::Usage(text));
    }
    let store = crate::hub::existing_store(&config)?;
    causeway_store::backup(&store, &args.file)
        .await
        .with_context(|| format!("writing {}", args.file.display()))?;
    let bytes = std::fs::metadata(&args.file)
        .map(|file| file.len())
        .unwrap_or_default();
    print_line(&format!("{} written, {bytes} bytes", args.file.display()));
    Ok(())
}
