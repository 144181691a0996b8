//! The places that a value can be filled into, and how it must be encoded there.

use std::fmt::Write;

use super::{
    ExpandError, Names, Report,
    parse::{Code, Piece},
    put,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A place whose writer encodes the text: a value of a form, of JSON, of XML.
    Plain,
    /// The path of an address.
    Path,
    /// The query of an address.
    Query,
    /// The value of a header.
    Header,
}

impl Place {
    pub(super) fn put(self, code: &Code, value: &str) -> Result<String, ExpandError> {
        match self {
            Self::Path | Self::Query => {
                let mut out = String::new();
                encode(value, &mut out);
                Ok(out)
            }
            Self::Header if value.contains(|letter: char| letter.is_control() && letter != '\t') => {
                Err(ExpandError::Value {
                    code: code.written.clone(),
                    why: "holds a line break or another control character, which no header can carry",
                })
            }
            Self::Plain | Self::Header => Ok(value.to_owned()),
        }
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
}

/// Fills an address before it is parsed, because a parser would take `#` as the end of the address. Each
/// value is encoded for its place.
pub fn expand_url(
    pieces: &[Piece],
    names: &Names<'_>,
    report: &mut Report<'_>,
) -> Result<String, ExpandError> {
    let mut out = String::new();
    let mut place = Place::Path;
    let mut last_in_path = None;
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                if text.contains(['?', '#']) {
                    place = Place::Query;
                }
                out.push_str(text);
            }
            Piece::Code(code) => {
                let value = put(code, names, place, report)?;
                if place == Place::Path {
                    last_in_path = Some(code);
                    // In a withdrawal, a value must not become a path segment that leads elsewhere.
                    if report.omissions.is_withdrawal()
                        && !value.is_empty()
                        && value.bytes().all(|b| b == b'.')
                    {
                        report
                            .omissions
                            .take(|| code.reads(names.rules), Err::<(), _>(other_address(code)))?;
                        continue;
                    }
                }
                out.push_str(&value);
            }
        }
    }
    match last_in_path {
        Some(code) if climbs(&out) => Err(other_address(code)),
        _ => Ok(out),
    }
}

pub(super) fn other_address(code: &Code) -> ExpandError {
    ExpandError::Value {
        code: code.written.clone(),
        why: "would make a step of the path `.` or `..`, which leads to another address",
    }
}

/// Whether a value consists of dots only, so that it may become such a segment.
pub(super) fn is_step(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte == b'.')
}

/// Whether a path segment is `.` or `..`, by which parsers shorten addresses. The configuration contains
/// none.
fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|step| {
        let step = step.to_ascii_lowercase().replace("%2e", ".");
        step == "." || step == ".."
    })
}
