//! Lists: their members, their length, and joining them to a text.

use std::collections::{BTreeMap, HashSet};

use super::{
    Environment, Error, ErrorKind, Value, ValueKind, change_text, engine, json_of, limit, nothing, plain,
    refuse,
};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("join", join);
    environment.add_filter("first", |value: &Value| end(value, false));
    environment.add_filter("last", |value: &Value| end(value, true));
    environment.add_filter("length", length);
    environment.add_filter("list", engine::list);
    environment.add_filter("items", engine::items);
    environment.add_filter("map", engine::map);
    environment.add_filter("reject", engine::reject);
    environment.add_filter("rejectattr", engine::rejectattr);
    environment.add_filter("reverse", engine::reverse);
    environment.add_filter("select", engine::select);
    environment.add_filter("selectattr", engine::selectattr);
    environment.add_filter("sum", engine::sum);
    environment.add_filter("unique", unique);
    environment.add_filter("object", object);
}

/// Joins the members to one text, without those that are none.
fn join(value: &Value, separator: Option<&str>) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => return Ok(nothing()),
        // A platform may send a single value instead of a list.
        ValueKind::String | ValueKind::Number | ValueKind::Bool => return change_text(value, str::to_owned),
        _ => {}
    }
    let mut out = String::new();
    for item in value.try_iter()? {
        let item = match item.kind() {
            ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
            _ => plain(&item)?,
        };
        if item.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push_str(separator.unwrap_or_default());
        }
        out.push_str(&item);
        if out.len() > limit::TEXT {
            return Err(ErrorKind::WriteFailure.into());
        }
    }
    Ok(out.into())
}

/// The first or last member of a list, or letter of a text; none if it is empty.
fn end(value: &Value, last: bool) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let letter = if last {
                text.chars().last()
            } else {
                text.chars().next()
            };
            Ok(letter.map_or_else(nothing, |letter| letter.to_string().into()))
        }
        ValueKind::None => Ok(nothing()),
        _ => {
            let mut items = value.try_iter()?;
            let item = if last { items.last() } else { items.next() };
            Ok(item.unwrap_or_else(nothing))
        }
    }
}

/// The number of members of a list, or of letters of a text; 0 for none.
fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::None => Ok(0),
        _ => engine::length(value),
    }
}

/// The members without repetitions, in their order. `1` and `"1"` are different.
fn unique(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => return Ok(nothing()),
        // A platform may send a single value instead of a list.
        ValueKind::String | ValueKind::Number | ValueKind::Bool => {
            return Ok(std::iter::once(value.clone()).collect());
        }
        _ => {}
    }
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in value.try_iter()? {
        let json = json_of(&item).map_err(|error| refuse(error.what, error.hint))?;
        if seen.insert(json.to_string()) {
            kept.push(item);
        }
    }
    Ok(kept.into())
}

/// `object`: from a list of pairs. `object('name', 'value')`: from a list of objects, whose members of these names are the
/// name and the value. Of equal names the last one counts; a pair without a name is left out.
fn object(value: &Value, name: Option<&str>, held: Option<&str>) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => return Ok(nothing()),
        ValueKind::Seq | ValueKind::Iterable => {}
        kind => return Err(no_pairs(&format!("was given a {kind}"))),
    }
    let mut members = BTreeMap::new();
    for item in value.try_iter()? {
        let (name, held) = match (name, held) {
            (Some(name), Some(held)) if item.kind() == ValueKind::Map => {
                (item.get_attr(name)?, item.get_attr(held)?)
            }
            (None, None) if item.kind() == ValueKind::Seq && item.len() == Some(2) => {
                (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
            }
            _ => return Err(no_pairs("was given others")),
        };
        let text = match name.kind() {
            ValueKind::Undefined | ValueKind::None => String::new(),
            _ => plain(&name)?,
        };
        if !text.is_empty() {
            let held = if held.is_undefined() { nothing() } else { held };
            members.insert(text, held);
        }
    }
    Ok(Value::from_pairs(members))
}

fn no_pairs(given: &str) -> Error {
    refuse(
        format!("`object` needs a list of pairs, or of objects and the names of two members, and {given}"),
        Some("[['a', 1]] | object, or fields | object('name', 'value')".to_owned()),
    )
}
