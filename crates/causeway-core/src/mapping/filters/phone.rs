//! Telephone numbers, by default in international form.

use minijinja::{
    Error, State,
    value::{Kwargs, Value},
};
use phonenumber::{Mode, country::Id};

use super::{country, fallback, filled, nothing, text_of};
use crate::mapping::error::refuse;

const STYLES: [&str; 3] = ["e164", "international", "national"];
/// A longer text is no telephone number.
const LONGEST: usize = 40;

/// `phone`, `phone('DE')`, `phone(style='national')`, `phone(default=none)`. A number without a country code
/// belongs to the given country, or else to the contact's.
pub(super) fn phone(
    state: &State<'_, '_>,
    value: &Value,
    region: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let style: Option<&str> = options.get("style")?;
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let style = style_named(style.unwrap_or("e164"))?;
    let Some(text) = filled(value)? else {
        return Ok(instead.unwrap_or_else(nothing));
    };
    let region = match region {
        Some(region) => region,
        None => contacts_country(state),
    };
    let region = text_of(&region)?;
    let region = region
        .as_deref()
        .and_then(country::find)
        .map(|country| country.alpha2);
    let read = plain(&text).and_then(|text| read(&text, region, style));
    read.map(Value::from).or(instead).ok_or_else(|| {
        let known = if region.is_some() {
            "in its country"
        } else {
            "without a country"
        };
        refuse(
            format!("the value is not a telephone number {known}"),
            Some(
                "`phone('DE')` names the country, and `phone(default=none)` gives null for other values"
                    .to_owned(),
            ),
        )
    })
}

pub(super) fn check_style(style: &str) -> Result<(), Error> {
    style_named(style).map(drop)
}

fn style_named(style: &str) -> Result<Mode, Error> {
    match style {
        "e164" => Ok(Mode::E164),
        "international" => Ok(Mode::International),
        "national" => Ok(Mode::National),
        _ => Err(super::unknown("style of telephone numbers", style, &STYLES)),
    }
}

fn contacts_country(state: &State<'_, '_>) -> Value {
    let contact = state.lookup("contact");
    let country = contact.and_then(|contact| contact.get_attr("country").ok());
    country
        .filter(|country| !country.is_undefined())
        .unwrap_or_else(nothing)
}

/// Keeps the digits and a leading plus, and drops the separators that people write. A leading 00 becomes a
/// plus.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' => out.push(letter),
            '+' if out.is_empty() => out.push(letter),
            ' ' | '(' | ')' | '-' | '.' | '/' | '\u{a0}' | '\u{2010}'..='\u{2013}' => {}
            _ => return None,
        }
    }
    if let Some(rest) = out.strip_prefix("00") {
        out = format!("+{rest}");
    }
    (out.len() <= LONGEST && out.bytes().any(|byte| byte.is_ascii_digit())).then_some(out)
}

fn read(text: &str, region: Option<&str>, style: Mode) -> Option<String> {
    let region: Option<Id> = region.and_then(|region| region.parse().ok());
    if region.is_none() && !text.starts_with('+') {
        return None;
    }
    let number = phonenumber::parse(region, text).ok()?;
    number.is_valid().then(|| number.format().mode(style).to_string())
}
