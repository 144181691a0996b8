//! Batches of records: results out of order, and errors of single rows or of the whole batch.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Call, Failure, need_fields, text_of, texts, time},
    record::{Kind, Objects, Show},
};
use crate::fake_api::Reply;

/// Most inputs of a batch, and of one that asks for history.
const MOST: usize = 100;
const MOST_WITH_HISTORY: usize = 50;

/// The errors that a batch reports row by row, if each input has an `objectWriteTraceId` of its own. Any other error
/// rejects the batch, and nothing of it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowErrors {
    None,
    /// Values that are not valid, but not conflicts.
    #[default]
    Invalid,
    All,
}

/// How batches answer.
#[derive(Debug, Clone)]
pub struct Batches {
    pub row_errors: RowErrors,
    /// The status of an answer that holds errors of rows: 207, or 200 as in the specification of 2026-09.
    pub mixed_status: u16,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            row_errors: RowErrors::default(),
            mixed_status: 207,
        }
    }
}

/// A written record, and whether it is new; or nothing, if HubSpot ignores the row.
type Row = Option<(u64, bool)>;

pub(super) fn answer(objects: &mut Objects, batches: &Batches, action: &str, call: &Call<'_>) -> Answer {
    match action {
        "read" => read(objects, batches, call),
        "create" => write(objects, batches, call, (201, "properties"), create_row),
        "update" => write(objects, batches, call, (200, "id"), update_row),
        "upsert" => write(objects, batches, call, (200, "id"), upsert_row),
        "archive" => {
            for input in inputs(&call.json()?, MOST)? {
                if let Ok(id) = text_of(&input["id"])?.parse() {
                    objects.archive(id, call.now);
                }
            }
            Ok(Reply::status(204))
        }
        _ => Err(Failure::not_found()),
    }
}

/// A body without inputs is an empty batch.
pub(super) fn inputs(body: &Value, most: usize) -> Result<&[Value], Failure> {
    need_fields(body, &[])?;
    let inputs = body["inputs"].as_array().map_or(&[][..], Vec::as_slice);
    if inputs.len() > most {
        return Err(Failure::invalid(&format!(
            "The maximum number of inputs supported in a batch is {most}. \
            Please reduce the number of items and try again"
        )));
    }
    Ok(inputs)
}

/// The answer of a batch. Errors of rows make it a mixed one.
pub(super) fn complete(status: u16, results: &[Value], errors: &[Value], now: Timestamp) -> Reply {
    let mut body = json!({
        "status": "COMPLETE", "results": results, "startedAt": time(now), "completedAt": time(now),
    });
    if !errors.is_empty() {
        body["numErrors"] = errors.len().into();
        body["errors"] = errors.into();
    }
    Reply::json(status, &body)
}

fn write(
    objects: &mut Objects,
    batches: &Batches,
    call: &Call<'_>,
    (status, required): (u16, &str),
    row: fn(&mut Objects, &Value, Timestamp) -> Result<Row, Failure>,
) -> Answer {
    let body = call.json()?;
    let inputs = inputs(&body, MOST)?;
    for input in inputs {
        need_fields(input, &[required, "properties"])?;
        need_fields(&input["properties"], &[])?;
    }
    check_duplicates(inputs)?;
    let trace_ids: BTreeSet<&str> = inputs
        .iter()
        .filter_map(|input| input["objectWriteTraceId"].as_str())
        .collect();
    let by_row = trace_ids.len() == inputs.len();
    let (mut results, mut errors, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for input in inputs {
        let trace_id = input["objectWriteTraceId"].as_str();
        match row(objects, input, call.now) {
            Ok(written) => results.extend(written.map(|written| (written, trace_id))),
            Err(failure) if failure.status() == 404 => missing.push((text_of(&input["id"])?, trace_id)),
            Err(failure) if by_row && is_of_row(batches.row_errors, &failure) => {
                errors.push(failure.entry(trace_id));
            }
            Err(failure) => {
                objects.roll_back();
                return Err(failure);
            }
        }
    }
    if !missing.is_empty() {
        errors.push(not_found(objects.kind, &missing));
    }
    let mut results: Vec<Value> = results
        .into_iter()
        .filter_map(|((id, is_new), trace_id)| {
            let mut result = objects.json(objects.records.get(&id)?, &Show::All);
            if call.segments.last().is_some_and(|action| action == "upsert") {
                result["new"] = is_new.into();
            }
            if let Some(trace_id) = trace_id {
                result["objectWriteTraceId"] = trace_id.into();
            }
            Some(result)
        })
        .collect();
    // The order is not that of the inputs.
    results.reverse();
    errors.reverse();
    let status = if errors.is_empty() {
        status
    } else {
        batches.mixed_status
    };
    Ok(complete(status, &results, &errors, call.now))
}

fn is_of_row(row_errors: RowErrors, failure: &Failure) -> bool {
    match row_errors {
        RowErrors::None => false,
        RowErrors::Invalid => failure.status() == 400,
        RowErrors::All => true,
    }
}

/// One error for all records that do not exist.
fn not_found(kind: Kind, missing: &[(String, Option<&str>)]) -> Value {
    let ids: Vec<&String> = missing.iter().map(|(id, _)| id).collect();
    let trace_ids: Vec<&str> = missing.iter().filter_map(|(_, trace_id)| *trace_id).collect();
    let mut context = json!({ "ids": ids });
    if !trace_ids.is_empty() {
        context["objectWriteTraceId"] = json!(trace_ids);
    }
    let message = format!(
        "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
        kind.upper()
    );
    Failure::new(404, "OBJECT_NOT_FOUND", &message)
        .with("context", context)
        .entry(None)
}

fn check_duplicates(inputs: &[Value]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for input in inputs.iter().filter(|input| !input["id"].is_null()) {
        let mut id = text_of(&input["id"])?;
        if input["idProperty"] == "email" {
            id = id.trim().to_lowercase();
        }
        if !seen.insert(id.clone()) {
            twice.insert(id);
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let twice: Vec<&str> = twice.iter().map(String::as_str).collect();
    let message = format!(
        "Duplicate IDs found in batch input: [{}]. IDs must be unique",
        twice.join(", ")
    );
    Err(Failure::invalid(&message).context("ids", &twice))
}

fn create_row(objects: &mut Objects, input: &Value, now: Timestamp) -> Result<Row, Failure> {
    objects
        .create(&input["properties"], now)
        .map(|id| Some((id, true)))
}

fn update_row(objects: &mut Objects, input: &Value, now: Timestamp) -> Result<Row, Failure> {
    let id = text_of(&input["id"])?;
    let found = match input["idProperty"].as_str() {
        // An address is found by a single update and by an upsert, but not here.
        Some("email") => return Err(objects.not_unique("email")),
        Some(property) => objects.find(&id, property)?.map(|record| record.id),
        None => {
            let Ok(number) = id.parse() else {
                // HubSpot ignores an id that is no number, without an error.
                return Ok(None);
            };
            if objects.merged.contains_key(&number) {
                // The same for a record that was merged into another one.
                return Ok(None);
            }
            objects.by_id(number).map(|record| record.id)
        }
    };
    let id = found.ok_or_else(Failure::not_found)?;
    objects.update(id, &input["properties"], now)?;
    Ok(Some((id, false)))
}

fn upsert_row(objects: &mut Objects, input: &Value, now: Timestamp) -> Result<Row, Failure> {
    let id = text_of(&input["id"])?;
    let property = input["idProperty"].as_str().unwrap_or("hs_object_id");
    let found = objects.find(&id, property)?.map(|record| record.id);
    let mut sent = input["properties"].clone();
    if let Some(found) = found {
        let address = id.trim().to_lowercase();
        let is_secondary = objects
            .records
            .get(&found)
            .is_some_and(|record| record.get("email") != address);
        let same = sent["email"].as_str().map(|email| email.trim().to_lowercase()) == Some(address);
        if property == "email"
            && is_secondary
            && same
            && let Some(sent) = sent.as_object_mut()
        {
            // The contact was found by a secondary address. Its primary one stays.
            sent.remove("email");
        }
        objects.update(found, &sent, now)?;
        return Ok(Some((found, false)));
    }
    if sent[property].is_null() {
        sent[property] = id.into();
    }
    objects.create(&sent, now).map(|id| Some((id, true)))
}

fn read(objects: &Objects, batches: &Batches, call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let with_history = body["propertiesWithHistory"]
        .as_array()
        .is_some_and(|names| !names.is_empty());
    let most = if with_history { MOST_WITH_HISTORY } else { MOST };
    let inputs = inputs(&body, most)?;
    let wanted = texts(&body["properties"]);
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    for input in inputs {
        let id = text_of(&input["id"])?;
        let found = match body["idProperty"].as_str() {
            None | Some("hs_object_id") => id.parse().ok().and_then(|id| objects.by_id(id)),
            Some(property) => objects.find(&id, property)?,
        };
        match found {
            Some(record) => results.push(objects.json(record, &Show::Named(&wanted))),
            None => missing.push((id, None)),
        }
    }
    results.reverse();
    if missing.is_empty() {
        return Ok(complete(200, &results, &[], call.now));
    }
    let errors = [not_found(objects.kind, &missing)];
    Ok(complete(batches.mixed_status, &results, &errors, call.now))
}
