//! People come before the destination is there. Then it is added, and all of them wait for it.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use causeway_testkit::{
    rig::topology,
    vendors::{FakeVendor, Vendor},
};

use super::{
    accounts::{Account, Slow},
    number,
};
use crate::{
    Bench, broker,
    hub::{self, Hub, Settings},
    messages::Messages,
    report::Run,
};

/// What `causeway backfill` takes at most.
const PER_MINUTE: usize = 60_000;
/// How often the vendor is asked whether all people arrived.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The last answer is recorded within this time.
const RECORDED_IN: Duration = Duration::from_millis(500);

/// What an account showed.
pub struct Drained {
    pub run: Run,
    /// Requests until all were delivered.
    pub requests: usize,
    /// Requests for the same people again.
    pub again: usize,
    /// Calls that were refused, and what the vendor found wrong.
    pub refused: usize,
}

/// Starts the hub while all people wait, measures until all arrived, and sends them once more with the same data.
pub async fn drain<V: Vendor>(
    bench: &Bench,
    account: &Account<V>,
    vendor: &FakeVendor<Slow<V>>,
    keys: &str,
) -> anyhow::Result<Drained> {
    let args = &bench.args;
    let (url, org, people) = (bench.rabbit().url(), bench.org(), account.people);
    let count = u64::try_from(people)?;
    let topology = topology::declare(&url, org).await;
    let first = bench.numbers(count);
    let source = hub::proca_source(&url, org, None);
    broker::fill(&topology, &Messages::plain(org), first, count).await?;
    let settings = Settings {
        program: &args.program,
        work: &args.work,
        tables: format!("{source}{}", hub::NULL),
    };
    let hub = Hub::start(&settings).await?;
    hub.wait_for("delivered_total", count).await?;
    let folder = hub.stop(&args.program)?;

    let own = format!(
        "[destination.account]\nkind = \"{}\"\nconsent = \"opt_in\"\nallow_private = true\nbatch = {}\nbase_url = \"{}\"\n{keys}\n",
        account.kind,
        account.batch,
        vendor.url()
    );
    let settings = Settings {
        tables: format!("{source}{own}"),
        ..settings
    };
    let config = folder.path().join("causeway.toml");
    let before = std::fs::read_to_string(&config)?.replace(hub::NULL, &own);
    std::fs::write(&config, before)?;
    backfill(&args.program, &config)?;
    tokio::time::sleep(Duration::from_secs(u64::try_from(60 * people / PER_MINUTE)? + 1)).await;
    let hub = Hub::start_in(&settings, folder).await?;
    let run = until_all_arrived(account, vendor, &hub).await?;
    let requests = vendor.requests().len();
    bench.note(&format!(
        "{}: {requests} requests, {:.0} a second, {:.1} s of CPU for 100 000",
        account.title,
        run.per_s,
        run.cpu_s.unwrap_or(f64::NAN)
    ));
    if account.is_read_again {
        broker::publish(&topology, &Messages::plain(org).numbered_anew(), first, count).await?;
        // Who is not skipped costs requests, which are counted.
        hub.wait_for_sum(&["delivered_total", "skipped_total"], 2 * count)
            .await?;
    }
    let again = vendor.requests().len() - requests;
    hub.stop(&args.program)?;
    let refused = vendor.with(|slow| slow.refused + (account.wrong)(&slow.vendor));
    Ok(Drained {
        run,
        requests,
        again,
        refused,
    })
}

/// The rate and the processor time, of those who were not delivered when the hub reported that it is ready.
async fn until_all_arrived<V: Vendor>(
    account: &Account<V>,
    vendor: &FakeVendor<Slow<V>>,
    hub: &Hub,
) -> anyhow::Result<Run> {
    let people = u64::try_from(account.people)?;
    let (started, used) = (Instant::now(), hub.usage());
    let early = usize::try_from(hub.figure("delivered_total").await?)?;
    let left = number(account.people - early);
    let seconds = if let Some(arrived) = account.arrived {
        while vendor.with(|slow| arrived(&slow.vendor)) < account.people {
            ensure!(
                started.elapsed() < Duration::from_mins(2),
                "not all arrived: {}",
                hub.log()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        tokio::time::sleep(RECORDED_IN).await;
        seconds
    } else {
        hub.wait_for("delivered_total", people).await?;
        started.elapsed().as_secs_f64()
    };
    let usage = hub.usage();
    if let Ok(seconds) = std::env::var("BENCH_HOLD_S") {
        // For a look at the hub with other tools.
        tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
    }
    Ok(Run {
        per_s: left / seconds,
        cpu_s: Some((usage.cpu_s - used.cpu_s) * 100_000.0 / left),
        peak_mb: Some(usage.peak_mb),
        ..Run::default()
    })
}

fn backfill(program: &Path, config: &Path) -> anyhow::Result<()> {
    let output = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["backfill", "account", "--per-minute", &PER_MINUTE.to_string()])
        .output()
        .context("running the backfill")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the backfill failed: {error}");
    Ok(())
}
