//! Shortcodes, `[#PROPER FIRST NAME/there#]`: the placeholders that platforms use for a contact's values.
//!
//! A template is read by [`parse`] once, with the configuration, and filled by [`expand`] for each record.
//! The syntax is in `docs/shortcodes.md`.
//!
//! Invariant: a filled-in value is never read for shortcodes again, so nobody can make the hub fill in data
//! by typing a shortcode into a form.

mod functions;
mod lint;
mod names;
mod parse;
mod place;
mod reserved;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub(crate) use self::names::{contact_id, list_fields};
use self::{functions::Function, names::Found, reserved::Reserved};
pub use self::{
    lint::{lint, lint_url},
    names::Names,
    parse::{Code, Piece, has_codes, parse},
    place::{Place, expand_url},
    reserved::reads,
};
use crate::mapping::omission::{Omissions, Reads};

/// The rules for reading shortcodes.
#[derive(Debug, Clone)]
pub struct Rules {
    pub slash: Slash,
    pub unknown: Unknown,
    /// The time zone for `DATE`, both for reading dates without a zone and for printing.
    pub zone: TimeZone,
    /// Our name of a field → its number at the destination, for `[#FIELD 125#]`. Overrides the number that a
    /// platform sent.
    pub field_ids: BTreeMap<String, String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            slash: Slash::default(),
            unknown: Unknown::default(),
            zone: TimeZone::UTC,
            field_ids: BTreeMap::new(),
        }
    }
}

/// The meaning of `/2`, which no platform documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slash {
    /// The first two characters.
    #[default]
    Take,
    /// The second word.
    Word,
}

/// What happens to a delivery whose template names a field that the contact does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// Nothing is filled in.
    #[default]
    Lenient,
    /// The template cannot be filled.
    Strict,
}

/// Why a template cannot be filled. Names shortcodes and fields, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("the shortcode [#{code}#] matches no value of this contact ({hint})")]
    Unknown { code: String, hint: String },
    #[error("the value of [#{code}#] {why}")]
    Value { code: String, why: &'static str },
}

/// Remarks about the texts of one delivery.
#[derive(Debug)]
pub struct Report<'o> {
    /// The shortcodes that name no field.
    pub unknown: BTreeSet<String>,
    pub omissions: &'o mut Omissions,
}

impl<'o> Report<'o> {
    pub fn new(omissions: &'o mut Omissions) -> Self {
        Self {
            unknown: BTreeSet::new(),
            omissions,
        }
    }
}

/// Fills in the values. In a withdrawal, a value that cannot be filled in is left out.
pub fn expand(
    pieces: &[Piece],
    names: &Names<'_>,
    place: Place,
    report: &mut Report<'_>,
) -> Result<String, ExpandError> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Code(code) => out.push_str(&put(code, names, place, report)?),
        }
    }
    Ok(out)
}

fn put(code: &Code, names: &Names<'_>, place: Place, report: &mut Report<'_>) -> Result<String, ExpandError> {
    let mut made = put_strictly(code, names, place, &mut report.unknown);
    // A withdrawal omits such a value, so that the rest can be sent.
    let leads_elsewhere = |value: &String| place == Place::Path && place::is_step(value);
    if report.omissions.is_withdrawal() && made.as_ref().is_ok_and(leads_elsewhere) {
        made = Err(place::other_address(code));
    }
    let is_empty = made.as_ref().is_ok_and(String::is_empty);
    let reads = || {
        if is_empty {
            Reads::NOTHING
        } else {
            code.reads(names.rules)
        }
    };
    let made = report.omissions.take(reads, made)?;
    Ok(made.unwrap_or_default())
}

fn put_strictly(
    code: &Code,
    names: &Names<'_>,
    place: Place,
    unknown: &mut BTreeSet<String>,
) -> Result<String, ExpandError> {
    let Some(value) = value(code, names) else {
        // The text for a missing value also applies here: a field that was never filled in is not known.
        let fallback = fallback(code, false);
        if fallback.is_none() && names.rules.unknown == Unknown::Strict {
            return Err(ExpandError::Unknown {
                code: code.written.clone(),
                hint: names.hint(&code.head),
            });
        }
        unknown.insert(code.written.clone());
        return place.put(code, fallback.unwrap_or_default());
    };
    place.put(code, &value)
}

/// The text for a shortcode. Empty if the contact has no value; `None` if no field has this name.
fn value(code: &Code, names: &Names<'_>) -> Option<String> {
    let reserved =
        Reserved::of(code).and_then(|reserved| Some((reserved.functions, names.reserved(reserved.name)?)));
    let (functions, found) = if let Some(reserved) = reserved {
        reserved
    } else {
        // A field may be called `UPPER LIMIT` or `Industry/Vertical`. So look for the whole text as a name
        // first, before functions and arguments.
        if let Some(found) = names.find(&code.written) {
            return Some(found.text().unwrap_or_default());
        }
        read_head(&code.head, names)?
    };
    let is_date = functions.contains(&Function::Date);
    let mut text = found.text();
    for function in functions.iter().rev() {
        text = text.and_then(|text| function.apply(&text, code.argument.as_deref(), &names.rules.zone));
    }
    let text = text.filter(|text| !text.trim().is_empty());
    Some(match (text, code.argument.as_deref()) {
        (Some(text), Some(argument)) if !is_date => cut(text, argument, names.rules.slash),
        (Some(text), _) => text,
        (None, _) => fallback(code, is_date).unwrap_or_default().to_owned(),
    })
}

/// Removes functions from the front until a known name remains.
fn read_head<'n>(head: &str, names: &'n Names<'_>) -> Option<(Vec<Function>, Found<'n>)> {
    let mut functions = Vec::new();
    let mut rest = head;
    loop {
        if let Some(found) = names.find(rest) {
            return Some((functions, found));
        }
        let (word, after) = rest.split_once(char::is_whitespace)?;
        functions.push(Function::named(word)?);
        rest = after.trim_start();
    }
}

/// The argument as the text for a missing value. A number counts only in quotes.
fn fallback(code: &Code, is_date: bool) -> Option<&str> {
    let argument = code.argument.as_deref()?;
    match quoted(argument) {
        Some(text) => Some(text),
        None if is_date || span(argument).is_some() => None,
        None => Some(argument),
    }
}

fn quoted(argument: &str) -> Option<&str> {
    argument.strip_prefix('"')?.strip_suffix('"')
}

/// `2` means the first two or the second; `2-5` means the second to the fifth, counted from 1.
#[derive(Clone, Copy)]
enum Span {
    Number(usize),
    FromTo(usize, usize),
}

fn span(argument: &str) -> Option<Span> {
    // A number that is too large for the type means all.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    match argument.split_once('-') {
        None => number(argument).map(Span::Number),
        Some((from, to)) => Some(Span::FromTo(number(from)?, number(to)?)),
    }
}

fn cut(text: String, argument: &str, slash: Slash) -> String {
    let Some(span) = span(argument) else {
        return text;
    };
    let (from, to) = match (span, slash) {
        (Span::Number(count), Slash::Take) => (1, count),
        (Span::Number(which), Slash::Word) => (which, which),
        (Span::FromTo(from, to), _) => (from, to),
    };
    if to == 0 || from > to {
        return String::new();
    }
    let (skip, keep) = (from.saturating_sub(1), to - from.saturating_sub(1));
    match slash {
        Slash::Take => text.chars().skip(skip).take(keep).collect(),
        Slash::Word => {
            let words: Vec<&str> = functions::words(&text).skip(skip).take(keep).collect();
            words.join(" ")
        }
    }
}
