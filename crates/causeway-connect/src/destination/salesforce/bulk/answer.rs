//! What the responses about a job mean.

use causeway_core::clock::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    Ahead, JOB_LIFE, JobId, LEFT_OPEN, LONGEST_WAIT_BEHIND, Phase, Ticket, memory,
    outcome::{failures, looked, successes},
    results,
    start::{closed, created, loaded},
};
use crate::{
    connector::{Reading, Task},
    destination::salesforce::{
        Salesforce, Step,
        answer::halt,
        error::{Refused, exceeded},
    },
    http::Answer,
};

pub(super) type Tasks<'t, 'm, 'd> = &'t mut [&'m mut Task<'d, Salesforce>];

pub fn read(
    salesforce: &Salesforce,
    step: Step,
    answer: &Answer,
    tasks: Tasks<'_, '_, '_>,
    now: Timestamp,
) -> Reading {
    if let Some(refused) = refusal(step, answer, now) {
        return refused;
    }
    match step {
        Step::Before(job) => before(job, answer, tasks, now),
        Step::Abort(_) => aborted(answer, tasks),
        Step::CreateJob(operation) => created(operation, answer, tasks),
        Step::Load(operation, job) => loaded(salesforce, operation, job, answer, tasks, now),
        Step::Close(job) => closed(job, answer, tasks, now),
        Step::Look(job) => looked(job, answer, tasks, now),
        Step::Successes(job) => successes(salesforce, job, answer, tasks),
        _ => failures(salesforce, answer, tasks),
    }
}

pub(super) fn is_2xx(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

/// What is refused has nothing to do with the job.
fn refusal(step: Step, answer: &Answer, now: Timestamp) -> Option<Reading> {
    let error = Refused::read(answer);
    match (answer.status, &*error.code) {
        (403, "REQUEST_LIMIT_EXCEEDED") => Some(Reading::All(answer.result_with(exceeded(&error)))),
        (401, _) => Some(halt(
            answer,
            &error,
            "Salesforce does not accept the session; check the app, its user and its policies",
        )),
        // An opt-out is written, whatever is known of the job.
        _ if matches!(step, Step::Before(_) | Step::Abort(_)) => None,
        (420 | 429 | 500.., _) => Some(Reading::All(answer.attempt_result(now))),
        _ => None,
    }
}

/// The state of the job; `None` if the response does not show it.
pub(super) fn state(answer: &Answer) -> Option<String> {
    let body = answer.json().filter(|_| is_2xx(answer) && answer.complete)?;
    Some(body.get("state")?.as_str()?.to_owned())
}

pub(super) fn is_over(state: &str) -> bool {
    matches!(state, "JobComplete" | "Failed" | "Aborted")
}

/// The job that may write this person after what is written now.
fn before(job: JobId, answer: &Answer, tasks: Tasks<'_, '_, '_>, now: Timestamp) -> Reading {
    let state = state(answer);
    let is_gone = answer.status == 404 && answer.json().is_some();
    for task in tasks.iter_mut() {
        let since = task.memo.ahead.map_or(0, |ahead| ahead.since);
        let age = now.as_second().saturating_sub(since);
        if is_gone || age > JOB_LIFE || state.as_deref().is_some_and(is_over) {
            forget_job(task);
        } else if state.as_deref() == Some("Open") && age > LEFT_OPEN {
            task.then(Step::Abort(job));
        } else if task
            .memo
            .ticket
            .as_ref()
            .is_some_and(|ticket| ticket.phase == Phase::Behind)
        {
            // It was written already.
            pend_behind(task, answer, now);
        }
    }
    Reading::Read
}

fn aborted(answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    if state(answer).as_deref() == Some("Aborted") {
        for task in tasks.iter_mut() {
            forget_job(task);
        }
    }
    Reading::Read
}

/// The job will write nothing any more.
pub(super) fn forget_job(task: &mut Task<'_, Salesforce>) {
    task.memo.ahead = None;
    let memory = memory(task);
    task.remember(memory);
}

/// Ends a delivery that was written while a job with the same person runs: it is written again after the job.
pub fn stay_behind(task: &mut Task<'_, Salesforce>, answer: &Answer, now: Timestamp) {
    if task.steps_left() <= 1 {
        pend_behind(task, answer, now);
    }
}

fn pend_behind(task: &mut Task<'_, Salesforce>, answer: &Answer, now: Timestamp) {
    if let Some(Ahead { job, since }) = task.memo.ahead {
        let ticket = Ticket {
            phase: Phase::Behind,
            since,
            job,
            row: String::new(),
        };
        task.end(answer.result_with(ticket.pending(LONGEST_WAIT_BEHIND, now)));
    }
}

/// The response that Salesforce documents for success.
pub fn expected(salesforce: &Salesforce, step: Step, tasks: &[&Task<'_, Salesforce>]) -> Answer {
    let id = "750000000000000AAA";
    let json = |body: Value| (200, body.to_string());
    let file = |head: &str| {
        let key = &salesforce.settings.key;
        let rows = tasks.iter().enumerate().filter_map(|(at, task)| {
            let ticket = task.memo.ticket.as_ref()?;
            Some(format!(
                "\"<id {}>\",true,\"{}\"\n",
                at + 1,
                ticket.row.replace('"', "\"\"")
            ))
        });
        (200, format!("sf__Id,{head},{key}\n{}", rows.collect::<String>()))
    };
    let (status, body) = match step {
        Step::CreateJob(_) => json(json!({ "id": id, "state": "Open" })),
        Step::Load(..) => (201, String::new()),
        Step::Close(_) => json(json!({ "id": id, "state": "UploadComplete" })),
        Step::Abort(_) => json(json!({ "id": id, "state": "Aborted" })),
        Step::Successes(_) => file(results::SUCCESS),
        Step::Failures(_) => file(results::FAILURE),
        _ => json(json!({ "id": id, "state": "JobComplete" })),
    };
    Answer {
        status,
        headers: HeaderMap::new(),
        body: body.into_bytes(),
        complete: true,
    }
}
