//! A job is created, filled and started.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use serde_json::Value;

use super::{
    Ahead, JobId, LONGEST_WAIT, Operation, Phase, Ticket,
    answer::{Tasks, is_2xx, state},
    memory,
    outcome::all_again,
    request::most_in_file,
    row_of,
};
use crate::{
    connector::Reading,
    destination::salesforce::{
        Salesforce, Step,
        answer::unreadable,
        error::{Refused, rest},
    },
    http::Answer,
};

/// The file is uploaded. The next call closes the job.
const NEXT: Duration = Duration::from_secs(1);

pub(super) fn created(operation: Operation, answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    if !is_2xx(answer) {
        return without_job(operation, answer, tasks);
    }
    let Some(body) = answer.json().filter(|_| answer.complete) else {
        return Reading::All(unreadable(answer));
    };
    let job = body.get("id").and_then(Value::as_str).and_then(JobId::read);
    let Some(job) = job else {
        return without_job(operation, answer, tasks);
    };
    let most = most_in_file(tasks);
    for (at, task) in tasks.iter_mut().enumerate() {
        task.then(if at < most {
            Step::Load(operation, job)
        } else {
            Step::CreateJob(operation)
        });
    }
    Reading::Read
}

/// The org takes no job, or none with this file: collections show which record is the reason.
fn without_job(operation: Operation, answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    let shown = Refused::read(answer).shown();
    for task in tasks.iter_mut() {
        task.notes.push(format!(
            "Salesforce took no job (answered {}{shown}): sent as a collection",
            answer.status
        ));
        task.then(operation.direct());
    }
    Reading::Read
}

pub(super) fn loaded(
    salesforce: &Salesforce,
    operation: Operation,
    job: JobId,
    answer: &Answer,
    tasks: Tasks<'_, '_, '_>,
    now: Timestamp,
) -> Reading {
    if !is_2xx(answer) {
        let reading = without_job(operation, answer, tasks);
        for task in tasks.iter_mut() {
            task.then(Step::Abort(job));
        }
        return reading;
    }
    // A page of a proxy is no confirmation. The job stays open, so it never runs.
    if answer.status != 201 || !answer.body.trim_ascii().is_empty() {
        return Reading::All(unreadable(answer));
    }
    let (since, rows, rest) = (now.as_second(), tasks.len(), rest(salesforce, answer));
    for task in tasks.iter_mut() {
        let ticket = Ticket {
            phase: Phase::Loaded,
            since,
            job,
            row: row_of(&task.memo).to_owned(),
        };
        task.memo.ahead = Some(Ahead { job, since });
        let memory = memory(task);
        task.remember(memory);
        task.notes
            .push(format!("in the bulk job {} of {rows} records", job.as_str()));
        task.rest = task.rest.max(rest);
        task.end(answer.result_with(Outcome::Pending {
            ticket: ticket.text(),
            after: NEXT,
        }));
    }
    Reading::Read
}

pub(super) fn closed(job: JobId, answer: &Answer, tasks: Tasks<'_, '_, '_>, now: Timestamp) -> Reading {
    let is_page = answer.json().is_none();
    match (answer.status, state(answer)) {
        (_, Some(_)) => {
            for task in tasks.iter_mut() {
                let Some(ticket) = task.memo.ticket.as_mut() else {
                    continue;
                };
                (ticket.phase, ticket.since) = (Phase::Closed, now.as_second());
                let pending = ticket.pending(LONGEST_WAIT, now);
                task.end(answer.result_with(pending));
            }
            Reading::Read
        }
        _ if is_2xx(answer) || is_page => Reading::All(unreadable(answer)),
        (404, _) => all_again(tasks, "Salesforce does not have the job any more"),
        // Another call closed it, or somebody aborted it.
        _ => {
            for task in tasks.iter_mut() {
                task.then(Step::Look(job));
            }
            Reading::Read
        }
    }
}
