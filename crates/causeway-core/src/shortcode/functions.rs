//! The functions of shortcodes.

use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{place, quoted};
use crate::{
    dates::{self, Reading, unix_time},
    php_date,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Proper,
    Upper,
    Lower,
    Trim,
    Url,
    Md5,
    Sha256,
    Date,
}

pub(super) const FUNCTIONS: [(&str, Function); 8] = [
    ("PROPER", Function::Proper),
    ("UPPER", Function::Upper),
    ("LOWER", Function::Lower),
    ("TRIM", Function::Trim),
    ("URL", Function::Url),
    ("MD5", Function::Md5),
    ("SHA256", Function::Sha256),
    ("DATE", Function::Date),
];

/// The pattern of `DATE` without an argument.
const DAY: &str = "Y-m-d";

impl Function {
    pub fn named(word: &str) -> Option<Self> {
        let known = FUNCTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map(|(_, function)| *function)
    }

    /// Applies the function. `None` if there is no result, for example a date of a text that is no date.
    pub fn apply(self, text: &str, argument: Option<&str>, zone: &TimeZone) -> Option<String> {
        Some(match self {
            Self::Proper => proper(text),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::Trim => text.trim().to_owned(),
            Self::Url => {
                let mut out = String::new();
                place::encode(text, &mut out);
                out
            }
            Self::Md5 => HEXLOWER.encode(&Md5::digest(comparable(text)?)),
            Self::Sha256 => HEXLOWER.encode(&Sha256::digest(comparable(text)?)),
            Self::Date => {
                let Reading::At(at) = unix_time(text).map_or_else(|| dates::read(text, zone), Reading::At)
                else {
                    return None;
                };
                let pattern = argument.filter(|argument| quoted(argument).is_none());
                php_date::format(pattern.unwrap_or(DAY), &at.to_zoned(zone.clone()))
            }
        })
    }
}

/// Normalizes a text as advertising platforms do before they hash addresses. An empty text gets no hash,
/// because it would be the same for all contacts without a value.
fn comparable(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    (!text.is_empty()).then_some(text)
}

/// Makes the first letter of each word a capital.
fn proper(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for letter in text.chars() {
        if letter.is_alphabetic() {
            if within {
                out.extend(letter.to_lowercase());
            } else {
                title(letter, &mut out);
            }
            within = true;
        } else {
            within = within && (is_apostrophe(letter) || is_accent(letter));
            out.push(letter);
        }
    }
    out
}

/// The letter in title case: `ß` gives `Ss`, and for letters that are two in one only the first becomes a
/// capital.
fn title(letter: char, out: &mut String) {
    let digraph = match letter {
        'Ǆ' | 'ǅ' | 'ǆ' => Some('ǅ'),
        'Ǉ' | 'ǈ' | 'ǉ' => Some('ǈ'),
        'Ǌ' | 'ǋ' | 'ǌ' => Some('ǋ'),
        'Ǳ' | 'ǲ' | 'ǳ' => Some('ǲ'),
        _ => None,
    };
    if let Some(digraph) = digraph {
        out.push(digraph);
        return;
    }
    let mut upper = letter.to_uppercase();
    out.extend(upper.next());
    out.extend(upper.flat_map(char::to_lowercase));
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’' | 'ʼ')
}

/// Whether it is an accent that follows its letter.
fn is_accent(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

/// The words that `/2` counts if it means words: runs of letters, digits and apostrophes.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || is_apostrophe(letter) || is_accent(letter)))
        .filter(|word| word.chars().any(char::is_alphanumeric))
}
