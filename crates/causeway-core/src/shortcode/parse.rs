//! Finds the shortcodes in a text.

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Code(Code),
}

/// The text between `[#` and `#]`. Which of its words are functions depends on the names that a contact has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The whole text, trimmed.
    pub written: String,
    /// The part before the first `/`: functions and the name.
    pub head: String,
    /// The part after the first `/`.
    pub argument: Option<String>,
}

const OPEN: &str = "[#";
const CLOSE: &str = "#]";

/// Parses a template. It never fails: whatever is no shortcode is text. [`super::lint`] finds texts that look
/// like one.
pub fn parse(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        plain.push_str(before);
        if let Some((code, behind)) = code(after) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Code(code));
            rest = behind;
        } else {
            plain.push_str(OPEN);
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// Whether the template contains a shortcode.
pub fn has_codes(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Code(_)))
}

/// The shortcode whose `[#` was just read, and the rest of the text.
fn code(after: &str) -> Option<(Code, &str)> {
    let (inside, behind) = after.split_once(CLOSE)?;
    let written = inside.trim();
    if written.is_empty() || inside.contains(OPEN) || inside.contains(['\n', '\r']) {
        return None;
    }
    let (head, argument) = match written.split_once('/') {
        Some((head, argument)) => (head.trim_end(), Some(argument.trim_start().to_owned())),
        None => (written, None),
    };
    let code = Code {
        written: written.to_owned(),
        head: head.to_owned(),
        argument,
    };
    Some((code, behind))
}
