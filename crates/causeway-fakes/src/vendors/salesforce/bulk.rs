//! Bulk API 2.0, ingest: a job takes one CSV file, and later has three files of results.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Salesforce, USER_ID,
    call::{Answer, Call},
    errors::{ApiError, RowError, Wrong},
    record,
    rows::check_key,
    schema::{Object, Type},
    values::several_found,
    write::Options,
};
use crate::fake_api::{Reply, Request};

/// Bytes of a file, before it is written in base 64.
const LARGEST_FILE: usize = 100_000_000;
/// Salesforce processes a file in parts of this many rows, and counts these parts.
const ROWS_PER_BATCH: u64 = 10_000;

/// A job of the kind ingest.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    pub object: String,
    pub operation: String,
    pub key: String,
    /// `Open`, `UploadComplete`, `InProgress`, `JobComplete`, `Failed` or `Aborted`.
    pub state: String,
    pub error: Option<String>,
    ends_lines_with: &'static str,
    data: Option<String>,
    created: Timestamp,
    done_at: Timestamp,
    columns: Vec<String>,
    /// Id, whether it was created, and the row.
    successful: Vec<(String, bool, Vec<String>)>,
    failed: Vec<(RowError, Vec<String>)>,
    unprocessed: Vec<Vec<String>>,
}

impl Job {
    fn json(&self, call: &Call) -> Value {
        let mut body = json!({
            "id": self.id, "object": self.object, "operation": self.operation, "state": self.state,
            "createdById": USER_ID, "createdDate": record::time(self.created),
            "systemModstamp": record::time(self.created), "concurrencyMode": "Parallel", "contentType": "CSV",
            "apiVersion": call.number(), "columnDelimiter": "COMMA", "jobType": "V2Ingest",
            "lineEnding": if self.ends_lines_with == "\n" { "LF" } else { "CRLF" },
            "contentUrl": format!("services/data/{}/jobs/ingest/{}/batches", call.version, self.id),
        });
        if !self.key.is_empty() {
            body["externalIdFieldName"] = self.key.as_str().into();
        }
        if let Some(error) = &self.error {
            body["errorMessage"] = error.as_str().into();
        }
        if matches!(&*self.state, "InProgress" | "JobComplete" | "Failed") {
            body["numberRecordsProcessed"] = (self.successful.len() + self.failed.len()).into();
            body["numberRecordsFailed"] = self.failed.len().into();
            for name in [
                "retries",
                "totalProcessingTime",
                "apiActiveProcessingTime",
                "apexProcessingTime",
            ] {
                body[name] = 0.into();
            }
        }
        body
    }

    /// No row is processed.
    fn leave_all(&mut self) {
        let mut rows = read_csv(self.data.as_deref().unwrap_or_default()).into_iter();
        self.columns = rows.next().unwrap_or_default();
        self.unprocessed = rows.collect();
    }

    fn fail(&mut self, error: &str) {
        "Failed".clone_into(&mut self.state);
        self.error = Some(error.to_owned());
    }

    fn file(&self, name: &str) -> Option<String> {
        if !matches!(&*self.state, "JobComplete" | "Failed" | "Aborted") {
            return None;
        }
        let own = self.columns.clone();
        let with = |first: [&str; 2]| [first.map(str::to_owned).to_vec(), own.clone()].concat();
        let rows: Vec<Vec<String>> = match name {
            "successfulResults" => {
                let rows = self
                    .successful
                    .iter()
                    .map(|(id, created, row)| [vec![id.clone(), created.to_string()], row.clone()].concat());
                [vec![with(["sf__Id", "sf__Created"])], shuffled(rows.collect())].concat()
            }
            "failedResults" => {
                let rows = self
                    .failed
                    .iter()
                    .map(|(error, row)| [vec![String::new(), error.cell()], row.clone()].concat());
                [vec![with(["sf__Id", "sf__Error"])], shuffled(rows.collect())].concat()
            }
            "unprocessedrecords" => [vec![own], shuffled(self.unprocessed.clone())].concat(),
            _ => return None,
        };
        Some(write_csv(&rows))
    }
}

/// The order of rows is not that of the file: every second one from the end, then the others.
fn shuffled<T>(rows: Vec<T>) -> Vec<T> {
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for (at, row) in rows.into_iter().enumerate() {
        if at % 2 == 0 {
            even.push(row);
        } else {
            odd.push(row);
        }
    }
    odd.into_iter().rev().chain(even).collect()
}

impl Salesforce {
    /// `/jobs/ingest/…`
    pub(super) fn bulk(&mut self, path: &[&str], call: &Call, request: &Request) -> Answer {
        match (&*call.method, path) {
            ("POST", []) => self.create_job(call),
            ("GET", []) => {
                let jobs: Vec<Value> = self.jobs.values().map(|job| job.json(call)).collect();
                Ok(Reply::json(200, &json!({ "done": true, "records": jobs })))
            }
            ("PUT", [id, "batches"]) => {
                let is_csv = request
                    .header("content-type")
                    .is_some_and(|content| content.starts_with("text/csv"));
                let job = self.jobs.get_mut(*id).ok_or_else(ApiError::not_found)?;
                if !is_csv {
                    let message = "Unable to process the content type";
                    return Err(ApiError::invalid("INVALIDJOB", message));
                }
                if call.body.len() > LARGEST_FILE {
                    let message = "Maximum size of request reached. Maximum size of request is 150MB";
                    return Err(ApiError::invalid("REQUEST_LIMIT_EXCEEDED", message));
                }
                if job.state != "Open" || job.data.is_some() {
                    let message = "Found multiple contents for job";
                    return Err(ApiError::invalid("INVALIDJOBSTATE", message));
                }
                job.data = Some(call.body.clone());
                Ok(Reply::status(201))
            }
            ("PATCH", [id]) => self.close_job(id, call),
            ("GET", [id]) => {
                let job = self.jobs.get(*id).ok_or_else(ApiError::not_found)?;
                Ok(Reply::json(200, &job.json(call)))
            }
            ("GET", [id, file]) => {
                let job = self.jobs.get(*id).ok_or_else(ApiError::not_found)?;
                let file = job.file(file).ok_or_else(ApiError::not_found)?;
                Ok(Reply::status(200)
                    .header("content-type", "text/csv; charset=UTF-8")
                    .body(file))
            }
            ("DELETE", [id]) => {
                let job = self.jobs.get(*id).ok_or_else(ApiError::not_found)?;
                if matches!(&*job.state, "Open" | "InProgress") {
                    return Err(ApiError::invalid("INVALIDJOBSTATE", "The job is not over"));
                }
                self.jobs.remove(*id);
                Ok(Reply::status(204))
            }
            _ => Err(ApiError::not_found()),
        }
    }

    fn create_job(&mut self, call: &Call) -> Answer {
        let body = Value::Object(call.object()?);
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let invalid = |message: &str| ApiError::invalid("INVALIDJOB", message);
        let object = self
            .object(&text("object"))
            .cloned()
            .ok_or_else(|| invalid("InvalidEntity"))?;
        let (operation, key) = (text("operation"), text("externalIdFieldName"));
        match &*operation {
            "upsert" => check_key(&object, &key)?,
            "insert" | "update" | "delete" => {}
            _ => return Err(invalid("unknown operation")),
        }
        let ends_lines_with = match &*text("lineEnding") {
            "" | "LF" => "\n",
            "CRLF" => "\r\n",
            _ => return Err(invalid("unknown line ending")),
        };
        if self.limits.bulk_used >= self.limits.bulk_max {
            let message = "ApiBatchItems Limit exceeded.";
            return Err(ApiError::invalid("EXCEEDEDQUOTA", message));
        }
        self.jobs_created += 1;
        let number = self.jobs_created;
        let now = self.now();
        let job = Job {
            id: record::id("750", number),
            object: object.name,
            operation,
            key,
            state: "Open".to_owned(),
            error: None,
            ends_lines_with,
            data: None,
            created: now,
            done_at: now,
            columns: Vec::new(),
            successful: Vec::new(),
            failed: Vec::new(),
            unprocessed: Vec::new(),
        };
        let reply = Reply::json(200, &job.json(call));
        self.jobs.insert(job.id.clone(), job);
        Ok(reply)
    }

    fn close_job(&mut self, id: &str, call: &Call) -> Answer {
        let body = Value::Object(call.object()?);
        let (now, takes) = (self.now(), self.bulk_takes);
        let job = self.jobs.get_mut(id).ok_or_else(ApiError::not_found)?;
        match (body["state"].as_str(), &*job.state) {
            (Some("UploadComplete"), "Open") if job.data.is_none() => {
                return Err(ApiError::invalid("INVALIDJOBSTATE", "No content was uploaded"));
            }
            (Some("UploadComplete"), "Open") => {
                "UploadComplete".clone_into(&mut job.state);
                job.done_at = now.saturating_add(takes).unwrap_or(Timestamp::MAX);
            }
            (Some("Aborted"), "Open" | "UploadComplete" | "InProgress") => {
                "Aborted".clone_into(&mut job.state);
                job.leave_all();
            }
            _ => {
                let message = "The job cannot change to this state";
                return Err(ApiError::invalid("INVALIDJOBSTATE", message));
            }
        }
        Ok(Reply::json(200, &job.json(call)))
    }

    /// Runs the jobs whose time has come.
    pub(super) fn settle_jobs(&mut self) {
        let now = self.now();
        let running = |job: &&Job| matches!(&*job.state, "UploadComplete" | "InProgress");
        let ids: Vec<String> = self
            .jobs
            .values()
            .filter(running)
            .map(|job| job.id.clone())
            .collect();
        for id in ids {
            let Some(mut job) = self.jobs.get(&id).cloned() else {
                continue;
            };
            if now >= job.done_at {
                self.run_job(&mut job);
            } else {
                "InProgress".clone_into(&mut job.state);
            }
            self.jobs.insert(id, job);
        }
    }

    fn run_job(&mut self, job: &mut Job) {
        let data = job.data.clone().unwrap_or_default();
        job.leave_all();
        if !ends_lines_with(&data, job.ends_lines_with) {
            let expected = if job.ends_lines_with == "\n" { "LF" } else { "CRLF" };
            return job.fail(&format!(
                "InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is {expected}"
            ));
        }
        // The mark belongs to the name of the first column.
        if data.starts_with('\u{feff}') {
            let name = job.columns.first().cloned().unwrap_or_default();
            return job.fail(&format!("InvalidBatch : Field name not found : \u{feff}{name}"));
        }
        let rows = std::mem::take(&mut job.unprocessed);
        self.limits.bulk_used += u64::try_from(rows.len())
            .unwrap_or_default()
            .div_ceil(ROWS_PER_BATCH)
            .max(1);
        let Some(object) = self.object(&job.object).cloned() else {
            return job.fail("InvalidEntity");
        };
        if let Some(unknown) = job.columns.iter().find(|name| !is_column(&object, name)) {
            let error = format!("InvalidBatch : Field name not found : {unknown}");
            job.unprocessed = rows;
            return job.fail(&error);
        }
        let key_at = job.columns.iter().position(|name| *name == job.key);
        let key_of = |row: &[String]| key_at.and_then(|at| row.get(at)).map(|key| key.to_lowercase());
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for key in rows.iter().filter_map(|row| key_of(row)) {
            *times.entry(key).or_default() += 1;
        }
        for (at, row) in rows.iter().enumerate() {
            if self.bulk_fails_after.is_some_and(|most| at >= most) {
                job.unprocessed = rows[at..].to_vec();
                return job.fail("InternalServerError : Unable to process the job");
            }
            let twice = key_of(row).is_some_and(|key| times.get(&key) > Some(&1));
            let result = if twice && job.operation == "upsert" {
                Err(RowError::new(
                    "DUPLICATE_VALUE",
                    "Duplicate external id specified",
                ))
            } else {
                self.run_row(&object, job, row)
            };
            match result {
                Ok((id, created)) => job.successful.push((id, created, row.clone())),
                Err(error) => job.failed.push((error, row.clone())),
            }
        }
        "JobComplete".clone_into(&mut job.state);
    }

    fn run_row(&mut self, object: &Object, job: &Job, row: &[String]) -> Result<(String, bool), RowError> {
        let mut sent = Map::new();
        let mut id = String::new();
        for (name, cell) in job.columns.iter().zip(row) {
            if name == "Id" {
                id.clone_from(cell);
            } else if cell == "#N/A" {
                sent.insert(name.clone(), Value::Null);
            } else if let (false, Some((relation, key))) = (cell.is_empty(), name.split_once('.')) {
                sent.insert(relation.to_owned(), json!({ key: cell }));
            } else if !cell.is_empty() {
                // An empty cell leaves the field as it is.
                sent.insert(name.clone(), typed(object, name, cell));
            }
        }
        if job.operation == "delete" {
            return Ok((self.delete(&id)?, false));
        }
        let found = match &*job.operation {
            "upsert" => {
                let key = sent.get(&job.key).and_then(Value::as_str).unwrap_or_default();
                if key.is_empty() {
                    let message = format!("{} not specified", job.key);
                    return Err(RowError::new("MISSING_ARGUMENT", message));
                }
                self.find_by_external(object, &job.key, key)
            }
            "update" => vec![id],
            _ => Vec::new(),
        };
        let values = self.read_values(object, &sent, found.is_empty());
        let values = values.map_err(|wrong| match wrong {
            Wrong::Row(error) => error,
            Wrong::Call(error) => RowError::new(&error.code, error.message),
        })?;
        match &*found {
            [] => Ok((self.insert(object, values, Options::default())?, true)),
            [id] => Ok((self.update(object, id, values)?, false)),
            several => Err(several_found(&job.key, several)),
        }
    }
}

fn is_column(object: &Object, name: &str) -> bool {
    let relation = name.split_once('.').map(|(relation, _)| relation);
    object.seen(name).is_some() || relation.is_some_and(|relation| object.by_relationship(relation).is_some())
}

/// The cell as JSON would have it.
fn typed(object: &Object, name: &str, cell: &str) -> Value {
    match object.field(name).map(|field| &field.of) {
        Some(Type::Boolean) => matches!(cell, "true" | "1" | "TRUE").into(),
        Some(Type::Number) => serde_json::from_str(cell).unwrap_or_else(|_| cell.into()),
        _ => cell.into(),
    }
}

/// Whether all lines end in this way. Text in quotes may have others.
fn ends_lines_with(text: &str, end: &str) -> bool {
    let mut is_quoted = false;
    let mut before = 0;
    text.bytes().all(|byte| {
        is_quoted ^= byte == b'"';
        let is_right = byte != b'\n' || is_quoted || (before == b'\r') == (end == "\r\n");
        before = byte;
        is_right
    })
}

fn read_csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let rows = reader.records().filter_map(Result::ok);
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

fn write_csv(rows: &[Vec<String>]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}
