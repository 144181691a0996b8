//! Queue → committed → processed → null destination, plain and encrypted.

use super::queue::Queue;
use crate::{
    Bench, hub,
    peers::Does,
    report::{Check, Section, Series},
};

/// The peers with key store and with files take a tenth of the speed, and so get fewer messages.
const SLOWER_BY: u64 = 5;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let queue = Queue::new(bench).await?;
    let count = bench.args.messages;
    let fewer = (count / SLOWER_BY).max(1);
    let mut plain = Series::new("**causeway, delivered to null**");
    let mut sealed = Series::new("**causeway, encrypted, delivered to null**");
    let mut file = Series::new("`@proca/queue` writing a file each, concurrency 1 (default)");
    let mut files = Series::new("`@proca/queue` writing a file each, concurrency 10");
    let mut key = Series::new("`@proca/queue` with key store, does nothing, concurrency 1");
    let mut keys = Series::new("`@proca/queue` with key store, does nothing, concurrency 100");
    for run in 1..=bench.args.runs {
        bench.note(&format!("null, run {run}"));
        plain
            .runs
            .push(queue.hub(false, hub::NULL, "delivered_total", count).await?);
        sealed
            .runs
            .push(queue.hub(true, hub::NULL, "delivered_total", count).await?);
        file.runs
            .push(queue.node(false, 1, &queue.files()?, fewer).await?);
        files
            .runs
            .push(queue.node(false, 10, &queue.files()?, fewer).await?);
        key.runs.push(queue.node(true, 1, &Does::Nothing, fewer).await?);
        keys.runs
            .push(queue.node(true, 100, &Does::Nothing, fewer).await?);
    }
    let rate = plain.per_s();
    let checks = vec![
        Check::at_least("queue → null destination", rate, 10_000.0, 15_000.0, "/s"),
        Check::at_least(
            "… beside writing files, default concurrency",
            rate / file.per_s(),
            5.0,
            5.0,
            "×",
        ),
        Check::at_least(
            "encrypted, beside `@proca/queue` with key store",
            sealed.per_s() / key.per_s().max(keys.per_s()),
            7.0,
            7.0,
            "×",
        ),
        Check::at_least(
            "encrypted, of plain",
            100.0 * sealed.per_s() / rate,
            90.0,
            97.0,
            "%",
        ),
        Check::at_most(
            "CPU per 100 k, end to end",
            plain.of(|run| run.cpu_s),
            16.0,
            12.0,
            "s",
        ),
        Check::at_most("peak resident", plain.of(|run| run.peak_mb), 120.0, 80.0, "MB"),
    ];
    Ok(Section {
        title: "Queue → committed → processed → null destination".to_owned(),
        series: vec![plain, sealed, file, files, key, keys],
        checks,
        notes: vec!["proca-sync is not published; `@proca/queue` with a function that writes one JSON file for each message stands for it.".to_owned()],
    })
}
