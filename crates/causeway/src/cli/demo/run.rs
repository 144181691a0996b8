//! A real hub, with invented people as senders and a simulated CRM as destination.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{crm, progress, senders, vendors};
use crate::{
    cli::print_line,
    clock::SystemClock,
    hub::{self, Hub, Options},
    telemetry::{LogFormat, start_log},
};

pub struct Demo {
    /// Messages a second.
    pub rate: f64,
    /// Names of vendors.
    pub with: Vec<String>,
    pub stop_after: Option<Duration>,
    pub dir: Option<PathBuf>,
}

pub async fn run(demo: Demo) -> anyhow::Result<()> {
    start_log(LogFormat::Text, "error");
    let (dir, temporary) = folder(demo.dir)?;
    let crm = crm::start().await.context("starting the simulated CRM")?;
    let tokens = senders::Tokens::draw()?;
    let clock: std::sync::Arc<dyn causeway_core::clock::Clock> = std::sync::Arc::new(SystemClock);
    let mut accounts = Vec::new();
    for name in &demo.with {
        accounts.extend(vendors::start(name, &clock).await);
    }
    let mut text = configuration(&tokens, crm.address);
    text.extend(accounts.iter().map(vendors::Account::section));
    write_private(&dir.join("causeway.toml"), &text)?;
    let hub = Hub::start(
        hub::in_folder(&dir, &text)?,
        Options {
            any_port: true,
            ..Options::default()
        },
    )
    .await?;
    greet(&hub, &tokens, &dir, &accounts);

    let stop = causeway_core::source::Stop::new();
    let senders = tokio::spawn(senders::run(hub.listener, tokens, demo.rate, stop.clone()));
    let shown = progress::show(&hub, &crm, demo.stop_after, stopped()).await;
    stop.cancel();
    let sent = senders.await.context("the senders ended unexpectedly")?;

    print_line("\nstopping: attempts in flight may end; press Ctrl-C again to stop at once …");
    let views = std::sync::Arc::clone(&hub.engine.views);
    let ended = hub.stop(stopped()).await;
    progress::summary(&views.audit().await?, &sent, &crm, ended.in_time);
    shown?;
    if temporary {
        // A failure only leaves files in the temporary folder.
        drop(std::fs::remove_dir_all(&dir));
    } else {
        print_line(&format!(
            "everything is in {}: `causeway --config {}/causeway.toml trace 1`",
            dir.display(),
            dir.display()
        ));
    }
    Ok(())
}

fn folder(wanted: Option<PathBuf>) -> anyhow::Result<(PathBuf, bool)> {
    let temporary = wanted.is_none();
    let dir =
        wanted.unwrap_or_else(|| std::env::temp_dir().join(format!("causeway-demo-{}", std::process::id())));
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok((dir, temporary))
}

/// The tokens in it are secrets.
fn write_private(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without signals, the demo ends after --seconds or when it is killed. Neither loses anything.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn configuration(tokens: &senders::Tokens, crm: std::net::SocketAddr) -> String {
    let senders::Tokens {
        petition,
        platform,
        signup,
    } = tokens;
    format!(
        r#"# What `causeway demo` runs: three sources that are sent to the listener, a simulated CRM, and a file.
[hub]
data_dir = "data"

[source.petition]               # Proca's web hook: JSON messages
kind = "listener"
preset = "proca"
token = "{petition}"
proca = {{ own_orgs = [12], consent = "single" }}

[source.platform]               # "Sync to Third Party": a form post with eleven groups
kind = "listener"
preset = "sync-to-third-party"
token = "{platform}"
sync = {{ consent = "opt_in" }}

[source.signup]                 # anything else: a GET or POST with an e-mail address
kind = "listener"
preset = "generic"
token = "{signup}"
generic = {{ consent = "opt_in" }}

[destination.crm]               # the simulated CRM: it fails now and then
kind = "webhook"
url = "http://{crm}/contacts"
allow_private = true
consent = "opt_in"
concurrency = 16
retry_s = [1, 2, 4, 8, 15, 30, 60]
circuit_rest_s = 1

[destination.archive]           # everybody, with what they agreed to
kind = "file"
path = "archive.csv"
format = "csv"
consent = "all"
"#
    )
}

fn greet(hub: &Hub, tokens: &senders::Tokens, dir: &std::path::Path, accounts: &[vendors::Account]) {
    let defaults = crate::config::Http::default();
    for (what, wanted, got) in [
        ("listener", defaults.listen, hub.listener),
        ("console", defaults.console, hub.console),
    ] {
        if wanted.port() != got.port() {
            print_line(&format!(
                "port {} is taken: the {what} is on {} instead",
                wanted.port(),
                got.port()
            ));
        }
    }
    print_line("Causeway runs, with invented people as senders and a simulated CRM as destination.\n");
    print_line(&format!("  console   http://{}/", hub.console));
    print_line(&format!("  file      {}", dir.join("archive.csv").display()));
    for account in accounts {
        print_line(&format!("  {:<9} {}/", account.name, account.url));
    }
    print_line(
        "  your own  curl 'http://LISTENER/in/TOKEN?email=you@example.org&firstName=You'"
            .replace("LISTENER", &hub.listener.to_string())
            .replace("TOKEN", &tokens.signup)
            .as_str(),
    );
    print_line("\nCtrl-C stops it and shows the books.\n");
}
