//! Values as VBOUT takes them: texts. One that is not known is left out, so that it clears nothing.

use causeway_core::{contact::LIST_FIELD_IDS, record::Record};
use serde_json::Value;

/// The longest name of a tag.
const LONGEST_TAG: usize = 100;

/// The longest text of an activity.
const LONGEST_ACTIVITY: usize = 500;

/// One text; several values are separated by commas.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        // As a form of PHP has them.
        Value::Bool(is_true) => u8::from(*is_true).to_string(),
        Value::Array(items) => items
            .iter()
            .filter_map(text_of_item)
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn text_of_item(item: &Value) -> Option<String> {
    match item {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The names of tags, each once. VBOUT separates names by commas, so a name has none.
pub(super) fn tags(values: Vec<(String, Value)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, value) in values {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for name in all.iter().filter_map(text) {
            let words: Vec<&str> = name.split([',', ' ']).filter(|word| !word.is_empty()).collect();
            let name = cut(&words.join(" "), LONGEST_TAG).trim_end().to_owned();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The text of an activity, on one line.
pub(super) fn activity(value: &Value) -> Option<String> {
    let text = text(value)?.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = cut(&text, LONGEST_ACTIVITY).to_owned();
    (!text.is_empty()).then_some(text)
}

/// The start of a text, without a part of a letter at its end.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// Whether the message of this record brought the value: the platform has it in this very field.
pub(super) fn is_brought(record: &Record, number: &str, value: &str) -> bool {
    let numbers = format!("{LIST_FIELD_IDS}{}", record.source);
    let numbers = record.contact.fields.get(&numbers);
    let labels = numbers.and_then(|numbers| numbers.value.as_object());
    let mut labels = labels
        .into_iter()
        .flatten()
        .filter(|(_, id)| text(id).as_deref() == Some(number));
    labels.any(|(label, _)| {
        record.contact.fields.get(label).is_some_and(|field| {
            let is_of_now = field.at.as_millisecond() == record.event_at.as_millisecond();
            is_of_now && text(&field.value).as_deref() == Some(value)
        })
    })
}
