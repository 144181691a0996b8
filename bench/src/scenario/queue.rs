//! One run of one contestant on a queue that was filled before.

use std::path::PathBuf;

use anyhow::Context as _;
use causeway_testkit::rig::topology::{self, Topology};

use crate::{
    Bench, broker,
    hub::{self, Hub, Settings},
    messages::{self, Messages},
    peers::{self, Does, Job},
    report::Run,
};

/// A broker, an organisation with its queues, and the files that consumers need.
pub struct Queue<'a> {
    pub bench: &'a Bench,
    pub url: String,
    pub org: u32,
    topology: Topology,
    keystore: PathBuf,
    // Removed at the end.
    folder: tempfile::TempDir,
}

impl<'a> Queue<'a> {
    pub async fn new(bench: &'a Bench) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(&bench.args.work)?;
        let keystore = folder.path().join("keys.json");
        std::fs::write(&keystore, messages::keystore()).context("writing the key store")?;
        let (url, org) = (bench.rabbit().url(), bench.org());
        let topology = topology::declare(&url, org).await;
        Ok(Self {
            bench,
            url,
            org,
            topology,
            keystore,
            folder,
        })
    }

    async fn fill(&self, encrypted: bool, count: u64) -> anyhow::Result<()> {
        let messages = if encrypted {
            Messages::encrypted(self.org)
        } else {
            Messages::plain(self.org)
        };
        broker::fill(&self.topology, &messages, self.bench.numbers(count), count).await
    }

    /// Our hub, until `figure` (such as `accepted_total`) has come to `count`.
    pub async fn hub(
        &self,
        encrypted: bool,
        destination: &str,
        figure: &str,
        count: u64,
    ) -> anyhow::Result<Run> {
        self.fill(encrypted, count).await?;
        let args = &self.bench.args;
        let keystore = encrypted.then_some(self.keystore.as_path());
        let tables = format!(
            "{}{destination}",
            hub::proca_source(&self.url, self.org, keystore)
        );
        let settings = Settings {
            program: &args.program,
            work: &args.work,
            tables,
        };
        let (hub, started) = tokio::join!(Hub::start(&settings), broker::first_taken(&self.topology, count));
        let hub = hub?;
        let started = started.with_context(|| hub.log())?;
        hub.wait_for(figure, count).await?;
        let seconds = started.elapsed().as_secs_f64();
        let usage = hub.usage();
        if let Ok(seconds) = std::env::var("BENCH_HOLD_S") {
            // For a look at the hub with other tools.
            tokio::time::sleep(std::time::Duration::from_secs(seconds.parse()?)).await;
        }
        hub.stop(&args.program)?;
        broker::is_all_acknowledged(&self.topology).await?;
        Ok(run(count, seconds, usage.cpu_s, usage.peak_mb))
    }

    /// `@proca/queue` with a function of ours.
    pub async fn node(
        &self,
        encrypted: bool,
        concurrency: u32,
        does: &Does,
        count: u64,
    ) -> anyhow::Result<Run> {
        self.fill(encrypted, count).await?;
        let keystore = encrypted.then_some(self.keystore.as_path());
        let job = Job {
            url: &self.url,
            queue: &self.topology.queue("deliver"),
            concurrency,
            goal: count,
            does,
            keystore,
        };
        let mut consumer = peers::start_node(
            &self.bench.args.bench.join("peers"),
            &self.folder.path().join("node.log"),
            &job,
        );
        let started = broker::first_taken(&self.topology, count)
            .await
            .with_context(|| consumer.log())?;
        let before = consumer.usage();
        tokio::task::block_in_place(|| consumer.wait());
        let seconds = started.elapsed().as_secs_f64();
        let usage = consumer.usage();
        Ok(run(count, seconds, usage.cpu_s - before.cpu_s, usage.peak_mb))
    }

    /// The bare consumer.
    pub async fn bare(&self, count: u64) -> anyhow::Result<Run> {
        self.fill(false, count).await?;
        let before = crate::usage::of(std::process::id());
        let seconds = broker::drain(&self.topology, &self.url, count).await?;
        let after = crate::usage::of(std::process::id());
        let mut run = run(count, seconds, after.cpu_s - before.cpu_s, 0.0);
        run.peak_mb = None;
        Ok(run)
    }

    /// An empty folder for the files that a consumer writes; the one before is removed.
    pub fn files(&self) -> anyhow::Result<Does> {
        let folder = self.folder.path().join("files");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(Does::WritesFiles(folder))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn run(count: u64, seconds: f64, cpu_s: f64, peak_mb: f64) -> Run {
    let count = count as f64;
    Run {
        per_s: count / seconds,
        cpu_s: Some(cpu_s * 100_000.0 / count),
        peak_mb: Some(peak_mb),
        ..Run::default()
    }
}
