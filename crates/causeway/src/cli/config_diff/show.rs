//! Prints the counts and samples of a comparison, as text and as JSON. Personal data is masked unless you ask for it.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::context::print_line,
    cli::trial::{
        body::Body,
        changes::{Change, Counts, Sample, Side},
        difference::render,
    },
    web::console::masking,
};

pub(super) fn tell_counts(counts: &Counts, from: Timestamp, to: Timestamp) {
    print_line(&format!(
        "{} messages from {} to {} compared, after {} earlier ones",
        counts.records,
        seconds(from),
        seconds(to),
        counts.earlier
    ));
    if counts.not_available > 0 {
        print_line(&format!(
            "{} more are no longer available (deleted by retention, or erased)",
            counts.not_available
        ));
    }
    if counts.repeats > 0 {
        print_line(&format!("{} duplicates change nothing", counts.repeats));
    }
    if counts.own > 0 {
        print_line(&format!(
            "{} were made by the hub and are left out: timers and scheduled runs of automations (both configurations \
             run their own) and responses of destinations",
            counts.own
        ));
    }
    for (how, records) in &counts.read_otherwise {
        print_line(&format!("{records} would be read differently: {how}"));
    }
    print_line(&format!(
        "{} messages and {} people would be affected",
        counts.records_changed, counts.people_changed
    ));
    if !counts.destinations.is_empty() {
        print_line(&format!(
            "\n{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "destination", "old", "new", "added", "removed", "changed"
        ));
    }
    for (name, of) in &counts.destinations {
        print_line(&format!(
            "{name:<24} {:>9} {:>9} {:>9} {:>9} {:>9}",
            of.old, of.new, of.added, of.removed, of.changed
        ));
    }
    for (name, of) in &counts.destinations {
        for (reason, skipped) in &of.skipped {
            print_line(&format!(
                "{name} skips {} (old), {} (new): {reason}",
                skipped.old, skipped.new
            ));
        }
    }
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

pub(super) fn tell_sample(sample: &Sample, personal: bool, colour: bool) {
    let destination = sample.destination.as_deref().unwrap_or("the message");
    print_line(&format!(
        "\n{destination} · {} · {} · {}",
        word(sample.change),
        match sample.record {
            Some(record) => format!("message {record} from {}", sample.source),
            None => format!("an automation's scheduled run at {}", sample.received_at),
        },
        address(sample, personal)
    ));
    for (when, side) in [("old", &sample.old), ("new", &sample.new)] {
        if let Some(why) = &side.why {
            print_line(&format!("  {when}: {why}"));
        }
    }
    let shown = |side: &Side| {
        side.request
            .as_ref()
            .map_or_else(String::new, |request| text(request, personal))
    };
    let (old, new) = (shown(&sample.old), shown(&sample.new));
    if old == new && sample.old.request != sample.new.request {
        print_line("  the requests differ only in what is masked; --show-personal shows it");
    }
    for line in render(&old, &new, colour).lines() {
        print_line(&format!("  {line}"));
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
        Change::ReadOtherwise => "read differently",
    }
}

fn address(sample: &Sample, personal: bool) -> String {
    match &sample.email {
        Some(email) if personal => email.clone(),
        Some(email) => masking::text(email),
        None => "no address".to_owned(),
    }
}

pub(super) fn sample_json(sample: &Sample, personal: bool) -> Value {
    let side = |side: &Side| json!({ "why": side.why, "request": side.request.as_ref().map(|request| text(request, personal)) });
    json!({
        "record": sample.record, "received_at": sample.received_at, "source": sample.source, "change": sample.change,
        "destination": sample.destination, "contact": address(sample, personal),
        "old": side(&sample.old), "new": side(&sample.new),
    })
}

/// A request in a form that people can compare: its body with one member per line. Personal data is masked unless
/// `personal` is set. Field names come from a mapping and do not show which values are harmless, so all are masked.
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

/// Method, URL and headers of an HTTP request. URL and headers may contain personal data, so only method and host are
/// shown unless `personal` is set.
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
        Value::String(text) if masking::is_consent_word(text) => value.clone(),
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
    fn personal_data_is_masked_unless_asked_for() {
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
    fn words_about_consent_stay_visible() {
        let request = "POST https://h.example.org/\n\n{\"change\":\"subscribe\",\"what\":\"opted_in\",\"name\":\"ada\"}";
        let shown = text(request, false);
        assert!(
            shown.contains("\"subscribe\"") && shown.contains("\"opted_in\"") && !shown.contains("ada"),
            "{shown}"
        );
    }
}
