//! `causeway keys`

use std::path::PathBuf;

use anyhow::Context as _;
use causeway_core::keystore::{Keystore, generate};
use clap::Subcommand;

use super::{Failure, context::print_line};

#[derive(clap::Args)]
#[command(after_help = "Example: causeway keys generate keys.json\n         causeway keys check keys.json")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a key pair and writes it to FILE (mode 0600), which must not exist. Give the public key to Proca.
    #[command(after_help = "Example: causeway keys generate keys.json")]
    Generate { file: PathBuf },
    /// Reads key files in any of the accepted forms and checks that each private key matches its public key.
    #[command(after_help = "Example: causeway keys check keys.json old-keys.json")]
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Generate { file } => make(&file),
        Verb::Check { files } => files.iter().try_for_each(check),
    }
}

fn make(file: &PathBuf) -> Result<(), Failure> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("drawing random numbers: {error}"))?;
    let key = generate(secret);
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("writing {} (it must not exist)", file.display()))?;
    out.write_all(key.file.reveal().as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("writing {}", file.display()))?;
    print_line(&format!("public key {}", key.public));
    print_line(&format!(
        "The private key is in {} and nowhere else: keep a copy in a safe place.",
        file.display()
    ));
    Ok(())
}

fn check(file: &PathBuf) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let keys = Keystore::parse(&text).with_context(|| format!("reading {}", file.display()))?;
    for public in keys.public_keys() {
        print_line(&format!("{}: {public} ok", file.display()));
    }
    Ok(())
}
