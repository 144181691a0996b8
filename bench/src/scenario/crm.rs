//! Queue → a local HTTP CRM that answers at once, in 50 ms, or with few workers. Our side with default settings, in order per contact.

use std::time::Duration;

use super::queue::Queue;
use crate::{
    Bench, hub,
    peers::Does,
    report::{Check, Section, Series},
    servers::{self, Seen},
};

const SLOW: Duration = Duration::from_millis(50);
const CONCURRENCY: u32 = 10;
/// The workers of a CRM that slows when it has more requests.
const WORKERS: usize = 16;
/// Requests at the same time for each worker, once the hub has learned what the CRM can take.
const LINE: f64 = 3.0;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let queue = Queue::new(bench).await?;
    let (quick, slow) = (servers::crm(Duration::ZERO).await?, servers::crm(SLOW).await?);
    let many = (bench.args.messages / 2).max(1);
    // A peer does some 190 a second here; ours gets what takes it about as long. The workers of the narrow CRM do 320.
    let (ours, theirs) = (bench.args.messages, (bench.args.messages / 30).max(1));
    let few = (bench.args.messages / 10).max(1);
    let mut all = [
        "**causeway**, CRM answers at once",
        "`@proca/queue` with `fetch`, concurrency 10, CRM answers at once",
        "`@proca/queue` with `node:http`, concurrency 10, CRM answers at once",
        "**causeway**, CRM answers in 50 ms",
        "`@proca/queue` with `fetch`, concurrency 10, CRM answers in 50 ms",
        "**causeway**, CRM with 16 workers of 50 ms",
    ]
    .map(Series::new);
    let [hub_quick, peer_quick, best_quick, hub_slow, peer_slow, hub_narrow] = &mut all;
    let ours_at = async |port, count| {
        let destination = hub::webhook(port);
        queue.hub(false, &destination, "delivered_total", count).await
    };
    let theirs_at = async |does: Does, count| queue.node(false, CONCURRENCY, &does, count).await;
    let mut seen = Vec::new();
    for run in 1..=bench.args.runs {
        bench.note(&format!("crm, run {run}"));
        hub_quick.runs.push(ours_at(quick.port, many).await?);
        peer_quick
            .runs
            .push(theirs_at(Does::Fetches(quick.port), many).await?);
        best_quick
            .runs
            .push(theirs_at(Does::Posts(quick.port), many).await?);
        hub_slow.runs.push(ours_at(slow.port, ours).await?);
        peer_slow
            .runs
            .push(theirs_at(Does::Fetches(slow.port), theirs).await?);
        let narrow = servers::narrow_crm(WORKERS, SLOW, usize::try_from(few)? / 2).await?;
        hub_narrow.runs.push(ours_at(narrow.server.port, few).await?);
        seen.push(narrow.seen());
    }
    let beside = |what: &str, ours: &Series, theirs: &Series, must, aim| {
        Check::at_least(what, ours.per_s() / theirs.per_s(), must, aim, "×")
    };
    let mut checks = vec![
        beside("CRM at once, beside the peer", hub_quick, peer_quick, 3.0, 5.0),
        beside(
            "… beside the peer with the lighter client",
            hub_quick,
            best_quick,
            1.0,
            1.0,
        ),
        beside("CRM in 50 ms, beside the peer", hub_slow, peer_slow, 5.0, 40.0),
    ];
    checks.extend(narrow_checks(hub_narrow, &seen, usize::try_from(few)?));
    Ok(Section {
        title: "Queue → HTTP CRM".to_owned(),
        series: all.into(),
        checks,
        notes: vec!["proca-sync is not published; `@proca/queue` with a function that posts the contact by `fetch`, as its connectors do, stands for it. The simulated CRM runs on the same processors.".to_owned()],
    })
}

/// The worst run is shown of the counts.
fn narrow_checks(series: &Series, seen: &[Seen], messages: usize) -> [Check; 4] {
    let worst = |count: &dyn Fn(&Seen) -> usize| number(seen.iter().map(count).max().unwrap_or(usize::MAX));
    let possible = number(WORKERS) / SLOW.as_secs_f64();
    let title = "CRM with 16 workers of 50 ms";
    [
        Check::at_least(
            &format!("{title}: rate ÷ what the workers can do"),
            series.per_s() / possible * 100.0,
            90.0,
            95.0,
            "%",
        ),
        Check::at_most(
            &format!("{title}: requests at the same time for each worker, in the second half"),
            worst(&|seen: &Seen| seen.most_later) / number(WORKERS),
            LINE,
            LINE,
            "",
        ),
        Check::at_most(
            &format!("{title}: the same, at any time"),
            worst(&|seen: &Seen| seen.most) / number(WORKERS),
            2.0 * LINE,
            2.0 * LINE,
            "",
        ),
        Check::at_most(
            &format!("{title}: requests that were given up or repeated"),
            worst(&|seen: &Seen| {
                seen.requests.abs_diff(messages) + seen.requests.saturating_sub(seen.answered)
            }),
            0.0,
            0.0,
            "",
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn number(number: usize) -> f64 {
    number as f64
}
