//! Shared by all commands: opening the configuration and the store, printing, and failures with their exit codes.

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use causeway_core::source::Stop;
use causeway_store::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, FileError};

pub(super) struct Context {
    pub config: PathBuf,
}

/// Why a command fails. The variant decides the exit code.
pub(super) enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// Wrong configuration, one line each: exit code 2.
    Config(Vec<FileError>),
    /// The command ran and failed: exit code 1.
    Failed(anyhow::Error),
    /// The command failed and has already printed why: exit code 1.
    Reported,
    /// The command succeeded except for a part that a person must look at, and has already printed it: exit code 3.
    Partly,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // An error that only `serve` finds counts as a configuration error, like one found while reading the file.
        match error.downcast::<FileError>() {
            Ok(error) => Self::Config(vec![error]),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<causeway_core::store::StoreError> for Failure {
    fn from(error: causeway_core::store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                print_error(&format!("error: {text}"));
                ExitCode::from(2)
            }
            Self::Config(errors) => {
                for error in errors {
                    print_error(&format!("error: {error}"));
                }
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                print_error(&format!("error: {error:#}"));
                ExitCode::from(1)
            }
            Self::Reported => ExitCode::from(1),
            Self::Partly => ExitCode::from(3),
        }
    }
}

impl Context {
    pub(super) fn load(&self) -> Result<Config, Failure> {
        crate::config::load(&self.config).map_err(Failure::Config)
    }

    /// Opens an existing store for writing. A hub may be running on it.
    pub(super) async fn open(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::existing_store(config).map_err(Failure::Failed)?;
        self.open_or_make(config).await
    }

    /// Opens the store for writing and creates it if it is missing: for commands that bring messages in.
    pub(super) async fn open_or_make(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::open_store_beside(config)
            .await
            .map_err(Failure::Failed)
    }

    /// Opens the store read-only.
    pub(super) async fn open_to_read(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::open_store_to_read(config)
            .await
            .map_err(Failure::Failed)
    }
}

/// Stops a command that holds a private copy of people's data at a signal: dropping the command deletes the copy.
/// A second signal ends the program at once, even while the command does not yield.
pub(super) async fn until_signal<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let listen = |kind| signal(kind).context("listening for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let stop = Stop::new();
    let stopped = stop.clone();
    let listening = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(1);
            }
            stop.cancel();
        }
    });
    let result = tokio::select! {
        result = command => result,
        () = stopped.cancelled() => Err(Failure::Failed(anyhow::anyhow!("stopped by a signal"))),
    };
    listening.abort();
    result
}

/// Prints a line to standard output. A closed pipe (`| head`) is not a failure.
pub(crate) fn print_line(line: &str) {
    // Nobody reads the output any more (`| head`).
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Prints a line to standard error.
pub(super) fn print_error(line: &str) {
    // Nobody reads the output any more (`| head`).
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Prints a value as JSON, for scripts.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.into()))?;
    print_line(&text);
    Ok(())
}
