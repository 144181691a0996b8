//! `causeway backfill`: sends a destination the people who came before it.

use std::time::Duration;

use causeway_core::{
    clock::{Clock, Timestamp},
    id::{ContactId, Name},
    store::{Backfill, Backfilled, Backfills},
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{civil::Date, tz::TimeZone};

use super::{
    Failure,
    context::{Context, counted, print_line},
};
use crate::clock::SystemClock;

/// Sends a destination the people who came before it, each as they are now, through the same rules as everybody: its
/// policy, its filters, its mapping and its limits. Whom it was sent already is left out, so you can repeat the command.
///
/// The deliveries wait in the store, and the running hub sends them. Those of new messages go first.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway backfill crm --dry-run\n         causeway backfill crm --since 2026-01-01 --campaign rivers\n         causeway backfill crm --actions --per-minute 60"
)]
pub(super) struct Args {
    /// The destination's name in the configuration.
    destination: String,
    /// Only people with a message since this day (UTC).
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<Date>,
    /// Only people with a message of this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Send each of their actions, too.
    #[arg(long)]
    actions: bool,
    /// At most this many deliveries a minute.
    #[arg(long, default_value_t = 600, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    per_minute: u32,
    /// Only count. Nothing is sent.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    if !config.destinations.contains_key(args.destination.as_str()) {
        let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
        return Err(Failure::Usage(format!(
            "there is no destination {:?}; there are: {}",
            args.destination,
            names.join(", ")
        )));
    }
    let store = context.open(&config).await?;
    let since = args.since.map(|day| day.to_zoned(TimeZone::UTC)).transpose();
    let since = since.map_err(|error| Failure::Usage(format!("--since: {error}")))?;
    let asked = Backfill {
        destination: Name::from(args.destination.as_str()),
        since: since.map(|day| day.timestamp()),
        campaign: args.campaign,
        actions: args.actions,
        dry_run: args.dry_run,
        every: Duration::from_mins(1) / args.per_minute,
    };
    let done = all(&*store, &asked, SystemClock.now()).await?;
    print_line(&summary(&done, &asked));
    Ok(())
}

async fn all(store: &dyn Backfills, asked: &Backfill, now: Timestamp) -> Result<Backfilled, Failure> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{pos} people looked at, {per_sec}")
            .unwrap_or(ProgressStyle::default_spinner()),
    );
    let mut done = Backfilled::default();
    let mut after = Some(ContactId(0));
    while let Some(from) = after {
        let planned = u32::try_from(done.planned).unwrap_or(u32::MAX);
        let due = now
            .saturating_add(asked.every.saturating_mul(planned))
            .unwrap_or(now);
        let part = store.backfill(asked, from, due).await?;
        done.add(&part);
        bar.set_position(done.people);
        after = part.next;
    }
    bar.finish_and_clear();
    Ok(done)
}

fn summary(done: &Backfilled, asked: &Backfill) -> String {
    let planned = counted(done.planned, "delivery", "deliveries");
    let begin = if asked.dry_run {
        format!("{planned} would be planned; nothing was changed.")
    } else if done.planned == 0 {
        "No delivery was planned.".to_owned()
    } else {
        let last = asked
            .every
            .saturating_mul(u32::try_from(done.planned).unwrap_or(u32::MAX));
        format!(
            "{planned} planned, the last in {} min. The running hub sends them; see: causeway delivery list --destination {}",
            last.as_secs().div_ceil(60),
            asked.destination
        )
    };
    let lines = [
        (done.people, "looked at"),
        (done.known, "left out: the destination was sent them already"),
        (done.not_allowed, "left out: their consent is not enough for it"),
        (done.not_taken, "left out: none of their messages is for it"),
    ];
    let lines = lines.map(|(people, what)| format!("{people:>9}  people {what}"));
    format!("{begin}\n{}", lines.join("\n"))
}
