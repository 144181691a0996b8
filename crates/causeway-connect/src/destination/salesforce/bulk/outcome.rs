//! What became of the rows of a job.

use std::collections::HashMap;

use causeway_core::clock::Timestamp;

use super::{
    JOB_LIFE, JobId, LONGEST_WAIT,
    answer::{Tasks, forget_job, is_2xx, is_over, state},
    results,
};
use crate::{
    connector::{Reading, Task},
    destination::salesforce::{
        Salesforce, Step,
        answer::{halt, keep, refused, unreadable},
        error::Refused,
    },
    http::Answer,
};

/// The attempt in which nobody waits any more for results that cannot be read.
const PATIENCE: u32 = 3;

pub(super) fn looked(job: JobId, answer: &Answer, tasks: Tasks<'_, '_, '_>, now: Timestamp) -> Reading {
    let Some(state) = state(answer) else {
        return no_state(answer, tasks);
    };
    for task in tasks.iter_mut() {
        let Some(ticket) = task.memo.ticket.as_ref() else {
            continue;
        };
        let age = now.as_second().saturating_sub(ticket.since);
        match state.as_str() {
            state if is_over(state) => {
                if state != "JobComplete" {
                    task.notes
                        .push(format!("the bulk job {} has the state {state}", job.as_str()));
                }
                task.then(Step::Successes(job));
            }
            "UploadComplete" | "InProgress" if age <= JOB_LIFE => {
                let pending = ticket.pending(LONGEST_WAIT, now);
                task.end(answer.result_with(pending));
            }
            "UploadComplete" | "InProgress" => {
                again(task, &format!("the bulk job {} did not run", job.as_str()));
                task.then(Step::Abort(job));
            }
            // It may still run, so nothing else is written before.
            _ => task.end(unreadable(answer)),
        }
    }
    Reading::Read
}

/// The response of a call that should have shown the state of a job. The job may still run.
fn no_state(answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    let is_page = answer.json().is_none();
    match answer.status {
        403 if !is_page => halt(
            answer,
            &Refused::read(answer),
            "check the permissions of the user, and that the API is enabled",
        ),
        404 if !is_page => all_again(tasks, "Salesforce does not have the bulk job any more"),
        _ => Reading::All(unreadable(answer)),
    }
}

/// The response of a call that should have shown the results of a job that is over.
fn no_result(answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    let is_refused = (400..500).contains(&answer.status) && answer.json().is_some();
    for task in tasks.iter_mut() {
        if is_refused || task.delivery.attempt >= PATIENCE {
            again(task, "the results of the bulk job cannot be read");
        } else {
            task.end(unreadable(&with_body(answer, "")));
        }
    }
    Reading::Read
}

pub(super) fn all_again(tasks: Tasks<'_, '_, '_>, why: &str) -> Reading {
    for task in tasks.iter_mut() {
        again(task, why);
    }
    Reading::Read
}

/// The response without the rows of other people, of which no delivery may keep anything.
fn with_body(answer: &Answer, body: &str) -> Answer {
    Answer {
        status: answer.status,
        headers: answer.headers.clone(),
        body: body.as_bytes().to_vec(),
        complete: answer.complete,
    }
}

/// Sends it anew, without a job and without another attempt. The same write twice changes nothing.
fn again(task: &mut Task<'_, Salesforce>, why: &str) {
    task.void_ticket();
    task.memo.ticket = None;
    task.notes.push(format!("{why}: sent again"));
    forget_job(task);
    task.then(Step::Find);
}

pub(super) fn successes(
    salesforce: &Salesforce,
    job: JobId,
    answer: &Answer,
    tasks: Tasks<'_, '_, '_>,
) -> Reading {
    let rows = rows(salesforce, answer, results::SUCCESS);
    let Some(mut rows) = rows else {
        return no_result(answer, tasks);
    };
    for task in tasks.iter_mut() {
        let memo = &mut task.memo;
        let row = memo
            .ticket
            .as_ref()
            .and_then(|ticket| rows.remove(&ticket.row.to_lowercase()));
        let Some(row) = row.filter(|row| !row.id.is_empty()) else {
            task.then(Step::Failures(job));
            continue;
        };
        if row.opts_out && !memo.opted_out.contains(&row.id) {
            memo.opted_out.push(row.id.clone());
        }
        memo.id = Some(row.id.clone());
        memo.ahead = None;
        task.remote_id = Some(row.id);
        task.void_ticket();
        keep(task);
    }
    Reading::Read
}

pub(super) fn failures(salesforce: &Salesforce, answer: &Answer, tasks: Tasks<'_, '_, '_>) -> Reading {
    let rows = rows(salesforce, answer, results::FAILURE);
    let Some(mut rows) = rows else {
        return no_result(answer, tasks);
    };
    for task in tasks.iter_mut() {
        let ticket = task.memo.ticket.as_ref();
        let row = ticket.and_then(|ticket| rows.remove(&ticket.row.to_lowercase()));
        // What is neither in this file nor among the successes was not processed.
        let Some(row) = row else {
            again(task, "the bulk job did not process it");
            continue;
        };
        let error = Refused::of_cell(&row.error);
        let may_be_saved = error.code == "DUPLICATES_DETECTED" && salesforce.settings.allow_duplicates;
        let is_gone = matches!(&*error.code, "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY");
        if may_be_saved || is_gone || error.is_passing() || error.is_too_much() {
            again(task, &format!("refused in the bulk job{}", error.shown()));
            continue;
        }
        task.void_ticket();
        forget_job(task);
        let own = with_body(answer, &row.error);
        refused(salesforce, Step::Upsert, &own, &error, task);
    }
    Reading::Read
}

fn rows(salesforce: &Salesforce, answer: &Answer, detail: &str) -> Option<HashMap<String, results::Row>> {
    let is_whole = is_2xx(answer) && answer.complete;
    is_whole
        .then(|| results::read(salesforce, &answer.body, detail))
        .flatten()
}
