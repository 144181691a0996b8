//! What Salesforce's responses mean. A refused call has an array of errors. A refused row of a call that succeeded has
//! them in its result.

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    MOST_KEYS, MOST_ROWS, MOST_SOUGHT, Mark, Salesforce, Step, bulk,
    consent::{Kind, OPTED_OUT},
    error::{DAILY, Refused, exceeded, rest},
    request::campaigns,
    search::{found, found_by_all},
    writes_data,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

pub(super) fn read(
    salesforce: &Salesforce,
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Salesforce>],
    now: Timestamp,
) -> Reading {
    if step.is_of_job() {
        return bulk::read(salesforce, step, answer, tasks, now);
    }
    if (200..300).contains(&answer.status) {
        let body = answer.json().filter(|_| answer.complete).unwrap_or_default();
        let is_search = matches!(step, Step::Find | Step::FindMore);
        let reading = match step {
            Step::Find if tasks.len() > MOST_SOUGHT => {
                return found_by_all(salesforce, answer, &body, tasks, now);
            }
            _ if is_search => found(salesforce, answer, &body, tasks),
            _ => results(salesforce, step, answer, &body, tasks),
        };
        // A rest ends the batch. So it begins when a delivery is done: otherwise none would ever be.
        let mut all = tasks.iter_mut();
        if let Some(done) = all.find(|task| !is_search && task.steps_left() <= 1) {
            done.rest = done.rest.max(rest(salesforce, answer));
        }
        if matches!(reading, Reading::Read) {
            for task in tasks {
                finish(task, answer, now);
            }
        }
        return reading;
    }
    let error = Refused::read(answer);
    let is_page = answer.json().is_none();
    match (answer.status, &*error.code) {
        (403, "REQUEST_LIMIT_EXCEEDED") => Reading::All(answer.result_with(exceeded(&error))),
        (300, _) => Reading::All(answer.result_with(Outcome::Reject {
            reason: "several records have this external id: merge them at Salesforce".to_owned(),
        })),
        (401, _) => halt(
            answer,
            &error,
            "Salesforce does not accept the session; check the app, its user and its policies",
        ),
        // A page for people: something in front of Salesforce refused the call, perhaps for one record in it.
        (400 | 403, _) if is_page && tasks.len() > 1 => Reading::Split,
        (400 | 403, _) if is_page => Reading::All(unreadable(answer)),
        (420, _) => Reading::All(answer.result_with(Outcome::Retry {
            reason: "answered 420: the org is in maintenance".to_owned(),
            after: None,
        })),
        // The person is written. A wrong set-up of campaigns or actions must not hold up opt-outs.
        (400 | 403..=405 | 410, _)
            if matches!(step, Step::AddCampaign | Step::AddMember | Step::AddAction) =>
        {
            spoiled(answer, &error, tasks.len())
        }
        (403, _) => halt(
            answer,
            &error,
            "check the permissions of the user, and that the API is enabled",
        ),
        (404 | 405 | 410, _) => halt(
            answer,
            &error,
            "check `base_url`, `api_version`, `object` and `key`",
        ),
        (400, "INVALID_FIELD" | "INVALID_TYPE" | "UNSUPPORTED_API_VERSION") => halt(
            answer,
            &error,
            "correct the fields, or give the user the right to see them (field-level security)",
        ),
        (400 | 409 | 413 | 414 | 415 | 422 | 431, _) => spoiled(answer, &error, tasks.len()),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// After the last step of a delivery.
pub(super) fn finish(task: &mut Task<'_, Salesforce>, answer: &Answer, now: Timestamp) {
    if task.steps_left() <= 1
        && let Some(left) = task.memo.left.take()
    {
        task.end(left);
    }
    bulk::stay_behind(task, answer, now);
}

pub(super) fn halt(answer: &Answer, error: &Refused, what: &str) -> Reading {
    Reading::All(answer.result_with(Outcome::Halt {
        reason: format!("answered {}{}: {what}", answer.status, error.shown()),
    }))
}

/// One delivery of the call is the reason.
fn spoiled(answer: &Answer, error: &Refused, tasks: usize) -> Reading {
    if tasks > 1 {
        return Reading::Split;
    }
    Reading::All(answer.result_with(Outcome::Reject {
        reason: format!("answered {}{}", answer.status, error.shown()),
    }))
}

pub(super) fn unreadable(answer: &Answer) -> AttemptResult {
    answer.result_with(Outcome::Retry {
        reason: format!("answered {} with something unexpected", answer.status),
        after: None,
    })
}

/// The results of a collection, in the order of its rows.
fn results(
    salesforce: &Salesforce,
    step: Step,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, Salesforce>],
) -> Reading {
    let rows = body.as_array().cloned().unwrap_or_default();
    if let (Step::MarkMany, [task]) = (step, &mut *tasks) {
        return marked(salesforce, answer, &rows, task);
    }
    let at: Vec<usize> = if step == Step::AddCampaign {
        let shared: Vec<&Task<'_, Salesforce>> = tasks.iter().map(|task| &**task).collect();
        let campaigns: Vec<Option<String>> = campaigns(&shared)
            .iter()
            .map(|task| task.memo.campaign.clone())
            .collect();
        let place = |task: &&mut Task<'_, Salesforce>| {
            campaigns
                .iter()
                .position(|campaign| *campaign == task.memo.campaign)
        };
        tasks.iter().filter_map(place).collect()
    } else {
        (0..tasks.len()).collect()
    };
    let most = at.iter().max().map_or(0, |last| last + 1);
    if rows.len() != most || at.len() != tasks.len() {
        return Reading::All(unreadable(answer));
    }
    let of = |task: usize| {
        at.get(task)
            .and_then(|row| rows.get(*row))
            .unwrap_or(&Value::Null)
    };
    // A trigger of the org could not cope with so much at once.
    let is_too_much = |task: usize| Refused::of_row(of(task)).is_some_and(|error| error.is_too_much());
    if tasks.len() > 1 && (0..tasks.len()).any(is_too_much) {
        return Reading::Split;
    }
    for (number, task) in tasks.iter_mut().enumerate() {
        one(salesforce, step, answer, of(number), task);
    }
    Reading::Read
}

/// The results of many marks of one person, in their order.
fn marked(
    salesforce: &Salesforce,
    answer: &Answer,
    rows: &[Value],
    task: &mut Task<'_, Salesforce>,
) -> Reading {
    if rows.len() != task.memo.marks.len().min(MOST_ROWS) {
        return Reading::All(unreadable(answer));
    }
    for row in rows {
        one(salesforce, Step::Mark, answer, row, task);
    }
    if !task.memo.marks.is_empty() {
        task.then(Step::MarkMany);
    }
    Reading::Read
}

/// The result of one row.
fn one(salesforce: &Salesforce, step: Step, answer: &Answer, row: &Value, task: &mut Task<'_, Salesforce>) {
    let id = row.get("id").and_then(Value::as_str);
    let is_done = row.get("success").and_then(Value::as_bool) == Some(true);
    match (is_done, id, Refused::of_row(row)) {
        (true, Some(id), _) => done(step, id, task),
        (false, _, Some(error)) => refused(salesforce, step, answer, &error, task),
        _ => task.end(unreadable(answer)),
    }
}

fn done(step: Step, id: &str, task: &mut Task<'_, Salesforce>) {
    match step {
        Step::Mark => {
            if let Some(mark) = task.memo.marks.pop_front() {
                if mark.opts_out {
                    task.memo.opted_out.push(mark.id);
                }
                keep(task);
            }
        }
        Step::Delete => {
            task.memo.deletes.pop_front();
            keep(task);
        }
        Step::Update | Step::Upsert => {
            task.memo.id = Some(id.to_owned());
            task.remote_id = Some(id.to_owned());
            let is_opted_out = task.memo.body.get(OPTED_OUT) == Some(&Value::Bool(true));
            if task.memo.opts_out && is_opted_out && !task.memo.opted_out.iter().any(|ours| ours == id) {
                task.memo.opted_out.push(id.to_owned());
            }
            keep(task);
        }
        _ => {}
    }
}

/// Remembers which records Causeway itself opted out: a later opt-in may lift these opt-outs, and no others.
pub(super) fn keep(task: &mut Task<'_, Salesforce>) {
    let ids = &mut task.memo.opted_out;
    ids.dedup();
    let older = ids.len().saturating_sub(MOST_KEYS);
    ids.drain(..older);
    let memory = bulk::memory(task);
    task.remember(memory);
}

/// A row was refused.
pub(super) fn refused(
    salesforce: &Salesforce,
    step: Step,
    answer: &Answer,
    error: &Refused,
    task: &mut Task<'_, Salesforce>,
) {
    let shown = error.shown();
    let retry = |reason: String| Outcome::Retry { reason, after: None };
    let is_extra = matches!(step, Step::AddCampaign | Step::AddMember | Step::AddAction);
    let outcome = match (&*error.code, step) {
        // It is there already.
        ("DUPLICATE_VALUE", Step::AddMember) => return,
        ("DUPLICATE_VALUE", Step::AddAction) if error.is_about_key(salesforce) => return,
        ("ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY", Step::Delete) => {
            task.memo.deletes.pop_front();
            return;
        }
        ("INVALID_FIELD", Step::AddMember) if error.is_unknown_campaign() => {
            let may_create = salesforce
                .settings
                .campaigns
                .as_ref()
                .is_some_and(|all| all.create);
            if may_create && !task.memo.campaign_is_made {
                task.memo.campaign_is_made = true;
                task.then(Step::AddMember);
                task.then(Step::AddCampaign);
                return;
            }
            Outcome::Reject {
                reason: "the person is written, but Salesforce has no such campaign: create it, or set \
                         create = true"
                    .to_owned(),
            }
        }
        // Somebody else created it meanwhile, or deleted it: the next attempt reads anew.
        ("DUPLICATE_VALUE", _) if !is_extra && task.delivery.attempt < 3 => {
            retry(format!("the key is taken{shown}"))
        }
        ("ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY", _) if !is_extra => {
            retry(format!("the record is not there any more{shown}"))
        }
        ("STORAGE_LIMIT_EXCEEDED", _) => Outcome::Retry {
            reason: format!("the org's storage is full{shown}"),
            after: Some(DAILY),
        },
        ("DUPLICATES_DETECTED", _) => Outcome::Reject {
            reason: format!(
                "a duplicate rule found a similar record{shown}: merge them at Salesforce, or set allow_duplicates = true"
            ),
        },
        ("INVALID_FIELD_FOR_INSERT_UPDATE", _) if !is_extra => Outcome::Halt {
            reason: format!(
                "the user may not write a field{shown}: correct field-level security at Salesforce"
            ),
        },
        ("DELETE_FAILED", _) => Outcome::Reject {
            reason: format!(
                "other records depend on it{shown}: set on_remove = \"blank\", or delete it there"
            ),
        },
        _ if error.is_passing() || error.is_too_much() => retry(shown.trim_start_matches(": ").to_owned()),
        _ if is_extra => Outcome::Reject {
            reason: format!("the person is written, but not the {}{shown}", extra(step)),
        },
        _ => Outcome::Reject {
            reason: format!("refused{shown}"),
        },
    };
    set_aside(salesforce, step, answer.result_with(outcome), task);
}

/// Ends the delivery, or first does what is left to do: one record that refuses must not keep another from being opted
/// out. A record that cannot be erased is opted out.
fn set_aside(salesforce: &Salesforce, step: Step, result: AttemptResult, task: &mut Task<'_, Salesforce>) {
    match (step, &result.outcome) {
        (Step::Mark, Outcome::Retry { .. }) => {
            task.memo.marks.pop_front();
            task.memo.left = Some(result);
            // The next attempt writes the data.
            task.leave_out(|step| !matches!(step, Step::Mark | Step::MarkMany));
        }
        (Step::Mark | Step::Delete, Outcome::Reject { reason }) => {
            let kept = if step == Step::Delete {
                task.memo.deletes.pop_front()
            } else {
                task.notes.push(format!("a record was not changed: {reason}"));
                let mark = task.memo.marks.pop_front();
                mark.filter(Mark::is_erasure).map(|mark| mark.id)
            };
            task.memo.left.get_or_insert(result);
            if let (Some(id), Kind::OptOut { since }) = (kept, salesforce.kind(&task.delivery.record)) {
                task.memo.marks.push_back(Mark {
                    object: salesforce.settings.object.as_str(),
                    id,
                    values: salesforce.opt_out(since),
                    opts_out: false,
                });
                // Many marks go on until none is left.
                if !task.has_step(&Step::MarkMany) {
                    task.then(Step::Mark);
                }
            }
        }
        _ => task.end(result),
    }
}

fn extra(step: Step) -> &'static str {
    match step {
        Step::AddAction => "action",
        Step::AddCampaign => "campaign",
        _ => "campaign member",
    }
}

/// The response that Salesforce documents for success.
pub(super) fn expected(salesforce: &Salesforce, step: Step, tasks: &[&Task<'_, Salesforce>]) -> Answer {
    if step.is_of_job() {
        return bulk::expected(salesforce, step, tasks);
    }
    let body = if step == Step::Find {
        // A withdrawal is shown with a record that it concerns; other deliveries create one.
        let rows = tasks.iter().enumerate();
        let rows: Vec<Value> = rows
            .filter(|(_, task)| !writes_data(&task.delivery.record))
            .map(|(at, task)| {
                let key = task.memo.keys.first();
                json!({ "Id": format!("<id {}>", at + 1), "Email": task.memo.email, OPTED_OUT: false,
                    salesforce.settings.key.as_str(): key })
            })
            .collect();
        json!({ "totalSize": rows.len(), "done": true, "records": rows })
    } else {
        let number = if step == Step::AddCampaign {
            campaigns(tasks).len()
        } else {
            tasks.len()
        };
        let one = |at: usize| json!({ "id": format!("<id {}>", at + 1), "success": true, "errors": [] });
        (0..number).map(one).collect()
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
