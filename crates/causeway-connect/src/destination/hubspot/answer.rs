//! What HubSpot's responses mean. Every member of an error may be missing, and 200 and 207 differ in nothing that counts.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{HubSpot, Step, statuses};
use crate::{
    connector::{Agreed, Reading, Task},
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
    let is_together = {
        let shared: Vec<&Task<'_, HubSpot>> = tasks.iter().map(|task| &**task).collect();
        statuses::are_together(hubspot, step, &shared)
    };
    // A page of something in front of HubSpot confirms nothing, least of all an opt-out.
    let is_readable = answer.status == 204 || (answer.complete && body.is_object());
    match answer.status {
        200..=299 if !is_readable => Reading::All(unreadable(answer)),
        200..=299 => match step {
            Step::Upsert { by_key } => upserted(hubspot, *by_key, answer, &body, tasks),
            _ if is_together => statuses::read(hubspot, step, answer, &body, tasks),
            _ => one(hubspot, step, answer, &body, tasks),
        },
        // The person is not there: nothing is to be taken back, and nobody has unsubscribed. Any other 404 may mean that
        // the address of the API is wrong.
        403 if is_together => Reading::All(answer.result_with(statuses::missing())),
        404 if is_about_person(&body) && matches!(step, Step::Unsubscribe | Step::Delete) => Reading::Read,
        404 if is_about_person(&body) && *step == Step::ReadStatus => {
            for task in tasks {
                task.then(Step::Subscribe);
            }
            Reading::Read
        }
        429 => Reading::All(answer.result_with(busy(answer, &body, now))),
        // The contact was merged or deleted meanwhile. The next attempt finds it again by its key.
        404 if matches!(step, Step::ReadOwner | Step::Adopt) => {
            Reading::All(answer.result_with(Outcome::Retry {
                reason: "the contact is not there any more".to_owned(),
                after: None,
            }))
        }
        404 | 405 | 410 => Reading::All(answer.result_with(Outcome::Halt {
            reason: nothing_there(answer.status, step),
        })),
        // The contact is written. An account without lists or events must not hold up opt-outs.
        403 if matches!(step, Step::AddToList(_) | Step::SendEvent) => {
            Reading::All(answer.result_with(Outcome::Reject {
                reason: missing_scopes(&body),
            }))
        }
        400 if matches!(step, Step::AddToList(_)) => Reading::All(answer.result_with(Outcome::Halt {
            reason: nothing_there(answer.status, step),
        })),
        403 => Reading::All(answer.result_with(Outcome::Halt {
            reason: missing_scopes(&body),
        })),
        // The account moves to another data centre.
        477 => Reading::All(answer.result_with(Outcome::Busy {
            reason: "answered 477: the account is being moved".to_owned(),
            after: crate::http::retry_after(&answer.headers, now).ok().flatten(),
        })),
        400 if is_configuration(&body) => Reading::All(refused(answer, &body)),
        // One contact of a batch is the reason, or the batch was too much.
        400 | 409 | 413 | 502 | 504 if tasks.len() > 1 => Reading::Split,
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
                match results_of(body).filter(|_| answer.complete) {
                    Some(statuses) => subscribe_if_new(hubspot, statuses, task),
                    None => task.end(unreadable(answer)),
                }
            }
        }
        Step::Unsubscribe => {
            for task in tasks {
                let results = results_of(body).into_iter().flatten();
                note_opt_out(hubspot, results, task);
            }
        }
        Step::ReadOwner => {
            for task in tasks {
                adopt_if_same(hubspot, answer, body, task);
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

/// Gives the contact our key, if it is this person's and has no other key.
fn adopt_if_same(hubspot: &HubSpot, answer: &Answer, body: &Value, task: &mut Task<'_, HubSpot>) {
    let Some(properties) = body.get("properties").and_then(Value::as_object) else {
        task.end(unreadable(answer));
        return;
    };
    let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = hubspot.settings.key.as_ref().map_or("", |(name, _)| name);
    let owner = text(key);
    let addresses = text("hs_additional_emails").split(';').chain([text("email")]);
    let is_same = addresses
        .map(str::trim)
        .any(|address| address.eq_ignore_ascii_case(&task.memo.email));
    if is_same && (owner.is_empty() || Some(owner) == task.memo.key.as_deref()) {
        task.then(Step::Adopt);
    } else {
        task.end(answer.result_with(Outcome::Reject {
            reason: format!("another contact with another `{key}` has this address; merge them in HubSpot"),
        }));
    }
}

/// Remembers the opt-out by its time, if this call made it.
pub(super) fn note_opt_out<'a>(
    hubspot: &HubSpot,
    results: impl IntoIterator<Item = &'a Value>,
    task: &mut Task<'_, HubSpot>,
) {
    let changed = ["REQUESTED_CHANGE_OCCURRED", "UNSUBSCRIBE_FROM_ALL_OCCURRED"];
    let text = |status: &Value, name: &str| status.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut ours = results.into_iter().filter(|status| is_ours(hubspot, status));
    let ours = ours.find(|status| text(status, "status").as_deref() == Some("UNSUBSCRIBED"));
    let Some(ours) = ours else { return };
    let reason = text(ours, "setStatusSuccessReason").unwrap_or_default();
    let at = text(ours, "timestamp").and_then(|at| at.parse().ok());
    if let Some(at) = at.filter(|_| changed.contains(&&*reason)) {
        task.note_opt_out(at);
    }
}

/// Whether a status is about the subscription type of the destination.
fn is_ours(hubspot: &HubSpot, status: &Value) -> bool {
    let id = status.get("subscriptionId");
    let number = id.and_then(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
    number.is_some() && number == hubspot.settings.subscription
}

/// Subscribes, unless the person unsubscribed at HubSpot after they agreed here. Invariant: only a readable response proves
/// that nobody unsubscribed.
pub(super) fn subscribe_if_new(hubspot: &HubSpot, statuses: &[Value], task: &mut Task<'_, HubSpot>) {
    let ours = statuses.iter().find(|status| is_ours(hubspot, status));
    let text = |name: &str| ours.and_then(|status| status.get(name)?.as_str());
    let unsubscribed: Option<Timestamp> = text("timestamp").and_then(|at| at.parse().ok());
    let agreed = task.memo.since.map(|since| Agreed::of(task.delivery, since));
    let is_newer = agreed.is_some_and(|agreed| agreed.is_after(unsubscribed));
    match (ours, text("status")) {
        (Some(_), Some("SUBSCRIBED")) => {}
        (None, _) | (Some(_), Some("NOT_SPECIFIED")) => task.then(Step::Subscribe),
        (Some(_), Some("UNSUBSCRIBED")) if is_newer => task.then(Step::Subscribe),
        _ => {
            let since = unsubscribed.map_or("an unknown time".to_owned(), |at| at.to_string());
            task.notes.push(format!(
                "the person unsubscribed at HubSpot, since {since}: left unsubscribed there"
            ));
            task.leave_out(|step| matches!(step, Step::AddToList(_)));
        }
    }
}

/// The list of results, if the response is complete.
fn results_of(body: &Value) -> Option<&Vec<Value>> {
    let status = body.get("status").and_then(Value::as_str);
    body.get("results")?
        .as_array()
        .filter(|_| status.is_none_or(|status| status == "COMPLETE"))
}

pub(super) fn unreadable(answer: &Answer) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} without what was asked for", answer.status),
        after: None,
    })
}

/// Whether a 404 is about the person, and not about the address of the API.
fn is_about_person(body: &Value) -> bool {
    body.get("category").and_then(Value::as_str) == Some("OBJECT_NOT_FOUND")
}

fn nothing_there(status: u16, step: &Step) -> String {
    match step {
        Step::AddToList(list) => {
            format!("answered {status}: HubSpot takes nobody into list {list}; it must be a static list")
        }
        _ => format!("answered {status}: check `api_version` and `base_url`"),
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
    for result in results_of(body).into_iter().flatten() {
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
        for place in places(tasks, by_key, &error) {
            if let (Some(task), Some(known)) = (tasks.get_mut(place), is_known.get_mut(place)) {
                *known = true;
                if by_key && owner(&error).is_some() {
                    taken(answer, &error, &mut [task]);
                } else {
                    task.end(refused(answer, &error));
                }
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

/// The tasks that an error of a batch is about.
fn places(tasks: &[&mut Task<'_, HubSpot>], by_key: bool, error: &Value) -> Vec<usize> {
    let texts = |name: &str| {
        let context = error.get("context").and_then(|all| all.get(name)?.as_array());
        let texts = context.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let traces = texts("objectWriteTraceId");
    let traces = traces
        .iter()
        .filter_map(|trace| place(tasks, by_key, Some(trace), None));
    let mut found: Vec<usize> = traces.collect();
    if found.is_empty() {
        let ids = [texts("ids"), texts("id")].concat();
        found.extend(ids.iter().filter_map(|id| place(tasks, by_key, None, Some(id))));
    }
    found
}

/// The id of the contact that has the address already. HubSpot says it in two ways: a conflict with "Existing ID: 70211",
/// or an invalid value with "70211 already has that value".
fn owner(error: &Value) -> Option<String> {
    let message = error.get("message").and_then(Value::as_str)?;
    let after = message.split_once("Existing ID: ").map(|(_, rest)| rest);
    let before = || {
        // Another unique property may belong to somebody else.
        let (start, _) = message
            .split_once(" already has that value")
            .filter(|_| message.contains("propertyName=email,"))?;
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

/// Whether the mapping is wrong, so that every contact would be refused.
fn is_configuration(error: &Value) -> bool {
    let details = error
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut codes = details.filter_map(|detail| detail.get("code")?.as_str());
    codes.any(|code| matches!(code, "PROPERTY_DOESNT_EXIST" | "READ_ONLY_VALUE"))
}

/// One contact is refused for good, or the configuration is wrong. The reason names codes and properties, never values.
fn refused(answer: &Answer, error: &Value) -> AttemptResult {
    let mut parts = Vec::new();
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
        let property = detail.pointer("/context/propertyName/0").and_then(Value::as_str);
        parts.push(
            format!("{code} {}", property.unwrap_or_default())
                .trim()
                .to_owned(),
        );
    }
    let reason = format!("answered {}: {}", answer.status, names(parts));
    answer.result_with(if is_configuration(error) {
        Outcome::Halt {
            reason: format!("{reason}; correct `fields`, or create the property in HubSpot"),
        }
    } else {
        Outcome::Reject { reason }
    })
}

/// A few names of HubSpot's, without anything that may be a value.
fn names(mut all: Vec<String>) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_ -.".contains(&byte);
    all.retain(|name| name.len() <= 100 && name.bytes().all(is_name));
    all.truncate(5);
    all.join(", ")
}

fn missing_scopes(body: &Value) -> String {
    let scopes = body
        .pointer("/context/requiredGranularScopes")
        .and_then(Value::as_array);
    let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
    let scopes = names(scopes.map(str::to_owned).collect());
    match &*scopes {
        "" => "answered 403: the token lacks a scope".to_owned(),
        scopes => format!("answered 403: the token lacks a scope: {scopes}"),
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
        _ if statuses::are_together(hubspot, step, tasks) => (200, statuses::expected(hubspot, tasks)),
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
        Step::ReadOwner => {
            let email = tasks.first().map_or("", |task| &task.memo.email);
            (200, json!({ "properties": { "email": email } }))
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
