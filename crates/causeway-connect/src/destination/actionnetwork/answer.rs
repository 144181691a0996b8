//! What Action Network's responses mean. An empty object with status 200 is a failure, and a refused key is repeated in
//! the error.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ActionNetwork, Step};
use crate::{
    connector::{Agreed, Reading, Task},
    http::{Answer, retry_after},
};

/// The attempt after which a 500 counts as final: some payloads are answered so each time.
const SERVER_ERRORS: u32 = 5;

pub(super) fn read(
    network: &ActionNetwork,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, ActionNetwork>],
    now: Timestamp,
) -> Reading {
    let all = |outcome: Outcome| Reading::All(result(answer, outcome));
    let retry = |reason: String| Outcome::Retry { reason, after: None };
    let status = answer.status;
    let body = answer.json().filter(|body| answer.complete && body.is_object());
    match (status, body) {
        (200..=299, Some(body)) => {
            if body.as_object().is_some_and(serde_json::Map::is_empty) {
                return all(empty(step));
            }
            if let Step::CreateTag(name) = step {
                network.learn_tag(name);
                return Reading::Read;
            }
            for task in tasks {
                one(step, answer, &body, task);
                // The person before may have brought the tag.
                task.leave_out(|step| matches!(step, Step::CreateTag(name) if network.knows_tag(name)));
            }
            Reading::Read
        }
        (200..=299, None) => all(retry(format!("answered {status} without what was asked for"))),
        (401 | 403, Some(_)) => all(Outcome::Halt {
            reason: format!("answered {status}: Action Network does not accept the API key; check `api_key`"),
        }),
        // A page for people: something in front of the API.
        (403, None) => all(retry("answered 403 with a page: something in between refused the request".to_owned())),
        (429, _) => {
            let asked = retry_after(&answer.headers, now).ok().flatten();
            all(Outcome::Busy {
                reason: "answered 429: too many calls; other programs may use the same key".to_owned(),
                after: asked.or(Some(Duration::from_secs(2))),
            })
        }
        // The person was deleted or merged since they were found. The next attempt finds or creates them.
        (404, _) if matches!(step, Step::Unsubscribe | Step::Blank) => {
            all(retry("the person is not there any more".to_owned()))
        }
        (404, _) if matches!(step, Step::FindAction | Step::Act) => all(Outcome::Reject {
            reason: "answered 404: Action Network has no such page in this group; check `action`. The person is written"
                .to_owned(),
        }),
        (404 | 405 | 410, _) => all(Outcome::Halt {
            reason: format!("answered {status}: check `base_url` and `api_version`"),
        }),
        // It may exist under another spelling. The person gets the tags that exist.
        (400 | 422, _) if matches!(step, Step::CreateTag(_)) => {
            for task in tasks {
                task.notes.push("Action Network refused to create a tag".to_owned());
            }
            Reading::Read
        }
        (500, _) if tasks.iter().any(|task| task.delivery.attempt >= SERVER_ERRORS) => all(Outcome::Reject {
            reason: "answered 500 again and again: Action Network cannot read something in this record".to_owned(),
        }),
        _ => {
            let mut plain = answer.attempt_result(now);
            plain.excerpt = excerpt(answer);
            Reading::All(plain)
        }
    }
}

/// Helpers answer so when they fail, because they can be called without a key.
fn empty(step: &Step) -> Outcome {
    let reason = "answered 200 with an empty object: Action Network took nothing".to_owned();
    match step {
        Step::SignUp | Step::Act => Outcome::Reject {
            reason: format!("{reason}; the address may be invalid"),
        },
        _ => Outcome::Retry { reason, after: None },
    }
}

/// A result without the key that Action Network repeats.
pub(super) fn result(answer: &Answer, outcome: Outcome) -> AttemptResult {
    let mut result = answer.result_with(outcome);
    result.excerpt = excerpt(answer);
    result
}

fn excerpt(answer: &Answer) -> Option<String> {
    const PHRASE: &str = "API Key invalid or not present";
    let text = answer.excerpt()?;
    Some(match text.split_once(PHRASE) {
        Some((before, _)) => format!("{before}{PHRASE} ***"),
        None => text,
    })
}

fn one(step: &Step, answer: &Answer, body: &Value, task: &mut Task<'_, ActionNetwork>) {
    let unreadable = || {
        let reason = format!("answered {} without what was asked for", answer.status);
        result(answer, Outcome::Retry { reason, after: None })
    };
    match step {
        Step::Find => match body.pointer("/_embedded/osdi:people").and_then(Value::as_array) {
            Some(people) => found(answer, people, task),
            None => task.end(unreadable()),
        },
        Step::SignUp => match id(body) {
            Some(id) => {
                task.remote_id = Some(id.clone());
                // A person who is new to the group did nothing in it yet.
                if task.memo.id.replace(id).is_none() {
                    task.leave_out(|step| *step == Step::FindAction);
                }
            }
            None => task.end(unreadable()),
        },
        Step::FindAction => {
            let lists = body.get("_embedded").and_then(Value::as_object);
            match lists.and_then(|lists| lists.values().next()?.as_array()) {
                Some(actions) => {
                    // A filter that is ignored would list others.
                    let is_ours = |action: &Value| {
                        let identifiers = action.get("identifiers").and_then(Value::as_array);
                        identifiers
                            .into_iter()
                            .flatten()
                            .any(|one| *one == *task.memo.identifier)
                    };
                    if actions.iter().any(is_ours) {
                        task.leave_out(|step| *step == Step::Act);
                    }
                }
                None => task.end(unreadable()),
            }
        }
        Step::Act if body.get("identifiers").is_none() => task.end(unreadable()),
        Step::Unsubscribe | Step::Blank if !is_unsubscribed(body, &task.memo.email) => task.end(unreadable()),
        Step::Blank => {
            let id = task.memo.id.as_deref().unwrap_or_default();
            let reason = format!(
                "Action Network's API cannot delete people: their name is emptied and they are unsubscribed; delete the \
                 person {id} there"
            );
            task.end(result(answer, Outcome::Reject { reason }));
        }
        _ => {}
    }
}

/// The id that Action Network gave, wherever it is in the list.
fn id(person: &Value) -> Option<String> {
    let identifiers = person.get("identifiers")?.as_array()?.iter();
    let own = identifiers.filter_map(|one| one.as_str()?.strip_prefix("action_network:"));
    own.map(str::to_owned).next()
}

/// The status of the address.
fn status(person: &Value, email: &str) -> Option<String> {
    let addresses = person.get("email_addresses")?.as_array()?;
    let is_ours = |address: &&Value| {
        let text = address.get("address").and_then(Value::as_str);
        text.is_some_and(|text| text.eq_ignore_ascii_case(email))
    };
    let ours = addresses.iter().find(is_ours).or(addresses.first())?;
    Some(ours.get("status")?.as_str()?.to_owned())
}

fn is_unsubscribed(person: &Value, email: &str) -> bool {
    status(person, email).as_deref() == Some("unsubscribed")
}

/// Decides the status that is written. Only a readable response proves that a person is new.
fn found(answer: &Answer, people: &[Value], task: &mut Task<'_, ActionNetwork>) {
    let record = &task.delivery.record;
    let email = task.memo.email.clone();
    let has_it = |person: &&Value| {
        let addresses = person.get("email_addresses").and_then(Value::as_array);
        addresses.into_iter().flatten().any(|address| {
            let text = address.get("address").and_then(Value::as_str);
            text.is_some_and(|text| text.eq_ignore_ascii_case(&email))
        })
    };
    let state = record.consent_state_for(&record.purpose);
    let since = state
        .since()
        .filter(|_| record.change == Change::Subscribe && state.is_subscribed());
    let Some(person) = people.iter().find(has_it) else {
        if !task.has_step(&Step::SignUp) {
            let reason = "nobody in Action Network has the address".to_owned();
            task.end(result(answer, Outcome::Skip { reason }));
            return;
        }
        // A new person would be subscribed without a status.
        task.memo.status = Some(if since.is_some() {
            "subscribed"
        } else {
            "unsubscribed"
        });
        task.leave_out(|step| *step == Step::Unsubscribe);
        return;
    };
    let now = status(person, &email).unwrap_or_default();
    task.memo.id = id(person);
    task.remote_id.clone_from(&task.memo.id);
    if task.memo.id.is_none() {
        let reason = format!("answered {} without the id of the person", answer.status);
        task.end(result(answer, Outcome::Retry { reason, after: None }));
        return;
    }
    if now == "unsubscribed" && record.change != Change::Suppress {
        task.leave_out(|step| *step == Step::Unsubscribe);
    }
    let Some(since) = since.filter(|_| now != "subscribed") else {
        return;
    };
    // There is no time of the opt-out. It cannot have been later than the last change of the person.
    let modified = person.get("modified_date").and_then(Value::as_str);
    let modified: Option<Timestamp> = modified.and_then(|at| at.parse().ok());
    let is_newer = Agreed::of(task.delivery, since).is_after(modified);
    if now == "unsubscribed" && is_newer {
        task.memo.status = Some("subscribed");
    } else {
        // A bounce or a complaint is not taken back.
        let known = [
            "unsubscribed",
            "bouncing",
            "previous bounce",
            "spam complaint",
            "previous spam complaint",
        ];
        let shown = known.iter().find(|known| **known == now).unwrap_or(&"unknown");
        task.notes.push(format!(
            "the person's status in Action Network is `{shown}`: left so"
        ));
    }
}

/// The response that Action Network documents for success: nobody is known yet, except to an opt-out.
pub(super) fn expected(step: &Step, tasks: &[&Task<'_, ActionNetwork>]) -> Answer {
    let task = tasks.first();
    let email = task.map_or("", |task| &*task.memo.email);
    let person = |status: &str| {
        json!({
            "identifiers": ["action_network:<id>"],
            "email_addresses": [{ "address": email, "status": status }],
        })
    };
    let body = match step {
        Step::Find => {
            let is_known = task.is_some_and(|task| !task.has_step(&Step::SignUp));
            let people = if is_known {
                json!([person("subscribed")])
            } else {
                json!([])
            };
            json!({ "_embedded": { "osdi:people": people } })
        }
        Step::FindAction => json!({ "_embedded": { "osdi:actions": [] } }),
        Step::CreateTag(name) => json!({ "name": name }),
        Step::Unsubscribe | Step::Blank => person("unsubscribed"),
        Step::SignUp | Step::Act => person("subscribed"),
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
