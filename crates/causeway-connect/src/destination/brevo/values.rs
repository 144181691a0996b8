//! Values as Brevo takes them. One that is not known is left out, so that it clears nothing.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The attribute that is a contact's own id. Requests have it in a place of its own.
pub(super) const EXT_ID: &str = "EXT_ID";

/// The attributes, and the contact's own id.
pub(super) fn attributes(values: Vec<(String, Value)>) -> (Map<String, Value>, Option<String>) {
    let mut attributes = Map::new();
    let mut ext_id = None;
    for (name, value) in known(values) {
        let name = name.to_uppercase();
        if name != EXT_ID {
            attributes.insert(name, value);
            continue;
        }
        ext_id = match value {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
    }
    (attributes, ext_id)
}

/// The values that are known. Brevo takes texts, numbers, booleans and lists of texts; others become texts.
pub(super) fn known(values: Vec<(String, Value)>) -> Map<String, Value> {
    let is_known = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let named = values.into_iter().filter(|(_, value)| is_known(value));
    named
        .map(|(name, value)| match value {
            Value::Object(_) => (name, value.to_string().into()),
            Value::Array(items) => {
                let items = items.into_iter().filter(is_known);
                let texts = items.map(|item| match item {
                    Value::String(_) => item,
                    other => other.to_string().into(),
                });
                (name, texts.collect())
            }
            plain => (name, plain),
        })
        .collect()
}

/// The numbers of lists, and whether every value was one.
pub(super) fn numbers(values: Vec<(String, Value)>) -> (BTreeSet<u64>, bool) {
    let mut lists = BTreeSet::new();
    let mut is_whole = true;
    for (_, value) in values {
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for value in all.into_iter().filter(|value| !value.is_null()) {
            let number = match &value {
                Value::String(text) => text.trim().parse().ok(),
                other => other.as_u64(),
            };
            match number {
                Some(number) => {
                    lists.insert(number);
                }
                None => is_whole = value.as_str() == Some("") && is_whole,
            }
        }
    }
    (lists, is_whole)
}

/// Names what is written about a contact, without showing it.
pub(super) fn digest(attributes: &Map<String, Value>, ext_id: Option<&str>) -> String {
    let text = serde_json::json!([attributes, ext_id]).to_string();
    let mut digest = HEXLOWER.encode(&Sha256::digest(text));
    digest.truncate(32);
    digest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(values: &Value) -> Vec<(String, Value)> {
        values.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn values_that_are_not_known_clear_nothing() {
        let values = json!({ "a": null, "b": "", "c": ["x", null, 2], "d": { "e": 1 }, "f": false, "g": 7,
            "Ext_Id": "proca:9f1c" });
        let (attributes, ext_id) = attributes(pairs(&values));
        assert_eq!(
            Value::Object(attributes),
            json!({ "C": ["x", "2"], "D": "{\"e\":1}", "F": false, "G": 7 })
        );
        assert_eq!(ext_id.as_deref(), Some("proca:9f1c"));
    }

    #[test]
    fn lists_are_numbers() {
        let values = json!({ "0": 12, "1": ["31", 12, null], "2": null, "3": "" });
        assert_eq!(numbers(pairs(&values)), (BTreeSet::from([12, 31]), true));
        let values = json!({ "0": "rivers", "1": "", "2": 7 });
        assert_eq!(numbers(pairs(&values)), (BTreeSet::from([7]), false));
    }
}
