//! `causeway config`

use causeway_connect::destination::KINDS;
use clap::Subcommand;

use super::{
    Failure,
    context::{Context, print_json, print_line},
};
use crate::sources;

#[derive(clap::Args)]
#[command(after_help = "Example: causeway config sample > causeway.toml\n         causeway config check")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints every error in the file that would stop `serve`. Reads the secrets that are available here; connects to
    /// nothing.
    #[command(after_help = "Example: causeway --config causeway.toml config check")]
    Check,
    /// Prints a configuration with every common key, its unit and its default; or a complete section of one kind.
    #[command(
        after_help = "Example: causeway config sample > causeway.toml\n         causeway config sample listener >> causeway.toml"
    )]
    Sample {
        /// A kind of source (proca, listener) or of destination (see `causeway destination kinds`).
        kind: Option<String>,
    },
    /// Prints the JSON Schema of the configuration, for editors.
    #[command(after_help = "Example: causeway config schema > causeway.schema.json")]
    Schema,
    /// Runs the messages of the last days through two configurations and shows what would change. Sends and stores
    /// nothing.
    #[command(
        after_help = "Example: causeway config diff causeway.toml causeway-new.toml --last 7d\n         causeway config diff causeway.toml causeway-new.toml --json"
    )]
    Diff(super::config_diff::Args),
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::Check => {
            let config = context.load()?;
            let (absent, wrong): (Vec<_>, Vec<_>) = crate::hub::refusals(&config)
                .into_iter()
                .partition(|refused| refused.error.absent);
            if !wrong.is_empty() {
                return Err(Failure::Config(wrong));
            }
            for absent in absent {
                print_line(&format!("not checked, because it is missing here: {absent}"));
            }
            for warning in crate::config::warnings(&config) {
                print_line(&format!("warning: {warning}"));
            }
            print_line(&format!(
                "{} is good: {} source(s), {} destination(s){}",
                config.path.display(),
                config.sources.len(),
                config.destinations.len(),
                match config.tests.len() {
                    0 => String::new(),
                    tests => format!(", {tests} test(s) for `causeway test`"),
                }
            ));
        }
        Verb::Sample { kind: None } => {
            print_line(include_str!("../../../../samples/causeway.toml").trim_end());
        }
        Verb::Sample { kind: Some(kind) } => print_line(sample(kind)?.trim_end()),
        Verb::Schema => print_json(&crate::config::schema())?,
        Verb::Diff(args) => super::config_diff::run(args).await?,
    }
    Ok(())
}

/// The complete section of a kind of source or destination.
fn sample(kind: &str) -> Result<&'static str, Failure> {
    let mut samples: Vec<(&str, &'static str)> = sources::KINDS
        .iter()
        .map(|source| (source.name, source.sample))
        .collect();
    samples.extend(
        KINDS
            .iter()
            .map(|destination| (destination.name, destination.sample)),
    );
    let found = samples.iter().find(|(name, _)| *name == kind);
    found.map(|(_, sample)| *sample).ok_or_else(|| {
        let names: Vec<&str> = samples.iter().map(|(name, _)| *name).collect();
        Failure::Usage(format!(
            "there is no kind {kind:?}; there are: {}",
            names.join(", ")
        ))
    })
}
