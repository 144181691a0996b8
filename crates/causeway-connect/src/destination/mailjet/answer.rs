//! What Mailjet's responses mean. A 304 is a success that changed nothing, and not each 401 is about the keys.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Action, Mailjet, Step};
use crate::{
    connector::{Agreed, Reading, Task},
    http::{Answer, retry_after},
};

/// How long Mailjet takes no calls, if the response does not say it. It publishes no limit.
const WAIT: Duration = Duration::from_mins(1);

pub(super) fn read(
    mailjet: &Mailjet,
    step: Step,
    answer: &Answer,
    task: &mut Task<'_, Mailjet>,
    now: Timestamp,
) -> Reading {
    let body = answer.json().unwrap_or_default();
    let message = message(&body);
    let is_readable = answer.complete && body.is_object();
    match answer.status {
        304 if is_update(step) => Reading::Read,
        200..=299 => match done(mailjet, step, answer, &body, task) {
            Some(()) => Reading::Read,
            None => Reading::All(retry(answer, "without what was asked for")),
        },
        429 => {
            let asked = retry_after(&answer.headers, now).ok().flatten();
            Reading::All(answer.result_with(Outcome::Busy {
                reason: "answered 429: too many calls".to_owned(),
                after: Some(asked.unwrap_or(WAIT)),
            }))
        }
        400 if step == Step::Create && message.contains("already exists") => {
            if !task.memo.name.is_empty() {
                task.then(Step::WriteName);
            }
            Reading::Read
        }
        404 if is_theirs(&body) && answer.complete => missing(step, answer, task),
        404 | 405 | 410 => Reading::All(answer.result_with(Outcome::Halt {
            reason: format!("answered {}: check `base_url` and `api_version`", answer.status),
        })),
        // Mailjet also answers this about a value of one contact.
        401 if is_update(step) && message.contains("MJ19") => {
            Reading::All(answer.result_with(Outcome::Reject {
                reason: "answered 401: MJ19, Mailjet refuses the change of this contact".to_owned(),
            }))
        }
        401 | 403 if is_readable || answer.body.is_empty() => {
            Reading::All(answer.result_with(Outcome::Halt {
                reason: format!(
                    "answered {}: Mailjet refuses the keys; check `api_key`, `secret_key` and their rights",
                    answer.status
                ),
            }))
        }
        401 | 403 => Reading::All(retry(answer, "with something other than JSON")),
        400 | 409 | 413 | 422 => Reading::All(answer.result_with(Outcome::Reject {
            reason: refused(answer.status, step, &message),
        })),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// Whether the error has the form of Mailjet's. A gateway's 404 does not prove that a person is not there.
fn is_theirs(body: &Value) -> bool {
    ["ErrorMessage", "StatusCode"]
        .iter()
        .any(|name| body.get(name).is_some())
}

fn is_update(step: Step) -> bool {
    matches!(step, Step::Exclude | Step::WriteName | Step::WriteProperties)
}

/// Reads a success. `None` if the response does not prove it: a page of something in front of Mailjet confirms nothing.
fn done(
    mailjet: &Mailjet,
    step: Step,
    answer: &Answer,
    body: &Value,
    task: &mut Task<'_, Mailjet>,
) -> Option<()> {
    if step == Step::Delete {
        // The deletion has no content.
        let is_ours = answer.body.is_empty() || body.is_object();
        return is_ours.then_some(());
    }
    let rows = body.get("Data")?.as_array().filter(|_| answer.complete)?;
    match step {
        Step::Find => {
            let row = rows.first()?;
            is_same(row.get("Email"), task).then_some(())?;
            let id = number(row.get("ID"))?.to_string();
            task.remote_id = Some(id.clone());
            task.memo.id = Some(id);
            if task.delivery.record.change != causeway_core::consent::Change::Remove {
                task.then(match mailjet.settings.list {
                    Some(_) => Step::Manage(Action::Unsubscribe),
                    None => Step::Exclude,
                });
            }
        }
        Step::ReadList => {
            let action = subscribe_if_new(rows, task)?;
            task.then(Step::Manage(action));
        }
        Step::Manage(action) => {
            let row = rows.first()?;
            let shown = row.get("Action").and_then(Value::as_str);
            shown
                .is_none_or(|shown| shown.eq_ignore_ascii_case(action.as_str()))
                .then_some(())?;
            task.remote_id = number(row.get("ContactID"))
                .map(|id| id.to_string())
                .or(task.remote_id.take());
        }
        Step::Create => {
            let row = rows.first()?;
            is_same(row.get("Email"), task).then_some(())?;
            task.remote_id = number(row.get("ID")).map(|id| id.to_string());
        }
        Step::Exclude | Step::WriteName | Step::WriteProperties => {
            rows.first()?;
        }
        Step::Delete => {}
    }
    Some(())
}

/// Puts the person on the list, unless they unsubscribed at Mailjet after they agreed here. `None` if that cannot be
/// read.
fn subscribe_if_new(rows: &[Value], task: &mut Task<'_, Mailjet>) -> Option<Action> {
    let Some(row) = rows.first() else {
        return Some(Action::AddNoForce);
    };
    if !row.get("IsUnsubscribed")?.as_bool()? {
        return Some(Action::AddNoForce);
    }
    let left = row.get("UnsubscribedAt").and_then(Value::as_str);
    let left: Option<Timestamp> = left.and_then(|at| at.parse().ok());
    let agreed = task.memo.since.map(|since| Agreed::of(task.delivery, since));
    if agreed.is_some_and(|agreed| agreed.is_after(left)) {
        return Some(Action::AddForce);
    }
    let since = left.map_or("an unknown time".to_owned(), |at| at.to_string());
    task.notes.push(format!(
        "the person unsubscribed at Mailjet, since {since}: left unsubscribed there"
    ));
    // It keeps the unsubscribe, and writes the properties.
    Some(Action::AddNoForce)
}

/// Something is not there: the contact, or what the configuration names.
fn missing(step: Step, answer: &Answer, task: &mut Task<'_, Mailjet>) -> Reading {
    match step {
        Step::Find => {
            task.leave_out(|step| *step == Step::Delete);
            task.notes
                .push("Mailjet has no contact with this address".to_owned());
            Reading::Read
        }
        // It was deleted since it was found.
        Step::Delete | Step::Exclude => Reading::Read,
        // Nobody is on a list that does not exist, and the next call is about the same list.
        Step::ReadList => {
            task.then(Step::Manage(Action::AddNoForce));
            Reading::Read
        }
        Step::WriteName | Step::WriteProperties => {
            Reading::All(retry(answer, "because the contact is not there any more"))
        }
        Step::Manage(_) => Reading::All(answer.result_with(Outcome::Halt {
            reason: "answered 404: there is no such list; correct `list`".to_owned(),
        })),
        Step::Create => Reading::All(answer.result_with(Outcome::Halt {
            reason: "answered 404: check `base_url` and `api_version`".to_owned(),
        })),
    }
}

fn is_same(email: Option<&Value>, task: &Task<'_, Mailjet>) -> bool {
    let email = email.and_then(Value::as_str).unwrap_or_default();
    email.trim().to_lowercase() == task.memo.email.to_lowercase()
}

/// A number, which may be written as a text.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn retry(answer: &Answer, what: &str) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    })
}

/// The error, which may be an object instead of a text.
fn message(body: &Value) -> String {
    match body.get("ErrorMessage") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Why one contact is refused for good. The reason names Mailjet's code, never a value.
fn refused(status: u16, step: Step, message: &str) -> String {
    let what = match step {
        Step::Manage(_) | Step::ReadList => "the contact on the list",
        Step::WriteProperties => "the properties",
        Step::Find | Step::Exclude | Step::Delete | Step::Create | Step::WriteName => "the contact",
    };
    let mut words = message.split(|sign: char| !sign.is_ascii_alphanumeric());
    let is_code = |word: &&str| {
        word.strip_prefix("MJ")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match words.find(is_code) {
        Some(code) => format!("answered {status}: {code}, Mailjet refuses {what}"),
        None => format!("answered {status}: Mailjet refuses {what}"),
    }
}

/// The response that Mailjet documents for success.
pub(super) fn expected(mailjet: &Mailjet, step: Step, tasks: &[&Task<'_, Mailjet>]) -> Answer {
    let email = tasks.first().map_or("", |task| &task.memo.email);
    let row = match step {
        Step::Find | Step::Create | Step::Exclude | Step::WriteName => json!({ "ID": 1, "Email": email }),
        Step::ReadList => Value::Null,
        Step::Manage(action) => {
            json!({ "ContactID": 1, "Email": email, "Action": action.as_str(), "ListID": mailjet.settings.list })
        }
        Step::WriteProperties => json!({ "ContactID": 1, "Data": [] }),
        Step::Delete => json!({}),
    };
    let rows: Vec<Value> = Some(row).filter(|row| !row.is_null()).into_iter().collect();
    let body = json!({ "Count": rows.len(), "Data": rows, "Total": rows.len() });
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
