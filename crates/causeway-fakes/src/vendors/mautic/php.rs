//! What PHP and Mautic's helpers do to values on their way.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// An array of PHP as JSON: a list if its keys count from 0 without a gap, else an object.
pub(super) fn array(items: Vec<(u64, Value)>) -> Value {
    let is_list = items.iter().zip(0..).all(|((key, _), at)| *key == at);
    if is_list {
        return items.into_iter().map(|(_, value)| value).collect();
    }
    let members: Map<String, Value> = items
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
    members.into()
}

/// `FILTER_SANITIZE_SPECIAL_CHARS`, which all parameters of the query go through.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::new();
    for sign in text.chars() {
        if matches!(sign, '"' | '\'' | '<' | '>' | '&') || u32::from(sign) < 32 {
            write!(cleaned, "&#{};", u32::from(sign)).unwrap();
        } else {
            cleaned.push(sign);
        }
    }
    cleaned
}

/// `html_entity_decode`, for what `clean` makes.
pub(super) fn decode(text: &str) -> String {
    let mut decoded = text.to_owned();
    for code in (1..32).chain([34, 38, 39, 60, 62]) {
        if let Some(sign) = char::from_u32(code) {
            decoded = decoded.replace(&format!("&#{code};"), &sign.to_string());
        }
    }
    decoded
}

/// `str_getcsv`.
pub(super) fn csv(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    record.map_or_else(Vec::new, |record| record.iter().map(str::to_owned).collect())
}

/// What PHP takes a value for when it casts it to a text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => String::new(),
        Value::Bool(true) => "1".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `(int)`.
pub(super) fn int(value: &Value) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(text) => {
            let text = text.trim();
            let digits = text.trim_start_matches('-');
            let end = digits
                .find(|sign: char| !sign.is_ascii_digit())
                .unwrap_or(digits.len());
            let number: i64 = digits.get(..end).unwrap_or_default().parse().unwrap_or_default();
            if text.starts_with('-') { -number } else { number }
        }
        Value::Bool(true) => 1,
        _ => 0,
    }
}
