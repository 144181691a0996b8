//! Ten thousand waiting people → vendors' APIs in memory that answer in 50 ms: requests, limits, processor time.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use causeway_core::clock::Clock;
use causeway_testkit::{
    fake_api::{Reply, Request},
    rig::topology,
    vendors::{FakeVendor, Vendor, hubspot, meta, salesforce},
};
use jiff::Timestamp;

use crate::{
    Bench, broker,
    hub::{self, Hub, Settings},
    messages::Messages,
    report::{Check, Run, Section, Series},
};

const ANSWERS_IN: Duration = Duration::from_millis(50);
const PEOPLE: u64 = 10_000;
/// What `causeway backfill` takes at most.
const PER_MINUTE: u64 = 60_000;

/// An API that takes its time.
struct Slow<V>(V);

impl<V: Vendor> Vendor for Slow<V> {
    fn answer(&mut self, request: &Request) -> Reply {
        self.0.answer(request).after(ANSWERS_IN)
    }

    fn page(&self) -> String {
        self.0.page()
    }
}

#[derive(Debug)]
struct SystemClock;

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = Duration::try_from(at.duration_since(Timestamp::now()));
        tokio::time::sleep(wait.unwrap_or_default()).await;
    }
}

/// What an account showed.
struct Drained {
    run: Run,
    /// Requests until all were delivered.
    requests: usize,
    /// Requests for the same people again.
    again: usize,
}

/// A kind, the size of its batches, and how many calls it may make in a second.
struct Account {
    kind: &'static str,
    batch: u64,
    per_s: Option<f64>,
    keys: String,
}

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let clock = || Arc::new(SystemClock) as Arc<dyn Clock>;
    let (mut all, mut checks) = (Vec::new(), Vec::new());

    let mut crm = hubspot::HubSpot::default();
    crm.clock.set(Timestamp::now());
    crm.clock.run();
    let crm = FakeVendor::start(Slow(crm)).await;
    let account = Account {
        kind: "hubspot",
        batch: 100,
        per_s: Some(19.0),
        keys: format!("token = \"{}\"\nbase_url = \"{}\"", hubspot::TOKEN, crm.url()),
    };
    measure(bench, &account, || crm.requests().len(), &mut all, &mut checks).await?;
    let refused = crm.with(|crm| crm.0.limits.refused());
    checks.push(at_most("hubspot: calls beyond its limit", refused, 0.0, ""));

    let mut org = salesforce::Salesforce::new(clock());
    org.add_field("Contact", salesforce::Field::external_id("Causeway_Id__c"));
    let org = FakeVendor::start(Slow(org)).await;
    let account = Account {
        kind: "salesforce",
        batch: 200,
        per_s: None,
        keys: format!("token = \"{}\"\nbase_url = \"{}\"", salesforce::TOKEN, org.url()),
    };
    measure(bench, &account, || org.requests().len(), &mut all, &mut checks).await?;

    let mut ads = meta::Meta::new(clock());
    let audience = ads.add_audience(meta::ACCOUNT, "Supporters");
    let ads = FakeVendor::start(Slow(ads)).await;
    let (token, url) = (meta::TOKEN, ads.url());
    let account = Account {
        kind: "meta",
        batch: 1_000,
        per_s: None,
        keys: format!("token = \"{token}\"\naudience = {audience}\nbase_url = \"{url}\""),
    };
    measure(bench, &account, || ads.requests().len(), &mut all, &mut checks).await?;
    let wrong = ads.with(|ads| ads.0.violations.len());
    checks.push(at_most("meta: rows and calls against its rules", wrong, 0.0, ""));

    Ok(Section {
        title: "Ten thousand people → vendors' APIs".to_owned(),
        series: all,
        checks,
        notes: vec![format!(
            "Each API answers in {} ms, in the process of the benchmark. CPU is that of the hub.",
            ANSWERS_IN.as_millis()
        )],
    })
}

async fn measure(
    bench: &Bench,
    account: &Account,
    requests: impl Fn() -> usize,
    all: &mut Vec<Series>,
    checks: &mut Vec<Check>,
) -> anyhow::Result<()> {
    let kind = account.kind;
    bench.note(&format!("connectors, {kind}"));
    let drained = drain(bench, account, requests)
        .await
        .with_context(|| kind.to_owned())?;
    let fewest = PEOPLE.div_ceil(account.batch);
    let ratio = ratio(drained.requests, fewest);
    checks.push(Check::at_most(
        &format!("{kind}: requests ÷ the fewest possible ({fewest})"),
        ratio,
        1.1,
        1.0,
        "×",
    ));
    checks.push(at_most(
        &format!("{kind}: requests for the same people again"),
        drained.again,
        0.0,
        "",
    ));
    let micros = drained.run.cpu_s.unwrap_or(f64::NAN) * 10.0;
    checks.push(Check::at_most(
        &format!("{kind}: processor time of a record"),
        micros,
        60.0,
        60.0,
        "µs",
    ));
    if let Some(per_s) = account.per_s {
        let part = drained.run.per_s / (per_s * number(account.batch)) * 100.0;
        checks.push(Check::at_least(
            &format!("{kind}: rate ÷ what limit and batch allow"),
            part,
            90.0,
            90.0,
            "%",
        ));
    }
    let mut series = Series::new(&format!("**causeway** → {kind}, batches of {}", account.batch));
    series.runs.push(drained.run);
    all.push(series);
    Ok(())
}

/// People come before the destination is there. Then it is added, and all of them wait for it. Then they come once more,
/// with the same data.
async fn drain(bench: &Bench, account: &Account, requests: impl Fn() -> usize) -> anyhow::Result<Drained> {
    let args = &bench.args;
    let (url, org) = (bench.rabbit().url(), bench.org());
    let topology = topology::declare(&url, org).await;
    let first = bench.numbers(PEOPLE);
    let source = hub::proca_source(&url, org, None);
    broker::fill(&topology, &Messages::plain(org), first, PEOPLE).await?;
    let settings = Settings {
        program: &args.program,
        work: &args.work,
        tables: format!("{source}{}", hub::NULL),
    };
    let hub = Hub::start(&settings).await?;
    hub.wait_for("delivered_total", PEOPLE).await?;
    let folder = hub.stop(&args.program)?;

    let Account {
        kind, batch, keys, ..
    } = account;
    let own = format!(
        "[destination.account]\nkind = \"{kind}\"\nconsent = \"opt_in\"\nallow_private = true\nbatch = {batch}\n{keys}\n"
    );
    let settings = Settings {
        tables: format!("{source}{own}"),
        ..settings
    };
    let config = folder.path().join("causeway.toml");
    let before = std::fs::read_to_string(&config)?.replace(hub::NULL, &own);
    std::fs::write(&config, before)?;
    backfill(&args.program, &config)?;
    tokio::time::sleep(Duration::from_secs(60 * PEOPLE / PER_MINUTE + 1)).await;
    let hub = Hub::start_in(&settings, folder).await?;
    let (started, used) = (std::time::Instant::now(), hub.usage());
    hub.wait_for("delivered_total", PEOPLE).await?;
    let (seconds, usage) = (started.elapsed().as_secs_f64(), hub.usage());
    let sent = requests();

    broker::fill(&topology, &Messages::plain(org).numbered_anew(), first, PEOPLE).await?;
    hub.wait_for("skipped_total", PEOPLE).await?;
    let again = requests() - sent;
    hub.stop(&args.program)?;
    let people = number(PEOPLE);
    Ok(Drained {
        run: Run {
            per_s: people / seconds,
            cpu_s: Some((usage.cpu_s - used.cpu_s) * 100_000.0 / people),
            peak_mb: Some(usage.peak_mb),
            ..Run::default()
        },
        requests: sent,
        again,
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

fn at_most(what: &str, measured: usize, most: f64, unit: &'static str) -> Check {
    Check::at_most(what, ratio(measured, 1), most, most, unit)
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn ratio(measured: usize, of: u64) -> f64 {
    measured as f64 / of as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn number(number: u64) -> f64 {
    number as f64
}
