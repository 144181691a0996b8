//! Causeway as users run it: the release binary with a configuration file, a folder, and its metrics page.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use causeway_testkit::rig::{port, process::Process};
use tempfile::TempDir;

use crate::{
    http,
    usage::{self, Usage},
};

/// How often the metrics are read while waiting: they cost the hub some 0.1 ms.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Hub {
    process: Process,
    pub folder: TempDir,
    pub listener: u16,
    console: u16,
    /// From starting the program until `/readyz` was green or the console answered.
    pub start: Duration,
}

/// What a hub is started with: the tables of its sources and destinations.
pub struct Settings<'a> {
    pub program: &'a Path,
    pub work: &'a Path,
    pub tables: String,
}

/// The tables of a Proca source for [`Settings`].
pub fn proca_source(url: &str, org: u32, keystore: Option<&Path>) -> String {
    let keystore = keystore.map_or(String::new(), |path| {
        format!("keystore = [{:?}]\n", path.display().to_string())
    });
    format!(
        "[source.proca]\nkind = \"proca\"\nurl = {url:?}\nqueue = \"cus.{org}.deliver\"\nown_orgs = [{org}]\n\
         consent = \"single\"\n{keystore}"
    )
}

pub const TOKEN: &str = "bench-token-of-no-secret";

pub fn form_source() -> String {
    format!(
        "[source.platform]\nkind = \"listener\"\npreset = \"sync-to-third-party\"\ntoken = \"{TOKEN}\"\nsync = {{ consent = \"opt_in\" }}\n"
    )
}

pub const NULL: &str = "[destination.nowhere]\nkind = \"null\"\n";

pub fn webhook(port: u16) -> String {
    format!(
        "[destination.nowhere]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/contacts\"\nallow_private = true\n"
    )
}

impl Hub {
    pub async fn start(settings: &Settings<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(settings.work).context("making a folder for the hub")?;
        Self::start_in(settings, folder).await
    }

    /// In the folder of a hub that was stopped.
    pub async fn start_in(settings: &Settings<'_>, folder: TempDir) -> anyhow::Result<Self> {
        let (listener, console) = (port::free(), port::free());
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{listener}\"\nconsole = \"127.0.0.1:{console}\"\n[hub]\ndata_dir = \"data\"\n{}",
            settings.tables
        );
        let config = folder.path().join("causeway.toml");
        std::fs::write(&config, text).context("writing the configuration")?;
        let mut command = Command::new(settings.program);
        command
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .env("RUST_LOG", "warn");
        let started = Instant::now();
        let log = folder.path().join("hub.log");
        let mut hub = Self {
            process: Process::spawn("causeway", command, &log, None),
            folder,
            listener,
            console,
            start: Duration::ZERO,
        };
        while !hub.is_ready().await {
            if !hub.process.is_running() || started.elapsed() > Duration::from_mins(1) {
                bail!("the hub did not get ready: {}", hub.process.log());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        hub.start = started.elapsed();
        Ok(hub)
    }

    async fn is_ready(&self) -> bool {
        matches!(http::get(self.console, "/readyz").await, Ok((200, _)))
    }

    pub fn usage(&self) -> Usage {
        usage::of(self.process.id())
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The sum over all labels of a figure such as `accepted_total`.
    pub async fn figure(&self, name: &str) -> anyhow::Result<u64> {
        let (status, text) = http::get(self.console, "/metrics").await?;
        anyhow::ensure!(status == 200, "the metrics page answered {status}");
        let start = format!("causeway_{name}");
        let sum: f64 = text
            .lines()
            .filter_map(|line| line.strip_prefix(start.as_str()))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter"
        )]
        let sum = sum as u64;
        Ok(sum)
    }

    /// Waits until a figure has come to `goal`. Fails when it has not moved for a minute.
    pub async fn wait_for(&self, name: &str, goal: u64) -> anyhow::Result<()> {
        self.wait_for_sum(&[name], goal).await
    }

    /// The same for the sum of several figures.
    pub async fn wait_for_sum(&self, names: &[&str], goal: u64) -> anyhow::Result<()> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let mut now = 0;
            for name in names {
                now += self.figure(name).await?;
            }
            if now >= goal {
                return Ok(());
            }
            if now != last {
                (last, moved) = (now, Instant::now());
            }
            if moved.elapsed() > Duration::from_mins(1) {
                bail!(
                    "{} stands at {now} and should come to {goal}: {}",
                    names.join(" + "),
                    self.process.log()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops it in good order and proves with `causeway audit` that the books balance.
    pub fn stop(mut self, program: &Path) -> anyhow::Result<TempDir> {
        self.process.stop(Duration::from_secs(15));
        let output = Command::new(program)
            .arg("--config")
            .arg(self.folder.path().join("causeway.toml"))
            .arg("audit")
            .output()
            .context("running the audit")?;
        anyhow::ensure!(
            output.status.success(),
            "the books do not balance: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(self.folder)
    }
}

pub fn store_in(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let found = std::fs::read_dir(&data)
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|file| {
            let path = file.path();
            (path.extension()? == "db").then_some(path)
        });
    found.unwrap_or_else(|| data.join("causeway.db"))
}
