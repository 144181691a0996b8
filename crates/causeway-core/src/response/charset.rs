//! Decodes the bytes of a response. Ambiguous bytes are refused, because a guessed letter would stay in the
//! contact.

use std::borrow::Cow;

use super::Unreadable;

/// The characters of windows-1252 from 0x80 on; U+FFFD for bytes without one.
const UPPER: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}',
    '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

/// Decodes by the charset of the content type, or UTF-8 if it names none.
pub(super) fn decode<'b>(content_type: Option<&str>, body: &'b [u8]) -> Result<Cow<'b, str>, Unreadable> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let utf8 = std::str::from_utf8(body);
    match charset(content_type.unwrap_or_default()).as_str() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => {
            utf8.map(Cow::Borrowed).map_err(|_| Unreadable::NotUtf8)
        }
        // Many servers give this charset even for UTF-8. No word is valid in both by accident.
        "iso-8859-1" | "iso_8859-1" | "iso8859-1" | "latin1" | "latin-1" | "windows-1252" | "cp1252" => {
            match utf8 {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => western(body).map(Cow::Owned),
            }
        }
        // Letters, digits and signs are the same in nearly all charsets. Charsets that switch between
        // alphabets use control characters.
        _ => match utf8 {
            Ok(text) if text.is_ascii() && !text.contains(is_odd) => Ok(Cow::Borrowed(text)),
            _ => Err(Unreadable::Charset),
        },
    }
}

fn is_odd(letter: char) -> bool {
    letter.is_ascii_control() && !letter.is_ascii_whitespace()
}

/// Decodes ISO-8859-1 as windows-1252, as everybody does.
fn western(body: &[u8]) -> Result<String, Unreadable> {
    body.iter()
        .map(|byte| match byte {
            0x80..=0x9f => UPPER
                .get(usize::from(byte - 0x80))
                .copied()
                .filter(|letter| *letter != '\u{fffd}')
                .ok_or(Unreadable::Charset),
            _ => Ok(char::from(*byte)),
        })
        .collect()
}

/// Whether the content type names a charset.
pub(super) fn is_named(content_type: Option<&str>) -> bool {
    !charset(content_type.unwrap_or_default()).is_empty()
}

/// The name after `charset=`, in small letters.
fn charset(content_type: &str) -> String {
    content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_ascii_lowercase())
        .unwrap_or_default()
}
