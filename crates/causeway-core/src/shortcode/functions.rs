//! What can be done to a value.

use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{place, quoted};
use crate::{
    decode::{
        dates::{self, Reading},
        generic::unix_time,
    },
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

/// How `DATE` prints without an argument.
const DAY: &str = "Y-m-d";

impl Function {
    pub fn named(word: &str) -> Option<Self> {
        let known = FUNCTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map(|(_, function)| *function)
    }

    /// `None` where there is no value: a text that is no date has none as a date.
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

/// As advertising platforms compare addresses. Nothing has no digest: everybody without a value would be one person.
fn comparable(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    (!text.is_empty()).then_some(text)
}

/// Each word with a capital in front.
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

/// The letter as a word begins with it: `ß` gives `Ss`, and letters that are two in one only raise the first.
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

/// An accent that is written behind its letter.
fn is_accent(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

/// The words that `/2` counts when it means words: runs of letters, digits and apostrophes.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || is_apostrophe(letter) || is_accent(letter)))
        .filter(|word| word.chars().any(char::is_alphanumeric))
}
