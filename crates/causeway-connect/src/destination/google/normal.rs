//! Identifiers in the form in which Google hashes them. Another form of the same value matches nobody, and Google
//! reports no error.

use causeway_core::contact::normal_email;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Titles before a name, and suffixes after it.
const TITLES: [&str; 8] = ["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "rev"];
const SUFFIXES: [&str; 9] = ["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "cpa"];

/// The longest postcode that is sent.
const LONGEST_POSTCODE: usize = 20;

pub(super) fn hash(normal: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(normal))
}

/// The hashes of an address: two for an address at Gmail with a `+`, because Google's own programs disagree about it.
pub(super) fn emails(value: &str) -> Vec<String> {
    let spaceless = || {
        value
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect::<String>()
    };
    let Some(address) = normal_email(value).or_else(|| normal_email(&spaceless())) else {
        return Vec::new();
    };
    let Some((local, host)) = address.rsplit_once('@') else {
        return Vec::new();
    };
    if !matches!(host, "gmail.com" | "googlemail.com") {
        return vec![hash(&address)];
    }
    let undotted = local.replace('.', "");
    let mut forms = Vec::new();
    if let Some((name, _)) = undotted.split_once('+') {
        forms.push(name.to_owned());
    }
    forms.push(undotted);
    forms.retain(|name| !name.is_empty() && !name.starts_with('+'));
    forms.iter().map(|name| hash(&format!("{name}@{host}"))).collect()
}

/// The hash of a number in international form, with `+`.
pub(super) fn phone(value: &str) -> Option<String> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    // A country code never begins with 0, and no number is longer than 15 digits.
    let is_number =
        value.trim().starts_with('+') && !digits.starts_with('0') && (5..=15).contains(&digits.len());
    is_number.then(|| hash(&format!("+{digits}")))
}

/// The hash of a first or last name: small letters without punctuation, titles and suffixes. Accents stay.
pub(super) fn name(value: &str) -> Option<String> {
    let letters = value.chars().filter(|letter| !is_punctuation(*letter));
    let plain = letters.collect::<String>().to_lowercase();
    let mut words: Vec<&str> = plain.split_whitespace().collect();
    while words.len() > 1 && words.first().is_some_and(|word| TITLES.contains(word)) {
        words.remove(0);
    }
    while words.len() > 1 && words.last().is_some_and(|word| SUFFIXES.contains(word)) {
        words.pop();
    }
    (!words.is_empty()).then(|| hash(&words.join(" ")))
}

fn is_punctuation(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || matches!(letter,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b4}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
            | '\u{2bc}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2e00}'..='\u{2e7f}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
}

/// A country's two letters, as they are sent.
pub(super) fn region(value: &str) -> Option<String> {
    let region = value.trim().to_ascii_uppercase();
    let is_code = region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(region)
}

/// A postcode, as it is sent.
pub(super) fn postcode(value: &str) -> Option<String> {
    let code = value.trim();
    (!code.is_empty() && code.len() <= LONGEST_POSTCODE).then(|| code.to_owned())
}
