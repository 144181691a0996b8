//! Texts with fewer sorts of characters: Latin letters, digits, and what URLs allow.

use std::fmt::Write;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{Environment, Error, Kwargs, Value, bounded, change_text, nothing, refuse, text_of};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("ascii", |value: &Value, language: Option<&str>| {
        let is_german = is_german(language)?;
        change_text(value, |text| ascii(text, is_german))
    });
    environment.add_filter("digits", |value: &Value| {
        change_text(value, |text| text.chars().filter(char::is_ascii_digit).collect())
    });
    environment.add_filter("slug", |value: &Value, separator: Option<&str>| {
        change_text(value, |text| slug(text, separator.unwrap_or("-")))
    });
    environment.add_filter("urlencode", |value: &Value| change_text(value, urlencode));
    environment.add_filter("base64", base64);
}

pub(super) fn check_language(language: &str) -> Result<(), Error> {
    is_german(Some(language)).map(drop)
}

fn is_german(language: Option<&str>) -> Result<bool, Error> {
    match language {
        None => Ok(false),
        Some("de") => Ok(true),
        Some(other) => Err(refuse(
            format!("`ascii` has no rules for the language {other:?}"),
            Some("ascii('de') writes ä as ae; without a language it is a".to_owned()),
        )),
    }
}

/// Letters without their marks. What has no Latin form is left out.
fn ascii(text: &str, is_german: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // Composed first, so that an umlaut in two characters is one, too.
    for letter in text.nfc() {
        let german = match letter {
            _ if !is_german => None,
            'ä' => Some("ae"),
            'ö' => Some("oe"),
            'ü' => Some("ue"),
            'Ä' => Some("Ae"),
            'Ö' => Some("Oe"),
            'Ü' => Some("Ue"),
            _ => None,
        };
        match german.or_else(|| spelled(letter)) {
            Some(text) => out.push_str(text),
            None => out.extend(
                std::iter::once(letter)
                    .nfkd()
                    .filter(|part| part.is_ascii() && !is_combining_mark(*part)),
            ),
        }
    }
    out
}

/// Letters and signs that no decomposition leads to ASCII.
fn spelled(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'ẞ' => "SS",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        'ø' => "o",
        'Ø' => "O",
        'đ' | 'ð' => "d",
        'Đ' | 'Ð' => "D",
        'ħ' => "h",
        'Ħ' => "H",
        'ł' => "l",
        'Ł' => "L",
        'þ' => "th",
        'Þ' => "Th",
        'ŧ' => "t",
        'Ŧ' => "T",
        'ı' => "i",
        'ŋ' => "n",
        'Ŋ' => "N",
        '\u{2018}'..='\u{201b}' | '\u{2032}' => "'",
        '\u{201c}'..='\u{201f}' | '«' | '»' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '€' => "EUR",
        _ => return None,
    })
}

/// Small Latin letters and digits, with the separator between words.
fn slug(text: &str, separator: &str) -> String {
    let plain = ascii(text, false).to_lowercase();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '\'');
    let words = words.map(|word| word.replace('\'', ""));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(separator)
}

/// As RFC 3986 asks for in a part of a URL: a space is %20.
fn urlencode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

/// `base64`, or with `url=true` the form for URLs, without padding.
fn base64(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let url: Option<bool> = options.get("url")?;
    options.assert_all_used()?;
    let Some(text) = text_of(value)? else {
        return Ok(nothing());
    };
    let encoding = if url.unwrap_or(false) {
        BASE64URL_NOPAD
    } else {
        BASE64
    };
    bounded(encoding.encode(text.as_bytes()))
}
