//! What Mailchimp's responses mean.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    Mailchimp, Step,
    config::EVENT_KEY,
    consent::{self, Seen},
    refusal,
};
use crate::{
    connector::{Reading, Task},
    http::{Answer, retry_after},
};

type Of<'d> = Task<'d, Mailchimp>;

/// How long Mailchimp is left alone when it refuses calls without saying for how long.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) fn read(
    mailchimp: &Mailchimp,
    step: &Step,
    answer: &Answer,
    task: &mut Of<'_>,
    now: Timestamp,
) -> Reading {
    let body = answer.json().filter(Value::is_object);
    match answer.status {
        200..=299 if task.memo.doubt.is_some() => all(answer, retry(task.memo.doubt.unwrap_or_default())),
        200..=299 => {
            if !done(mailchimp, step, answer, &body.unwrap_or_default(), task) {
                let reason = format!("answered {} without what was asked for", answer.status);
                return all(answer, retry(&reason));
            }
            Reading::Read
        }
        400 => {
            refusal::refused(mailchimp, step, answer, &body.unwrap_or_default(), task);
            Reading::Read
        }
        401 => all(answer, halt("answered 401: Mailchimp does not accept the key")),
        403 => all(answer, refusal::forbidden(step, task, body.as_ref())),
        404 => {
            // Whether the list is there says who answered.
            let is_theirs = body.is_some_and(|body| body.get("title").is_some());
            if !is_theirs && *step != Step::ProveList {
                let doubt = "answered 404, but not as Mailchimp does: something in between may have answered";
                task.memo.doubt = Some(doubt);
                task.then(Step::ProveList);
                return Reading::Read;
            }
            missing(mailchimp, step, answer, task)
        }
        // It is archived already.
        405 if *step == Step::Archive && body.is_some() => Reading::Read,
        429 => all(
            answer,
            Outcome::Busy {
                reason: "answered 429: too many calls at the same time".to_owned(),
                after: retry_after(&answer.headers, now).ok().flatten().or(Some(PAUSE)),
            },
        ),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

fn all(answer: &Answer, outcome: Outcome) -> Reading {
    Reading::All(answer.result_with(outcome))
}

fn retry(reason: &str) -> Outcome {
    Outcome::Retry {
        reason: reason.to_owned(),
        after: None,
    }
}

fn halt(reason: &str) -> Outcome {
    Outcome::Halt {
        reason: reason.to_owned(),
    }
}

/// Reads a success. Returns whether the response proves it: a page of something in front of Mailchimp confirms nothing,
/// least of all an opt-out.
fn done(mailchimp: &Mailchimp, step: &Step, answer: &Answer, body: &Value, task: &mut Of<'_>) -> bool {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let seen = Seen::of(body).filter(|_| answer.complete);
    match step {
        Step::Look => seen.map(|seen| consent::looked(&seen, task)).is_some(),
        Step::Withdraw { .. } => seen.is_some_and(|seen| consent::withdrew(seen, task)),
        Step::ReadMember => seen
            .map(|seen| consent::subscribe_if_newer(&seen, task))
            .is_some(),
        Step::Upsert => {
            let contact = text("contact_id").or(text("id"));
            seen.map(|seen| consent::wrote(seen, contact, task)).is_some()
        }
        Step::ProveList => {
            let is_it = answer.complete && text("id") == Some(mailchimp.settings.list.as_str());
            if is_it {
                task.notes.push("the person is no member there".to_owned());
                task.leave_out(|step| matches!(step, Step::Withdraw { .. } | Step::Archive));
            }
            is_it
        }
        Step::FindEvent => {
            let events = body.get("events").and_then(Value::as_array);
            let Some(events) = events.filter(|_| answer.complete) else {
                return false;
            };
            let key = |event: &Value| Some(event.get("properties")?.get(EVENT_KEY)?.as_str()?.to_owned());
            if events
                .iter()
                .filter_map(key)
                .any(|key| key == task.delivery.key.0)
            {
                task.notes.push("Mailchimp has the event already".to_owned());
                task.leave_out(|step| *step == Step::SendEvent);
            }
            true
        }
        Step::Delete if answer.status == 204 => {
            task.remember(Value::Null);
            true
        }
        Step::Tag | Step::SendEvent | Step::Archive | Step::Delete => answer.status == 204,
    }
}

/// An unknown list and an unknown member look the same.
fn missing(mailchimp: &Mailchimp, step: &Step, answer: &Answer, task: &mut Of<'_>) -> Reading {
    match step {
        Step::Look | Step::ReadMember | Step::Delete if task.memo.look_by_contact() => {
            task.then(step.clone());
            Reading::Read
        }
        Step::ReadMember => {
            task.memo.is_new = true;
            task.memo.look_by_address();
            Reading::Read
        }
        Step::Look | Step::Withdraw { .. } | Step::Archive | Step::Delete => {
            task.then(Step::ProveList);
            Reading::Read
        }
        // Nobody has this id any more. Without consent it does no harm that the address is written unread.
        Step::Upsert if task.memo.by_contact() && !task.memo.agreed => {
            task.memo.look_by_address();
            task.then(Step::Upsert);
            Reading::Read
        }
        Step::ProveList | Step::Upsert if !task.memo.by_contact() || *step == Step::ProveList => all(
            answer,
            halt(&format!(
                "answered 404: the account has no audience {}; check `list`, `api_version` and `base_url`",
                mailchimp.settings.list
            )),
        ),
        _ => all(answer, retry("the member is not there any more")),
    }
}

/// The response that Mailchimp documents for success, for a person who is subscribed or, before an opt-in, no member.
pub(super) fn expected(mailchimp: &Mailchimp, step: &Step, tasks: &[&Task<'_, Mailchimp>]) -> Answer {
    let memo = tasks.first().map(|task| &task.memo);
    let (status, body) = match step {
        Step::ReadMember => (404, json!({ "title": "Resource Not Found" })),
        Step::Look => (200, json!({ "status": "subscribed" })),
        Step::Withdraw { .. } => (200, json!({ "status": "unsubscribed" })),
        Step::ProveList => (200, json!({ "id": mailchimp.settings.list })),
        Step::Upsert => {
            let status = memo.map_or("", |memo| memo.status.unwrap_or(memo.if_new));
            (200, json!({ "contact_id": "<id>", "status": status }))
        }
        Step::FindEvent => (200, json!({ "events": [] })),
        Step::Tag | Step::SendEvent | Step::Archive | Step::Delete => (204, Value::Null),
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    Answer {
        status,
        headers: HeaderMap::new(),
        body,
        complete: true,
    }
}
