//! What Brevo's responses mean. A page of something in front of Brevo confirms nothing, least of all an opt-out.

use causeway_core::clock::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    Brevo, Step,
    consent::{self, Seen},
    events, refusal,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

type Of<'d> = Task<'d, Brevo>;

pub(super) fn read(
    brevo: &Brevo,
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
    now: Timestamp,
) -> Reading {
    for task in tasks.iter_mut() {
        task.rest = task.rest.max(refusal::rest(step, answer));
    }
    if !(200..=299).contains(&answer.status) {
        return refusal::read(step, answer, tasks, now);
    }
    let body = answer.json().filter(Value::is_object).unwrap_or_default();
    let reading = match (step, &mut *tasks) {
        (Step::FindEvents, tasks) => events::found(answer, &body, tasks).then_some(Reading::Read),
        (Step::SendEvents, tasks) => events::sent(answer, &body, tasks),
        (_, [task]) => done(brevo, step, answer, &body, task, now).then_some(Reading::Read),
        _ => Some(Reading::Split),
    };
    reading.unwrap_or_else(|| {
        let reason = format!("answered {} without what was asked for", answer.status);
        Reading::All(answer.result_with(refusal::retry(&reason)))
    })
}

/// Reads a success about one contact. Returns whether the response proves it.
fn done(brevo: &Brevo, step: Step, answer: &Answer, body: &Value, task: &mut Of<'_>, now: Timestamp) -> bool {
    let seen = Seen::of(body).filter(|_| answer.complete);
    let id = body.get("id").and_then(Value::as_u64).filter(|_| answer.complete);
    if let Some(id) = id {
        task.memo.memory.id = Some(id);
        task.remote_id = Some(id.to_string());
    }
    match (step, seen) {
        (Step::Look, Some(seen)) => consent::looked(seen, task),
        (Step::Confirm, Some(seen)) => return consent::confirmed(seen, task),
        (Step::Reread, Some(seen)) => consent::reread(seen, task),
        (Step::ReadContact, Some(seen)) => consent::subscribe_if_newer(brevo, &seen, task),
        (Step::ReadId, Some(_)) => {}
        (Step::Upsert, _) if answer.status == 204 || id.is_some() => {
            task.leave_out(|step| *step == Step::ReadId && id.is_some());
            consent::wrote(now, task);
        }
        (Step::Delete, _) if answer.status == 204 => task.remember(Value::Null),
        (Step::Withdraw, _) => return answer.status == 204,
        _ => return false,
    }
    true
}

/// The response that Brevo documents for success, for a person on the lists or, before an opt-in, a new one.
pub(super) fn expected(brevo: &Brevo, step: Step, tasks: &[&Task<'_, Brevo>]) -> Answer {
    let blocks = tasks.first().is_some_and(|task| task.memo.blocks);
    let contact = |is_out: bool| {
        let lists = if is_out && !blocks {
            json!([])
        } else {
            json!(brevo.settings.lists)
        };
        json!({ "id": 1, "emailBlacklisted": is_out && blocks, "listIds": lists })
    };
    let (status, body) = match step {
        Step::ReadContact => (404, json!({ "code": "document_not_found" })),
        Step::Look | Step::ReadId => (200, contact(false)),
        Step::Confirm | Step::Reread => (200, contact(true)),
        Step::Upsert => (201, json!({ "id": 1 })),
        Step::FindEvents => (200, json!({ "events": [], "count": 0 })),
        Step::Withdraw | Step::SendEvents | Step::Delete => (204, Value::Null),
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
