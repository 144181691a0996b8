//! The command line, with one file per command. `context` opens the configuration and the store, and prints.

mod audit;
mod backfill;
mod backup;
mod config;
mod config_diff;
mod connect;
mod contact;
mod context;
mod delivery;
mod demo;
mod destination;
mod doctor;
mod import;
mod keys;
pub mod migrate;
mod preview;
mod reload;
mod replay;
mod send;
mod serve;
mod source;
mod store;
mod test;
mod trace;
pub mod trial;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

/// Carries people's actions and consent to the systems of an organisation.
#[derive(Parser)]
#[command(
    name = "causeway",
    version,
    about,
    max_term_width = 100,
    propagate_version = true
)]
#[command(
    after_help = "Example: causeway demo        (a whole hub with invented people, nothing to set up)\n         causeway serve       (your own, by causeway.toml)"
)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "CAUSEWAY_CONFIG",
        default_value = "causeway.toml",
        value_name = "FILE"
    )]
    config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the hub: sources, engine, listener and console, until Ctrl-C or SIGTERM.
    Serve(serve::Args),
    /// Has the running hub read its configuration again.
    Reload(reload::Args),
    /// Runs a whole hub with invented people and a simulated CRM.
    Demo(demo::Args),
    /// Imports a file of messages or contacts through a source.
    Import(import::Args),
    /// Checks the configuration, compares two, prints a sample or the JSON Schema.
    Config(config::Args),
    /// Checks everything in the configuration: store, broker, destinations.
    Doctor(doctor::Args),
    /// Sends one message through the real configuration.
    Send(send::Args),
    /// Runs the tests in the configuration.
    Test(test::Args),
    /// Shows what a destination would be sent now about a person, or why nothing would be sent.
    Preview(preview::Args),
    /// Shows everything that happened to a message.
    Trace(trace::Args),
    /// Checks that the books balance: every message is done, waiting, skipped, dead or a duplicate.
    Audit(audit::Args),
    /// Writes a consistent copy of the store while the hub runs.
    Backup(backup::Args),
    /// Sends a destination the people who came before it.
    Backfill(backfill::Args),
    /// Lists, retries and discards deliveries; pauses and resumes destinations.
    Delivery(delivery::Args),
    /// Processes dead messages again, or discards them.
    Replay(replay::Args),
    /// Shows, exports and erases a person.
    Contact(contact::Args),
    /// Signs in at the vendor of a destination, in a browser, and keeps the token for the hub.
    Connect(connect::Args),
    /// Lists the kinds of destinations, prints a sample of one, creates its tables.
    Destination(destination::Args),
    /// Converts the configuration of another program.
    Migrate(migrate::Args),
    /// Creates, lists, rotates and revokes the URLs that platforms send to.
    Source(source::Args),
    /// Brings the store up to date with this version of the program; ends the alarm of a wrong clock.
    Store(store::Args),
    /// Makes and checks keys for encrypted personal data.
    Keys(keys::Args),
}

use context::Failure;
pub(crate) use context::print_line;

/// The whole command line, for the documentation's tests.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Exit code: 0 done, 1 failed, 2 wrong usage or configuration, 3 done except for a part that a person must look at.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not failures.
            let code = if error.use_stderr() { 2 } else { 0 };
            if error.print().is_err() {
                return ExitCode::from(1);
            }
            return ExitCode::from(code);
        }
    };
    // All TLS clients use the same provider. This fails only if one is installed already, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let context = context::Context { config: cli.config };
    let result = match cli.command {
        Command::Serve(args) => serve::run(&context, args).await,
        Command::Reload(args) => reload::run(&context, args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(&context, args).await,
        Command::Config(args) => config::run(&context, &args).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Send(args) => send::run(&context, args).await,
        Command::Test(args) => test::run(&context, args).await,
        Command::Preview(args) => preview::run(&context, args).await,
        Command::Trace(args) => trace::run(&context, args).await,
        Command::Audit(args) => audit::run(&context, args).await,
        Command::Backup(args) => backup::run(&context, args).await,
        Command::Backfill(args) => backfill::run(&context, args).await,
        Command::Connect(args) => connect::run(&context, args).await,
        Command::Delivery(args) => delivery::run(&context, args).await,
        Command::Replay(args) => replay::run(&context, args).await,
        Command::Contact(args) => contact::run(&context, args).await,
        Command::Destination(args) => destination::run(&context, args).await,
        Command::Migrate(args) => migrate::run(&args),
        Command::Source(args) => source::run(&context, args).await,
        Command::Store(args) => store::run(&context, args).await,
        Command::Keys(args) => keys::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
