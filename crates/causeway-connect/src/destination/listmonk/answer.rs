//! What listmonk's responses mean. A response that confirms has `data`, and an error has `message`.

use causeway_core::{clock::Timestamp, consent::Change, destination::Outcome};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::{Listmonk, Step, opt_in};
use crate::{
    connector::{Agreed, Reading, Task},
    http::Answer,
};

pub(super) fn read(
    listmonk: &Listmonk,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Listmonk>],
    now: Timestamp,
) -> Reading {
    let all = |outcome: Outcome| Reading::All(answer.result_with(outcome));
    let retry = |reason: String| all(Outcome::Retry { reason, after: None });
    let status = answer.status;
    let body = answer.json().filter(|body| answer.complete && body.is_object());
    let data = body.as_ref().and_then(|body| body.get("data"));
    match (status, body.is_some()) {
        (200..=299, _) => match data {
            Some(data) => done(listmonk, step, answer, data, tasks),
            None => retry(format!("answered {status} without what was asked for")),
        },
        (401 | 403, true) => all(Outcome::Halt {
            reason: format!("answered {status}: {}", refusal(body.as_ref())),
        }),
        // A page for people: something in front of listmonk.
        (403, false) => {
            retry("answered 403 with a page: something in between refused the request".to_owned())
        }
        // Another program created the subscriber since the look-up.
        (409, _) if *step == Step::Write => {
            for task in tasks {
                conflict(listmonk, answer, task);
            }
            Reading::Read
        }
        (400 | 404, true) if is_gone(body.as_ref()) => {
            retry("the subscriber is not there any more".to_owned())
        }
        (404 | 405 | 410, _) => all(Outcome::Halt {
            reason: format!("answered {status}: check `base_url`; listmonk 6 or later is needed"),
        }),
        (400 | 413 | 414 | 422 | 502 | 504, _) if tasks.len() > 1 => Reading::Split,
        _ => Reading::All(answer.attempt_result(now)),
    }
}

fn message(body: Option<&Value>) -> &str {
    let message = body.and_then(|body| body.get("message")?.as_str());
    message.unwrap_or_default()
}

/// Why the API user is refused. Only names of rights are repeated.
fn refusal(body: Option<&Value>) -> String {
    let right = message(body)
        .split_once("permission denied: ")
        .map(|(_, right)| right);
    let is_right = |right: &&str| {
        right
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || b":_".contains(&byte))
    };
    match right.filter(is_right) {
        Some(right) => format!("the API user lacks the right {right}"),
        None => "listmonk does not accept the API user; check `user`, `token` and the user's role".to_owned(),
    }
}

fn is_gone(body: Option<&Value>) -> bool {
    message(body).to_lowercase().contains("subscriber not found")
}

/// Looks once more. If the subscriber is still not found, the API user may not see them.
fn conflict(listmonk: &Listmonk, answer: &Answer, task: &mut Task<'_, Listmonk>) {
    if task.memo.had_conflict {
        let reason = "answered 409: the address is taken by a subscriber that the API user may not see; give it the right \
                      subscribers:get_all"
            .to_owned();
        task.end(answer.result_with(Outcome::Reject { reason }));
        return;
    }
    task.memo.had_conflict = true;
    task.then(Step::Write);
    // It was left out, because there was nobody to take off.
    if let Some(opt_out) = listmonk.opt_out(task.delivery.record.change) {
        task.then(opt_out);
    }
    task.then(Step::Find);
}

fn done(
    listmonk: &Listmonk,
    step: &Step,
    answer: &Answer,
    data: &Value,
    tasks: &mut [&mut Task<'_, Listmonk>],
) -> Reading {
    let unreadable = || {
        let reason = format!("answered {} without what was asked for", answer.status);
        answer.result_with(Outcome::Retry { reason, after: None })
    };
    match step {
        Step::Find => match data.get("results").and_then(Value::as_array) {
            Some(results) => {
                for task in tasks {
                    found(listmonk, answer, results, task);
                }
            }
            None => return Reading::All(unreadable()),
        },
        Step::Write => {
            for task in tasks {
                match data.get("id").and_then(Value::as_u64) {
                    Some(id) => {
                        task.memo.id = Some(id);
                        task.remote_id = Some(id.to_string());
                    }
                    None => task.end(unreadable()),
                }
            }
        }
        _ if *data != true => return Reading::All(unreadable()),
        _ => {}
    }
    Reading::Read
}

/// Decides what is needed for a person. Only a readable response proves that a person is new.
fn found(listmonk: &Listmonk, answer: &Answer, results: &[Value], task: &mut Task<'_, Listmonk>) {
    let is_ours = |one: &&Value| {
        let email = one.get("email").and_then(Value::as_str);
        email.is_some_and(|email| email.eq_ignore_ascii_case(&task.memo.email))
    };
    let subscriber = results.iter().find(is_ours);
    let id = subscriber.and_then(|one| one.get("id")?.as_u64());
    let (Some(subscriber), Some(id)) = (subscriber, id) else {
        if task.has_step(&Step::Write) {
            // A new subscriber is created as they have to be.
            task.leave_out(|step| matches!(step, Step::Leave | Step::Block));
        } else {
            let reason = "no subscriber in listmonk has the address".to_owned();
            task.end(answer.result_with(Outcome::Skip { reason }));
        }
        return;
    };
    task.memo.id = Some(id);
    task.remote_id = Some(id.to_string());
    if !task.has_step(&Step::Write) {
        return;
    }
    let mut news = Map::new();
    let name = subscriber.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() && !task.memo.name.is_empty() {
        news.insert("name".to_owned(), task.memo.name.as_str().into());
    }
    let known = subscriber.get("attribs").and_then(Value::as_object);
    let is_new = |name: &str, value: &Value| known.and_then(|known| known.get(name)) != Some(value);
    let attribs: Map<String, Value> = task
        .memo
        .attribs
        .iter()
        .filter(|(name, value)| is_new(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !attribs.is_empty() {
        news.insert("attribs".to_owned(), attribs.into());
    }
    task.memo.news = news;
    subscribe(listmonk, subscriber, task);
    if task.memo.news.is_empty() {
        task.leave_out(|step| *step == Step::Write);
    }
}

/// Puts the person on the lists, unless they left or were blocked after they agreed.
fn subscribe(listmonk: &Listmonk, subscriber: &Value, task: &mut Task<'_, Listmonk>) {
    let Some(since) = opt_in(task.delivery) else {
        return;
    };
    let time = |value: Option<&Value>| -> Option<Timestamp> { value?.as_str()?.parse().ok() };
    let agreed = Agreed::of(task.delivery, since);
    let is_newer = |than: Option<Timestamp>| agreed.is_after(than);
    match subscriber.get("status").and_then(Value::as_str) {
        Some("enabled") => {}
        // There is no time of the block. It cannot have been later than the last change of the subscriber.
        Some("blocklisted") if is_newer(time(subscriber.get("updated_at"))) => {
            task.memo.news.insert("status".to_owned(), "enabled".into());
        }
        status => {
            let known = ["blocklisted", "disabled"]
                .into_iter()
                .find(|known| status == Some(known));
            task.notes.push(format!(
                "the subscriber is {} in listmonk: left so, and put on no list",
                known.unwrap_or("not enabled")
            ));
            return;
        }
    }
    let lists = subscriber.get("lists").and_then(Value::as_array);
    let mut joins = Vec::new();
    for list in &listmonk.settings.lists {
        let mut own = lists.into_iter().flatten().filter(|one| one["id"] == *list);
        let Some(subscription) = own.next() else {
            joins.push(*list);
            continue;
        };
        match subscription.get("subscription_status").and_then(Value::as_str) {
            Some("confirmed") => {}
            Some("unconfirmed") => joins.push(*list),
            Some("unsubscribed") if is_newer(time(subscription.get("subscription_updated_at"))) => {
                joins.push(*list);
            }
            _ => task.notes.push(format!(
                "the person left list {list} in listmonk: not added again"
            )),
        }
    }
    if !joins.is_empty() {
        task.then(Step::Join(joins));
    }
}

/// The response that listmonk documents for success: nobody is known yet, except to an opt-out.
pub(super) fn expected(step: &Step, tasks: &[&Task<'_, Listmonk>]) -> Answer {
    let data = match step {
        Step::Find => {
            let known = tasks.iter().filter(|task| {
                let is_new = matches!(task.delivery.record.change, Change::Subscribe | Change::None);
                !is_new || !task.has_step(&Step::Write)
            });
            let results: Value = known
                .map(|task| json!({ "id": 1, "email": task.memo.email }))
                .collect();
            json!({ "results": results })
        }
        Step::Write => json!({ "id": 1 }),
        _ => true.into(),
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: json!({ "data": data }).to_string().into_bytes(),
        complete: true,
    }
}
