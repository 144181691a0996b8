//! Regular expressions. They run in linear time, whatever the pattern and the text.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use regex::{Regex, RegexBuilder};

use super::{Environment, Error, ErrorKind, Value, bounded, limit, nothing, refuse, text_of};

/// Bytes of a pattern.
const MAX_PATTERN: usize = 1024;
/// Bytes of a compiled pattern.
const MAX_COMPILED: usize = 1 << 20;
/// Compiled patterns that are kept. Patterns are part of the configuration, so there are few.
const MAX_KEPT: usize = 256;

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("regex", first);
    environment.add_filter("regex_replace", replace);
    environment.add_test(
        "matching",
        |value: &Value, pattern: &str| -> Result<bool, Error> {
            let Some(text) = text_of(value)? else {
                return Ok(false);
            };
            Ok(compiled(pattern)?.is_match(&text))
        },
    );
}

/// `regex('([0-9]+)')`: the first match; only its first group, if there is one. None if nothing matches.
fn first(value: &Value, pattern: &str) -> Result<Value, Error> {
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    let Some(found) = compiled(pattern)?.captures(&text) else {
        return Ok(nothing());
    };
    let part = if found.len() > 1 {
        found.get(1)
    } else {
        found.get(0)
    };
    part.map_or_else(|| Ok(nothing()), |part| bounded(part.as_str().to_owned()))
}

/// `regex_replace(' +', ' ')`: `$1` in the second text is the first group.
fn replace(value: &Value, pattern: &str, with: &str) -> Result<Value, Error> {
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    let regex = compiled(pattern)?;
    let (mut out, mut from) = (String::new(), 0);
    for found in regex.captures_iter(&text) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(text.get(from..whole.start()).unwrap_or_default());
        found.expand(with, &mut out);
        from = whole.end();
        // Before the text grows further.
        if out.len() > limit::TEXT {
            return Err(ErrorKind::WriteFailure.into());
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    bounded(out)
}

pub(super) fn check(pattern: &str) -> Result<(), Error> {
    compiled(pattern).map(drop)
}

fn compiled(pattern: &str) -> Result<Regex, Error> {
    static KEPT: OnceLock<Mutex<HashMap<String, Regex>>> = OnceLock::new();
    let kept = || {
        let kept = KEPT.get_or_init(Mutex::default);
        kept.lock().unwrap_or_else(PoisonError::into_inner)
    };
    if let Some(regex) = kept().get(pattern) {
        return Ok(regex.clone());
    }
    if pattern.len() > MAX_PATTERN {
        return Err(refuse(
            format!("the regular expression is longer than {MAX_PATTERN} bytes"),
            None,
        ));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let why = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            refuse(
                format!("{:?} is not a regular expression: {why}", limit::shown(pattern)),
                Some("as in '^[0-9]{5}$'; there are no look-arounds and no back-references".to_owned()),
            )
        })?;
    let mut kept = kept();
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}
