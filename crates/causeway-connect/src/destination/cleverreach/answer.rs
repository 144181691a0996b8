//! What CleverReach's responses mean.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    CleverReach, Step,
    receiver::{self, Found},
    rows::{self, Row},
};
use crate::{
    connector::{Reading, Task},
    http::{Answer, retry_after},
};

/// How long CleverReach takes no calls, if the response does not say it. It publishes no limit.
const WAIT: Duration = Duration::from_mins(1);

type Of<'d> = Task<'d, CleverReach>;

pub(super) fn read(
    cleverreach: &CleverReach,
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
    now: Timestamp,
) -> Reading {
    let body = answer.json().filter(|_| answer.complete);
    let is_theirs = body.as_ref().is_some_and(|body| body.get("error").is_some());
    match answer.status {
        200..=299 => match step {
            Step::Write | Step::Deactivate => written(step, answer, body.as_ref(), tasks),
            _ => single(cleverreach, step, answer, body.as_ref(), tasks),
        },
        404 => missing(cleverreach, step, answer, is_theirs, tasks),
        429 => Reading::All(answer.result_with(Outcome::Busy {
            reason: "answered 429: too many calls".to_owned(),
            after: Some(retry_after(&answer.headers, now).ok().flatten().unwrap_or(WAIT)),
        })),
        405 | 410 => all(answer, halt(&wrong_address(answer))),
        401 | 403 if is_theirs || answer.body.is_empty() => all(
            answer,
            halt(&format!(
                "answered {}: CleverReach does not accept the token; check the app, its secret and its rights",
                answer.status
            )),
        ),
        401 | 403 => all(answer, retry(answer, "with something other than JSON")),
        // One receiver is the reason, or the call was too large.
        400 | 409 | 413 | 422 | 500 | 502 | 504 if tasks.len() > 1 => Reading::Split,
        // It is there already, or active already.
        409 if matches!(step, Step::Blacklist | Step::Activate) => Reading::Read,
        400 | 409 | 413 | 422 => all(
            answer,
            Outcome::Reject {
                reason: format!(
                    "answered {}: CleverReach does not accept the receiver",
                    answer.status
                ),
            },
        ),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

fn all(answer: &Answer, outcome: Outcome) -> Reading {
    Reading::All(answer.result_with(outcome))
}

fn retry(answer: &Answer, what: &str) -> Outcome {
    Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    }
}

fn halt(reason: &str) -> Outcome {
    Outcome::Halt {
        reason: reason.to_owned(),
    }
}

fn wrong_address(answer: &Answer) -> String {
    format!("answered {}: check `base_url` and `api_version`", answer.status)
}

fn no_group(cleverreach: &CleverReach) -> String {
    format!(
        "answered 404: the account has no group {}; check `group`, `base_url` and `api_version`",
        cleverreach.settings.group
    )
}

/// Receivers were written. Each row is about one of them.
fn written(step: Step, answer: &Answer, body: Option<&Value>, tasks: &mut [&mut Of<'_>]) -> Reading {
    let unread = "without what was asked for";
    let Some(body) = body else {
        return all(answer, retry(answer, unread));
    };
    let Some(rows) = rows::rows(body) else {
        // `false` means that nothing was done, perhaps because of one receiver.
        return if tasks.len() > 1 && *body == Value::Bool(false) {
            Reading::Split
        } else {
            all(answer, retry(answer, unread))
        };
    };
    let of = tasks.len();
    for (place, task) in tasks.iter_mut().enumerate() {
        match (rows::read(&rows, place, of, &task.memo.email), step) {
            (Row::Shown(seen), Step::Deactivate) => {
                if !receiver::withdrew(&seen, task) {
                    task.end(own(answer, retry(answer, "but the receiver is not inactive")));
                }
            }
            (Row::Shown(seen), _) => receiver::wrote(&seen, task),
            (Row::Done(id), _) => {
                task.remote_id = id.or(task.remote_id.take());
                // A row that does not show the receiver proves no opt-out.
                if step == Step::Deactivate {
                    task.then(Step::Confirm);
                }
            }
            (Row::Refused(outcome), _) => task.end(own(answer, outcome)),
            (Row::Unknown, _) => {
                let reason = "CleverReach said nothing about this receiver".to_owned();
                task.end(own(answer, Outcome::Retry { reason, after: None }));
            }
        }
    }
    Reading::Read
}

/// A result for one delivery of a shared call: an excerpt of the response would show other people's data.
fn own(answer: &Answer, outcome: Outcome) -> AttemptResult {
    AttemptResult {
        status: Some(answer.status),
        ..outcome.into()
    }
}

/// A success about one receiver. A page of something in front of CleverReach confirms nothing, least of all an opt-out.
fn single(
    cleverreach: &CleverReach,
    step: Step,
    answer: &Answer,
    body: Option<&Value>,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    let [task] = tasks else { return Reading::Split };
    let group = cleverreach.settings.group;
    let is_done = match step {
        Step::Look | Step::Read | Step::Confirm => {
            match body.and_then(|body| receiver::found(body, &task.memo.email, group)) {
                Some(Found::Nobody) => {
                    receiver::nobody(task);
                    true
                }
                // The group itself decides.
                Some(Found::Elsewhere) if task.memo.by_group => false,
                Some(Found::Elsewhere) => {
                    task.memo.by_group = true;
                    task.then(step);
                    true
                }
                Some(Found::Receiver(seen)) if step == Step::Look => {
                    receiver::looked(&seen, task);
                    true
                }
                Some(Found::Receiver(seen)) if step == Step::Read => {
                    receiver::decide(&seen, task);
                    true
                }
                // A receiver who is shown again was not deleted.
                Some(Found::Receiver(seen)) => {
                    task.delivery.record.change != Change::Remove && receiver::withdrew(&seen, task)
                }
                None => false,
            }
        }
        Step::ProveGroup => {
            let is_it = body.and_then(|body| body.get("id")).and_then(receiver::text);
            if is_it.as_deref() == Some(&*group.to_string()) && !task.memo.is_doubtful {
                receiver::nobody(task);
                true
            } else {
                false
            }
        }
        // Whether it was done is seen by reading.
        Step::Delete if answer.status == 204 => true,
        Step::Delete => {
            if body != Some(&Value::Bool(true)) {
                task.then(Step::Confirm);
            }
            true
        }
        // The write after it shows whether the person came back.
        Step::Activate if body == Some(&Value::Bool(false)) => {
            receiver::stays_inactive(task);
            task.leave_out(|_| true);
            task.writes_nothing();
            true
        }
        Step::Activate | Step::Blacklist => body.is_some_and(|body| {
            *body != Value::Bool(false) && !body.is_null() && body.get("error").is_none()
        }),
        Step::Write | Step::Deactivate => false,
    };
    if is_done && step == Step::Delete {
        task.remember(Value::Null);
    }
    if is_done {
        Reading::Read
    } else {
        all(answer, retry(answer, "without what was asked for"))
    }
}

/// A receiver and a group that are missing look much the same.
fn missing(
    cleverreach: &CleverReach,
    step: Step,
    answer: &Answer,
    is_theirs: bool,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    let [task] = tasks else {
        return all(answer, halt(&no_group(cleverreach)));
    };
    match step {
        // The group proves itself when the receiver is written.
        Step::Read if is_theirs && answer.complete => {
            receiver::nobody(task);
            Reading::Read
        }
        // It was taken away since: who was deleted or has no entry gets no mail.
        Step::Confirm if is_theirs => Reading::Read,
        Step::Look | Step::Delete => {
            task.memo.is_doubtful = !is_theirs;
            task.then(Step::ProveGroup);
            Reading::Read
        }
        Step::Activate if is_theirs => all(
            answer,
            retry(answer, "because the receiver is not there any more"),
        ),
        Step::Write | Step::Deactivate | Step::ProveGroup if is_theirs => {
            all(answer, halt(&no_group(cleverreach)))
        }
        _ => all(answer, halt(&wrong_address(answer))),
    }
}

/// The response that CleverReach's own plug-ins expect: before an opt-in the person is no receiver, before an opt-out
/// they are active.
pub(super) fn expected(cleverreach: &CleverReach, step: Step, tasks: &[&Task<'_, CleverReach>]) -> Answer {
    let shown = |task: &Task<'_, CleverReach>, deactivated: i64| {
        let (email, group) = (&task.memo.email, cleverreach.settings.group);
        json!({ "id": "1", "email": email, "group_id": group, "activated": 1, "deactivated": deactivated })
    };
    let body = match step {
        Step::Look => tasks.first().map(|task| shown(task, 0)).unwrap_or_default(),
        Step::Confirm => tasks.first().map(|task| shown(task, 1)).unwrap_or_default(),
        Step::Read => json!({ "error": { "code": 404, "message": "Not Found: invalid receiver" } }),
        Step::ProveGroup => json!({ "id": cleverreach.settings.group }),
        Step::Deactivate => tasks.iter().map(|task| shown(task, task.memo.left_at)).collect(),
        Step::Write => tasks.iter().map(|task| shown(task, 0)).collect(),
        Step::Blacklist | Step::Delete | Step::Activate => true.into(),
    };
    Answer {
        status: if step == Step::Read { 404 } else { 200 },
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
