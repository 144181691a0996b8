//! Conversion between form values and JSON.

use serde_json::{Map, Number, Value as Json};

use super::value::{Array, Key, Value};

/// Converts a form value to JSON: lists become arrays, other arrays objects, leaves strings. Bytes that are
/// not UTF-8 become U+FFFD; `not_utf8` counts the affected texts.
pub fn to_json(value: Value, not_utf8: &mut usize) -> Json {
    to_json_with(value, &mut |bytes| string(bytes, not_utf8))
}

/// As [`to_json`], for an array that becomes an object even if it is a list.
pub fn array_to_json(array: Array, not_utf8: &mut usize) -> Map<String, Json> {
    array_to_json_with(array, &mut |bytes| string(bytes, not_utf8))
}

fn to_json_with(value: Value, text: &mut impl FnMut(Vec<u8>) -> String) -> Json {
    match value {
        Value::Text(bytes) => Json::String(text(bytes)),
        Value::Array(array) if array.is_list() => Json::Array(
            array
                .into_entries()
                .map(|(_, value)| to_json_with(value, text))
                .collect(),
        ),
        Value::Array(array) => Json::Object(array_to_json_with(array, text)),
    }
}

/// As [`array_to_json`], for bytes in any charset.
pub(crate) fn array_to_json_with(
    array: Array,
    text: &mut impl FnMut(Vec<u8>) -> String,
) -> Map<String, Json> {
    let mut object = Map::with_capacity(array.len());
    for (key, value) in array.into_entries() {
        let key = match key {
            Key::Int(number) => number.to_string(),
            Key::Text(bytes) => text(bytes.into_vec()),
        };
        object.insert(key, to_json_with(value, text));
    }
    object
}

fn string(bytes: Vec<u8>, not_utf8: &mut usize) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        *not_utf8 += 1;
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}

/// Converts JSON to the form value that `http_build_query` would print: booleans become `1` and `0`, numbers
/// use PHP's notation. `None` for null, which a form cannot express; in a list it leaves a gap.
pub fn from_json(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(yes) => Value::text(if *yes { "1" } else { "0" }),
        Json::Number(number) => Value::text(php_number(number)),
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => {
            let keyed = (0_i64..).zip(items);
            let kept = keyed.filter_map(|(n, item)| Some((Key::Int(n), from_json(item)?)));
            Value::Array(kept.collect())
        }
        Json::Object(object) => Value::Array(array_from_json(object)),
    })
}

pub fn array_from_json(object: &Map<String, Json>) -> Array {
    let entries = object.iter();
    entries
        .filter_map(|(key, item)| Some((Key::new(key.as_bytes()), from_json(item)?)))
        .collect()
}

/// Prints a number as PHP does, but with all of its digits: PHP would round to 14.
fn php_number(number: &Number) -> String {
    let written = number.to_string();
    if !written.contains(['.', 'e', 'E']) {
        return written;
    }
    let Some(float) = number.as_f64().filter(|float| float.is_finite()) else {
        return written;
    };
    // The fewest digits that read back as the same number: `d.ddde-7`.
    let shortest = format!("{float:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return written;
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let widest = if digits.len() <= 14 { 14 } else { 17 };
    if (-4..widest).contains(&exponent) {
        return float.to_string();
    }
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let plus = if exponent > 0 { "+" } else { "" };
    format!("{mantissa}{point}E{plus}{exponent}")
}
