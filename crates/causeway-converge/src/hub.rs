//! Runs the built program as a process: starts, kills, stops and queries it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use causeway_testkit::rig::{port, process::Process};

use crate::{client, wire::KEYSTORE};

/// How long the program may take to start or to stop. Much longer than it needs; it only ends a run that hangs.
const LIMIT: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A folder with a configuration and the data of a hub, which may be running.
pub struct Hub {
    program: PathBuf,
    folder: PathBuf,
    pub listener: u16,
    pub console: u16,
    running: Option<Process>,
}

/// The program, with a clock that is ahead by this number of seconds.
///
/// Preloads the library directly. The wrapper `faketime` creates a semaphore named by its process id. When it is killed, the
/// semaphore stays and blocks a later wrapper with the same id.
pub fn with_clock(program: &Path, ahead: i64) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    if ahead != 0 {
        let folders = std::fs::read_dir("/usr/lib").context("reading /usr/lib")?;
        let library = folders
            .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketime.so.1")))
            .find(|library| library.exists())
            .context("no libfaketime.so.1 below /usr/lib: install Debian's package faketime")?;
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("{ahead:+}s"));
    }
    Ok(command)
}

impl Hub {
    pub fn new(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("files")).context("making the hub's folder")?;
        std::fs::write(folder.join("keys.json"), KEYSTORE).context("writing the keystore")?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            listener: port::free(),
            console: port::free(),
            running: None,
        })
    }

    pub fn configure(&self, sections: &str) -> anyhow::Result<()> {
        let text = format!(
            "[hub]\ndata_dir = \"data\"\nmin_free_mb = 0\n\
             [http]\nlisten = \"127.0.0.1:{}\"\nconsole = \"127.0.0.1:{}\"\n{sections}",
            self.listener, self.console
        );
        std::fs::write(self.folder.join("causeway.toml"), text).context("writing the configuration")
    }

    /// A command of the program with the hub's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .args(arguments)
            .env_remove("CAUSEWAY_CONFIG")
            .env_remove("RUST_BACKTRACE");
        command
    }

    /// Starts the hub and waits until it responds. `ahead`: seconds by which its clock is ahead.
    pub async fn start(&mut self, ahead: i64) -> anyhow::Result<()> {
        let mut command = with_clock(&self.program, ahead)?;
        command
            .current_dir(&self.folder)
            .arg("serve")
            .env_remove("RUST_BACKTRACE")
            .env("CAUSEWAY_LOG", "warn");
        let started = Instant::now();
        let log = self.folder.join(format!(
            "serve-{}.log",
            std::fs::read_dir(&self.folder).map_or(0, Iterator::count)
        ));
        let process = Process::spawn("causeway", command, &log, None);
        let process = self.running.insert(process);
        loop {
            if matches!(client::get(self.console, "/livez").await, Ok((200, _))) {
                return Ok(());
            }
            if !process.is_running() || started.elapsed() > LIMIT {
                bail!("the hub did not start: {}", process.log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.end(true).await
    }

    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(false).await
    }

    async fn end(&mut self, is_kill: bool) -> anyhow::Result<()> {
        let Some(mut process) = self.running.take() else {
            return Ok(());
        };
        let work = move || {
            if is_kill {
                process.kill();
            } else {
                process.stop(LIMIT);
            }
        };
        tokio::task::spawn_blocking(work).await.context("ending the hub")
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Process::is_running)
    }

    pub fn logs(&self) -> String {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "log"))
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap_or_default())
            .collect()
    }

    /// The numbers of messages to process and of deliveries to send.
    pub async fn waiting(&self) -> anyhow::Result<(u64, u64)> {
        let text = metrics(self.console).await?;
        let sum = |name: &str| figures(&text, name).iter().map(|(_, value)| value).sum();
        Ok((sum("causeway_inbox_waiting"), sum("causeway_waiting")))
    }

    /// The destinations with deliveries to send.
    pub async fn waiting_destinations(&self) -> anyhow::Result<Vec<String>> {
        let text = metrics(self.console).await?;
        let waiting = figures(&text, "causeway_waiting")
            .into_iter()
            .filter(|(_, value)| *value > 0);
        Ok(waiting
            .map(|(labels, value)| format!("{labels} {value}"))
            .collect())
    }

    /// The sources that this process of the hub has compared with Proca's API.
    pub async fn compared(&self) -> anyhow::Result<BTreeSet<String>> {
        let text = metrics(self.console).await?;
        let is_comparison = |labels: &str| labels.contains("what=\"reconciled\"");
        let source = |labels: &str| {
            let (_, rest) = labels.split_once("source=\"")?;
            Some(rest.split('"').next()?.to_owned())
        };
        Ok(figures(&text, "causeway_source_events_total")
            .iter()
            .filter(|(labels, value)| *value > 0 && is_comparison(labels))
            .filter_map(|(labels, _)| source(labels))
            .collect())
    }

    /// Runs a command beside the hub.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .context("waiting for a command")?
            .context("running a command")
    }
}

async fn metrics(console: u16) -> anyhow::Result<String> {
    let (status, text) = client::get(console, "/metrics").await?;
    ensure!(status == 200, "the metrics page answered {status}");
    Ok(text)
}

/// Labels and value of each line of a metric.
fn figures(text: &str, name: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some(())?;
        let whole = value.split('.').next()?;
        Some((labels.to_owned(), whole.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// The number of messages that a hub has to process.
pub async fn inbox_waiting(console: u16) -> anyhow::Result<u64> {
    Ok(figures(&metrics(console).await?, "causeway_inbox_waiting")
        .iter()
        .map(|(_, value)| value)
        .sum())
}
