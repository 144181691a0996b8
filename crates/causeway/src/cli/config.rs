//! `causeway config`

use clap::Subcommand;

use super::{
    Failure,
    context::{Context, say, say_json},
};

#[derive(clap::Args)]
#[command(after_help = "Example: causeway config sample > causeway.toml\n         causeway config check")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Reads the file and tells what is wrong with it; touches nothing else.
    #[command(after_help = "Example: causeway --config causeway.toml config check")]
    Check,
    /// Prints a configuration that names every key, with unit and default.
    #[command(after_help = "Example: causeway config sample > causeway.toml")]
    Sample,
    /// Prints the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example: causeway config schema > causeway.schema.json")]
    Schema,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::Check => {
            let config = context.load()?;
            for warning in crate::config::warnings(&config) {
                say(&format!("warning: {warning}"));
            }
            say(&format!(
                "{} is good: {} source(s), {} destination(s)",
                config.path.display(),
                config.sources.len(),
                config.destinations.len()
            ));
        }
        Verb::Sample => say(include_str!("../../../../samples/causeway.toml").trim_end()),
        Verb::Schema => say_json(&crate::config::schema())?,
    }
    Ok(())
}
