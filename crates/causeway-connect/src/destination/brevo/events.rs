//! Events of contacts: requests for several deliveries, and their results.

use std::collections::BTreeSet;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use jiff::{ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    Brevo,
    config::EVENT_KEY,
    request::{get, post},
};
use crate::{
    connector::{Reading, Task},
    http::{Answer, HttpRequest},
};

/// The most events that are looked through. They are those of a few days and a few contacts.
const SHOWN: usize = 1_000;

/// The events of the contacts, around the days of the deliveries' events.
pub(super) fn find(brevo: &Brevo, tasks: &[&Task<'_, Brevo>]) -> HttpRequest {
    let at = || tasks.iter().map(|task| task.delivery.record.event_at);
    let (first, last) = (at().min().unwrap_or_default(), at().max().unwrap_or_default());
    let (first, last) = (day(first, -1), day(last, 1));
    let name = brevo.settings.event.as_ref().map_or("", |(name, _)| name);
    let limit = SHOWN.to_string();
    let ids: BTreeSet<u64> = tasks.iter().filter_map(|task| task.memo.memory.id).collect();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let mut query: Vec<(&str, &str)> = ids.iter().map(|id| ("contact_id", id.as_str())).collect();
    query.extend([
        ("event_name", name),
        ("startDate", &*first),
        ("endDate", &*last),
        ("limit", &*limit),
    ]);
    get(brevo, &["events"], &query)
}

/// The date of a day before or after a moment. Brevo takes dates without a zone.
fn day(at: Timestamp, days: i64) -> String {
    let date = at.to_zoned(TimeZone::UTC).date();
    date.saturating_add(days.days()).to_string()
}

/// Leaves out the events that Brevo has. Returns whether the response shows events.
pub(super) fn found(answer: &Answer, body: &Value, tasks: &mut [&mut Task<'_, Brevo>]) -> bool {
    let events = body.get("events").and_then(Value::as_array);
    // Without events there is no list of them.
    let is_empty = body.get("count").and_then(Value::as_u64) == Some(0);
    let events = events.map(Vec::as_slice).or(is_empty.then_some(&[]));
    let Some(events) = events.filter(|_| answer.complete) else {
        return false;
    };
    let keys: Vec<&str> = events
        .iter()
        .filter_map(|event| event.get("event_properties")?.get(EVENT_KEY)?.as_str())
        .collect();
    for task in tasks {
        if keys.contains(&&*task.delivery.key.0) {
            task.notes.push("Brevo has the event already".to_owned());
            task.leave_out(|step| *step == super::Step::SendEvents);
        }
    }
    true
}

/// One event, or a batch of them.
pub(super) fn send(brevo: &Brevo, tasks: &[&Task<'_, Brevo>]) -> HttpRequest {
    match tasks {
        [task] => post(brevo, &["events"], &event(brevo, task)),
        tasks => {
            let events: Vec<Value> = tasks.iter().map(|task| event(brevo, task)).collect();
            post(brevo, &["events", "batch"], &json!({ "events": events }))
        }
    }
}

fn event(brevo: &Brevo, task: &Task<'_, Brevo>) -> Value {
    let memo = &task.memo;
    let mut properties = memo.event.clone();
    properties.insert(EVENT_KEY.to_owned(), task.delivery.key.0.as_str().into());
    let at = task.delivery.record.event_at;
    let identifiers = match memo.memory.id.filter(|_| memo.by_id) {
        Some(id) => json!({ "contact_id": id }),
        None => json!({ "email_id": memo.email }),
    };
    json!({
        "event_name": brevo.settings.event.as_ref().map_or("", |(name, _)| name),
        "event_date": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "identifiers": identifiers,
        "event_properties": properties,
    })
}

/// What a 2xx means for the events that were sent. `None` if it does not prove anything.
pub(super) fn sent(answer: &Answer, body: &Value, tasks: &mut [&mut Task<'_, Brevo>]) -> Option<Reading> {
    let number = |name: &str| body.get(name).and_then(Value::as_u64).filter(|_| answer.complete);
    if let [_] = tasks {
        return (answer.status == 204).then_some(Reading::Read);
    }
    let all = u64::try_from(tasks.len()).unwrap_or_default();
    if answer.status != 207 {
        return (number("count") == Some(all)).then_some(Reading::Read);
    }
    let failed = number("failed_events")?;
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let indexes = errors.filter_map(|error| error.get("eventIndex")?.as_array());
    let refused: BTreeSet<u64> = indexes.flatten().filter_map(Value::as_u64).collect();
    let is_whole = u64::try_from(refused.len()).ok()? == failed;
    for (index, task) in (0_u64..).zip(tasks) {
        let reason = if refused.contains(&index) {
            Outcome::Reject {
                reason: "answered 207: Brevo refuses the event".to_owned(),
            }
        } else if is_whole {
            continue;
        } else {
            // The next attempt looks which events arrived.
            Outcome::Retry {
                reason: "answered 207 without naming all events that it refuses".to_owned(),
                after: None,
            }
        };
        // An excerpt of the response would show what it says about other people.
        task.end(AttemptResult {
            status: Some(answer.status),
            ..reason.into()
        });
    }
    Some(Reading::Read)
}
