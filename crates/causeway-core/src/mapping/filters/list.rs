//! Lists: their members, their length, one text of them.

use super::{Environment, Error, ErrorKind, Value, ValueKind, change_text, engine, limit, nothing, plain};

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
}

/// The members as one text; those that are nothing are left out.
fn join(value: &Value, separator: Option<&str>) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => return Ok(nothing()),
        // One value where a platform sends a list of several.
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

/// The first or the last member of a list, or letter of a text; nothing of an empty one.
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

/// The members of a list, or the letters of a text; 0 for null.
fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::None => Ok(0),
        _ => engine::length(value),
    }
}
