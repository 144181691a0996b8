//! `causeway serve`

use rustix::process::{Resource, Rlimit};

use super::{Failure, context::Context, trial::folder};
use crate::hub::{Hub, Options};

/// Runs until Ctrl-C or SIGTERM, then finishes attempts in flight (10 s at most). A second signal stops at once; nothing is
/// lost either way. SIGHUP reads the configuration again, as `causeway reload` does, and retries messages that could not be
/// decrypted.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway --config /etc/causeway.toml serve --log-format json")]
pub(super) struct Args {
    /// How to write the log to standard error: `text` or `json`.
    #[arg(long, value_enum, default_value_t, env = "CAUSEWAY_LOG_FORMAT")]
    log_format: crate::telemetry::LogFormat,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let refused = crate::hub::refusals(&config);
    if !refused.is_empty() {
        return Err(Failure::Config(refused));
    }
    crate::telemetry::start_log(args.log_format, "info");
    allow_many_files();
    if let Some(folder) = config.store_path().parent() {
        folder::sweep(folder);
    }
    let hub = Hub::start(config, Options::default()).await?;
    tracing::info!(listener = %hub.listener, console = %hub.console, "causeway runs: console http://{}/", hub.console);
    let ended = hub.run_until_signal().await?;
    tracing::info!(in_time = ended.in_time, "causeway stopped");
    Ok(())
}

/// Raises the soft limit of open files to the hard limit. Each call and each connection needs one, and many systems give
/// a process 1024 unless it asks.
fn allow_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, soft = limit.current, "could not raise the limit of open files");
    }
}
