//! Measures Causeway and its alternatives in one run on one machine: `bench/run --help`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints what it found"
)]

mod broker;
mod http;
mod hub;
mod messages;
mod peers;
mod report;
mod scenario;
mod servers;
mod usage;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;
use causeway_testkit::rig::rabbit::{self, Rabbit};
use clap::Parser;

use crate::report::Section;

/// Measures Causeway beside its alternatives.
#[derive(Parser)]
#[command(name = "bench/run")]
pub struct Args {
    /// What to measure: idle, intake, null, crm, connectors, form, sustained, rules, opt_out, waiting. Default: all but waiting.
    scenarios: Vec<String>,
    /// Runs of each contestant; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Messages in the queue at the start of a run.
    #[arg(long, default_value_t = 30_000)]
    messages: u64,
    /// Seconds of each run that posts forms.
    #[arg(long, default_value_t = 8)]
    form_s: u64,
    /// Seconds of the sustained load.
    #[arg(long, default_value_t = 60)]
    sustained_s: u64,
    /// Messages to be processed in the second part of the scenario `opt_out`.
    #[arg(long, default_value_t = 50_000)]
    backlog: u64,
    /// Waiting deliveries of the scenario `waiting`.
    #[arg(long, default_value_t = 1_000_000)]
    waiting: i64,
    /// Delivered ones beside them.
    #[arg(long, default_value_t = 10_000_000)]
    done: i64,
    /// The program to measure.
    #[arg(long)]
    program: PathBuf,
    /// Folder with the peers' scripts.
    #[arg(long)]
    bench: PathBuf,
    /// Where databases and queues are kept; a real disk.
    #[arg(long)]
    work: PathBuf,
}

/// What the scenarios share.
pub struct Bench {
    pub args: Args,
    rabbit: std::sync::OnceLock<Rabbit>,
    numbers: AtomicU64,
    orgs: AtomicU64,
}

impl Bench {
    pub fn rabbit(&self) -> &Rabbit {
        self.rabbit.get_or_init(rabbit::start)
    }

    /// The first of `count` unused numbers of people.
    pub fn numbers(&self, count: u64) -> u64 {
        self.numbers.fetch_add(count, Ordering::Relaxed)
    }

    /// An organisation that has no queues yet.
    pub fn org(&self) -> u32 {
        u32::try_from(self.orgs.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    pub fn note(&self, text: &str) {
        eprintln!("==> {text}");
    }
}

const DEFAULT: [&str; 9] = [
    "idle",
    "intake",
    "null",
    "crm",
    "connectors",
    "form",
    "sustained",
    "rules",
    "opt_out",
];

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut args: Args) -> anyhow::Result<()> {
    let chosen = if args.scenarios.is_empty() {
        DEFAULT.map(str::to_owned).to_vec()
    } else {
        std::mem::take(&mut args.scenarios)
    };
    std::fs::create_dir_all(&args.work).context("making the work folder")?;
    let bench = Bench {
        args,
        rabbit: std::sync::OnceLock::new(),
        numbers: AtomicU64::new(1),
        orgs: AtomicU64::new(1_000),
    };
    println!("{}", machine());
    for name in chosen {
        let section = scenario::run(&bench, &name)
            .await
            .with_context(|| format!("measuring {name}"))?;
        println!("{}", Section::markdown(&section));
    }
    Ok(())
}

/// The machine on which the figures were measured.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .to_owned();
        line.split(':').nth(1).unwrap_or_default().trim().to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    format!(
        "{}, {processors} processors ({}), memory {}, load before the start {}",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        load.split(' ').next().unwrap_or_default()
    )
}
