//! Converts values to the type of the field.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::Kind;
use crate::{
    dates::{self, Reading},
    decode::sync::history::number,
};

/// Converts to `kind`; `None` if the value does not fit.
pub(super) fn to(kind: Kind, value: &Value, zone: &TimeZone) -> Option<Value> {
    match (kind, value) {
        (Kind::Text, Value::String(text)) => Some(text.trim().into()),
        (Kind::Text, Value::Number(number)) => Some(number.to_string().into()),
        (Kind::Text, Value::Bool(yes)) => Some(yes.to_string().into()),
        (Kind::Number, Value::Number(_)) | (Kind::Boolean, Value::Bool(_)) => Some(value.clone()),
        (Kind::Number, Value::String(text)) => number(text),
        (Kind::Boolean, Value::Number(number)) => match number.as_i64()? {
            0 => Some(false.into()),
            1 => Some(true.into()),
            _ => None,
        },
        (Kind::Boolean, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true.into()),
            "false" | "no" | "off" | "0" => Some(false.into()),
            _ => None,
        },
        (Kind::Date, Value::String(text)) => date(text, zone),
        (Kind::Date, Value::Number(seconds)) => {
            let at = Timestamp::from_second(seconds.as_i64()?).ok()?;
            Some(at.to_string().into())
        }
        _ => None,
    }
}

/// Converts to the type of the known value, so that `7` and `"7"` do not change a field back and forth.
pub(super) fn like(known: Option<&Value>, value: &Value, zone: &TimeZone) -> Option<Value> {
    let kind = match known {
        Some(Value::String(_)) => Some(Kind::Text),
        Some(Value::Number(_)) => Some(Kind::Number),
        Some(Value::Bool(_)) => Some(Kind::Boolean),
        _ => None,
    };
    kind.and_then(|kind| to(kind, value, zone))
        .or_else(|| match value {
            Value::String(text) => Some(text.trim().into()),
            Value::Number(_) | Value::Bool(_) => Some(value.clone()),
            Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
                Some(value.clone())
            }
            _ => None,
        })
}

fn date(text: &str, zone: &TimeZone) -> Option<Value> {
    let Reading::At(at) = dates::read(text, zone) else {
        return None;
    };
    // A date without a time is the same day in every time zone.
    let day = !text.contains(':');
    Some(if day {
        at.to_zoned(zone.clone()).date().to_string().into()
    } else {
        at.to_string().into()
    })
}
