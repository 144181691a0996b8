//! The parameters `payload` and `session` of uploads.

use serde_json::Value;

use super::{
    Violation,
    access::hash,
    call::Call,
    errors::GraphError,
    members::{Keys, Uploaded},
};
use causeway_core::clock::Timestamp;

/// Rows in one request.
const MOST_ROWS: usize = 10_000;
/// Samples of invalid entries in one answer.
const MOST_SAMPLES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Hashed,
    Plain,
    Value,
    /// Limited data use: the option itself, and the place.
    Limited,
    Place,
}

/// Name in a schema, the key that it stands for, and what a cell holds.
const COLUMNS: [(&str, &str, Kind); 26] = [
    ("EMAIL", "EMAIL", Kind::Hashed),
    ("EMAIL_SHA256", "EMAIL", Kind::Hashed),
    ("PHONE", "PHONE", Kind::Hashed),
    ("PHONE_SHA256", "PHONE", Kind::Hashed),
    ("GEN", "GEN", Kind::Hashed),
    ("DOBY", "DOBY", Kind::Hashed),
    ("DOBM", "DOBM", Kind::Hashed),
    ("DOBD", "DOBD", Kind::Hashed),
    ("FN", "FN", Kind::Hashed),
    ("LN", "LN", Kind::Hashed),
    ("FI", "FI", Kind::Hashed),
    ("CT", "CT", Kind::Hashed),
    ("ST", "ST", Kind::Hashed),
    ("ZIP", "ZIP", Kind::Hashed),
    ("COUNTRY", "COUNTRY", Kind::Hashed),
    ("MADID", "MADID", Kind::Plain),
    ("MOBILE_ADVERTISER_ID", "MADID", Kind::Plain),
    ("EXTERN_ID", "EXTERN_ID", Kind::Plain),
    ("UID", "UID", Kind::Plain),
    ("APPUID", "APPUID", Kind::Plain),
    ("PAGEUID", "PAGEUID", Kind::Plain),
    ("IGUID", "IGUID", Kind::Plain),
    ("LOOKALIKE_VALUE", "LOOKALIKE_VALUE", Kind::Value),
    (
        "DATA_PROCESSING_OPTIONS",
        "DATA_PROCESSING_OPTIONS",
        Kind::Limited,
    ),
    ("DATA_PROCESSING_OPTIONS_COUNTRY", "", Kind::Place),
    ("DATA_PROCESSING_OPTIONS_STATE", "", Kind::Place),
];

/// A payload that was read.
#[derive(Debug)]
pub(super) struct Payload {
    /// As the audience names it: `FILE_IMPORTED.MULTI_HASHES` for schemas of several keys.
    pub(super) source: String,
    pub(super) schema: Value,
    pub(super) received: u64,
    pub(super) rows: Vec<(Keys, Uploaded)>,
    /// Cells in place of which a hash was expected, at most [`MOST_SAMPLES`] of them.
    pub(super) samples: Vec<String>,
    /// Rows with such a cell.
    pub(super) invalid: u64,
    pub(super) violations: Vec<Violation>,
}

fn mismatch() -> GraphError {
    GraphError::invalid("Data is missing or does not match schema")
}

impl Payload {
    /// `has_value`: whether the audience is one of people with a value.
    pub(super) fn read(call: &Call, has_value: bool, now: Timestamp) -> Result<Self, GraphError> {
        let payload = call.json("payload")?;
        let payload = payload.ok_or_else(|| GraphError::invalid("The parameter payload is required"))?;
        let schema = payload.get("schema").cloned().unwrap_or_default();
        let (names, is_multi) = match &schema {
            Value::String(name) => (vec![name.as_str()], false),
            Value::Array(names) => (names.iter().filter_map(Value::as_str).collect(), true),
            _ => return Err(mismatch()),
        };
        let columns = names
            .iter()
            .map(|name| column(name))
            .collect::<Result<Vec<_>, _>>()?;
        let asks_for_apps = columns.iter().any(|(key, _)| ["UID", "APPUID"].contains(key));
        if asks_for_apps && payload.get("app_ids").is_none() && payload.get("page_ids").is_none() {
            return Err(GraphError::invalid("app_ids is required for this schema"));
        }
        if !has_value && columns.iter().any(|(_, kind)| *kind == Kind::Value) {
            let message = "LOOKALIKE_VALUE is only allowed for value based custom audiences";
            return Err(GraphError::invalid(message));
        }
        let data = payload.get("data").and_then(Value::as_array);
        let data = data
            .filter(|data| !data.is_empty() && !columns.is_empty())
            .ok_or_else(mismatch)?;
        if data.len() > MOST_ROWS {
            return Err(GraphError::new(1, "An unknown error occurred")
                .subcode(99)
                .status(500));
        }
        let mut read = Self {
            source: source(&payload, is_multi),
            schema: schema.clone(),
            received: u64::try_from(data.len()).unwrap_or(u64::MAX),
            rows: Vec::new(),
            samples: Vec::new(),
            invalid: 0,
            violations: Vec::new(),
        };
        for row in data {
            match row {
                Value::Array(cells) => read.row(&columns, cells, now)?,
                only if !is_multi => read.row(&columns, std::slice::from_ref(only), now)?,
                _ => return Err(mismatch()),
            }
        }
        Ok(read)
    }

    fn row(
        &mut self,
        columns: &[(&'static str, Kind)],
        cells: &[Value],
        now: Timestamp,
    ) -> Result<(), GraphError> {
        if columns.len() != cells.len() {
            return Err(mismatch());
        }
        let mut keys = Keys::new();
        let mut uploaded = Uploaded {
            at: now,
            value: None,
            limited: false,
        };
        let mut is_invalid = false;
        for ((key, kind), cell) in columns.iter().zip(cells) {
            let text = match cell {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Array(options) if *kind == Kind::Limited => {
                    uploaded.limited = options.contains(&"LDU".into());
                    continue;
                }
                _ => return Err(mismatch()),
            };
            match kind {
                Kind::Place => {}
                Kind::Limited => return Err(mismatch()),
                Kind::Value => uploaded.value = Some(text),
                _ if text.is_empty() => {}
                Kind::Hashed if !is_hash(&text) => {
                    is_invalid = true;
                    self.violations.push(Violation::Unhashed(key));
                    if self.samples.len() < MOST_SAMPLES {
                        self.samples.push(text);
                    }
                }
                Kind::Hashed | Kind::Plain => {
                    if text == hash("") {
                        self.violations.push(Violation::HashOfNothing(key));
                    }
                    keys.insert(key, text);
                }
            }
        }
        self.invalid += u64::from(is_invalid);
        if !keys.is_empty() {
            self.rows.push((keys, uploaded));
        }
        Ok(())
    }
}

fn column(name: &str) -> Result<(&'static str, Kind), GraphError> {
    let found = COLUMNS.iter().find(|(known, _, _)| *known == name);
    let found = found.map(|(_, key, kind)| (*key, *kind));
    found.ok_or_else(|| GraphError::invalid(format!("Invalid schema key {name}")))
}

/// Where the audience's people come from: as the payload states, or as its schema implies.
fn source(payload: &Value, is_multi: bool) -> String {
    let implied = if is_multi {
        "MULTI_HASHES"
    } else {
        "HASHES_OR_USER_IDS"
    };
    let given = |name: &str, implied: &str| {
        let given = payload.pointer(&format!("/data_source/{name}"));
        given.and_then(Value::as_str).unwrap_or(implied).to_owned()
    };
    format!(
        "{}.{}",
        given("type", "FILE_IMPORTED"),
        given("sub_type", implied)
    )
}

fn is_hash(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_hex)
}

/// The parameter `session`.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) seq: u64,
    pub(super) is_last: bool,
}

impl Session {
    pub(super) fn read(call: &Call) -> Result<Option<Self>, GraphError> {
        let Some(session) = call.json("session")? else {
            return Ok(None);
        };
        let number = |name: &str| {
            let value = session.get(name)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            number.filter(|number| *number > 0 && i64::try_from(*number).is_ok())
        };
        let required = |name: &str| {
            let message = format!("session[{name}] must be a positive integer");
            number(name).ok_or_else(|| GraphError::invalid(message))
        };
        let last = session.get("last_batch_flag");
        let is_last = last.is_some_and(|last| *last == true || *last == "true" || *last == 1);
        Ok(Some(Self {
            id: required("session_id")?,
            seq: required("batch_seq")?,
            is_last,
        }))
    }
}
