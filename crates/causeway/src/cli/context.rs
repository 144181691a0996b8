//! What commands share: the configuration, the store, printing, and how they fail.

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use causeway_core::source::Stop;
use causeway_store::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, FileError};

pub(super) struct Context {
    pub config: PathBuf,
}

/// How a command fails: the exit code follows from which.
pub(super) enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// Wrong configuration, one line each: exit code 2.
    Config(Vec<FileError>),
    /// It was tried and did not work: exit code 1.
    Failed(anyhow::Error),
    /// Everything was said already: exit code 1.
    Said,
    /// It was done, but a person has to look at a part of it, and all of that was said: exit code 3.
    Partly,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // What a start refuses is as wrong as what reading refuses.
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
                complain(&format!("error: {text}"));
                ExitCode::from(2)
            }
            Self::Config(errors) => {
                for error in errors {
                    complain(&format!("error: {error}"));
                }
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                complain(&format!("error: {error:#}"));
                ExitCode::from(1)
            }
            Self::Said => ExitCode::from(1),
            Self::Partly => ExitCode::from(3),
        }
    }
}

impl Context {
    pub(super) fn load(&self) -> Result<Config, Failure> {
        crate::config::load(&self.config).map_err(Failure::Config)
    }

    /// Opens the store to change something in it, beside a hub that may be running. There has to be one.
    pub(super) async fn open(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::existing_store(config).map_err(Failure::Failed)?;
        self.open_or_make(config).await
    }

    /// For what brings something in: makes the store if there is none yet.
    pub(super) async fn open_or_make(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::open_store_beside(config)
            .await
            .map_err(Failure::Failed)
    }

    /// Opens the store for questions only.
    pub(super) async fn open_to_read(&self, config: &Config) -> Result<Arc<SqliteStore>, Failure> {
        crate::hub::open_store_to_read(config)
            .await
            .map_err(Failure::Failed)
    }
}

/// Ends a command that holds a private copy of people's data when a signal asks it to stop: it is dropped, and with it the
/// copy. A second signal ends the program at once, also where the command does not yield.
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
pub(crate) fn say(line: &str) {
    // No reader is left.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Prints a line to standard error.
pub(super) fn complain(line: &str) {
    // No reader is left.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Prints a value as JSON, for scripts.
pub(super) fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.into()))?;
    say(&text);
    Ok(())
}
