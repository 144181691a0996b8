//! What a path leads to in a response.

use serde_json::Value;

use crate::path::Path;

/// The result of looking up a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The response does not contain the path.
    Missing,
    /// The value is null or empty.
    Nothing,
    Value(Value),
}

/// Looks up the path. For `[]`, joins the texts and numbers of the list with commas.
pub fn find(path: &Path, answer: &Value) -> Found {
    let values = path.find_all(answer);
    let Some(first) = values.first() else {
        return Found::Missing;
    };
    if !path.is_for_every() || answer.get(path.written()).is_some() {
        return found((*first).clone());
    }
    let texts: Vec<String> = values.into_iter().filter_map(text).collect();
    found(texts.join(",").into())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn found(value: Value) -> Found {
    let nothing = match &value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if nothing {
        Found::Nothing
    } else {
        Found::Value(value)
    }
}
