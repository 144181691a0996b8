//! Rows per second of each stage of the hot path, one after the other, in one process.
//!
//! `cargo run --release -p causeway-store --example hotpath -- [RECORDS] [FOLDER]`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and tells what it found"
)]

use std::{error::Error, time::Instant};

use causeway_core::{
    clock::Timestamp,
    consent::What,
    delivery::Next,
    event::Decoded,
    id::InboxId,
    rules::DestinationRule,
    store::{Claim, Store, Views},
};
use causeway_store::{Options, SqliteStore, open};
use causeway_testkit::{
    builders::{SOURCE, at, envelope, rules, signed},
    store_contract::attempt,
};

const BATCH: usize = 500;
type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".to_owned()))?;
    let path = folder.path().join("hotpath.db");
    let store = open(&path, Options { serve: true }).await?;
    store
        .set_rules(rules(vec![DestinationRule::new("crm")]).into())
        .await?;
    let body = "x".repeat(1_500);

    stage(&store, "accept", records, accept(&store, records, &body)).await?;
    stage(&store, "process", records, process(&store)).await?;
    memory("with all of them waiting");
    let now = Instant::now();
    for _ in 0..100 {
        let claimed = store.claim(claim(1)).await?;
        let given: Vec<_> = claimed.deliveries.iter().map(|delivery| delivery.id).collect();
        store.release(given, at(0)).await?;
    }
    println!(
        "claim and release of one: {:.0} µs",
        now.elapsed().as_secs_f64() * 10_000.0
    );
    stage(&store, "claim + record", records, deliver(&store)).await?;
    let now = Instant::now();
    store.overview(Timestamp::now()).await?;
    println!("overview: {:.1} ms", now.elapsed().as_secs_f64() * 1_000.0);
    println!("file: {} MB", std::fs::metadata(&path)?.len() / 1_000_000);
    Ok(())
}

async fn stage(
    _store: &SqliteStore,
    name: &str,
    records: usize,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work.await?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let rate = records as f64 / seconds;
    println!(
        "{name}: {rate:.0} rows/s, {seconds:.1} s, {:.1} s of CPU",
        cpu_seconds() - cpu
    );
    Ok(())
}

async fn accept(store: &SqliteStore, records: usize, body: &str) -> Outcome {
    for start in (0..records).step_by(BATCH) {
        let batch = (start..records.min(start + BATCH))
            .map(|number| {
                let mut message = envelope(SOURCE, &format!("message {number}"), at(0));
                message.body = body.to_owned().into();
                message
            })
            .collect();
        store.accept(batch).await?;
    }
    Ok(())
}

async fn process(store: &SqliteStore) -> Outcome {
    let mut after = InboxId(0);
    loop {
        let rows = store.fetch_new(after, 500).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.0;
        let batch = rows
            .into_iter()
            .map(|(id, _)| {
                let event = signed(&format!("person{id}"), &id.to_string(), What::OptIn, at(0));
                (id, Decoded::Event(Box::new(event)))
            })
            .collect();
        store.process(batch, at(1)).await?;
    }
}

fn claim(limit: u32) -> Claim {
    Claim {
        destination: "crm".into(),
        limit,
        leased_until: at(60),
        now: at(2),
    }
}

async fn deliver(store: &SqliteStore) -> Outcome {
    loop {
        let claimed = store.claim(claim(500)).await?.deliveries;
        if claimed.is_empty() {
            return Ok(());
        }
        let attempts = claimed
            .iter()
            .map(|delivery| attempt(delivery, Next::Delivered, at(3)))
            .collect();
        store.record(attempts).await?;
    }
}

fn memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("");
    println!(
        "{when}: {}",
        resident.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

/// Of all threads of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
