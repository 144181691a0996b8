//! Case, length, parts of texts.

use super::{
    Environment, Error, ErrorKind, Kwargs, Value, bounded, change_text, limit, nothing, refuse, text_of,
};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("upper", |value: &Value| change_text(value, str::to_uppercase));
    environment.add_filter("lower", |value: &Value| change_text(value, str::to_lowercase));
    environment.add_filter("capitalize", |value: &Value| change_text(value, capitalize));
    environment.add_filter("title", |value: &Value| change_text(value, title));
    environment.add_filter("trim", |value: &Value, letters: Option<&str>| {
        change_text(value, |text| match letters {
            Some(letters) => text.trim_matches(|c| letters.contains(c)).to_owned(),
            None => text.trim().to_owned(),
        })
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("replace", replace);
    environment.add_filter("split", split);
}

fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(letters.as_str().to_lowercase().chars())
        .collect()
}

/// The first letter of each word large: also behind a hyphen or an apostrophe, as in names.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        if inside {
            out.extend(letter.to_lowercase());
        } else {
            out.extend(letter.to_uppercase());
        }
        inside = letter.is_alphanumeric();
    }
    out
}

/// `truncate(20)`, `truncate(20, end='…')`: at most this number of letters, including the end.
fn truncate(value: &Value, most: usize, options: Kwargs) -> Result<Value, Error> {
    let end: Option<String> = options.get("end")?;
    options.assert_all_used()?;
    let end = end.unwrap_or_default();
    change_text(value, |text| {
        if text.chars().count() <= most {
            return text.to_owned();
        }
        let room = most.saturating_sub(end.chars().count());
        text.chars().take(room).chain(end.chars()).take(most).collect()
    })
}

fn replace(value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    if from.is_empty() {
        return Err(refuse("`replace` needs a text to look for", None));
    }
    let grown = text.matches(from).count().saturating_mul(to.len());
    if grown.saturating_add(text.len()) > 2 * limit::TEXT {
        return Err(ErrorKind::WriteFailure.into());
    }
    bounded(text.replace(from, to))
}

/// `split(',')`: a list of the parts, trimmed, without the empty ones.
fn split(value: &Value, separator: Option<&str>) -> Result<Value, Error> {
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    let parts: Vec<&str> = match separator {
        Some("") => return Err(refuse("`split` needs a text to split at", None)),
        Some(separator) => text.split(separator).map(str::trim).collect(),
        None => text.split_whitespace().collect(),
    };
    let kept = parts.into_iter().filter(|part| !part.is_empty());
    Ok(kept.take(limit::VALUES).map(Value::from).collect())
}
