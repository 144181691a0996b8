//! What Mautic's responses mean.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    Mautic, Step, consent,
    contact::{Contact, items},
    rows,
};
use crate::{
    connector::{Reading, Task},
    http::{Answer, retry_after},
};

type Of<'d> = Task<'d, Mautic>;

/// How long Mautic is left alone when its limit is reached and it does not say until when.
const PAUSE: Duration = Duration::from_mins(1);

/// How often an entry is removed: a contact may have several of one channel, and each call removes one.
const MOST_ENTRIES: u8 = 5;

pub(super) fn read(
    mautic: &Mautic,
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
    now: Timestamp,
) -> Reading {
    let body = answer.json().unwrap_or_default();
    let is_theirs = answer.complete && is_error(&body);
    let is_many = tasks.len() > 1;
    if let Some(rest) = rest(answer, now) {
        for task in tasks.iter_mut() {
            task.rest = Some(rest);
        }
    }
    match answer.status {
        200..=299 if answer.complete => match done(mautic, step, answer, &body, tasks) {
            Some(reading) => reading,
            None => Reading::All(retry(answer, "without what was asked for")),
        },
        200..=299 => Reading::All(retry(answer, "in part")),
        429 => {
            let asked = retry_after(&answer.headers, now).ok().flatten();
            let after = asked.or_else(|| reset(answer, now)).unwrap_or(PAUSE);
            Reading::All(answer.result_with(Outcome::Busy {
                reason: "answered 429: the limit of calls is reached".to_owned(),
                after: Some(after),
            }))
        }
        // Too many contacts are a 500, and so is one that cannot be written.
        500 if is_many && is_theirs => Reading::Split,
        400 | 413 | 414 | 422 if is_many => Reading::Split,
        404 if is_theirs => missing(step, answer, tasks),
        404 | 405 | 410 => Reading::All(answer.result_with(Outcome::Halt {
            reason: format!("answered {}: check `base_url` and `api_path`", answer.status),
        })),
        403 if is_theirs && matches!(step, Step::Join(_)) => Reading::All(refused(
            answer,
            "the user may not see the segment; correct `segments`, or publish it for all users",
        )),
        401 | 403 if body.is_object() || answer.body.is_empty() => {
            Reading::All(answer.result_with(Outcome::Halt {
                reason: forbidden(answer.status, &body),
            }))
        }
        401 | 403 => Reading::All(retry(answer, "with something other than JSON")),
        400 | 409 | 413 | 414 | 422 => {
            Reading::All(refused(answer, &format!("Mautic refuses {}", what(step))))
        }
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// Whether this is an error in Mautic's form. A gateway's 404 does not prove that a person is not there.
fn is_error(body: &Value) -> bool {
    body.get("errors").is_some_and(Value::is_array) || body.get("error").is_some_and(Value::is_object)
}

/// Reads a success. `None` if the response does not prove it: a page of something in front of Mautic confirms nothing.
fn done(
    mautic: &Mautic,
    step: Step,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Of<'_>],
) -> Option<Reading> {
    match step {
        Step::Find => return rows::found(mautic, body, tasks),
        Step::Upsert => return rows::written(mautic, answer, body, tasks),
        Step::Join(segment) => return rows::joined(answer, body, segment, tasks),
        _ => {}
    }
    let [task] = tasks else {
        return Some(Reading::Split);
    };
    match step {
        Step::Get(id) => {
            let contact = Contact::of(body.get("contact")?)?;
            (contact.id == id).then_some(())?;
            rows::one(mautic, &contact, task);
        }
        Step::AddEntry(id) => {
            let contact = Contact::of(body.get("contact")?)?;
            let is_closed = !contact.entries(&mautic.settings.channel).is_empty();
            (contact.id == id && is_closed).then_some(())?;
        }
        Step::RemoveEntry(id) => {
            let contact = Contact::of(body.get("contact")?)?;
            (contact.id == id).then_some(())?;
            if !contact.entries(&mautic.settings.channel).is_empty() {
                task.memo.removed += 1;
                (task.memo.removed < MOST_ENTRIES).then_some(())?;
                task.then(Step::RemoveEntry(id));
            }
        }
        Step::Leave(segment, _) => {
            is_success(body).then_some(())?;
            left(segment, task);
        }
        Step::Delete(_) => {
            body.get("contact")?.as_object()?;
            task.remember(Value::Null);
        }
        Step::FindNote => {
            let key = task.delivery.key.0.clone();
            let text = |note: &Value| note.get("text")?.as_str().map(|text| text.contains(&key));
            if items(body.get("notes")?)?.any(|note| text(note) == Some(true)) {
                task.notes.push("Mautic has the note already".to_owned());
                task.leave_out(|step| *step == Step::WriteNote);
            }
        }
        Step::FindPoints => {
            let key = Some(task.delivery.key.0.as_str());
            let name = |event: &Value| {
                event
                    .pointer("/extra/log/actionName")?
                    .as_str()
                    .map(str::to_owned)
            };
            if items(body.get("events")?)?.any(|event| name(event).as_deref() == key) {
                task.notes.push("Mautic has the points already".to_owned());
                task.leave_out(|step| *step == Step::AddPoints);
            }
        }
        Step::WriteNote => {
            body.get("note")?.get("id")?;
        }
        Step::AddPoints => {
            is_success(body).then_some(())?;
        }
        Step::Find | Step::Upsert | Step::Join(_) => return None,
    }
    Some(Reading::Read)
}

fn is_success(body: &Value) -> bool {
    let success = body.get("success");
    success.is_some_and(|success| *success == json!(1) || *success == json!(true))
}

fn left(segment: u64, task: &mut Of<'_>) {
    task.memo.memory.segments.remove(&segment);
    consent::remember(task);
}

/// Mautic says that something is not there: the contact, or what the configuration names.
fn missing(step: Step, answer: &Answer, tasks: &mut [&mut Of<'_>]) -> Reading {
    match (step, tasks) {
        (Step::Get(_), [task]) => {
            task.notes
                .push("Mautic has no contact with this address".to_owned());
            Reading::Read
        }
        (Step::Leave(segment, _), [task]) => {
            left(segment, task);
            Reading::Read
        }
        (Step::Delete(_), [task]) => {
            task.remember(Value::Null);
            Reading::Read
        }
        (Step::Find | Step::Upsert, _) => Reading::All(answer.result_with(Outcome::Halt {
            reason: "answered 404: check `base_url` and `api_path`".to_owned(),
        })),
        // The contact is written, and its consent: opt-outs of others must not wait for the segment.
        (Step::Join(segment), _) => Reading::All(refused(
            answer,
            &format!("there is no segment {segment}; correct `segments`"),
        )),
        _ => Reading::All(retry(answer, "because the contact is not there any more")),
    }
}

fn retry(answer: &Answer, what: &str) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    })
}

fn refused(answer: &Answer, why: &str) -> AttemptResult {
    answer.result_with(Outcome::Reject {
        reason: format!("answered {}: {why}", answer.status),
    })
}

fn what(step: Step) -> &'static str {
    match step {
        Step::Upsert | Step::Delete(_) => "the contact",
        Step::AddEntry(_) | Step::RemoveEntry(_) => "the do-not-contact entry",
        Step::Join(_) | Step::Leave(..) => "the contact in the segment",
        Step::WriteNote => "the note",
        Step::AddPoints => "the points",
        Step::Find | Step::Get(_) | Step::FindNote | Step::FindPoints => "the search",
    }
}

/// Why nobody is let in, by the type of the error: its text may be in any language.
fn forbidden(status: u16, body: &Value) -> String {
    let kind = body.pointer("/errors/0/type").and_then(Value::as_str);
    let hint = match (kind, status) {
        (Some("api_disabled"), _) => "the API is switched off: Settings > Configuration > API Settings",
        (Some("access_denied"), 403) => {
            "Basic authentication is switched off: Settings > Configuration > API Settings"
        }
        (_, 401) => "check `user` and `password`, or `oauth`",
        _ => "the user's role must allow to view, create, edit and delete all contacts, and to view segments",
    };
    format!("answered {status}: {hint}")
}

/// The time until the limit of calls is lifted.
fn reset(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let reset = answer.headers.get("x-ratelimit-reset")?.to_str().ok()?;
    let reset = Timestamp::from_second(reset.trim().parse().ok()?).ok()?;
    Duration::try_from(reset.duration_since(now)).ok()
}

/// The rest until then, if this call was the last one.
fn rest(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let remaining = answer.headers.get("x-ratelimit-remaining")?.to_str().ok()?;
    (remaining.trim() == "0").then(|| reset(answer, now))?
}

/// The response that Mautic documents for success. An opt-out or erasure finds a contact; other searches find none.
pub(super) fn expected(mautic: &Mautic, step: Step, tasks: &[&Task<'_, Mautic>]) -> Answer {
    let contact = |task: &&Task<'_, Mautic>, entries: Value| {
        let mut all = task.memo.fields.clone();
        all.insert("email".to_owned(), task.memo.email.as_str().into());
        json!({ "id": 1, "fields": { "all": all }, "doNotContact": entries })
    };
    let first = |entries| tasks.first().map(|task| contact(task, entries));
    let body = match step {
        Step::Find => {
            let is_there = |task: &&&Task<'_, Mautic>| {
                task.memo.is_leaving || task.delivery.record.change == causeway_core::consent::Change::Remove
            };
            let contacts = tasks.iter().filter(is_there).enumerate();
            let contacts: Map<String, Value> = contacts
                .map(|(at, task)| (at.to_string(), contact(task, json!([]))))
                .collect();
            json!({ "total": contacts.len().to_string(), "contacts": contacts })
        }
        Step::Get(_) | Step::RemoveEntry(_) | Step::Delete(_) => json!({ "contact": first(json!([])) }),
        Step::AddEntry(_) => {
            json!({ "contact": first(json!([{ "channel": mautic.settings.channel, "reason": 1 }])) })
        }
        Step::Upsert => {
            let closed = json!([{ "channel": mautic.settings.channel, "reason": 1 }]);
            let entries = |task: &Task<'_, Mautic>| match task.memo.entry_if_new() {
                Some(_) => closed.clone(),
                None => json!([]),
            };
            let contacts: Vec<Value> = tasks.iter().map(|task| contact(task, entries(task))).collect();
            json!({ "contacts": contacts, "statusCodes": vec![201; tasks.len()] })
        }
        Step::Join(_) => json!({ "success": 1, "details": { "1": { "success": true } } }),
        Step::Leave(..) | Step::AddPoints => json!({ "success": 1 }),
        Step::FindNote => json!({ "total": "0", "notes": [] }),
        Step::WriteNote => json!({ "note": { "id": 1 } }),
        Step::FindPoints => json!({ "events": [], "total": 0 }),
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
