//! What HubSpot's responses mean. Every member of an error may be missing, and 200 and 207 differ in nothing that counts.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{HubSpot, Step};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

pub(super) fn read(
    hubspot: &HubSpot,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, HubSpot>],
    now: Timestamp,
) -> Reading {
    if let Some(first) = tasks.first_mut() {
        first.rest = first.rest.max(rest(answer));
    }
    let body = answer.json().unwrap_or_default();
    match answer.status {
        200..=299 => match step {
            Step::Upsert { by_key } => upserted(hubspot, *by_key, answer, &body, tasks),
            _ => one(hubspot, step, answer, &body, tasks),
        },
        // The person is not there: nothing is to be taken back, and nobody has unsubscribed.
        404 if matches!(step, Step::Unsubscribe | Step::Delete) => Reading::Read,
        404 if *step == Step::ReadStatus => {
            for task in tasks {
                task.then(Step::Subscribe);
            }
            Reading::Read
        }
        429 => Reading::All(answer.result_with(busy(answer, &body, now))),
        403 => Reading::All(answer.result_with(Outcome::Halt {
            reason: missing_scopes(&body),
        })),
        // The account moves to another data centre.
        477 => Reading::All(answer.result_with(Outcome::Busy {
            reason: "answered 477: the account is being moved".to_owned(),
            after: crate::http::retry_after(&answer.headers, now).ok().flatten(),
        })),
        // One contact of a batch is the reason, or the batch took too long.
        400 | 409 | 502 | 504 if tasks.len() > 1 => Reading::Split,
        400 | 409 if *step == (Step::Upsert { by_key: true }) && owner(&body).is_some() => {
            taken(answer, &body, tasks);
            Reading::Read
        }
        400 | 409 => {
            let result = refused(answer, &body);
            Reading::All(result)
        }
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// A response to a call about one delivery, or about deliveries that all ended in the same way.
fn one(
    hubspot: &HubSpot,
    step: &Step,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, HubSpot>],
) -> Reading {
    match step {
        Step::ReadStatus => {
            for task in tasks {
                subscribe_if_new(hubspot, body, task);
            }
        }
        Step::ReadOwner => {
            for task in tasks {
                let key = hubspot.settings.key.as_ref().map_or("", |(name, _)| name);
                let owner = body.pointer("/properties").and_then(|all| all.get(key)?.as_str());
                if owner.is_none_or(|owner| owner.is_empty() || Some(owner) == task.memo.key.as_deref()) {
                    task.then(Step::Adopt);
                } else {
                    task.end(answer.result_with(Outcome::Reject {
                        reason: format!(
                            "another contact with another `{key}` has this address; merge them in HubSpot"
                        ),
                    }));
                }
            }
        }
        Step::AddToList(list) => {
            let missing = body.get("recordIdsMissing").and_then(Value::as_array);
            let is_missing =
                |id: &str| missing.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(id)));
            for task in tasks {
                if task.memo.id.as_deref().is_none_or(is_missing) {
                    // It was deleted or merged since. The next attempt finds it again by its key.
                    task.end(answer.result_with(Outcome::Retry {
                        reason: format!("list {list} does not know the contact yet"),
                        after: None,
                    }));
                }
            }
        }
        _ => {}
    }
    Reading::Read
}

/// Subscribes, unless the person unsubscribed at HubSpot after they agreed here.
fn subscribe_if_new(hubspot: &HubSpot, body: &Value, task: &mut Task<'_, HubSpot>) {
    let results = body.get("results").and_then(Value::as_array);
    let ours = results.into_iter().flatten().find(|status| {
        let id = status.get("subscriptionId");
        let number = id.and_then(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
        number == hubspot.settings.subscription
    });
    let text = |name: &str| ours.and_then(|status| status.get(name)?.as_str());
    match text("status") {
        Some("SUBSCRIBED") => {}
        Some("UNSUBSCRIBED") => {
            let unsubscribed: Option<Timestamp> = text("timestamp").and_then(|at| at.parse().ok());
            let is_newer = unsubscribed
                .zip(task.memo.since)
                .is_some_and(|(there, here)| here > there);
            if is_newer {
                task.then(Step::Subscribe);
            } else {
                let since = unsubscribed.map_or("an unknown time".to_owned(), |at| at.to_string());
                task.notes.push(format!(
                    "the person unsubscribed at HubSpot, since {since}: left unsubscribed there"
                ));
            }
        }
        _ => task.then(Step::Subscribe),
    }
}

/// The results of a batch, in any order. A contact that is in neither list is unknown.
fn upserted(
    hubspot: &HubSpot,
    by_key: bool,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, HubSpot>],
) -> Reading {
    let is_complete = body
        .get("status")
        .and_then(Value::as_str)
        .is_none_or(|status| status == "COMPLETE");
    let list = |name: &str| {
        body.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let property = match &hubspot.settings.key {
        Some((name, _)) if by_key => name,
        _ => "email",
    };
    let mut is_known = vec![false; tasks.len()];
    for result in list("results").iter().filter(|_| is_complete) {
        let trace = result.get("objectWriteTraceId").and_then(Value::as_str);
        let value = result
            .get("properties")
            .and_then(|all| all.get(property)?.as_str());
        let place = place(tasks, by_key, trace, value);
        let id = result.get("id").and_then(Value::as_str);
        if let (Some(place), Some(id)) = (place, id)
            && let (Some(task), Some(known)) = (tasks.get_mut(place), is_known.get_mut(place))
        {
            *known = true;
            task.memo.id = Some(id.to_owned());
            task.remote_id = Some(id.to_owned());
        }
    }
    for error in list("errors") {
        let context = |name: &str| {
            error
                .get("context")
                .and_then(|all| all.get(name)?.get(0)?.as_str())
        };
        let value = context("ids").or_else(|| context("id"));
        let Some(place) = place(tasks, by_key, context("objectWriteTraceId"), value) else {
            continue;
        };
        if let (Some(task), Some(known)) = (tasks.get_mut(place), is_known.get_mut(place)) {
            *known = true;
            if by_key && owner(&error).is_some() {
                taken(answer, &error, &mut [task]);
            } else {
                task.end(refused(answer, &error));
            }
        }
    }
    if is_known.iter().all(|known| *known) {
        return Reading::Read;
    }
    if tasks.len() > 1 && !is_known.contains(&true) {
        return Reading::Split;
    }
    for (task, _) in tasks.iter_mut().zip(is_known).filter(|(_, known)| !known) {
        task.end(answer.result_with(Outcome::Retry {
            reason: "HubSpot said nothing about this contact".to_owned(),
            after: None,
        }));
    }
    Reading::Read
}

/// Which task a result is about: by the trace id that we gave it, or by the value that it was found by.
fn place(
    tasks: &[&mut Task<'_, HubSpot>],
    by_key: bool,
    trace: Option<&str>,
    value: Option<&str>,
) -> Option<usize> {
    let by_trace = trace
        .and_then(|trace| trace.parse::<usize>().ok())
        .filter(|at| *at < tasks.len());
    by_trace.or_else(|| {
        let value = value?;
        tasks.iter().position(|task| match &task.memo.key {
            Some(key) if by_key => key == value,
            _ => task.memo.email.eq_ignore_ascii_case(value),
        })
    })
}

/// The id of the contact that has the address already. HubSpot says it in two ways: a conflict with "Existing ID: 70211",
/// or an invalid value with "70211 already has that value".
fn owner(error: &Value) -> Option<String> {
    let message = error.get("message").and_then(Value::as_str)?;
    let after = message.split_once("Existing ID: ").map(|(_, rest)| rest);
    let before = || {
        let (start, _) = message.split_once(" already has that value")?;
        start.rsplit(' ').next()
    };
    let digits: String = after
        .or_else(before)?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (!digits.is_empty()).then_some(digits)
}

/// Another contact has the address, and not yet our key.
fn taken(answer: &Answer, error: &Value, tasks: &mut [&mut Task<'_, HubSpot>]) {
    for task in tasks {
        if let Some(id) = owner(error) {
            task.memo.id = Some(id.clone());
            task.remote_id = Some(id);
            task.then(Step::ReadOwner);
        } else {
            task.end(refused(answer, error));
        }
    }
}

/// One contact is refused for good, or the configuration is wrong. The reason names codes and properties, never values.
fn refused(answer: &Answer, error: &Value) -> AttemptResult {
    let mut parts = Vec::new();
    let mut is_configuration = false;
    if let Some(category) = error.get("category").and_then(Value::as_str) {
        parts.push(category.to_owned());
    }
    for detail in error
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let code = detail.get("code").and_then(Value::as_str).unwrap_or_default();
        is_configuration |= matches!(code, "PROPERTY_DOESNT_EXIST" | "READ_ONLY_VALUE");
        let property = detail.pointer("/context/propertyName/0").and_then(Value::as_str);
        parts.push(
            format!("{code} {}", property.unwrap_or_default())
                .trim()
                .to_owned(),
        );
    }
    parts.retain(|part| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_ -".contains(&byte))
    });
    parts.truncate(5);
    let reason = format!("answered {}: {}", answer.status, parts.join(", "));
    answer.result_with(if is_configuration {
        Outcome::Halt {
            reason: format!("{reason}; correct `fields`, or create the property in HubSpot"),
        }
    } else {
        Outcome::Reject { reason }
    })
}

fn missing_scopes(body: &Value) -> String {
    let scopes = body
        .pointer("/context/requiredGranularScopes")
        .and_then(Value::as_array);
    let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
    if scopes.is_empty() {
        "answered 403: the token lacks a scope".to_owned()
    } else {
        format!("answered 403: the token lacks a scope: {}", scopes.join(", "))
    }
}

/// How long HubSpot takes nothing, by the limit that was reached.
fn busy(answer: &Answer, body: &Value, now: Timestamp) -> Outcome {
    let policy = body.get("policyName").and_then(Value::as_str).unwrap_or_default();
    let asked = crate::http::retry_after(&answer.headers, now).ok().flatten();
    let (what, wait) = match policy {
        "DAILY" => (
            "the account's calls of this day are used up",
            Some(Duration::from_hours(1)),
        ),
        "SECONDLY" => ("too many calls in a second", Some(Duration::from_secs(1))),
        "TEN_SECONDLY_ROLLING" => ("too many calls in ten seconds", Some(Duration::from_secs(10))),
        _ => ("too many calls", None),
    };
    Outcome::Busy {
        reason: format!("answered 429: {what}"),
        after: asked.or(wait),
    }
}

/// The rest until HubSpot takes calls again, if this call was the last one.
fn rest(answer: &Answer) -> Option<Duration> {
    let number = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let header = |name: &str| number(&answer.headers, &format!("x-hubspot-ratelimit-{name}"));
    if header("daily-remaining") == Some(0) {
        return Some(Duration::from_hours(1));
    }
    let period = header("interval-milliseconds").unwrap_or(10_000);
    (header("remaining") == Some(0)).then(|| Duration::from_millis(period))
}

/// The response that HubSpot documents for success.
pub(super) fn expected(hubspot: &HubSpot, step: &Step, tasks: &[&Task<'_, HubSpot>]) -> Answer {
    let (status, body) = match step {
        Step::Upsert { .. } => {
            let one =
                |at: usize| json!({ "id": format!("<id {}>", at + 1), "objectWriteTraceId": at.to_string() });
            let results: Value = (0..tasks.len()).map(one).collect();
            (200, json!({ "status": "COMPLETE", "results": results }))
        }
        Step::ReadStatus => {
            let status =
                json!({ "subscriptionId": hubspot.settings.subscription, "status": "NOT_SPECIFIED" });
            (200, json!({ "results": [status] }))
        }
        Step::SendEvent | Step::Delete => (204, Value::Null),
        _ => (200, json!({})),
    };
    Answer {
        status,
        headers: HeaderMap::new(),
        body: if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        },
        complete: true,
    }
}
