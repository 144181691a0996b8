//! The functions that [`super::rewrite`] puts into expressions instead of the engine's operators: comparing
//! two values by order, and taking a part of a value.

use std::cmp::Ordering;

use minijinja::{
    Environment, Error, ErrorKind, State, filters as engine,
    value::{Kwargs, Rest, Value, ValueKind},
};

use super::error::refuse;

/// Names of functions that expressions cannot call themselves.
pub(super) const IN_ORDER: &str = "_in_order";
pub(super) const PART: &str = "_part";

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_function(IN_ORDER, in_order);
    environment.add_function(PART, part);
    environment.add_test("lt", |a: &Value, b: &Value| holds(a, "<", b));
    environment.add_test("le", |a: &Value, b: &Value| holds(a, "<=", b));
    environment.add_test("gt", |a: &Value, b: &Value| holds(a, ">", b));
    environment.add_test("ge", |a: &Value, b: &Value| holds(a, ">=", b));
    environment.add_filter("max", |state: &State<'_, '_>, value: Value, options: Kwargs| {
        engine::max(state, of_one_kind("max", value, &options)?, options)
    });
    environment.add_filter("min", |state: &State<'_, '_>, value: Value, options: Kwargs| {
        engine::min(state, of_one_kind("min", value, &options)?, options)
    });
    environment.add_filter("sort", |state: &State<'_, '_>, value: Value, options: Kwargs| {
        engine::sort(state, of_one_kind("sort", value, &options)?, options)
    });
}

/// `a, '<', b, '<=', c`: whether all comparisons are true.
#[expect(clippy::needless_pass_by_value, reason = "the engine gives it by value")]
fn in_order(all: Rest<Value>) -> Result<bool, Error> {
    let mut rest: &[Value] = &all;
    while let [left, sign, right, ..] = rest {
        if !holds(left, sign.as_str().unwrap_or_default(), right)? {
            return Ok(false);
        }
        rest = rest.get(2..).unwrap_or_default();
    }
    Ok(true)
}

fn holds(left: &Value, sign: &str, right: &Value) -> Result<bool, Error> {
    if left.is_undefined() || right.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    match sign {
        "==" => return Ok(left == right),
        "!=" => return Ok(left != right),
        _ => {}
    }
    if sort(left) != sort(right) || left.is_none() {
        return Err(no_order(sign, left, right));
    }
    let order = left.cmp(right);
    Ok(match sign {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

/// The sort of a value, in words. Only values of one sort have an order.
fn sort(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => "nothing",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        _ => "an object",
    }
}

fn no_order(sign: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (sort(left), sort(right));
    let has = |sort: &str| left == sort || right == sort;
    let hint = if has("nothing") {
        if has("a text") {
            "`| default('')` gives an empty text instead of null"
        } else {
            "`| int(0)` or `| float(0)` gives 0 instead of null"
        }
    } else {
        "`| int` or `| float` makes a number of a text"
    };
    refuse(
        format!("`{sign}` compares {left} with {right}"),
        Some(hint.to_owned()),
    )
}

/// Refuses a mixture of texts and numbers, which the engine would sort with all texts last.
fn of_one_kind(filter: &str, value: Value, options: &Kwargs) -> Result<Value, Error> {
    // If it is no list, the engine gives the error.
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(value);
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    let attributes: Option<&str> = options.get("attribute")?;
    for attribute in attributes.map_or(vec![""], |all| all.split(',').map(str::trim).collect()) {
        let kinds = || items.iter().map(|item| member(item, attribute).kind());
        if kinds().any(|kind| kind == ValueKind::String) && kinds().any(|kind| kind == ValueKind::Number) {
            return Err(refuse(
                format!("`{filter}` compares texts with numbers"),
                Some("`| map('int')` before it makes numbers of texts".to_owned()),
            ));
        }
    }
    Ok(items.into())
}

fn member(value: &Value, path: &str) -> Value {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.fold(value.clone(), |at, step| at.get_attr(step).unwrap_or_default())
}

/// `value[from:to]`. A part of none is none.
fn part(value: &Value, from: &Value, to: &Value) -> Result<Value, Error> {
    let place = |place: &Value| match place.kind() {
        ValueKind::None => Ok(None),
        _ => i64::try_from(place.clone()).map(Some),
    };
    let (from, to) = (place(from)?, place(to)?);
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => Ok(Value::from(())),
        ValueKind::String => Ok(characters(value.as_str().unwrap_or_default(), from, to).into()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let (skip, keep) = span(from, to, items.len());
            Ok(items.into_iter().skip(skip).take(keep).collect())
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("value of type {kind} cannot be sliced"),
        )),
    }
}

/// Characters `from` to `to` of a text. Negative positions count from its end.
pub(super) fn characters(text: &str, from: Option<i64>, to: Option<i64>) -> &str {
    let is_from_end = |place: Option<i64>| place.is_some_and(|place| place < 0);
    let all = if is_from_end(from) || is_from_end(to) {
        text.chars().count()
    } else {
        usize::MAX
    };
    let (skip, keep) = span(from, to, all);
    let rest = text.get(offset(text, skip)..).unwrap_or_default();
    rest.get(..offset(rest, keep)).unwrap_or_default()
}

/// How many of `all` to skip, and how many of the rest to keep.
fn span(from: Option<i64>, to: Option<i64>, all: usize) -> (usize, usize) {
    let place = |place: i64| match usize::try_from(place) {
        Ok(place) => place,
        Err(_) => all.saturating_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let skip = from.map_or(0, place);
    (skip, to.map_or(all, place).saturating_sub(skip))
}

/// The byte at which this character starts, or the end of the text.
fn offset(text: &str, character: usize) -> usize {
    text.char_indices()
        .nth(character)
        .map_or(text.len(), |(at, _)| at)
}
