//! E-mail addresses in their normal form.
//!
//! Invariant: one mailbox has one text, however it was written. Two texts would make two contacts, and an
//! opt-out of the one would not reach the other.

use std::borrow::Cow;

use idna::AsciiDenyList;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Brings an address into its normal form: trimmed, lower-cased, without invisible characters, composed
/// (NFC), with the host in ASCII. Quotes, brackets, a name and a comment around the address are removed:
/// `Jane <jane@example.org>`. Returns `None` if the text is not the address of exactly one mailbox.
pub fn normal_email(text: &str) -> Option<String> {
    if is_bare(text) {
        return Some(text.to_ascii_lowercase());
    }
    unwrapped(text)
}

/// Whether the text is an address of plain characters and nothing else, as nearly all are. [`unwrapped`] would only change its
/// case.
fn is_bare(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else {
        return false;
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    let is_alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= LONGEST
        && is_alphanumeric(text.as_bytes().first())
        && is_alphanumeric(text.as_bytes().last())
        && local.bytes().chain(host.bytes()).all(|byte| is_plain(&byte))
        && host.split('.').all(|label| !label.is_empty())
}

fn unwrapped(text: &str) -> Option<String> {
    let text = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        let seen = text.chars().filter(|c| !is_unseen(*c)).map(half_width);
        seen.collect::<String>().to_lowercase().nfc().collect()
    };
    let text = text.trim();
    if let Some((name, rest)) = text.split_once('<')
        && let Some((inside, behind)) = rest.split_once('>')
    {
        let address = one_of(inside)?;
        let others = [name, behind].into_iter().filter(|text| text.contains('@'));
        // A different address in the name or behind the brackets makes the text ambiguous.
        return all_are(address, others);
    }
    if let Some((before, comment)) = text.strip_suffix(')').and_then(|text| text.split_once(" ("))
        && !before.trim().is_empty()
    {
        let others = Some(comment).filter(|text| text.contains('@'));
        return all_are(one_of(before)?, others);
    }
    one_of(text)
}

fn all_are<'a>(address: String, others: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let is_it = |text: &str| one_of(text).as_ref() == Some(&address);
    others.into_iter().all(is_it).then_some(address)
}

/// Returns the address if all non-empty parts of the list are the same address.
fn one_of(text: &str) -> Option<String> {
    let mut parts = text
        .split([',', ';'])
        .map(without_marks)
        .filter(|part| !part.is_empty());
    let address = bare_address(parts.next()?)?;
    let is_it = |part: &str| bare_address(part).as_ref() == Some(&address);
    parts.all(is_it).then_some(address)
}

/// Removes what may surround an address in a sentence: brackets, quotes, white space and a final mark. A host
/// never ends with a punctuation mark.
fn without_marks(text: &str) -> &str {
    let is_before = |c: char| {
        c.is_whitespace()
            || is_quote(c)
            || matches!(c, '<' | '(' | '[' | '〈' | '《' | '「' | '【' | ':' | '、')
    };
    let is_behind = |c: char| !c.is_alphanumeric() && !is_combining_mark(c);
    let text = text.trim_start_matches(is_before);
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    text.trim_start_matches(is_before).trim_end_matches(is_behind)
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '´' | '«' | '»' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}'
    )
}

/// Converts full-width forms, which Asian keyboards produce, to ASCII.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '﹫' => '@',
        c => c,
    }
}

/// Whether a character is a punctuation mark that separates words in some script. No host name contains one.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{a1}' | '\u{ab}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
        | '\u{2e00}'..='\u{2e7f}' | '\u{3001}' | '\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
}

/// Stands where a letter was lost.
const HOLE: char = char::REPLACEMENT_CHARACTER;
/// Bytes; RFC 3696 allows 64 before the at sign and 255 after it.
const LONGEST: usize = 320;

/// Normalizes one address that [`without_marks`] has stripped.
fn bare_address(text: &str) -> Option<String> {
    let (local, host) = text.split_once('@')?;
    // Where letters were lost, the same text may stand for several people's addresses.
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !NOT_IN_LOCAL.contains(c) && c != HOLE;
    if local.is_empty() || text.len() > LONGEST || !local.chars().all(is_plain) {
        return None;
    }
    let host = if host.is_ascii() {
        Cow::Borrowed(host)
    } else if host.contains(is_mark) {
        return None;
    } else {
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL).ok()?
    };
    // Checked only now: conversion to ASCII can turn letters into commas, dots and at signs.
    let host = host.strip_suffix('.').unwrap_or(&host);
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.split('.').any(str::is_empty) || !host.chars().all(is_of_host) {
        return None;
    }
    Some(format!("{local}@{host}"))
}

/// Whether a character is invisible, so that people copy it with a text without noticing: Unicode's
/// `Default_Ignorable_Code_Point` (direction marks, joiners, the soft hyphen, the byte order mark, fillers,
/// variation selectors) and the annotation marks.
pub(crate) fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that separate or surround addresses. An address that contains one must be quoted, and quoted
/// addresses do not occur in practice.
const NOT_IN_LOCAL: &str = "@,;:<>()[]\\\"";

#[cfg(test)]
mod tests {
    use super::*;

    const SPELLINGS: &[(&str, Option<&str>)] = &[
        (" Ann@Example.ORG ", Some("ann@example.org")),
        ("ann+tag=1@example.org", Some("ann+tag=1@example.org")),
        (
            "o'neil_x.y-z@mail.example.org",
            Some("o'neil_x.y-z@mail.example.org"),
        ),
        ("\u{200b}ann@example.org\u{feff}", Some("ann@example.org")),
        ("mailto:ann@example.org", Some("ann@example.org")),
        ("mailto:'ann@example.org'", Some("ann@example.org")),
        ("\u{feff} mailto: ann@example.org", Some("ann@example.org")),
        ("ann@bücher.example。", Some("ann@xn--bcher-kva.example")),
        ("ann@x.example，ben＠y.example", None),
        ("ann@example.org.", Some("ann@example.org")),
        ("ann@bücher.example", Some("ann@xn--bcher-kva.example")),
        ("ann@XN--bcher-kva.example", Some("ann@xn--bcher-kva.example")),
        ("änn@example.org", Some("änn@example.org")),
        ("a\u{308}nn@example.org", Some("änn@example.org")),
        ("A\u{308}NN@EXAMPLE.ORG", Some("änn@example.org")),
        ("\u{202a}ann@example.org\u{202c}", Some("ann@example.org")),
        ("\u{2066}ann@example.org\u{2069}", Some("ann@example.org")),
        ("ann\u{61c}@example.org", Some("ann@example.org")),
        ("an\u{34f}n@exa\u{202e}mple.org", Some("ann@example.org")),
        ("ann\u{e0020}\u{fe0f}@example.org", Some("ann@example.org")),
        ("\u{a0}ann@example.org\u{3000}", Some("ann@example.org")),
        ("ann＠example.org", Some("ann@example.org")),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", Some("ann@example.org")),
        ("ann﹫example.org", Some("ann@example.org")),
        ("ann\u{37e}ben@example.org", None),
        ("ann@localhost", Some("ann@localhost")),
        ("ann@example.org,ben@example.org", None),
        ("ann@example.org;ben@example.org", None),
        ("ann@@example.org", None),
        ("ann@example.org;x=1", None),
        ("Ann <ann@example.org>", Some("ann@example.org")),
        ("\"Doe, Ann\" <Ann@example.org>", Some("ann@example.org")),
        ("<ann@example.org>", Some("ann@example.org")),
        ("＜ann@example.org＞", Some("ann@example.org")),
        ("<mailto:ann@example.org>;", Some("ann@example.org")),
        ("ann@example.org <ann@example.org>", Some("ann@example.org")),
        ("Ann <ann@bücher.example>", Some("ann@xn--bcher-kva.example")),
        ("ann@example.org (Ann)", Some("ann@example.org")),
        ("(ann@example.org)", Some("ann@example.org")),
        ("[ann@example.org]", Some("ann@example.org")),
        ("\"ann@example.org\"", Some("ann@example.org")),
        ("'ann@example.org'", Some("ann@example.org")),
        ("'ann@example.org", Some("ann@example.org")),
        ("‘ann@example.org’", Some("ann@example.org")),
        ("“ann@example.org”", Some("ann@example.org")),
        ("„ann@example.org“", Some("ann@example.org")),
        ("«ann@example.org»", Some("ann@example.org")),
        ("\"ann@bücher.example\"", Some("ann@xn--bcher-kva.example")),
        ("ann@example.org’", Some("ann@example.org")),
        ("ann@example.org”.", Some("ann@example.org")),
        ("ann@example.org,", Some("ann@example.org")),
        ("ann@example.org;", Some("ann@example.org")),
        ("ann@example.org，", Some("ann@example.org")),
        ("ann@example.org、", Some("ann@example.org")),
        ("ann@example.org!", Some("ann@example.org")),
        (",ann@example.org", Some("ann@example.org")),
        ("ann@example.org, Ann@Example.org", Some("ann@example.org")),
        ("ben@example.org <ann@example.org>", None),
        ("Ann <ann@example.org>, Ben <ben@example.org>", None),
        ("Ann <ann@example.org> <ben@example.org>", None),
        ("<ann@example.org> ben@example.org", None),
        ("ann@example.org (ben@example.org)", None),
        ("ann ben@example.org", None),
        ("ann@example.org ben@example.org", None),
        ("ann(ben@example.org", None),
        ("ann@example’s.org", None),
        ("ann@exam“ple”.org", None),
        ("Ann <>", None),
        ("<ann>", None),
        (".ann@example.org", Some(".ann@example.org")),
        ("{ann@example.org", Some("{ann@example.org")),
        ("ann@exam ple.org", None),
        ("an\u{0}n@example.org", None),
        ("ann@.example.org", None),
        ("ann@", None),
        ("@example.org", None),
        ("ann", None),
        ("", None),
    ];

    #[test]
    fn one_mailbox_is_one_address_however_it_is_written() {
        for (text, expected) in SPELLINGS.iter().copied() {
            assert_eq!(normal_email(text).as_deref(), expected, "{text:?}");
            assert_eq!(unwrapped(text).as_deref(), expected, "{text:?}");
            if let Some(expected) = expected {
                assert_eq!(
                    normal_email(expected).as_deref(),
                    Some(expected),
                    "again: {text:?}"
                );
            }
        }
    }
}
