//! The filters, tests and functions of the mapping language. docs/mapping.md shows each with an example, and
//! a test runs these.
//!
//! A filter returns `none` for `none`, except those whose purpose is to change that. Error texts never quote
//! the value, because they are logged.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands the arguments of a filter over by value"
)]

use std::borrow::Cow;

use minijinja::{
    Environment, Error, ErrorKind, Output, State, filters as engine, tests,
    value::{Kwargs, Rest, Value, ValueKind},
};

use super::{
    error::refuse,
    limit, order,
    view::{TABLES, json_of},
};

mod country;
mod dates;
mod hash;
mod letters;
mod list;
mod locale;
mod lookup;
mod money;
mod names;
mod pattern;
mod phone;
mod text;
mod value;

pub(super) const FILTERS: [&str; 56] = [
    "abs",
    "ascii",
    "base64",
    "bool",
    "capitalize",
    "coalesce",
    "country",
    "date",
    "date_add",
    "date_diff",
    "default",
    "digits",
    "family_name",
    "first",
    "float",
    "given_name",
    "hmac_sha256",
    "int",
    "items",
    "join",
    "json",
    "last",
    "length",
    "list",
    "locale",
    "lookup",
    "lower",
    "major_units",
    "map",
    "max",
    "md5",
    "min",
    "minor_units",
    "object",
    "phone",
    "regex",
    "regex_replace",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sha256",
    "slug",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
];
pub(super) const FUNCTIONS: [&str; 1] = ["coalesce"];
pub(super) const TESTS: [&str; 25] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lt",
    "mapping",
    "matching",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
];

pub(super) fn install(environment: &mut Environment<'static>) {
    letters::install(environment);
    names::install(environment);
    pattern::install(environment);
    text::install(environment);
    list::install(environment);
    value::install(environment);
    environment.add_filter("country", country::country);
    environment.add_filter("date", dates::date);
    environment.add_filter("date_add", dates::date_add);
    environment.add_filter("date_diff", dates::date_diff);
    environment.add_filter("hmac_sha256", hash::hmac_sha256);
    environment.add_filter("major_units", money::major_units);
    environment.add_filter("minor_units", money::minor_units);
    environment.add_filter("locale", locale::locale);
    environment.add_filter("md5", hash::md5);
    environment.add_filter("sha256", hash::sha256);
    environment.add_filter("lookup", lookup::lookup);
    environment.add_filter("phone", phone::phone);
    install_tests(environment);
    order::install(environment);
}

/// As the engine's test, which panics on division by zero and on overflow.
fn is_divisible_by(value: &Value, by: &Value) -> bool {
    match i128::try_from(by.clone()) {
        Ok(0) => false,
        // Every whole number is divisible by -1, but for the least one the engine's division would overflow.
        Ok(-1) => tests::is_divisibleby(value, &Value::from(1)),
        _ => tests::is_divisibleby(value, by),
    }
}

fn install_tests(environment: &mut Environment<'static>) {
    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("divisibleby", is_divisible_by);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("even", tests::is_even);
    environment.add_test("false", tests::is_false);
    environment.add_test("float", tests::is_float);
    environment.add_test("in", tests::is_in);
    environment.add_test("integer", tests::is_integer);
    environment.add_test("iterable", tests::is_iterable);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("true", tests::is_true);
    // The comparisons for `select` and `selectattr`, besides those of `order`.
    environment.add_test("eq", tests::is_eq);
    environment.add_test("ne", tests::is_ne);
}

/// Writes a value into a text: nothing for `none`, JSON for lists and objects.
pub(super) fn print(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => Ok(()),
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        _ => out.write_str(&plain(value)?),
    };
    written.map_err(|_| ErrorKind::WriteFailure.into())
}

/// A number, a boolean, a list or an object as text.
fn plain(value: &Value) -> Result<String, Error> {
    let json = json_of(value).map_err(|error| refuse(error.what, error.hint))?;
    Ok(match json {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// The text that a filter works on; `None` for `none`.
fn text_of(value: &Value) -> Result<Option<Cow<'_, str>>, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => Ok(None),
        ValueKind::String => Ok(value.as_str().map(Cow::Borrowed)),
        ValueKind::Number | ValueKind::Bool => Ok(Some(Cow::Owned(plain(value)?))),
        kind => Err(refuse(
            format!("needs a text, and was given a {kind}"),
            Some("`| join(', ')` or `| json` makes a text of it".to_owned()),
        )),
    }
}

/// As [`text_of`], but an empty form field counts as `none`, too.
fn filled(value: &Value) -> Result<Option<Cow<'_, str>>, Error> {
    Ok(text_of(value)?.filter(|text| !text.trim().is_empty()))
}

/// Applies `change` to a text. `none` stays `none`.
fn change_text(value: &Value, change: impl FnOnce(&str) -> String) -> Result<Value, Error> {
    match text_of(value)? {
        Some(text) => bounded(change(&text)),
        None => Ok(Value::from(())),
    }
}

fn bounded(text: String) -> Result<Value, Error> {
    if text.len() > limit::TEXT {
        return Err(ErrorKind::WriteFailure.into());
    }
    Ok(text.into())
}

fn nothing() -> Value {
    Value::from(())
}

/// The value of a filter's `default=…`, which may be `none`.
fn fallback(options: &Kwargs) -> Result<Option<Value>, Error> {
    if options.has("default") {
        return options.get::<Value>("default").map(Some);
    }
    Ok(None)
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    let all = format!("there are {}", known.join(", "));
    refuse(format!("there is no {what} {name:?}"), Some(all))
}

/// Checks a fixed argument before there is a record. `key` is empty for the first, unnamed argument.
pub(super) fn check_argument(filter: &str, key: &str, text: &str) -> Result<(), Error> {
    match (filter, key) {
        ("date", "") => dates::check_pattern(text),
        ("date_diff", "-") => dates::check_unit(text),
        ("ascii", "") => letters::check_language(text),
        ("hmac_sha256", "encoding") => hash::check_encoding(text),
        ("major_units" | "minor_units", "") => money::check_currency(text),
        ("regex" | "regex_replace", "") => pattern::check(text),
        ("date", "zone" | "from") | ("date_add" | "date_diff", "zone") => dates::zone_named(text).map(drop),
        ("country", "") => country::check_form(text),
        ("locale", "") => locale::check_form(text),
        ("phone", "style") => phone::check_style(text),
        ("phone", "") if country::find(text).is_none() => Err(refuse(
            format!("there is no country {text:?}"),
            Some("as in phone('DE')".to_owned()),
        )),
        _ => Ok(()),
    }
}
