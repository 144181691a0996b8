//! Subscriptions of many people in one call. Only accounts with Marketing Hub Enterprise have these calls.

use causeway_core::destination::Outcome;
use serde_json::{Value, json};

use super::{
    HubSpot, Step,
    answer::{note_opt_out, subscribe_if_new, unreadable},
    request::{add_channel, change, post},
};
use crate::{
    connector::{Reading, Task},
    http::{Answer, HttpRequest},
};

/// Whether the call is about many people.
pub(super) fn are_together(hubspot: &HubSpot, step: &Step, tasks: &[&Task<'_, HubSpot>]) -> bool {
    let is_status = matches!(step, Step::ReadStatus | Step::Subscribe | Step::Unsubscribe);
    hubspot.settings.batch_statuses && is_status && !tasks.iter().any(|task| task.is_alone())
}

pub(super) fn request(hubspot: &HubSpot, step: &Step, tasks: &[&Task<'_, HubSpot>]) -> HttpRequest {
    let path = |last| {
        [
            "communication-preferences",
            &*hubspot.settings.version,
            "statuses",
            "batch",
            last,
        ]
    };
    let is_for_all = *step == Step::Unsubscribe && hubspot.settings.subscription.is_none();
    let inputs: Value = if *step == Step::ReadStatus || is_for_all {
        tasks.iter().map(|task| Value::from(&*task.memo.email)).collect()
    } else {
        let one = |task: &&Task<'_, HubSpot>| {
            let mut input = change(hubspot, step, task);
            if let Some(members) = input.as_object_mut() {
                members.insert("subscriberIdString".to_owned(), task.memo.email.as_str().into());
            }
            input
        };
        tasks.iter().map(one).collect()
    };
    let last = match step {
        Step::ReadStatus => "read",
        _ if is_for_all => "unsubscribe-all",
        _ => "write",
    };
    let mut request = post(hubspot, &path(last), &json!({ "inputs": inputs }));
    if last != "write" {
        add_channel(&mut request);
    }
    request
}

/// The results come in any order. Who is in none of them is tried again alone, so that an opt-out does not depend on
/// others.
pub(super) fn read(
    hubspot: &HubSpot,
    step: &Step,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, HubSpot>],
) -> Reading {
    let results = body.get("results").and_then(Value::as_array);
    let is_complete = answer.complete && body.get("status").and_then(Value::as_str) == Some("COMPLETE");
    let Some(results) = results.filter(|_| is_complete) else {
        return Reading::All(unreadable(answer));
    };
    for task in tasks {
        let is_own = |result: &&Value| {
            let address = result.get("subscriberIdString").and_then(Value::as_str);
            address.is_some_and(|address| address.eq_ignore_ascii_case(&task.memo.email))
        };
        let own = results.iter().find(is_own);
        let statuses = own.and_then(|own| own.get("statuses")?.as_array());
        match (step, own, statuses) {
            (Step::ReadStatus, Some(_), Some(statuses)) => subscribe_if_new(hubspot, statuses, task),
            (Step::Unsubscribe, Some(own), _) => note_opt_out(hubspot, [own], task),
            (Step::Subscribe, Some(_), _) => {}
            _ => task.again_alone(),
        }
    }
    Reading::Read
}

/// The response that HubSpot documents for success.
pub(super) fn expected(hubspot: &HubSpot, tasks: &[&Task<'_, HubSpot>]) -> Value {
    let status = json!({ "subscriptionId": hubspot.settings.subscription, "status": "NOT_SPECIFIED" });
    let one =
        |task: &&Task<'_, HubSpot>| json!({ "subscriberIdString": task.memo.email, "statuses": [status] });
    json!({ "status": "COMPLETE", "results": tasks.iter().map(one).collect::<Value>() })
}

/// What a 403 means here.
pub(super) fn missing() -> Outcome {
    Outcome::Halt {
        reason: "answered 403: `batch_statuses` needs Marketing Hub Enterprise and the scopes \
                 communication_preferences.statuses.batch.read and .write"
            .to_owned(),
    }
}
