//! Shows the demo's progress in the terminal, and the summary at its end.

use std::{io::IsTerminal, sync::atomic::Ordering, time::Duration};

use causeway_core::{
    clock::Clock,
    store::{Audit, Overview, StoreError},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{crm::Crm, senders::Sent};
use crate::{cli::print_line, clock::SystemClock, hub::Hub};

/// Prints the counts each second until `stopped` or `stop_after`.
pub(super) async fn show(
    hub: &Hub,
    crm: &Crm,
    stop_after: Option<Duration>,
    stopped: impl Future<Output = ()>,
) -> Result<(), StoreError> {
    let live = std::io::stderr().is_terminal();
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    let until = async {
        match stop_after {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(until, stopped);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut before: Option<Overview> = None;
    let mut seconds = 0_u64;
    loop {
        tokio::select! {
            () = &mut until => break,
            () = &mut stopped => break,
            _ = tick.tick() => {}
        }
        let overview = hub.engine.views.overview(SystemClock.now()).await?;
        let text = lines(&overview, before.as_ref(), crm);
        if live {
            bar.set_message(text);
            bar.tick();
        } else if seconds.is_multiple_of(5) {
            print_line(&text);
        }
        seconds += 1;
        before = Some(overview);
    }
    bar.finish_and_clear();
    Ok(())
}

fn lines(now: &Overview, before: Option<&Overview>, crm: &Crm) -> String {
    let mut out = vec![format!(
        "{:<12} {:>10} {:>8} {:>9} {:>9} {:>8} {:>8}",
        "", "total", "per s", "waiting", "retrying", "skipped", "dead"
    )];
    for (name, counts) in &now.sources {
        let rate = before
            .and_then(|before| before.sources.get(name))
            .map_or(0, |before| counts.received - before.received);
        out.push(format!(
            "{name:<12} {:>10} {rate:>8} {:>9} {:>9} {:>8} {:>8}",
            counts.received, counts.new, "", counts.skipped, counts.dead
        ));
    }
    for (name, counts) in &now.destinations {
        let rate = before
            .and_then(|before| before.destinations.get(name))
            .map_or(0, |before| counts.delivered - before.delivered);
        out.push(format!(
            "→ {name:<10} {:>10} {rate:>8} {:>9} {:>9} {:>8} {:>8}",
            counts.delivered, counts.waiting, counts.retrying, counts.skipped, counts.dead
        ));
    }
    let (calls, refused) = (
        crm.calls.all.load(Ordering::Relaxed),
        crm.calls.refused.load(Ordering::Relaxed),
    );
    out.push(format!(
        "the simulated CRM took {calls} calls and failed {refused} of them"
    ));
    out.join("\n")
}

/// Prints the books in a form that can be added up by hand.
pub(super) fn summary(audit: &Audit, sent: &Sent, crm: &Crm, in_time: bool) {
    print_line(&format!(
        "\nsent to the listener: {} accepted, {} not",
        sent.accepted, sent.failed
    ));
    for (name, books) in &audit.sources {
        print_line(&format!(
            "{name:<12} {:>7} received = {} done + {} waiting + {} skipped + {} dead + {} duplicate   (difference {})",
            books.received,
            books.done,
            books.new,
            books.skipped,
            books.dead,
            books.duplicate,
            books.difference
        ));
    }
    for (name, books) in &audit.destinations {
        print_line(&format!(
            "→ {name:<10} {:>7} planned  = {} delivered + {} waiting + {} skipped + {} dead   (difference {})",
            books.planned, books.delivered, books.waiting, books.skipped, books.dead, books.difference
        ));
    }
    print_line(&format!(
        "the simulated CRM holds {} different records",
        crm.calls.records()
    ));
    if !in_time {
        print_line(
            "the hub was stopped before all attempts in flight ended; they continue at the next start",
        );
    }
}
