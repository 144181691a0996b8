//! `causeway config diff OLD NEW`: what would change.

use std::path::{Path, PathBuf};

use causeway_core::{
    clock::{Clock, Timestamp},
    id::InboxId,
    store::InboxState,
};
use causeway_store::{Stored, StoredCount};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{Span, SpanRelativeTo};
use serde_json::{Value, json};

use super::{
    Failure,
    context::{say, say_json},
    test::colour,
};
use crate::{
    clock::SystemClock,
    config::{self, Config},
    trial::{
        Trial,
        body::Body,
        changes::{Change, Changes, Counts, Sample, Side},
        difference::render,
    },
    web::console::masking,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The configuration as it is; its store has the records.
    old: PathBuf,
    /// The configuration as it is to be.
    new: PathBuf,
    /// How far back, as "7d" or "12h".
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = span)]
    last: Span,
    /// Samples of each sort of change and destination.
    #[arg(long, default_value_t = 3, value_name = "N")]
    limit: usize,
    /// Run nothing that came before: faster, and contacts are then known only from the records that are compared.
    #[arg(long)]
    no_earlier: bool,
    /// The folder of the database, if it is not where OLD says.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Show personal data in the samples instead of masking it.
    #[arg(long)]
    show_personal: bool,
    /// For scripts.
    #[arg(long)]
    json: bool,
}

/// Records in one step: few enough that large ones fit into memory twice.
const BATCH: u32 = 100;

fn span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|_| "write it as 7d, 12h or 2w".to_owned())?;
    match span.to_duration(SpanRelativeTo::days_are_24_hours()) {
        Ok(duration) if duration.is_positive() => Ok(span),
        _ => Err("has to be a time of some days, hours or weeks".to_owned()),
    }
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
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
    let changes = Changes::new(Trial::new(&old).await?, Trial::new(&new).await?, args.limit);
    let bar = bar(count, args.no_earlier);
    let changes = compare(&stored, changes, from, args.no_earlier, &bar).await;
    bar.finish_and_clear();
    let changes = changes?;
    if args.json {
        let samples: Vec<Value> = changes
            .samples
            .iter()
            .map(|sample| sample_json(sample, args.show_personal))
            .collect();
        return say_json(&json!({
            "from": from, "to": to, "changes": changes.counts.records_changed > 0, "counts": changes.counts, "samples": samples,
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

async fn compare(
    stored: &Stored,
    mut changes: Changes,
    from: Timestamp,
    no_earlier: bool,
    bar: &ProgressBar,
) -> Result<Changes, Failure> {
    let mut after = InboxId(0);
    loop {
        let records = stored.records(after, BATCH).await?;
        let Some(last) = records.last() else { break };
        after = last.id;
        let (mut earlier, mut compared) = (Vec::new(), Vec::new());
        let mut seen = 0;
        for record in records {
            let is_earlier = record.received_at < from;
            if is_earlier && no_earlier {
                continue;
            }
            seen += 1;
            match (record.envelope, is_earlier) {
                // A repeat had no effect, and has none now.
                _ if record.state == InboxState::Duplicate => {
                    changes.counts.repeats += u64::from(!is_earlier);
                }
                (None, false) => changes.counts.not_available += 1,
                (None, true) => {}
                (Some(envelope), true) => earlier.push(envelope),
                (Some(envelope), false) => compared.push((record.id, envelope)),
            }
        }
        // In the order of acceptance: what is earlier comes first.
        changes.run_earlier(earlier).await?;
        changes.compare(compared).await?;
        bar.inc(seen);
    }
    Ok(changes)
}

/// Shown only where somebody looks.
fn bar(count: StoredCount, no_earlier: bool) -> ProgressBar {
    let bar = ProgressBar::new(count.since + if no_earlier { 0 } else { count.before });
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos} of {len} records  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn tell_counts(counts: &Counts, from: Timestamp, to: Timestamp) {
    say(&format!(
        "{} records from {} to {} compared, after {} earlier ones",
        counts.records,
        seconds(from),
        seconds(to),
        counts.earlier
    ));
    if counts.not_available > 0 {
        say(&format!(
            "{} more are not available any more (pruned or erased)",
            counts.not_available
        ));
    }
    if counts.repeats > 0 {
        say(&format!("{} repeats change nothing", counts.repeats));
    }
    for (how, records) in &counts.read_otherwise {
        say(&format!("{records} would be read in another way: {how}"));
    }
    say(&format!(
        "{} records and {} people would be concerned",
        counts.records_changed, counts.people_changed
    ));
    if !counts.destinations.is_empty() {
        say(&format!(
            "\n{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "destination", "old", "new", "added", "removed", "changed"
        ));
    }
    for (name, of) in &counts.destinations {
        say(&format!(
            "{name:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            of.old, of.new, of.added, of.removed, of.changed
        ));
    }
    for (name, of) in &counts.destinations {
        for (reason, skipped) in &of.skipped {
            say(&format!(
                "{name} skips {} now, then {}: {reason}",
                skipped.old, skipped.new
            ));
        }
    }
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn tell_sample(sample: &Sample, personal: bool, colour: bool) {
    let destination = sample.destination.as_deref().unwrap_or("the message");
    say(&format!(
        "\n{destination} · {} · record {} from {} · {}",
        word(sample.change),
        sample.record,
        sample.source,
        address(sample, personal)
    ));
    for (when, side) in [("now", &sample.old), ("then", &sample.new)] {
        if let Some(why) = &side.why {
            say(&format!("  {when}: {why}"));
        }
    }
    let shown = |side: &Side| {
        side.request
            .as_ref()
            .map_or_else(String::new, |request| text(request, personal))
    };
    let (old, new) = (shown(&sample.old), shown(&sample.new));
    if old == new && sample.old.request != sample.new.request {
        say("  the requests differ only in what is masked; --show-personal shows it");
    }
    for line in render(&old, &new, colour).lines() {
        say(&format!("  {line}"));
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
        Change::ReadOtherwise => "read in another way",
    }
}

fn address(sample: &Sample, personal: bool) -> String {
    match &sample.email {
        Some(email) if personal => email.clone(),
        Some(email) => masking::text(email),
        None => "no address".to_owned(),
    }
}

fn sample_json(sample: &Sample, personal: bool) -> Value {
    let side = |side: &Side| json!({ "why": side.why, "request": side.request.as_ref().map(|request| text(request, personal)) });
    json!({
        "record": sample.record, "received_at": sample.received_at, "source": sample.source, "change": sample.change,
        "destination": sample.destination, "contact": address(sample, personal),
        "old": side(&sample.old), "new": side(&sample.new),
    })
}

/// A request for a person to compare: its body one member a line, and unless `personal` without anything of the person. The
/// names are those of a mapping, so that none of them can be trusted to be harmless.
fn text(request: &str, personal: bool) -> String {
    let body = Body::of(request);
    let head = head(request, personal);
    let body = match body {
        Body::Json(value) | Body::Form(value) if personal => masking::pretty(&value),
        Body::Json(value) | Body::Form(value) => masking::pretty(&hidden(&value)),
        Body::Text(text) if personal => text,
        Body::Text(text) => text
            .chars()
            .map(|c| if c.is_alphanumeric() { '•' } else { c })
            .collect(),
    };
    match head {
        Some(head) => format!("{head}\n\n{body}\n"),
        None => format!("{body}\n"),
    }
}

/// Method, address and headers of what goes by HTTP. Address and headers may hold values of the person, so that only
/// method and host are shown without `personal`.
fn head(request: &str, personal: bool) -> Option<String> {
    let head = request.split("\n\n").next().unwrap_or(request);
    let (method, rest) = head.lines().next()?.split_once(' ')?;
    let url = url::Url::parse(rest).ok()?;
    if personal {
        return Some(head.to_owned());
    }
    Some(format!("{method} {}/…", url.origin().ascii_serialization()))
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(number) => masking::text(&number.to_string()).into(),
        Value::String(text) => masking::text(text).into(),
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (masking::key_name(name), hidden(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_person_is_shown_unless_asked_for() {
        for request in [
            "GET https://h.example.org/s/Ada?mail=ada%40example.org\nx-name: Ada",
            "POST https://h.example.org/Ada\nx-name: Ada\n\n{\"status\":\"Ada\",\"n\":{\"id\":\"ada@example.org\"}}",
            "cw_1,Ada,ada@example.org",
            "INSERT INTO \"c\" (\"status\") VALUES ($1);\n  $1 status = \"Ada\"",
        ] {
            let shown = text(request, false).to_lowercase();
            assert!(
                !shown.contains("ada") && !shown.contains("example.org?"),
                "{shown}"
            );
            assert!(text(request, true).contains("Ada"), "{request}");
        }
    }

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
