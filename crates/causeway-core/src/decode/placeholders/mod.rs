//! Placeholders: what senders write for something that they do not know, such as ids that identify nobody and
//! words for "nothing". Also the comparison of values, so that `0.0` equals `0`.
//!
//! Invariant: a placeholder is never an identity. Otherwise all people with the id `0` would become one
//! contact with one consent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::sync::{is_empty, plain_number};
use crate::{address::is_unseen, charset::has_holes};

/// The placeholders of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholders {
    /// Ids that identify nobody, besides those that never do. In the form that [`bare`] makes.
    ids: BTreeSet<String>,
    values: BTreeSet<String>,
    /// The length of the longest of `values`, in bytes.
    longest_value: usize,
    /// The meaning of an empty text.
    empty: Emptied,
    /// The meaning of null.
    null: Emptied,
}

/// What an empty value does to a known field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emptied {
    /// Nothing: the sender does not know the value.
    Keep,
    /// The field was emptied at the sender, so it is cleared here.
    Clear,
}

impl Default for Placeholders {
    fn default() -> Self {
        Self::new(&[], None)
    }
}

/// Words that programs write for a field without a value. They match exactly, or in all small or all capital
/// letters only, because a person may be called Null or Nan.
pub const EMPTY_VALUES: &[&str] = &[
    "null",
    "(null)",
    "<null>",
    "[null]",
    "\\N",
    "nil",
    "<nil>",
    "none",
    "None",
    "nan",
    "NaN",
    "undefined",
    "n/a",
    "#n/a",
    "#na",
    "#value!",
    "#ref!",
    "#name?",
    "#div/0!",
    "#num!",
    "#null!",
    "-",
    "--",
    "[object Object]",
];

/// Words that identify nobody, whatever the source. They are compared by letters and digits alone, without
/// accents: `N.A.`, `n / a` and `#N/A` are `na`. Numbers, templates and spreadsheet errors are recognised by
/// their form.
const NOBODY: &[&str] = &[
    "null",
    "nul",
    "nil",
    "none",
    "undefined",
    "undef",
    "nan",
    "na",
    "nv",
    "empty",
    "blank",
    "anonymous",
    "anon",
    "guest",
    "guestuser",
    "false",
    "true",
    "unknown",
    "unset",
    "notset",
    "notavailable",
    "notapplicable",
    "notprovided",
    "notspecified",
    "notdefined",
    "notfound",
    "missing",
    "nobody",
    "noone",
    "nothing",
    "novalue",
    "nodata",
    "noid",
    "nouser",
    "infinity",
    "0x0",
    "objectobject",
    "array",
    // Not decided yet, or for tests.
    "tbd",
    "tba",
    "tbc",
    "todo",
    "testuser",
    "testid",
    "testcontact",
    "default",
    "deleted",
    "deleteduser",
    "unknownuser",
    "anonymoususer",
    "void",
    "inf",
    "dummy",
    "placeholder",
    // French
    "inconnu",
    "inconnue",
    "invite",
    "invitee",
    "aucun",
    "aucune",
    "anonyme",
    "neant",
    "indefini",
    "nondefini",
    "nondisponible",
    "nonrenseigne",
    "sansobjet",
    "vide",
    // German
    "unbekannt",
    "unbekannter",
    "gast",
    "kein",
    "keine",
    "keiner",
    "keines",
    "keineangabe",
    "keineid",
    "anonym",
    "niemand",
    "nichtgesetzt",
    "nichtbekannt",
    "nichtverfugbar",
    "nichtverfuegbar",
    "nichtangegeben",
    "leer",
    // Spanish
    "desconocido",
    "desconocida",
    "ninguno",
    "ninguna",
    "invitado",
    "invitada",
    "anonimo",
    "anonima",
    "nulo",
    "vacio",
    "nodisponible",
    "nodefinido",
    "sinid",
    // Italian
    "sconosciuto",
    "sconosciuta",
    "nessuno",
    "nessuna",
    "ospite",
    "vuoto",
    "nullo",
    "nondefinito",
    "nonimpostato",
    // Polish
    "nieznany",
    "nieznana",
    "nieznane",
    "brak",
    "brakdanych",
    "gosc",
    "anonimowy",
    "anonimowa",
    "nikt",
    // Dutch
    "onbekend",
    "onbekende",
    "geen",
    "anoniem",
    "nvt",
    "nietingesteld",
    "nietbeschikbaar",
    // Portuguese
    "desconhecido",
    "nenhum",
    "convidado",
    // Russian
    "неизвестно",
    // The field's name instead of its value.
    "id",
    "ids",
    "uid",
    "uuid",
    "guid",
    "userid",
    "contactid",
    "personid",
    "subscriberid",
    "customerid",
    "clientid",
    "memberid",
    "leadid",
    "profileid",
    "recipientid",
    "visitorid",
    "externalid",
    "contactref",
];

/// As `NOBODY`, with marks that belong to the word. Without these they may be ids.
const NOBODY_AS_WRITTEN: &[&str] = &[
    "\\n", "s/o", "k.a", "k.a.", "k. a.", "k/a", "#nv", "#nd", "#n/d", "%s", "%d", "%@",
];

/// The marks around a template's variable that the sender did not replace.
const TEMPLATES: &[(&str, &str)] = &[
    ("[#", "#]"),
    ("{{", "}}"),
    ("{%", "%}"),
    ("${", "}"),
    ("#{", "}"),
    ("<%", "%>"),
    ("<?", "?>"),
    ("*|", "|*"),
    ("|*", "*|"),
    ("[[", "]]"),
    ("%%", "%%"),
    ("##", "##"),
    ("@@", "@@"),
];

/// Marks that may enclose variables and ids. A variable has letters and no digits.
const AROUND_NAMES: &[(&str, &str)] = &[
    ("%", "%"),
    ("$", "$"),
    ("{", "}"),
    ("[", "]"),
    ("<", ">"),
    ("__", "__"),
    ("~", "~"),
    ("|", "|"),
    ("@", "@"),
    // Only in front of a name.
    ("$", ""),
    (":", ""),
];

impl Placeholders {
    /// `ids` are added to those that never identify anybody. `values` replace [`EMPTY_VALUES`].
    pub fn new(ids: &[String], values: Option<&[String]>) -> Self {
        let values: BTreeSet<String> = match values {
            Some(values) => values.iter().map(|value| shown(value).to_owned()).collect(),
            None => EMPTY_VALUES.iter().map(|value| (*value).to_owned()).collect(),
        };
        Self {
            ids: ids.iter().map(|id| bare(id)).collect(),
            longest_value: values.iter().map(String::len).max().unwrap_or(0),
            values,
            empty: Emptied::Keep,
            null: Emptied::Clear,
        }
    }

    /// Sets the meanings of an empty text and of null.
    #[must_use]
    pub fn with_emptied(self, empty: Emptied, null: Emptied) -> Self {
        Self { empty, null, ..self }
    }

    /// The value to take for a field that came with this value: null clears it, and `None` leaves it as it
    /// is. A word for "nothing" never clears a field, because its sender does not know the value.
    pub(super) fn taken(&self, value: Value) -> Option<Value> {
        if !self.is_nothing(&value) {
            return Some(value);
        }
        let meaning = match &value {
            Value::Null => self.null,
            value if is_empty(value) => self.empty,
            _ => Emptied::Keep,
        };
        (meaning == Emptied::Clear).then_some(Value::Null)
    }

    /// The id, trimmed. `None` with a note for a placeholder, and without a note if there is no id.
    pub(super) fn id(&self, place: &str, id: Option<&Value>, notes: &mut Vec<String>) -> Option<String> {
        let id = match id? {
            Value::String(id) => shown(id).to_owned(),
            Value::Number(id) => plain_number(id),
            Value::Bool(id) => id.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        if id.is_empty() {
            return None;
        }
        if has_holes(&id) {
            notes.push(format!(
                "{place}: letters of it were lost, so it could name several people; it was ignored"
            ));
            return None;
        }
        if self.names_nobody(&id) {
            notes.push(format!("{place}: a placeholder, which names nobody, was ignored"));
            return None;
        }
        Some(id)
    }

    /// The first of several values that is a real id.
    pub(super) fn first_id<'a>(
        &self,
        place: &str,
        ids: impl IntoIterator<Item = &'a Value>,
        notes: &mut Vec<String>,
    ) -> Option<String> {
        let mut passed_over = Vec::new();
        let mut ids = ids.into_iter();
        let id = ids.find_map(|id| self.id(place, Some(id), &mut passed_over));
        // One note is enough, however many were skipped.
        notes.extend(passed_over.into_iter().next());
        id
    }

    /// Whether the sender wrote this id because it knows none.
    pub fn names_nobody(&self, id: &str) -> bool {
        let id = bare(id);
        // Also decodes an address that was encoded twice.
        let decoded = percent_decoded(&id).map(|id| percent_decoded(&id).unwrap_or(id));
        decoded.is_some_and(|id| is_template(&id) || is_nobody(&id))
            || is_nobody(&id)
            || is_template(&id)
            || self.ids.contains(&id)
    }

    /// Whether a value means nothing: it is empty, or one of the source's words for that.
    pub(super) fn is_nothing(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_empty_text(text),
            Value::Array(items) => items.iter().all(|item| self.is_nothing(item)),
            Value::Object(members) => members.values().all(|member| self.is_nothing(member)),
            other => is_empty(other),
        }
    }

    /// Whether the text is one of the words for a field without a value.
    fn is_value(&self, text: &str) -> bool {
        self.values.contains(text)
            || self.values.iter().any(|word| {
                word.eq_ignore_ascii_case(text)
                    && (*text == text.to_ascii_lowercase() || *text == text.to_ascii_uppercase())
            })
    }

    /// As [`Self::is_nothing`], for a text.
    pub(super) fn is_empty_text(&self, text: &str) -> bool {
        let text = shown(text);
        text.is_empty() || is_unreplaced(text) || (text.len() <= self.longest_value && self.is_value(text))
    }
}

/// The text without surrounding blanks and invisible characters.
pub(super) fn shown(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_unseen(c))
}

/// The form in which ids are compared with placeholders: without surrounding blanks and quotes, in small
/// letters, with plain characters for full-width ones.
fn bare(id: &str) -> String {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»');
    let id = id.trim_matches(|c: char| c.is_whitespace() || is_unseen(c) || is_quote(c));
    if id.is_ascii() {
        return id.to_ascii_lowercase();
    }
    let one_minus = |c: char| {
        if matches!(c, '−' | '–' | '—') {
            '-'
        } else {
            c
        }
    };
    let plain: String = id.nfkc().filter(|c| !is_unseen(*c)).map(one_minus).collect();
    plain
        .trim_matches(|c: char| c.is_whitespace() || is_quote(c))
        .to_lowercase()
}

/// The text that `%7B%7Bid%7D%7D` encodes; `None` if nothing is encoded.
fn percent_decoded(id: &str) -> Option<String> {
    if !id.contains('%') {
        return None;
    }
    let (mut decoded, mut rest) = (Vec::with_capacity(id.len()), id.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        let pair = behind.get(..2).filter(|_| *byte == b'%');
        let encoded = pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        decoded.push(encoded.unwrap_or(*byte));
        rest = if encoded.is_some() { rest.get(3..)? } else { behind };
    }
    String::from_utf8(decoded).ok().filter(|decoded| decoded != id)
}

/// Whether the result of [`bare`] is a word for nobody, or a number that cannot be an id.
fn is_nobody(id: &str) -> bool {
    let is_zero = |c: char| c == '0' || (!c.is_ascii() && is_zero_elsewhere(c));
    if !id.chars().any(|c| c.is_alphanumeric() && !is_zero(c)) || NOBODY_AS_WRITTEN.contains(&id) {
        return true;
    }
    if number(id).is_some_and(|number| number == "0" || number.starts_with('-')) {
        return true;
    }
    let letters = |text: &str| -> String {
        if text.is_ascii() {
            return text.chars().filter(char::is_ascii_alphanumeric).collect();
        }
        text.nfd().filter(|c| c.is_alphanumeric()).collect()
    };
    let is_word = |word: &str| {
        let is_all = |wanted: char| word.chars().all(|c| c == wanted);
        NOBODY.contains(&word) || is_all('x') && word.len() > 1 || is_all('f') && word.len() >= 8
    };
    // `null null`, `none/none`
    let mut parts = id
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty());
    // The letters of an address are not compared with words.
    !id.contains('@') && is_word(&letters(id)) || parts.all(|part| is_word(&letters(part))) || is_error(id)
}

/// The digit zero of another script.
fn is_zero_elsewhere(c: char) -> bool {
    matches!(
        c,
        '\u{660}'
            | '\u{6f0}'
            | '\u{7c0}'
            | '\u{966}'
            | '\u{9e6}'
            | '\u{a66}'
            | '\u{ae6}'
            | '\u{b66}'
            | '\u{be6}'
            | '\u{c66}'
            | '\u{ce6}'
            | '\u{d66}'
            | '\u{e50}'
            | '\u{ed0}'
            | '\u{f20}'
            | '\u{1040}'
            | '\u{17e0}'
            | '\u{1810}'
    )
}

/// `#REF!`, `#DIV/0!`, `#NAME?`, in any language.
fn is_error(id: &str) -> bool {
    let name = id
        .strip_prefix('#')
        .and_then(|rest| rest.strip_suffix(['!', '?']));
    name.is_some_and(|name| {
        name.starts_with(char::is_alphabetic)
            && name
                .chars()
                .all(|c| c.is_alphabetic() || matches!(c, '/' | '0' | '_' | ' '))
    })
}

/// For the trace: how many values are templates that the sender did not fill in.
pub(super) fn unreplaced<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<String> {
    let is_one = |value: &&Value| value.as_str().is_some_and(|text| is_unreplaced(shown(text)));
    match values.into_iter().filter(is_one).count() {
        0 => None,
        1 => Some("one value is a shortcode that the sender did not replace; it was ignored".to_owned()),
        count => Some(format!(
            "{count} values are shortcodes that the sender did not replace; they were ignored"
        )),
    }
}

/// Whether the whole text is a name between the marks of a template, or what is left of `[#NAME#]` in an address, where `#`
/// begins the fragment that clients do not send.
fn is_unreplaced(text: &str) -> bool {
    let is_name = |inside: &str| {
        inside.chars().any(char::is_alphabetic) && !inside.contains(['[', ']', '{', '}', '\n'])
    };
    let is_enclosed = |(open, close): &(&str, &str)| {
        let inside = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inside.is_some_and(is_name)
    };
    // Nearly all texts begin like none of the templates.
    let may_be_one = text.starts_with(['[', '{', '$', '#', '<', '*', '|', '%', '@']);
    may_be_one && (text == "[" || TEMPLATES.iter().any(is_enclosed))
}

/// Whether a template was sent as it is, with its variables not replaced.
fn is_template(id: &str) -> bool {
    // Nearly all ids have fewer marks than the shortest template.
    let is_mark = |byte: &u8| b"[]{}$#<>%*|@_~?".contains(byte);
    if id.bytes().filter(is_mark).count() < 2 && !id.starts_with(['$', ':']) {
        return false;
    }
    let encloses = |(open, close): &(&str, &str)| {
        let behind = id.split_once(open).map(|(_, behind)| behind);
        behind.is_some_and(|behind| behind.contains(close))
    };
    let is_name =
        |inside: &str| inside.chars().any(char::is_alphabetic) && !inside.chars().any(|c| c.is_ascii_digit());
    let is_enclosed = |(open, close): &(&str, &str)| {
        let inside = id.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inside.is_some_and(is_name)
    };
    AROUND_NAMES.iter().any(is_enclosed) || TEMPLATES.iter().any(encloses)
}

/// A number in its shortest spelling: `0.0`, `0,00`, `+0`, `-0` and `0e0` are `0`. `None` if the text is no
/// number, or has a comma before three digits, which may separate thousands.
pub(super) fn number(text: &str) -> Option<String> {
    if text.contains(['e', 'E']) && text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        let read = text.parse::<f64>().ok().filter(|read| read.is_finite())?;
        return number(&read.to_string());
    }
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) if text.starts_with('-') => ("-", digits),
        Some(digits) => ("", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if digits.contains(',') && fraction.len() == 3 && !whole.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    Some(match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    })
}

#[cfg(test)]
mod tests;
