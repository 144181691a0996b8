//! `causeway migrate`: converts the configuration of another program.

mod connectors;
pub mod env_file;
mod field_map;
mod native;
pub mod proca_sync;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;

use super::{
    Failure,
    context::{print_error, print_line},
};
use crate::config;

#[derive(clap::Args)]
#[command(after_help = "Example: causeway migrate proca-sync .env.rivers --out causeway.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Writes a configuration from an environment file of proca-sync. The configuration lists every key of the file,
    /// with its result, and the tasks that are left to do. No secret is copied.
    #[command(after_help = "Example: causeway migrate proca-sync .env.rivers --out causeway.toml")]
    ProcaSync {
        /// The environment file, such as .env.rivers.
        file: PathBuf,
        /// Where to write the configuration; it must not exist. Default: standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Verb::ProcaSync { file, out } = &args.verb;
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let text =
        String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{} is not text in UTF-8", file.display()))?;
    let name = file
        .file_name()
        .map_or_else(|| "a file".to_owned(), |name| name.to_string_lossy().into_owned());
    let migrated = proca_sync::migrate(&name, &text);
    let path = out.as_deref().unwrap_or(Path::new("causeway.toml"));
    // The result is valid whatever the file contained; a failure here is a bug.
    config::parse(path, &migrated.text).map_err(Failure::Config)?;
    let Some(out) = out else {
        print_line(migrated.text.trim_end());
        return Ok(());
    };
    let mut new = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(out)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::Usage(format!(
                "{} exists already; choose another with --out",
                out.display()
            )),
            _ => Failure::Failed(anyhow::Error::from(error).context(format!("writing {}", out.display()))),
        })?;
    new.write_all(migrated.text.as_bytes())
        .with_context(|| format!("writing {}", out.display()))?;
    print_line(&format!("{} was written and is valid.", out.display()));
    for what in &migrated.to_do {
        print_line(&format!("to do: {what}"));
    }
    if migrated.text.contains("cus.0.deliver") {
        print_error("warning: the queue is a placeholder: enter yours before you start the hub");
    }
    Ok(())
}
