//! Values as Mautic takes them. One that is not known is left out, so that it clears nothing.

use serde_json::{Map, Value};

/// The longest name of a tag.
const LONGEST_TAG: usize = 191;

pub(super) fn fields(values: Vec<(String, Value)>) -> Map<String, Value> {
    let known = values.into_iter();
    known
        .filter_map(|(name, value)| Some((name, field(value)?)))
        .collect()
}

/// Several choices of one field stand between bars.
fn field(value: Value) -> Option<Value> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text).collect();
            (!items.is_empty()).then(|| items.join("|").into())
        }
        other => text(&other).map(Value::from),
    }
}

/// The names of tags, each once. `-name` takes a tag away.
pub(super) fn tags(values: Vec<(String, Value)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, value) in values {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for name in all.iter().filter_map(text) {
            let name: String = name.trim().chars().take(LONGEST_TAG).collect();
            if !name.trim_start_matches('-').is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The text of a note: HTML, as Mautic takes and shows it. The key at its end lets a repeat recognise it.
pub(super) fn note(values: &[(String, Value)], key: &str) -> String {
    let lines = values
        .iter()
        .filter_map(|(title, value)| Some(format!("{}: {}", escape(title), escape(&plain(value)?))));
    lines.chain([key.to_owned()]).collect::<Vec<_>>().join("<br />")
}

/// The points, if the value is a whole number other than 0. `Err` if it is no such number.
pub(super) fn points(value: &Value) -> Result<Option<i64>, ()> {
    let points = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().map_err(|_| ())?,
        other => other.as_i64().ok_or(())?,
    };
    Ok(Some(points).filter(|points| *points != 0))
}

/// One line of text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text).collect();
            (!items.is_empty()).then(|| items.join(", "))
        }
        other => text(other),
    }
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (!text.trim().is_empty()).then_some(text)
}

fn escape(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace("\r\n", "<br />").replace('\n', "<br />")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(json: Value) -> Vec<(String, Value)> {
        match json {
            Value::Object(members) => members.into_iter().collect(),
            _ => panic!("no object"),
        }
    }

    #[test]
    fn values_become_what_mautic_takes() {
        let given =
            json!({ "a": null, "b": " ", "c": true, "d": 0, "e": ["x", null, 2], "f": { "g": 1 }, "h": [] });
        assert_eq!(
            Value::Object(fields(values(given))),
            json!({ "c": true, "d": 0, "e": "x|2", "f": "{\"g\":1}" })
        );
        let given = json!({ "0": "rivers", "1": [" rivers ", "-old", null], "2": "-", "3": "x".repeat(200) });
        assert_eq!(
            tags(values(given)),
            ["rivers".to_owned(), "-old".to_owned(), "x".repeat(191)]
        );
    }

    #[test]
    fn a_note_is_text_whatever_people_write() {
        let lines = values(json!({ "Comment": "<b>1 & 2\n3", "Topics": ["a", "b"], "Page": null }));
        assert_eq!(
            note(&lines, "cw_1"),
            "Comment: &lt;b&gt;1 &amp; 2<br />3<br />Topics: a, b<br />cw_1"
        );
    }

    #[test]
    fn points_are_whole_numbers() {
        for (value, expected) in [
            (json!(5), Ok(Some(5))),
            (json!("-3"), Ok(Some(-3))),
            (json!(0), Ok(None)),
            (json!(null), Ok(None)),
            (json!(""), Ok(None)),
            (json!(1.5), Err(())),
            (json!("many"), Err(())),
            (json!([1]), Err(())),
        ] {
            assert_eq!(points(&value), expected, "{value}");
        }
    }
}
