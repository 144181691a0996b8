//! Queue → a local HTTP CRM that answers at once, or in 50 ms. Our side with default settings, in order per contact.

use std::time::Duration;

use super::queue::Queue;
use crate::{
    Bench, hub,
    peers::Does,
    report::{Check, Section, Series},
    servers,
};

const SLOW: Duration = Duration::from_millis(50);
const CONCURRENCY: u32 = 10;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let queue = Queue::new(bench).await?;
    let (quick, slow) = (servers::crm(Duration::ZERO).await?, servers::crm(SLOW).await?);
    let many = (bench.args.messages / 2).max(1);
    // A peer does some 190 a second here; ours gets what takes it about as long.
    let (ours, theirs) = (
        (bench.args.messages / 6).max(1),
        (bench.args.messages / 30).max(1),
    );
    let mut hub_quick = Series::new("**causeway**, CRM answers at once");
    let mut peer_quick = Series::new("`@proca/queue` with `fetch`, concurrency 10, CRM answers at once");
    let mut best_quick = Series::new("`@proca/queue` with `node:http`, concurrency 10, CRM answers at once");
    let mut hub_slow = Series::new("**causeway**, CRM answers in 50 ms");
    let mut peer_slow = Series::new("`@proca/queue` with `fetch`, concurrency 10, CRM answers in 50 ms");
    for run in 1..=bench.args.runs {
        bench.note(&format!("crm, run {run}"));
        hub_quick.runs.push(
            queue
                .hub(false, &hub::webhook(quick.port), "delivered_total", many)
                .await?,
        );
        peer_quick.runs.push(
            queue
                .node(false, CONCURRENCY, &Does::Fetches(quick.port), many)
                .await?,
        );
        best_quick.runs.push(
            queue
                .node(false, CONCURRENCY, &Does::Posts(quick.port), many)
                .await?,
        );
        hub_slow.runs.push(
            queue
                .hub(false, &hub::webhook(slow.port), "delivered_total", ours)
                .await?,
        );
        peer_slow.runs.push(
            queue
                .node(false, CONCURRENCY, &Does::Fetches(slow.port), theirs)
                .await?,
        );
    }
    let checks = vec![
        Check::at_least(
            "CRM at once, beside the peer",
            hub_quick.per_s() / peer_quick.per_s(),
            3.0,
            5.0,
            "×",
        ),
        Check::at_least(
            "CRM at once, beside the peer with the lighter client",
            hub_quick.per_s() / best_quick.per_s(),
            1.0,
            1.0,
            "×",
        ),
        Check::at_least(
            "CRM in 50 ms, beside the peer",
            hub_slow.per_s() / peer_slow.per_s(),
            5.0,
            50.0,
            "×",
        ),
    ];
    Ok(Section {
        title: "Queue → HTTP CRM".to_owned(),
        series: vec![hub_quick, peer_quick, best_quick, hub_slow, peer_slow],
        checks,
        notes: vec!["proca-sync is not published; `@proca/queue` with a function that posts the contact by `fetch`, as its connectors do, stands for it. The simulated CRM runs on the same processors.".to_owned()],
    })
}
