//! Queue → committed.

use super::queue::Queue;
use crate::{
    Bench,
    peers::Does,
    report::{Check, Section, Series},
};

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let queue = Queue::new(bench).await?;
    let count = bench.args.messages;
    let mut bare = Series::new("bare consumer, stores nothing");
    let mut hub = Series::new("**causeway, committed**");
    let mut one = Series::new("`@proca/queue`, does nothing, concurrency 1 (default)");
    let mut ten = Series::new("`@proca/queue`, does nothing, concurrency 10");
    let mut hundred = Series::new("`@proca/queue`, does nothing, concurrency 100");
    for run in 1..=bench.args.runs {
        bench.note(&format!("intake, run {run}"));
        bare.runs.push(queue.bare(count).await?);
        hub.runs
            .push(queue.hub(false, "", "accepted_total", count).await?);
        one.runs.push(queue.node(false, 1, &Does::Nothing, count).await?);
        ten.runs.push(queue.node(false, 10, &Does::Nothing, count).await?);
        hundred
            .runs
            .push(queue.node(false, 100, &Does::Nothing, count).await?);
    }
    let rate = hub.per_s();
    let best = ten.per_s().max(hundred.per_s());
    let checks = vec![
        Check::at_least("queue → committed", rate, 0.0, 25_000.0, "/s"),
        Check::at_least(
            "… beside `@proca/queue` default",
            rate / one.per_s(),
            2.0,
            2.0,
            "×",
        ),
        Check::at_least("… beside its best", rate / best, 1.5, 1.5, "×"),
        Check::at_least(
            "… beside the bare consumer",
            100.0 * rate / bare.per_s(),
            50.0,
            75.0,
            "%",
        ),
        Check::at_most(
            "CPU per 100 k, queue intake",
            hub.of(|run| run.cpu_s),
            6.0,
            4.0,
            "s",
        ),
        Check::at_most("peak resident", hub.of(|run| run.peak_mb), 120.0, 80.0, "MB"),
    ];
    Ok(Section {
        title: "Queue → committed".to_owned(),
        series: vec![bare, hub, one, ten, hundred],
        checks,
        notes: vec!["The hub has no destination, but it processes beside the intake as it always does, and its CPU up to the last commit includes that.".to_owned()],
    })
}
