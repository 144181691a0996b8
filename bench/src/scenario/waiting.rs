//! A million waiting deliveries, ten million done: claims, memory, and how soon a hub is ready.
//!
//! The rows are copies of the rows that the hub made from one message. The audit proves that they are complete.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use causeway_core::{
    clock::Timestamp,
    rules::{DEFAULT_WORKSPACE, DestinationRule, Rules, SourceRule},
    store::{Claim, Store},
};
use tempfile::TempDir;

use crate::{
    Bench, http,
    hub::{self, Hub, Settings, TOKEN},
    messages::Messages,
    report::{Check, Section, median},
    usage,
};

const ORG: u32 = 12;
const DESTINATION: &str = "nowhere";
/// As many as the null destination is given at once.
const BATCH: u32 = 500;
/// Deliveries claimed in one measurement.
const CLAIMED: u32 = 5_000;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let args = &bench.args;
    let settings = Settings {
        program: &args.program,
        work: &args.work,
        tables: tables(),
    };
    let mut folder = template(&settings).await?;
    let store = hub::store_in(folder.path());
    let (mut checks, mut notes) = (Vec::new(), Vec::new());
    let rates = more_and_more(bench, &store, &mut notes).await?;
    let first = rates.first().copied().unwrap_or(f64::NAN);
    let of_first = |rate: f64| 100.0 * rate / first;
    let with_waiting = rates.last().copied().unwrap_or(f64::NAN);
    checks.push(Check::at_least(
        &format!("claim rate with {} waiting, of that with 10 000", args.waiting),
        of_first(with_waiting),
        90.0,
        100.0,
        "%",
    ));

    let (started, first_s, paused_mb) = start(&settings, &mut folder, args.runs).await?;
    checks.push(Check::at_most(
        &format!("start to ready with {} contacts", args.waiting),
        started,
        1.0,
        0.5,
        "s",
    ));
    notes.push(format!(
        "The first start after the rows were made took {first_s:.2} s."
    ));
    checks.push(Check::at_most(
        "resident, destination paused",
        paused_mb,
        150.0,
        80.0,
        "MB",
    ));

    if args.done > 0 {
        bench.note(&format!("waiting: {} done beside them", args.done));
        grow(&store, args.waiting, args.waiting + args.done, "delivered")?;
        let (rate, one_us) = claims(&store, args.runs).await?;
        notes.push(format!(
            "{} more are done: {rate:.0} claims/s; claim and release of one {one_us:.0} µs.",
            args.done
        ));
        checks.push(Check::at_least(
            &format!("claim rate with {} done beside them", args.done),
            of_first(rate),
            90.0,
            100.0,
            "%",
        ));
    }
    bench.note("waiting: delivering");
    let (rate, peak_mb) = deliver(&settings, folder, args).await?;
    notes.push(format!(
        "With all of them there the hub delivered {rate:.0}/s to null."
    ));
    checks.push(Check::at_most(
        "peak resident while it delivers",
        peak_mb,
        150.0,
        80.0,
        "MB",
    ));
    Ok(Section {
        title: format!("{} waiting deliveries", args.waiting),
        series: Vec::new(),
        checks,
        notes,
    })
}

/// The claim rates with more and more waiting deliveries, up to all.
async fn more_and_more(bench: &Bench, store: &Path, notes: &mut Vec<String>) -> anyhow::Result<Vec<f64>> {
    let args = &bench.args;
    let (mut there, mut rates) = (1, Vec::new());
    let steps = [10_000, 100_000, 1_000_000].into_iter();
    for waiting in steps.filter(|step| *step < args.waiting).chain([args.waiting]) {
        bench.note(&format!("waiting: {waiting}"));
        grow(store, there, waiting, "waiting")?;
        there = waiting;
        let (rate, one_us) = claims(store, args.runs).await?;
        notes.push(format!("{waiting} waiting: {rate:.0} claims/s in batches of {BATCH}; claim and release of one {one_us:.0} µs."));
        rates.push(rate);
    }
    Ok(rates)
}

fn tables() -> String {
    format!(
        "[source.proca]\nkind = \"listener\"\npreset = \"proca\"\ntoken = \"{TOKEN}\"\nnamespace = \"proca\"\n\
         proca = {{ own_orgs = [{ORG}], consent = \"single\" }}\n{}",
        hub::NULL
    )
}

fn causeway(settings: &Settings<'_>, folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(settings.program)
        .arg("--config")
        .arg(folder.join("causeway.toml"))
        .args(arguments)
        .output()
        .context("running causeway")?;
    ensure!(
        output.status.success(),
        "causeway {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A store with one delivery that waits for a paused destination.
async fn template(settings: &Settings<'_>) -> anyhow::Result<TempDir> {
    let hub = Hub::start(settings).await?;
    causeway(settings, hub.folder.path(), &["delivery", "pause", DESTINATION])?;
    // The lane looks at its state once a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let message = Messages::plain(ORG).action(1)?;
    let status = http::post(
        hub.listener,
        &format!("/in/{TOKEN}"),
        "application/json",
        &message,
    )
    .await?;
    ensure!(status == 200, "the message was answered with {status}");
    hub.wait_for("waiting", 1).await?;
    hub.stop(settings.program)
}

/// Copies the rows of the first record until there are `to`. The copies' deliveries are in `state`.
fn grow(store: &Path, from: i64, to: i64, state: &str) -> anyhow::Result<()> {
    let db = rusqlite::Connection::open(store).context("opening the store")?;
    db.execute_batch(
        "PRAGMA synchronous = off; PRAGMA cache_size = -1000000; PRAGMA temp_store = memory;
         PRAGMA wal_autocheckpoint = 100000; BEGIN",
    )?;
    let numbers =
        format!("WITH RECURSIVE n (i) AS (SELECT {from} + 1 UNION ALL SELECT i + 1 FROM n WHERE i < {to})");
    let is_done = state == "delivered";
    // Delivered copies belong to the existing people, and add no action.
    let people = if is_done { "1 + i % 1000000" } else { "i" };
    let mut statements = vec![
        format!(
            "{numbers} INSERT INTO inbox (id, source_id, dedup, window_ms, key, received_at, processed_at, state, code, reason, duplicate_of, bytes)
             SELECT i, source_id, CAST(printf('%016d', i) AS BLOB), window_ms, CAST(printf('%016d', i) AS BLOB), received_at,
             processed_at, state, code, reason, duplicate_of, bytes FROM n, inbox WHERE id = 1"
        ),
        format!(
            "{numbers} INSERT INTO event (inbox_id, workspace_id, kind, at, contact_id, action_id, campaign_id, page_id, decision, notes, merged)
             SELECT i, workspace_id, kind, at, {people}, {people}, campaign_id, page_id, decision, notes, merged FROM n, event WHERE inbox_id = 1"
        ),
        format!(
            "{numbers} INSERT INTO delivery (id, inbox_id, destination_id, contact_id, kind, state, attempts, due_at, planned_at, finished_at, gated, reason, remote_id)
             SELECT i, i, destination_id, {people}, kind, '{state}', attempts, due_at, planned_at,
             {}, gated, reason, remote_id FROM n, delivery WHERE id = 1",
            if is_done { "planned_at" } else { "NULL" }
        ),
    ];
    if is_done {
        statements.push(format!(
            "{numbers} INSERT INTO attempt (delivery_id, seq, number, started_at, took_ms, outcome, reason, status, excerpt)
             SELECT i, 1, 1, planned_at, 0, 'delivered', NULL, NULL, NULL FROM n, delivery WHERE id = 1"
        ));
    } else {
        for rows in [
            "inbox_body (id, meta, body) SELECT i, meta, body FROM n, inbox_body WHERE id = 1",
            "contact (id, workspace_id, doc, created_at, updated_at, merged_into)
             SELECT i, workspace_id, doc, created_at, updated_at, merged_into FROM n, contact WHERE id = 1",
            "identity (workspace_id, kind, namespace_id, value, contact_id)
             SELECT workspace_id, kind, namespace_id, printf('%09d-', i) || value, i FROM n, identity WHERE contact_id = 1",
            "consent (contact_id, purpose, what, page, at, basis, inbox_id)
             SELECT i, purpose, what, page, at, basis, i FROM n, consent WHERE contact_id = 1",
            "action (id, workspace_id, namespace_id, external_id, number, source_id, contact_id, campaign_id, page_id, told_by, doc)
             SELECT i, workspace_id, namespace_id, CAST(100000 + i AS TEXT), 100000 + i, source_id, i, campaign_id, page_id, i, doc
             FROM n, action WHERE id = 1",
        ] {
            statements.push(format!("{numbers} INSERT INTO {rows}"));
        }
    }
    for statement in statements {
        db.execute(&statement, [])
            .with_context(|| format!("copying rows: {statement}"))?;
    }
    // What is counted of each record: of those the hub made one, so each count of one becomes the number that there are.
    let added = to - from;
    let source = "name_id IN (SELECT id FROM name WHERE kind = 'source')";
    db.execute(
        &format!(
            "UPDATE counter SET value = value + ?1 WHERE {source} AND what NOT LIKE 'last%' AND value > 0"
        ),
        [added],
    )?;
    for what in ["planned", state] {
        db.execute(
            "INSERT INTO counter (name_id, what, value) SELECT id, ?2, ?1 FROM name WHERE kind = 'destination'
             ON CONFLICT DO UPDATE SET value = value + excluded.value",
            rusqlite::params![added, what],
        )?;
    }
    db.execute_batch("COMMIT; PRAGMA wal_checkpoint(truncate); PRAGMA synchronous = full")?;
    Ok(())
}

fn rules() -> Rules {
    let mut rules = Rules::default();
    let source = SourceRule {
        name: "proca".into(),
        workspace: DEFAULT_WORKSPACE.into(),
        own_orgs: [ORG.to_string()].into(),
        namespace: "proca".into(),
    };
    rules.sources.insert("proca".into(), source);
    rules
        .destinations
        .insert(DESTINATION.into(), DestinationRule::new(DESTINATION).into());
    rules
}

/// Deliveries claimed a second, in batches; and how long it takes to claim one and give it back, in microseconds.
async fn claims(path: &Path, runs: usize) -> anyhow::Result<(f64, f64)> {
    let (mut rates, mut singles) = (Vec::new(), Vec::new());
    let lane = "UPDATE lane SET paused = ?1";
    rusqlite::Connection::open(path)?.execute(lane, [0])?;
    for _ in 0..runs.max(3) {
        let store = causeway_store::open(path, causeway_store::Options { serve: true }).await?;
        store.set_rules(rules().into()).await?;
        let now = Timestamp::now();
        let claim = |limit| Claim {
            destination: DESTINATION.into(),
            limit,
            first: Vec::new(),
            leased_until: now.saturating_add(Duration::from_mins(10)).unwrap_or(now),
            now,
        };
        // The first statements of a connection read the schema and compile.
        let warm = store.claim(claim(BATCH)).await?.deliveries;
        ensure!(!warm.is_empty(), "nothing could be claimed");
        let started = Instant::now();
        let mut claimed = 0_u32;
        while claimed < CLAIMED {
            let found = store.claim(claim(BATCH)).await?.deliveries.len();
            ensure!(found > 0, "nothing was left to claim");
            claimed += u32::try_from(found)?;
        }
        rates.push(f64::from(claimed) / started.elapsed().as_secs_f64());
        let started = Instant::now();
        for _ in 0..100 {
            let one = store.claim(claim(1)).await?.deliveries;
            store
                .release(one.iter().map(|delivery| delivery.id).collect(), now)
                .await?;
        }
        singles.push(started.elapsed().as_secs_f64() * 10_000.0);
    }
    rusqlite::Connection::open(path)?.execute(lane, [1])?;
    Ok((median(rates), median(singles)))
}

/// Seconds from start to ready (median, and the first), and what is resident a few seconds later.
async fn start(
    settings: &Settings<'_>,
    folder: &mut TempDir,
    runs: usize,
) -> anyhow::Result<(f64, f64, f64)> {
    let (mut times, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(3) {
        let there = std::mem::replace(folder, tempfile::tempdir_in(settings.work)?);
        let hub = Hub::start_in(settings, there).await?;
        times.push(hub.start.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(3)).await;
        resident.push(usage::of(hub.pid()).resident_mb);
        *folder = hub.stop(settings.program).context("after the copies")?;
    }
    let first = times.first().copied().unwrap_or(f64::NAN);
    Ok((median(times), first, median(resident)))
}

/// Lets the destination go and measures ten seconds of it.
async fn deliver(settings: &Settings<'_>, folder: TempDir, args: &crate::Args) -> anyhow::Result<(f64, f64)> {
    let hub = Hub::start_in(settings, folder).await?;
    causeway(settings, hub.folder.path(), &["delivery", "resume", DESTINATION])?;
    hub.wait_for("delivered_total", 1).await?;
    let (before, started) = (hub.figure("delivered_total").await?, Instant::now());
    let goal = u64::try_from(args.waiting)?.saturating_sub(1_000).min(100_000);
    hub.wait_for("delivered_total", goal).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let rate = goal.saturating_sub(before) as f64 / started.elapsed().as_secs_f64();
    let usage = hub.usage();
    hub.stop(settings.program)?;
    Ok((rate, usage.peak_mb))
}
