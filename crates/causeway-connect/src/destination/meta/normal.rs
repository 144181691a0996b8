//! Identifiers in the form in which Meta hashes them. Another form of the same value matches nobody, and Meta reports
//! no error.

use causeway_core::contact::normal_email;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::config::Key;

/// The hash of a value; empty if nothing is left of the value. `country` is the contact's, with two letters.
pub(super) fn hashed(key: Key, value: &str, country: &str) -> String {
    let normal = match key {
        // The form in which withdrawals name the address. Parts such as Gmail's dots stay.
        Key::Email => normal_email(value).unwrap_or_default(),
        Key::Phone => phone(value),
        Key::FirstName | Key::LastName => name(value),
        Key::City => city(value),
        Key::Postcode => postcode(value, country),
        Key::Country => value.trim().to_lowercase(),
    };
    if normal.is_empty() {
        return String::new();
    }
    HEXLOWER.encode(&Sha256::digest(normal))
}

/// The digits of a number in E.164 form, which begins with the country code.
fn phone(value: &str) -> String {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
}

/// Small letters without punctuation. Meta takes accents and other scripts in names.
fn name(value: &str) -> String {
    let letters = value.chars().filter(|letter| !is_punctuation(*letter));
    let composed: String = letters.collect::<String>().to_lowercase().nfc().collect();
    composed.trim().to_owned()
}

fn is_punctuation(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || matches!(letter,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b4}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
            | '\u{2bc}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2e00}'..='\u{2e7f}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
}

/// The letters a to z. An accent is dropped, and the letter below it stays.
fn city(value: &str) -> String {
    let mut plain = String::new();
    for letter in value.to_lowercase().nfd() {
        match letter {
            'a'..='z' => plain.push(letter),
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'þ' => plain.push_str("th"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'ı' => plain.push('i'),
            _ => {}
        }
    }
    plain
}

/// Without spaces. Of a postcode in the US the first five digits count; in the UK the last two letters do not.
fn postcode(value: &str, country: &str) -> String {
    let small = value.to_lowercase();
    let mut code: String = small.chars().filter(|letter| !letter.is_whitespace()).collect();
    match country {
        "US" => code.chars().take(5).collect(),
        "GB" => {
            let inward = code.chars().rev().take(2);
            if code.len() > 4 && inward.into_iter().all(|letter| letter.is_ascii_alphabetic()) {
                code.truncate(code.len() - 2);
            }
            code
        }
        _ => code,
    }
}
