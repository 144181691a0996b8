//! Values as CleverReach takes them. One that is not known is left out, because an empty text erases.

use serde_json::{Map, Value};

/// The texts of all values that are known.
pub(super) fn texts(values: Vec<(String, Value)>) -> Map<String, Value> {
    let named = values.into_iter();
    named
        .filter_map(|(name, value)| Some((name, text(&value)?.into())))
        .collect()
}

/// The names of tags, each once. A minus before a name would remove the tag, and a comma ends a name.
pub(super) fn tags(values: Vec<(String, Value)>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, value) in values {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for name in all.iter().filter_map(text) {
            let name = name.replace(',', " ");
            let name = name.trim_start_matches(|sign: char| sign == '-' || sign.is_whitespace());
            let name = name.trim_end().to_owned();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// One text; several values are separated by commas.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let plain = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let items: Vec<String> = items.iter().filter(|item| !item.is_null()).map(plain).collect();
            items.join(", ")
        }
        other => other.to_string(),
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(values: &Value) -> Vec<(String, Value)> {
        values.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn values_become_texts_and_what_is_not_known_is_left_out() {
        let values = json!({ "a": null, "b": "", "c": true, "d": 7, "e": ["x", null, 2], "f": [], "g": "É" });
        let expected = json!({ "c": "true", "d": "7", "e": "x, 2", "g": "É" });
        assert_eq!(Value::Object(texts(pairs(&values))), expected);
    }

    #[test]
    fn no_value_removes_a_tag() {
        let values = json!({ "0": "proca", "1": [" - rivers", "--proca", "a,b", null], "2": null, "3": "-" });
        assert_eq!(tags(pairs(&values)), ["proca", "rivers", "a b"]);
    }
}
