//! `causeway config diff OLD NEW`: shows which deliveries a new configuration would change.

mod show;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use causeway_core::{
    clock::{Clock, Timestamp},
    decode::follow_up::{ANSWERS, AUTOMATIONS},
    envelope::Envelope,
    id::InboxId,
    store::InboxState,
};
use causeway_store::{Stored, StoredCount, StoredMessage};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde_json::{Value, json};

use super::{
    Failure,
    config_diff::show::{sample_json, tell_counts, tell_sample},
    context::{print_json, until_signal},
    test::colour,
};
use crate::{
    cli::trial::{
        Trial,
        changes::{Changes, Counts},
        folder::PrivateFolder,
    },
    clock::SystemClock,
    config::{self, Config},
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The present configuration; its store has the messages.
    old: PathBuf,
    /// The new configuration.
    new: PathBuf,
    /// How far back, such as "7d" or "12h".
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = span)]
    last: Span,
    /// Number of samples for each sort of change and destination.
    #[arg(long, default_value_t = 3, value_name = "N")]
    limit: usize,
    /// Do not run earlier messages: faster, but contacts are then known only from the messages that are compared.
    #[arg(long)]
    no_earlier: bool,
    /// The folder of the database, if it is not the one in OLD.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Show personal data in the samples instead of masking it.
    #[arg(long)]
    show_personal: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Records in one step: few enough that large ones fit into memory twice.
const BATCH: u32 = 100;

fn span(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "not a span of time: write it as 7d, 12h or 2w".to_owned())?;
    match span.to_duration(SpanRelativeTo::days_are_24_hours()) {
        Ok(duration) if duration.is_positive() => Ok(span),
        _ => Err("not a number of days, hours or weeks: write it as 7d, 12h or 2w".to_owned()),
    }
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    until_signal(diff(args)).await
}

async fn diff(args: &Args) -> Result<(), Failure> {
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let path = match &args.store {
        Some(folder) => folder.join("causeway.db"),
        None => old.store_path(),
    };
    let stored = Stored::open(&path).await?;
    let to = SystemClock.now();
    let from = args
        .last
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .and_then(|duration| to.checked_sub(duration).ok())
        .unwrap_or(Timestamp::MIN);
    let count = stored.count(from).await?;
    // The comparison copies everybody's data, so the copy stays in the store's own folder.
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = PrivateFolder::make(parent)
        .with_context(|| format!("making a folder for the comparison in {}", parent.display()))?;
    let trials = (Trial::new(&old, &folder).await?, Trial::new(&new, &folder).await?);
    let changes = Changes::new(trials.0, trials.1, args.limit);
    let span = Compared {
        from,
        to,
        no_earlier: args.no_earlier,
        has_turns: [&old, &new]
            .iter()
            .any(|config| !config.automations.automations.is_empty()),
    };
    let bar = bar(count, args.no_earlier);
    let changes = compare(&stored, changes, &span, &bar).await;
    bar.finish_and_clear();
    let changes = changes?;
    if args.json {
        let samples: Vec<Value> = changes
            .samples
            .iter()
            .map(|sample| sample_json(sample, args.show_personal))
            .collect();
        return print_json(&json!({
            "from": from, "to": to, "changes": changes.counts.changes(), "counts": changes.counts, "samples": samples,
        }));
    }
    tell_counts(&changes.counts, from, to);
    let colour = colour();
    for sample in &changes.samples {
        tell_sample(sample, args.show_personal, colour);
    }
    Ok(())
}

fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(Failure::Config)
}

/// The two configurations of the comparison, and its options.
struct Compared {
    from: Timestamp,
    to: Timestamp,
    no_earlier: bool,
    /// One of the two configurations has automations, whose steps may be delayed.
    has_turns: bool,
}

async fn compare(
    stored: &Stored,
    mut changes: Changes,
    span: &Compared,
    bar: &ProgressBar,
) -> Result<Changes, Failure> {
    let mut after = InboxId(0);
    loop {
        let records = stored.records(after, BATCH).await?;
        let Some(last) = records.last() else { break };
        after = last.id;
        let mut batch = Batch::default();
        let mut seen = 0;
        for record in records {
            let is_earlier = record.received_at < span.from;
            if is_earlier && span.no_earlier {
                continue;
            }
            seen += 1;
            let Some(envelope) = worth_running(&mut changes.counts, &record, is_earlier) else {
                continue;
            };
            if batch.is_over(record.received_at, span) {
                batch.run(&mut changes).await?;
            }
            batch.add(record.id, envelope, is_earlier);
        }
        batch.run(&mut changes).await?;
        bar.inc(seen);
    }
    changes.advance(span.from, false).await?;
    changes.advance(span.to, true).await?;
    Ok(changes)
}

/// The message, unless it was deleted or was made by the hub itself.
fn worth_running(counts: &mut Counts, record: &StoredMessage, is_earlier: bool) -> Option<Envelope> {
    let counted = u64::from(!is_earlier);
    if record.state == InboxState::Duplicate {
        // A duplicate has no effect under either configuration.
        counts.repeats += counted;
        return None;
    }
    let Some(envelope) = &record.envelope else {
        counts.not_available += counted;
        return None;
    };
    if [ANSWERS, AUTOMATIONS].contains(&&*envelope.source) {
        counts.own += counted;
        return None;
    }
    Some(envelope.clone())
}

/// Messages in one batch. Timers and scheduled automations fire between two batches.
#[derive(Default)]
struct Batch {
    is_earlier: bool,
    begins: Option<Timestamp>,
    records: Vec<(InboxId, Envelope)>,
}

impl Batch {
    /// Longest delay of a timer or a scheduled automation: a batch covers at most this span of arrival times.
    fn is_over(&self, next: Timestamp, span: &Compared) -> bool {
        self.begins.is_some_and(|begins| {
            let is_long = next.duration_since(begins) > SignedDuration::from_mins(1);
            (span.has_turns && is_long) || (self.is_earlier && next >= span.from)
        })
    }

    fn add(&mut self, id: InboxId, envelope: Envelope, is_earlier: bool) {
        self.begins.get_or_insert(envelope.received_at);
        self.is_earlier = is_earlier;
        self.records.push((id, envelope));
    }

    async fn run(&mut self, changes: &mut Changes) -> Result<(), Failure> {
        let batch = std::mem::take(self);
        if let Some(begins) = batch.begins {
            changes.advance(begins, !batch.is_earlier).await?;
        }
        if batch.is_earlier {
            let envelopes = batch.records.into_iter().map(|(_, envelope)| envelope);
            changes.run_earlier(envelopes.collect()).await?;
        } else {
            changes.compare(batch.records).await?;
        }
        Ok(())
    }
}

/// A progress bar; it is hidden unless standard error is a terminal.
fn bar(count: StoredCount, no_earlier: bool) -> ProgressBar {
    let bar = ProgressBar::new(count.since + if no_earlier { 0 } else { count.before });
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos} of {len} messages  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_time_back() {
        for text in ["7d", "12h", "2w", "90m"] {
            assert!(span(text).is_ok(), "{text}");
        }
        for text in ["", "seven", "-7d", "0d", "1mo"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
