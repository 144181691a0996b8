//! Conversion of types, and defaults for missing values.

use super::{
    Environment, Error, ErrorKind, Rest, Value, ValueKind, bounded, engine, json_of, nothing, plain, refuse,
};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("default", default);
    environment.add_filter("coalesce", coalesce);
    environment.add_function("coalesce", coalesce);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("bool", bool);
    environment.add_filter("string", string);
    environment.add_filter("json", json);
    environment.add_filter("abs", engine::abs);
    environment.add_filter("round", engine::round);
}

/// Replaces a missing value or `none`. If the second argument is `true`, it also replaces what is empty, 0 or
/// false.
fn default(value: &Value, given: Rest<Value>) -> Value {
    let also_empty = given.get(1).is_some_and(Value::is_true);
    let is_missing = value.is_undefined() || value.is_none();
    if is_missing || (also_empty && !value.is_true()) {
        return given.first().cloned().unwrap_or_else(|| "".into());
    }
    value.clone()
}

/// The first value that is present and no empty text.
fn coalesce(values: Rest<Value>) -> Value {
    let found = values
        .iter()
        .find(|value| !value.is_undefined() && !value.is_none() && value.as_str() != Some(""));
    found.cloned().unwrap_or_else(nothing)
}

/// The value that was read, or the default, or an error.
fn or_refuse(read: Option<Value>, instead: Option<Value>, what: &str, filter: &str) -> Result<Value, Error> {
    read.or(instead).ok_or_else(|| {
        refuse(
            format!("the value is {what}"),
            Some(format!("`| {filter}(0)` gives 0 instead")),
        )
    })
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn int(value: &Value, given: Rest<Value>) -> Result<Value, Error> {
    let instead = given.first().cloned();
    let read = match value.kind() {
        ValueKind::None => return Ok(instead.unwrap_or_else(nothing)),
        ValueKind::String if is_blank(value) => return Ok(instead.unwrap_or_else(nothing)),
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::Bool => Some(i64::from(value.is_true()).into()),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(whole),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            let number = text.parse::<i64>().ok().map(Value::from);
            number.or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    };
    or_refuse(read, instead, "not a number", "int")
}

/// 2^53. Up to this number, floating-point numbers hold every whole number exactly.
const MOST: f64 = 9_007_199_254_740_992.0;

/// The number without its decimals, if it is not too large.
fn whole(number: f64) -> Option<Value> {
    let number = number.trunc();
    (number.abs() <= MOST).then(|| {
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let number = number as i64;
        number.into()
    })
}

fn float(value: &Value, given: Rest<Value>) -> Result<Value, Error> {
    let instead = given.first().cloned();
    let read = match value.kind() {
        ValueKind::None => return Ok(instead.unwrap_or_else(nothing)),
        ValueKind::String if is_blank(value) => return Ok(instead.unwrap_or_else(nothing)),
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str().unwrap_or_default().trim().parse().ok(),
        _ => None,
    };
    let read = read.filter(|number: &f64| number.is_finite()).map(Value::from);
    or_refuse(read, instead, "not a number", "float")
}

/// Reads `yes`, `true`, `on` and `1` and their opposites. `none` is false.
fn bool(value: &Value, given: Rest<Value>) -> Result<Value, Error> {
    let instead = given.first().cloned();
    let read = match value.kind() {
        ValueKind::None => return Ok(instead.unwrap_or_else(|| false.into())),
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::String => match value.as_str().unwrap_or_default().trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" | "t" => Some(true),
            "false" | "no" | "off" | "0" | "n" | "f" | "" => Some(false),
            _ => None,
        },
        _ => Some(value.is_true()),
    };
    read.map(Value::from).or(instead).ok_or_else(|| {
        refuse(
            "the value is neither yes nor no",
            Some("`| bool(false)` gives false instead".to_owned()),
        )
    })
}

/// The text that a template would write.
fn string(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::String => Ok(value.clone()),
        _ => bounded(plain(value)?),
    }
}

fn json(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let json = json_of(value).map_err(|error| refuse(error.what, error.hint))?;
    bounded(json.to_string())
}
