//! What ActiveCampaign's responses mean. Errors come in two forms, a list of `errors` or one `message`, and a limit may
//! be a 400 as well as a 429.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ActiveCampaign, Status, Step, request::number_of};
use crate::{
    connector::{Agreed, Reading, Task},
    http::{Answer, retry_after},
};

/// How long ActiveCampaign takes no calls, if the response does not say it.
const WAIT: Duration = Duration::from_secs(30);
const WAIT_AFTER_400: Duration = Duration::from_mins(1);

/// The limit counts the calls of a second.
const REST: Duration = Duration::from_secs(1);

pub(super) fn read(
    connector: &ActiveCampaign,
    step: Step,
    answer: &Answer,
    task: &mut Task<'_, ActiveCampaign>,
    now: Timestamp,
) -> Reading {
    task.rest = task.rest.max(rest(answer));
    let body = answer.json().unwrap_or_default();
    // A page of something in front of ActiveCampaign confirms nothing, least of all an opt-out.
    let is_readable = answer.complete && body.is_object();
    if let 200..=299 = answer.status {
        let done = is_readable.then(|| done(connector, step, &body, task)).flatten();
        return match done {
            Some(()) => Reading::Read,
            None => Reading::All(retry(answer, "without what was asked for")),
        };
    }
    if let Some(after) = limited(answer, &body, now) {
        let reason = format!("answered {}: too many calls", answer.status);
        let after = Some(after);
        return Reading::All(answer.result_with(Outcome::Busy { reason, after }));
    }
    match answer.status {
        404 if is_about_contact(&body) => gone(step, answer),
        404 | 405 | 410 => Reading::All(answer.result_with(missing(step, answer.status, is_readable))),
        // The contact is written. An account without custom objects must not hold up opt-outs.
        403 if step == Step::WriteRecord && is_readable => Reading::All(answer.result_with(Outcome::Reject {
            reason: "answered 403: the account has no custom objects, or the user may not write them".to_owned(),
        })),
        402 if is_readable => Reading::All(answer.result_with(Outcome::Halt {
            reason: "answered 402: the account's plan, or its number of contacts, is used up".to_owned(),
        })),
        401 | 403 if is_readable => Reading::All(answer.result_with(Outcome::Halt {
            reason: format!(
                "answered {}: ActiveCampaign refuses the key; check `token`, `base_url` and the rights of its user",
                answer.status
            ),
        })),
        401..=403 => Reading::All(retry(answer, "with something other than JSON")),
        // Two calls created one contact at the same time. The next attempt finds it.
        422 if step == Step::Sync && codes(&body).iter().any(|code| code == "duplicate") => {
            Reading::All(retry(answer, "because the contact was created meanwhile"))
        }
        400 | 409 | 413 | 422 => Reading::All(answer.result_with(Outcome::Reject {
            reason: refused(answer.status, step, &body),
        })),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// Reads a success. `None` if the response does not prove it.
fn done(
    connector: &ActiveCampaign,
    step: Step,
    body: &Value,
    task: &mut Task<'_, ActiveCampaign>,
) -> Option<()> {
    match step {
        Step::Find => {
            let found = body
                .get("contacts")?
                .as_array()?
                .iter()
                .find(|contact| is_same(contact, task));
            if let Some(contact) = found {
                let id = id(contact.get("id")?)?;
                task.remote_id = Some(id.clone());
                task.memo.id = Some(id);
                leave(connector, task);
            } else {
                task.leave_out(|step| *step == Step::Delete);
                task.notes
                    .push("ActiveCampaign has no contact with this address".to_owned());
            }
        }
        Step::Sync => {
            let contact = body.get("contact")?;
            let id = id(contact.get("id")?)?;
            if contact.get("email").is_some() && !is_same(contact, task) {
                return None;
            }
            task.notes.extend(unknown_fields(body, task));
            task.remote_id = Some(id.clone());
            task.memo.id = Some(id);
        }
        Step::ReadStatus => {
            let lists = body.get("contactLists")?.as_array()?;
            if task.memo.is_leaving {
                for list in lists.iter().filter(|list| number(list.get("status")) != Some(2)) {
                    let list = number(list.get("list"))?;
                    task.then(Step::SetStatus(list, Status::Unsubscribed));
                }
            } else {
                subscribe_if_new(connector, lists, task);
            }
        }
        Step::SetStatus(_, status) => {
            let row = body.get("contactList").filter(|row| row.is_object());
            if row.is_none() && body.get("contacts").and_then(Value::as_array).is_none() {
                return None;
            }
            let shown = row.and_then(|row| number(row.get("status")));
            shown
                .is_none_or(|shown| shown == number_of(status))
                .then_some(())?;
        }
        Step::AddTag(_) => {
            body.get("contactTag")?.as_object()?;
        }
        Step::WriteRecord => {
            body.get("record")?.as_object()?;
        }
        Step::Delete => {}
    }
    Some(())
}

/// The steps that take a contact off the list, or off all lists.
fn leave(connector: &ActiveCampaign, task: &mut Task<'_, ActiveCampaign>) {
    match connector.settings.list {
        _ if !task.memo.is_leaving => {}
        Some(list) => task.then(Step::SetStatus(list, Status::Unsubscribed)),
        None => task.then(Step::ReadStatus),
    }
}

/// Subscribes, unless the person unsubscribed at ActiveCampaign after they agreed here, or their address bounced there.
fn subscribe_if_new(connector: &ActiveCampaign, lists: &[Value], task: &mut Task<'_, ActiveCampaign>) {
    let Some(list) = connector.settings.list else {
        return;
    };
    let ours = lists.iter().find(|row| number(row.get("list")) == Some(list));
    let Some(row) = ours else {
        task.then(Step::SetStatus(list, Status::Subscribed));
        return;
    };
    let left: Option<Timestamp> = row
        .get("udate")
        .and_then(Value::as_str)
        .and_then(|at| at.parse().ok());
    let agreed = task.memo.since.map(|since| Agreed::of(task.delivery, since));
    let is_newer = agreed.is_some_and(|agreed| agreed.is_after(left));
    match number(row.get("status")) {
        Some(1) => {}
        Some(0) => task.then(Step::SetStatus(list, Status::Subscribed)),
        Some(2) if is_newer => task.then(Step::SetStatus(list, Status::SubscribedAgain)),
        Some(3) => task
            .notes
            .push("the address bounced at ActiveCampaign: left as it is there".to_owned()),
        _ => {
            let since = left.map_or("an unknown time".to_owned(), |at| at.to_string());
            task.notes.push(format!(
                "the person unsubscribed at ActiveCampaign, since {since}: left unsubscribed there"
            ));
        }
    }
}

/// The contact was deleted or merged since it was found.
fn gone(step: Step, answer: &Answer) -> Reading {
    match step {
        Step::Delete | Step::SetStatus(_, Status::Unsubscribed) => Reading::Read,
        _ => Reading::All(retry(answer, "because the contact is not there any more")),
    }
}

/// Something that the configuration names is not there.
fn missing(step: Step, status: u16, is_readable: bool) -> Outcome {
    match step {
        Step::SetStatus(list, _) if is_readable => Outcome::Halt {
            reason: format!("answered {status}: there is no list {list}; correct `list`"),
        },
        // The contact is written, and its consent.
        Step::AddTag(tag) if is_readable => Outcome::Reject {
            reason: format!("answered {status}: there is no tag {tag}; correct `tags`"),
        },
        Step::WriteRecord if is_readable => Outcome::Reject {
            reason: format!("answered {status}: there is no such schema; correct `record.schema`"),
        },
        _ => Outcome::Halt {
            reason: format!("answered {status}: check `base_url` and `api_version`"),
        },
    }
}

fn is_same(contact: &Value, task: &Task<'_, ActiveCampaign>) -> bool {
    let email = contact.get("email").and_then(Value::as_str).unwrap_or_default();
    email.trim().to_lowercase() == task.memo.email.to_lowercase()
}

/// ActiveCampaign passes over fields that it does not have. The response names those that were written.
fn unknown_fields(body: &Value, task: &Task<'_, ActiveCampaign>) -> Option<String> {
    let written = body.get("fieldValues")?.as_array()?;
    let is_written = |field: &str| {
        written
            .iter()
            .any(|value| number(value.get("field")).is_some_and(|number| number.to_string() == field))
    };
    let fields = task.memo.fields.keys().map(String::as_str);
    let lost: Vec<&str> = fields.filter(|field| !is_written(field)).collect();
    (!lost.is_empty()).then(|| {
        format!(
            "ActiveCampaign has no custom field {}; correct `fields`",
            lost.join(", ")
        )
    })
}

/// A number, which may be written as a text.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// An id, which goes into the paths of further calls.
fn id(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then_some(text)
}

fn retry(answer: &Answer, what: &str) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    })
}

fn message(body: &Value) -> &str {
    body.get("message").and_then(Value::as_str).unwrap_or_default()
}

/// "No Result found for Subscriber with id 113". A page of something in between may name contacts, too.
fn is_about_contact(body: &Value) -> bool {
    let about = message(body).strip_prefix("No Result found for ");
    about.is_some_and(|about| {
        ["Subscriber", "Contact"]
            .iter()
            .any(|name| about.starts_with(name))
    })
}

/// How long to wait, if the limit of calls is reached.
fn limited(answer: &Answer, body: &Value, now: Timestamp) -> Option<Duration> {
    let asked = || retry_after(&answer.headers, now).ok().flatten();
    match answer.status {
        429 => Some(asked().unwrap_or(WAIT)),
        400 if message(body).starts_with("Rate limit exceeded") => Some(asked().unwrap_or(WAIT_AFTER_400)),
        _ => None,
    }
}

/// The rest until the next second, if this call was the last one of this second.
fn rest(answer: &Answer) -> Option<Duration> {
    let remaining = answer.headers.get("ratelimit-remaining")?.to_str().ok()?;
    (remaining.trim() == "0").then_some(REST)
}

/// The codes of the errors.
fn codes(body: &Value) -> Vec<String> {
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let codes = errors.filter_map(|error| error.get("code")?.as_str());
    codes.map(str::to_owned).collect()
}

/// Why one contact is refused for good. The reason names codes and places, never values.
fn refused(status: u16, step: Step, body: &Value) -> String {
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let place = |error: &Value| {
        let pointer = error.pointer("/source/pointer").and_then(Value::as_str)?;
        pointer.strip_prefix("/data/attributes/").map(str::to_owned)
    };
    let named = errors.flat_map(|error| {
        [
            error.get("code").and_then(Value::as_str).map(str::to_owned),
            place(error),
        ]
    });
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let named: Vec<String> = named
        .flatten()
        .filter(|name| name.len() <= 60 && name.bytes().all(is_name))
        .take(6)
        .collect();
    let what = match step {
        Step::Sync => "the contact",
        Step::SetStatus(..) => "the status on the list",
        Step::AddTag(_) => "the tag",
        Step::WriteRecord => "the record",
        Step::Find | Step::ReadStatus | Step::Delete => "the call",
    };
    match &*named.join(" ") {
        "" => format!("answered {status}: ActiveCampaign refuses {what}"),
        named => format!("answered {status}: ActiveCampaign refuses {what}: {named}"),
    }
}

/// The response that ActiveCampaign documents for success.
pub(super) fn expected(
    connector: &ActiveCampaign,
    step: Step,
    tasks: &[&Task<'_, ActiveCampaign>],
) -> Answer {
    let email = tasks.first().map_or("", |task| &task.memo.email);
    let contact = json!({ "id": "1", "email": email });
    let body = match step {
        Step::Find => json!({ "contacts": [contact], "meta": { "total": "1" } }),
        Step::Sync => json!({ "contact": contact }),
        Step::ReadStatus => match connector.settings.list {
            Some(_) => json!({ "contactLists": [] }),
            None => json!({ "contactLists": [{ "list": "1", "status": "1" }] }),
        },
        Step::SetStatus(list, status) => {
            json!({ "contactList": { "list": list.to_string(), "status": number_of(status) } })
        }
        Step::AddTag(tag) => json!({ "contactTag": { "tag": tag.to_string() } }),
        Step::WriteRecord => json!({ "record": {} }),
        Step::Delete => json!({}),
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
