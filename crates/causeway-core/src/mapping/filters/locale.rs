//! The language and country of a locale: `de_AT`, `en-GB`, `sr-Latn-RS`.

use minijinja::{
    Error,
    value::{Kwargs, Value},
};

use super::{fallback, filled, nothing, unknown};
use crate::mapping::error::refuse;

const FORMS: [&str; 4] = ["hyphen", "underscore", "language", "country"];

struct Locale {
    language: String,
    script: Option<String>,
    country: Option<String>,
}

/// `locale` (`de-AT`), `locale('underscore')` (`de_AT`), `locale('language')`, `locale('country')`
pub(super) fn locale(value: &Value, form: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let form = form.unwrap_or("hyphen");
    check_form(form)?;
    let Some(text) = filled(value)? else {
        return Ok(instead.unwrap_or_else(nothing));
    };
    let Some(locale) = read(&text) else {
        return instead.ok_or_else(|| {
            refuse(
                "the value is not a locale",
                Some(
                    "locales are read as de, de_AT or de-AT; `locale(default='en')` gives another".to_owned(),
                ),
            )
        });
    };
    Ok(match form {
        "language" => locale.language.into(),
        "country" => locale
            .country
            .map(Value::from)
            .or(instead)
            .unwrap_or_else(nothing),
        form => {
            let parts = [Some(locale.language), locale.script, locale.country];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            parts.join(if form == "hyphen" { "-" } else { "_" }).into()
        }
    })
}

pub(super) fn check_form(form: &str) -> Result<(), Error> {
    if FORMS.contains(&form) {
        return Ok(());
    }
    Err(unknown("form of a locale", form, &FORMS))
}

fn read(text: &str) -> Option<Locale> {
    // An encoding may follow after a dot: de_AT.UTF-8
    let text = text.trim().split(['.', '@']).next()?;
    let mut parts = text.split(['-', '_']);
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let language = parts
        .next()
        .filter(|part| (2..=3).contains(&part.len()) && letters(part))?;
    let mut locale = Locale {
        language: language.to_ascii_lowercase(),
        script: None,
        country: None,
    };
    for part in parts {
        let is_number = part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        if part.len() == 4 && letters(part) && locale.script.is_none() && locale.country.is_none() {
            let (first, rest) = part.split_at_checked(1)?;
            locale.script = Some(first.to_ascii_uppercase() + &rest.to_ascii_lowercase());
        } else if (part.len() == 2 && letters(part) || is_number) && locale.country.is_none() {
            locale.country = Some(part.to_ascii_uppercase());
        } else {
            return None;
        }
    }
    Some(locale)
}
