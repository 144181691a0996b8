//! Compares requests with expectations by value, not by notation.

use causeway_core::decode::events::sorted;
use serde_json::{Map, Number, Value};

use super::body::Body;

/// Converts an expected body to the type of the actual body: text with JSON becomes JSON, and for a form numbers become
/// texts.
pub fn expectation(expected: &Value, actual: &Body) -> Value {
    match (actual, expected) {
        (Body::Json(_), Value::String(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| expected.clone())
        }
        (Body::Form(_), expected) => texts(expected),
        _ => expected.clone(),
    }
}

fn texts(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), texts(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Whether two values are equal. The order of members does not count, and 1 equals 1.0.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    let is_whole = |number: &Number| !number.to_string().contains(['.', 'e', 'E']);
    // Ids have more digits than a float can hold, so whole numbers are compared exactly.
    a == b || (!(is_whole(a) && is_whole(b)) && a.as_f64() == b.as_f64())
}

/// Whether `actual` contains `expected`. Items of a list may be anywhere in the other list.
pub fn covers(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected
            .iter()
            .all(|(name, value)| actual.get(name).is_some_and(|actual| covers(value, actual))),
        (Value::Array(expected), Value::Array(actual)) => expected
            .iter()
            .all(|value| actual.iter().any(|actual| covers(value, actual))),
        _ => same(expected, actual),
    }
}

/// The parts of `actual` that `expected` names, so that a difference shows only these.
pub fn asked_for(expected: &Value, actual: &Value) -> Value {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), asked_for(value, actual.get(name)?))))
            .collect::<Map<_, _>>()
            .into(),
        _ => actual.clone(),
    }
}

/// The value at a dotted path.
pub fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// The value as text for a comparison by lines, with members sorted by name.
pub fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => serde_json::to_string_pretty(&sorted(value)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_of_members_does_not_count_and_everything_else_does() {
        for (a, b, is_same) in [
            (
                json!({ "a": 1, "b": [1, 2] }),
                json!({ "b": [1, 2], "a": 1 }),
                true,
            ),
            (json!({ "a": [1, 2] }), json!({ "a": [2, 1] }), false),
            (json!({ "a": 1 }), json!({ "a": 1, "b": null }), false),
            (json!(1), json!(1.0), true),
            (json!("1"), json!(1), false),
            (json!(null), json!(false), false),
        ] {
            assert_eq!(same(&a, &b), is_same, "{a} {b}");
        }
        let long: (Value, Value) = (
            serde_json::from_str("90071992547409930").unwrap(),
            serde_json::from_str("90071992547409931").unwrap(),
        );
        assert!(!same(&long.0, &long.1));
    }

    #[test]
    fn every_expected_part_must_be_present() {
        let actual = json!({ "a": { "b": 1, "c": 2 }, "l": [{ "x": 1, "y": 2 }, "t"] });
        for (expected, is_covered) in [
            (json!({}), true),
            (json!({ "a": { "b": 1 } }), true),
            (json!({ "a": { "b": 2 } }), false),
            (json!({ "a": { "d": null } }), false),
            (json!({ "l": ["t", { "y": 2 }] }), true),
            (json!({ "l": ["u"] }), false),
        ] {
            assert_eq!(covers(&expected, &actual), is_covered, "{expected}");
        }
        assert_eq!(
            asked_for(&json!({ "a": { "b": 9 }, "z": 1 }), &actual),
            json!({ "a": { "b": 1 } })
        );
    }

    #[test]
    fn a_form_has_texts_only() {
        let body = Body::Form(json!({ "n": "7" }));
        assert!(same(&expectation(&json!({ "n": 7 }), &body), &body.value()));
        let body = Body::Json(json!({ "n": null }));
        assert!(same(
            &expectation(&json!("{ \"n\": null }"), &body),
            &body.value()
        ));
    }
}
