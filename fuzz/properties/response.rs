//! What must hold for every answer of a destination, and whatever path into it was configured. The first line is the content
//! type, the second a path, the rest the body.

use std::collections::BTreeMap;

use causeway_core::{
    automation::Lead,
    clock::Timestamp,
    consent::Change,
    contact::{Contact, Field},
    dates::{self, Reading},
    delivery::Kind as Sort,
    id::InboxId,
    path::Path,
    record::Record,
    response::{self, Found, Kind, Row},
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

const KINDS: [Option<Kind>; 5] = [
    None,
    Some(Kind::Text),
    Some(Kind::Number),
    Some(Kind::Date),
    Some(Kind::Boolean),
];

/// Panics when a property is broken.
pub fn hold(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (content_type, path, body) = (line(), line(), line());
    let content_type = std::str::from_utf8(content_type).ok();
    let Ok(Some(answer)) = response::read(content_type, body) else {
        return;
    };
    let path = std::str::from_utf8(path)
        .ok()
        .and_then(|path| Path::parse(path).ok());
    let all = Path::parse(".").expect("the whole answer");
    for path in path.into_iter().chain([all]) {
        assert_ne!(response::find(&path, &answer), Found::Value(Value::Null));
        takes_over(&path, &answer);
    }
}

/// What is written is of the sort that was asked for, and the same answer once more writes nothing: otherwise two systems that
/// answer each other would never come to an end.
fn takes_over(path: &Path, answer: &Value) {
    let (zone, mut notes) = (TimeZone::UTC, Vec::new());
    for known in [
        None,
        Some(json!("7")),
        Some(json!(7)),
        Some(json!(true)),
        Some(json!([1])),
    ] {
        for kind in KINDS {
            let row = Row {
                field: "x".to_owned(),
                path: path.clone(),
                kind,
                if_null: Some("".into()),
            };
            let record = record(known.clone());
            let writes = response::writes(std::slice::from_ref(&row), answer, &record, &zone, &mut notes);
            let Some(value) = writes.get("x") else {
                continue;
            };
            assert!(is_of(kind, value) || *value == json!(""), "{kind:?}: {value}");
            let again = response::writes(
                &[row],
                answer,
                &self::record(Some(value.clone())),
                &zone,
                &mut notes,
            );
            assert!(again.is_empty(), "{kind:?}: {value}, then {again:?}");
        }
    }
    assert!(
        notes
            .iter()
            .all(|note| note == "the value for `x` in the response does not fit"
                || note.starts_with("`x` is not updated: the response has nothing at "))
    );
}

fn is_of(kind: Option<Kind>, value: &Value) -> bool {
    match (kind, value) {
        (None, Value::Array(items)) => items.iter().all(|item| !item.is_array() && !item.is_object()),
        (None, _) => !value.is_object() && !value.is_null(),
        (Some(Kind::Text), _) => value.is_string(),
        (Some(Kind::Number), _) => value.is_number(),
        (Some(Kind::Boolean), _) => value.is_boolean(),
        (Some(Kind::Date), _) => value
            .as_str()
            .is_some_and(|text| matches!(dates::read(text, &TimeZone::UTC), Reading::At(_))),
    }
}

fn record(known: Option<Value>) -> Record {
    let at = Timestamp::UNIX_EPOCH;
    let fields = known.map(|value| ("x".to_owned(), Field::new(value, at)));
    Record {
        workspace: "default".into(),
        source: "proca".into(),
        inbox_id: InboxId(1),
        kind: Sort::Record,
        event: "action".to_owned(),
        event_at: at,
        contact: Contact {
            fields: fields.into_iter().collect(),
            ..Contact::default()
        },
        identities: Vec::new(),
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: Change::None,
        lead: Lead::default(),
        engagements: Vec::new(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}
