//! What Engaging Networks' responses mean when they are successes. A page's response with status 200 may be an error.

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    EngagingNetworks, For, Step, action,
    config::{OnRemove, OnSuppress},
    consent, refusal,
    supporter::{Supporter, number},
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

pub(super) type Of<'d> = Task<'d, EngagingNetworks>;

pub(super) fn read(
    networks: &EngagingNetworks,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
    now: Timestamp,
) -> Reading {
    let body = answer.json().filter(|_| answer.complete);
    let reading = match (answer.status, body) {
        (204, _) => refusal::absent(networks, step, answer, tasks),
        (200..=299, Some(body)) => done(networks, step, answer, &body, tasks),
        (200..=299, None) => unreadable(answer),
        _ => refusal::read(networks, step, answer, tasks, now),
    };
    if matches!(reading, Reading::Read) {
        for task in tasks {
            finish(answer, task);
        }
    }
    reading
}

/// Ends a delivery whose opt-out or person was written, and whose other part is refused.
fn finish(answer: &Answer, task: &mut Of<'_>) {
    if task.steps_left() == 1
        && let Some(reason) = task.memo.refusal.take()
    {
        task.end(answer.result_with(Outcome::Reject { reason }));
    }
}

/// A page of something in front of Engaging Networks confirms nothing.
pub(super) fn unreadable(answer: &Answer) -> Reading {
    Reading::All(retry(answer, "without what was asked for"))
}

pub(super) fn retry(answer: &Answer, what: &str) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    })
}

fn done(
    networks: &EngagingNetworks,
    step: &Step,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    match step {
        Step::ReadPage(page) => return action::read_page(networks, page, answer, body, tasks),
        Step::Suppress => return suppressed(answer, body, tasks),
        _ => {}
    }
    let [task] = tasks else { return Reading::Split };
    let is_proven = match step {
        Step::Find(what) | Step::FindById(what) => found(networks, step, *what, body, task),
        Step::Prove(what) => {
            let is_list = body.as_array().is_some_and(|fields| !fields.is_empty());
            if is_list {
                unknown(networks, *what, task);
            }
            is_list
        }
        Step::OptOut => {
            task.then(Step::Confirm);
            is_same(body, task)
        }
        Step::Confirm => Supporter::read(body, &networks.settings.email_field)
            .is_some_and(|seen| Some(seen.id) == task.memo.id && consent::confirm(networks, &seen, task)),
        Step::Delete => {
            task.remember(Value::Null);
            is_same(body, task)
        }
        Step::FindAction => action::find_action(networks, body, task),
        Step::Act => return action::acted(networks, answer, body, task),
        Step::Write => written(body, task),
        Step::ReadPage(_) | Step::Suppress => false,
    };
    if is_proven {
        Reading::Read
    } else {
        unreadable(answer)
    }
}

/// Whether the response names the supporter that the call was about.
fn is_same(body: &Value, task: &Of<'_>) -> bool {
    body.get("id").and_then(number) == task.memo.id
}

/// A supporter. Returns whether the response shows the one that was asked for.
fn found(networks: &EngagingNetworks, step: &Step, what: For, body: &Value, task: &mut Of<'_>) -> bool {
    let Some(seen) = Supporter::read(body, &networks.settings.email_field) else {
        return false;
    };
    let is_ours = match step {
        Step::FindById(_) => Some(seen.id) == task.memo.memory.supporter,
        _ => seen.has_address(&task.memo.email),
    };
    if !is_ours {
        return false;
    }
    if !seen.has_address(&task.memo.email) {
        task.memo.other_address.clone_from(&seen.address);
        let note = "the supporter has another address at Engaging Networks: found by the remembered id";
        task.notes.push(note.to_owned());
    }
    task.memo.id = Some(seen.id);
    task.memo.is_found = true;
    task.memo.memory.supporter = Some(seen.id);
    task.remote_id = Some(seen.id.to_string());
    match what {
        For::Withdrawal => withdraw(networks, &seen, task),
        For::Data => {
            consent::decide(networks, Some(&seen), task);
            if seen.is_suppressed {
                task.leave_out(|step| *step == Step::Suppress);
            }
            action::leave_out_known(networks, task);
        }
    }
    consent::remember(task);
    true
}

/// The calls that take consent, or the whole supporter, away.
fn withdraw(networks: &EngagingNetworks, seen: &Supporter, task: &mut Of<'_>) {
    let settings = &networks.settings;
    let change = task.delivery.record.change;
    let is_removed = change == Change::Remove;
    if is_removed && settings.on_remove == OnRemove::Delete {
        task.then(Step::Delete);
        return;
    }
    let suppresses =
        is_removed || (change == Change::Suppress && settings.on_suppress == OnSuppress::Suppress);
    if suppresses {
        if seen.is_suppressed {
            task.notes
                .push("the supporter is suppressed at Engaging Networks already".to_owned());
        } else {
            task.then(Step::Suppress);
        }
    }
    if is_removed {
        let note = "the supporter stays at Engaging Networks, opted out and suppressed, as `on_remove` says";
        task.notes.push(note.to_owned());
    }
    if change == Change::Suppress && suppresses {
        return;
    }
    let general = std::mem::take(&mut task.memo.questions);
    consent::opt_out(networks, Some(seen), task);
    if task.memo.questions.is_empty() {
        task.notes
            .push("the person is opted out at Engaging Networks already".to_owned());
        task.memo.questions = general;
    } else {
        task.then(Step::OptOut);
    }
}

/// Nobody is there with this address.
pub(super) fn unknown(networks: &EngagingNetworks, what: For, task: &mut Of<'_>) {
    task.memo.is_found = true;
    if what == For::Withdrawal {
        let note = "Engaging Networks has no supporter with this address";
        task.notes.push(note.to_owned());
        return;
    }
    consent::decide(networks, None, task);
    // A new supporter did nothing yet.
    task.leave_out(|step| *step == Step::FindAction);
    action::leave_out_known(networks, task);
}

fn written(body: &Value, task: &mut Of<'_>) -> bool {
    let Some(id) = body.get("id").and_then(number) else {
        return false;
    };
    if task.memo.id.is_some_and(|known| known != id) {
        return false;
    }
    learn_supporter(id, task);
    consent::remember(task);
    confirm_opt_outs(task);
    true
}

pub(super) fn learn_supporter(id: u64, task: &mut Of<'_>) {
    task.memo.id = Some(id);
    task.memo.memory.supporter = Some(id);
    task.remote_id = Some(id.to_string());
}

/// An opt-out that came with data is read again, to know its time.
pub(super) fn confirm_opt_outs(task: &mut Of<'_>) {
    if !task.memo.taken.is_empty() && task.memo.id.is_some() {
        task.then(Step::Confirm);
    }
}

/// The response is the number of supporters that were changed.
fn suppressed(answer: &Answer, body: &Value, tasks: &[&mut Of<'_>]) -> Reading {
    match number(body) {
        Some(changed) if changed >= tasks.len() as u64 => Reading::Read,
        Some(_) if tasks.len() > 1 => Reading::Split,
        _ => unreadable(answer),
    }
}

/// The response that Engaging Networks documents for success: nobody is known yet, except to an opt-out.
pub(super) fn expected(
    networks: &EngagingNetworks,
    step: &Step,
    tasks: &[&Task<'_, EngagingNetworks>],
) -> Answer {
    let memo = tasks.first().map(|task| &task.memo);
    let email = memo.map_or("", |memo| &*memo.email);
    let id = memo
        .and_then(|memo| memo.id.or(memo.memory.supporter))
        .unwrap_or(1);
    let supporter = |answer: &str| {
        let questions = networks.settings.opt_in_names();
        let questions: Vec<Value> = questions
            .map(|name| json!({ "name": name, "response": answer }))
            .collect();
        json!({
            "supporterId": id, "suppressed": false, networks.settings.email_field.as_str(): email,
            "questions": questions,
        })
    };
    let (status, body) = match step {
        Step::Find(For::Data) => (204, Value::Null),
        Step::Find(For::Withdrawal) | Step::FindById(_) => (200, supporter("Y")),
        Step::Confirm => (200, supporter("N")),
        Step::Prove(_) => (200, json!([{ "name": networks.settings.email_field }])),
        Step::OptOut | Step::Delete | Step::Write => (200, json!({ "id": id })),
        Step::Suppress => (200, tasks.len().into()),
        Step::ReadPage(page) => {
            let number = page.parse::<u64>().unwrap_or_default();
            (200, json!({ "id": number, "campaignId": number, "type": "dc" }))
        }
        Step::FindAction => (200, json!([])),
        Step::Act => (200, json!({ "status": "SUCCESS", "id": 1, "supporterId": id })),
    };
    Answer {
        status,
        headers: HeaderMap::new(),
        body: if status == 204 {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        },
        complete: true,
    }
}
