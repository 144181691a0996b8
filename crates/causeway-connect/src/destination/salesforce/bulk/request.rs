//! The requests of a job, and its file.

use std::collections::BTreeSet;

use bytes::Bytes;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Map, Value, json};

use super::{JobId, Operation, row_of};
use crate::{
    connector::Task,
    destination::salesforce::{Salesforce, Step, request::get},
    http::HttpRequest,
};

/// Bytes of one file. Salesforce takes 100 MB; the results repeat the rows, and are read into memory.
const MOST_BYTES: usize = 16 << 20;
/// Characters of one field, and of one row.
const MOST_OF_FIELD: usize = 32_000;
const MOST_OF_ROW: usize = 400_000;
/// The cell that sets a field to null. An empty cell leaves the field as it is.
const NULL: &str = "#N/A";

pub fn request(salesforce: &Salesforce, step: Step, tasks: &[&Task<'_, Salesforce>]) -> HttpRequest {
    match step {
        Step::CreateJob(operation) => send(
            get(salesforce, &["jobs", "ingest"]),
            Method::POST,
            &description(salesforce, operation),
        ),
        Step::Load(operation, job) => {
            let mut request = get(salesforce, &["jobs", "ingest", job.as_str(), "batches"]);
            request.method = Method::PUT;
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
            request.body = Bytes::from(file(salesforce, operation, tasks));
            request
        }
        Step::Close(job) => change(salesforce, job, "UploadComplete"),
        Step::Abort(job) => change(salesforce, job, "Aborted"),
        Step::Successes(job) => get(salesforce, &["jobs", "ingest", job.as_str(), "successfulResults"]),
        Step::Failures(job) => get(salesforce, &["jobs", "ingest", job.as_str(), "failedResults"]),
        Step::Before(job) | Step::Look(job) => get(salesforce, &["jobs", "ingest", job.as_str()]),
        _ => get(salesforce, &["jobs", "ingest"]),
    }
}

fn send(request: HttpRequest, method: Method, body: &Value) -> HttpRequest {
    HttpRequest {
        method,
        body: Bytes::from(body.to_string()),
        ..request
    }
}

fn change(salesforce: &Salesforce, job: JobId, state: &str) -> HttpRequest {
    let request = get(salesforce, &["jobs", "ingest", job.as_str()]);
    send(request, Method::PATCH, &json!({ "state": state }))
}

fn description(salesforce: &Salesforce, operation: Operation) -> Value {
    let settings = &salesforce.settings;
    let mut job = json!({
        "object": settings.object.as_str(),
        "operation": operation.as_str(),
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    });
    if let (Operation::Upsert, Some(job)) = (operation, job.as_object_mut()) {
        job.insert("externalIdFieldName".to_owned(), settings.key.as_str().into());
    }
    job
}

/// The column by which the records are found.
fn column(salesforce: &Salesforce, operation: Operation) -> &str {
    match operation {
        Operation::Update => "Id",
        Operation::Upsert => &salesforce.settings.key,
    }
}

/// UTF-8 without a byte order mark, as Salesforce takes it.
fn file(salesforce: &Salesforce, operation: Operation, tasks: &[&Task<'_, Salesforce>]) -> Vec<u8> {
    let names: BTreeSet<&str> = tasks
        .iter()
        .flat_map(|task| task.memo.body.keys().map(String::as_str))
        .collect();
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    let head = std::iter::once(column(salesforce, operation)).chain(names.iter().copied());
    let mut is_written = writer.write_record(head).is_ok();
    for task in tasks {
        let memo = &task.memo;
        let cells = names
            .iter()
            .map(|name| memo.body.get(*name).map_or_else(String::new, cell));
        let row = std::iter::once(row_of(memo).to_owned()).chain(cells);
        is_written &= writer.write_record(row).is_ok();
    }
    // Writing to memory does not fail. An empty file would be refused.
    let file = writer.into_inner().unwrap_or_default();
    if is_written { file } else { Vec::new() }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => NULL.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a file can hold the row as it is meant.
pub fn fits(body: &Map<String, Value>) -> bool {
    let mut all = 0;
    body.values().all(|value| {
        let cell = cell(value);
        let length = cell.chars().count();
        all += length;
        let is_text = value.is_string();
        length <= MOST_OF_FIELD && all <= MOST_OF_ROW && !(is_text && (cell.is_empty() || cell == NULL))
    })
}

/// How many of the tasks one file takes.
pub fn most_in_file(tasks: &[&mut Task<'_, Salesforce>]) -> usize {
    let names: BTreeSet<&str> = tasks
        .iter()
        .flat_map(|task| task.memo.body.keys().map(String::as_str))
        .collect();
    let mut bytes = names.iter().map(|name| name.len() + 1).sum::<usize>();
    let fit = tasks.iter().take_while(|task| {
        // Each sign may be a quote, which is doubled.
        let cells = task.memo.body.values().map(|value| 2 * cell(value).len() + 2);
        bytes += cells.sum::<usize>() + row_of(&task.memo).len() + names.len() + 1;
        bytes <= MOST_BYTES
    });
    fit.count().max(1)
}
