//! The log on standard error.

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Writes the log to standard error, in colours only on a terminal. `CAUSEWAY_LOG` (`warn`, `causeway=debug`) overrides `level`.
pub fn start_log(format: LogFormat, level: &str) {
    use std::io::IsTerminal as _;

    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("CAUSEWAY_LOG").unwrap_or_else(|_| {
        // The AMQP client reports every lost connection as an error of its own; the source says it better.
        EnvFilter::new(format!("{level},lapin=off"))
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would report a log that cannot be written (its disk is full) on standard error, which is that log, and
        // panic where the line was logged: in the middle of a request.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
