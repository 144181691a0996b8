//! Decodes bytes to text: in the declared charset, or else as UTF-8.
//!
//! Invariant: a text with lost letters ([`has_holes`]) never replaces a known value; see
//! [`crate::contact::Contact`].

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The replacement for bytes that could not be read.
pub(crate) const HOLE: char = char::REPLACEMENT_CHARACTER;

/// Whether bytes of the text were lost, here or at the sender.
pub(crate) fn has_holes(text: &str) -> bool {
    text.contains(HOLE)
}

/// A charset that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// Finds a charset by any name that browsers know: `latin1` and `ISO-8859-1` mean `windows-1252`. `None`
    /// if it cannot be decoded.
    pub fn named(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label(label.trim().as_bytes())?;
        (encoding != REPLACEMENT).then_some(Self(encoding))
    }

    /// The charset of the byte order mark at the start of the body, and the body without the mark.
    pub(super) fn by_mark(body: &[u8]) -> Option<(Self, &[u8])> {
        let (encoding, length) = Encoding::for_bom(body)?;
        Some((Self(encoding), body.get(length..)?))
    }

    pub(super) fn is_utf8(self) -> bool {
        self.0 == UTF_8
    }

    /// Whether its letters take two bytes each. Single bytes may then look like ASCII, so a text must be decoded
    /// before it is parsed.
    pub(super) fn is_wide(self) -> bool {
        self.0 == UTF_16LE || self.0 == UTF_16BE
    }

    fn decode(self, bytes: &[u8]) -> (Cow<'_, str>, bool) {
        self.0.decode_without_bom_handling(bytes)
    }
}

/// Decodes the texts of one body, and counts what was odd.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The charset that the sender declares.
    pub declared: Option<Charset>,
    /// The charset of texts that are not UTF-8, if the sender declares none.
    pub otherwise: Option<Charset>,
    broken: usize,
    as_configured: usize,
    as_utf8: usize,
}

impl Texts {
    pub(super) fn new(declared: Option<Charset>, otherwise: Option<Charset>) -> Self {
        Self {
            declared,
            otherwise,
            ..Self::default()
        }
    }

    /// Decodes a text of the body.
    pub(super) fn text(&mut self, bytes: Vec<u8>) -> String {
        match String::from_utf8(bytes) {
            Ok(text) => self.valid(text),
            Err(error) => self.other(error.as_bytes()),
        }
    }

    /// Decodes the body as a whole, for formats that need this before they can be parsed.
    pub(super) fn whole<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.declared.is_none_or(Charset::is_utf8) => Cow::Borrowed(text),
            Ok(text) => Cow::Owned(self.valid(text.to_owned())),
            Err(_) => Cow::Owned(self.other(bytes)),
        }
    }

    /// Decodes a text that is valid UTF-8, if the sender declares another charset. If that is windows-1252, the
    /// text is UTF-8 nevertheless: in windows-1252 such pairs of letters (`Ã«`) make no words, and the sender
    /// only passes on the default of its library.
    fn valid(&mut self, text: String) -> String {
        let Some(declared) = self.declared.filter(|charset| !charset.is_utf8()) else {
            return text;
        };
        // An escape character switches to another alphabet, whose letters look like ASCII.
        if text.is_ascii() && !declared.is_wide() && !text.contains('\u{1b}') {
            return text;
        }
        if declared.0 == WINDOWS_1252 {
            self.as_utf8 += usize::from(!text.is_ascii());
            return text;
        }
        let (read, is_broken) = declared.decode(text.as_bytes());
        self.broken += usize::from(is_broken);
        read.into_owned()
    }

    fn other(&mut self, bytes: &[u8]) -> String {
        let charset = self.declared.filter(|charset| !charset.is_utf8());
        if charset.is_none() && self.otherwise.is_some() {
            self.as_configured += 1;
        }
        let (text, is_broken) = match charset.or(self.otherwise) {
            Some(charset) => charset.decode(bytes),
            None => (String::from_utf8_lossy(bytes), true),
        };
        self.broken += usize::from(is_broken);
        text.into_owned()
    }

    /// Notes for the trace. `place` is `form`, `JSON` or `XML`.
    pub(super) fn notes(&self, place: &str) -> Vec<String> {
        let sentences = [
            (
                self.broken,
                if self.declared.is_some_and(|charset| !charset.is_utf8()) {
                    "have bytes that their charset does not; a known value stays"
                } else {
                    "are not UTF-8, and no other charset was declared (`charset` of the source): invalid bytes were \
                     replaced, and a known value stays"
                },
            ),
            (
                self.as_configured,
                "are not UTF-8 and were read in the `charset` of the source",
            ),
            (self.as_utf8, "are UTF-8, although another charset was declared"),
        ];
        sentences
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, sentence)| format!("{place}: {count} texts {sentence}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(declared: &str, otherwise: &str, bytes: &[u8]) -> (String, usize) {
        let mut texts = Texts::new(Charset::named(declared), Charset::named(otherwise));
        let text = texts.text(bytes.to_vec());
        (text, texts.notes("form").len())
    }

    #[test]
    fn a_text_is_read_in_the_declared_charset_or_the_configured_one_or_as_utf8() {
        for (declared, otherwise, bytes, text, notes) in [
            ("", "", &b"Zo\xc3\xab"[..], "Zoë", 0),
            ("utf-8", "", b"Zo\xc3\xab", "Zoë", 0),
            ("ISO-8859-1", "", b"Zo\xeb", "Zoë", 0),
            ("windows-1252", "", b"\x8a \x80", "Š €", 0),
            ("iso-8859-2", "", b"\xa3\xf3d\xbc", "Łódź", 0),
            ("KOI8-R", "", b"\xe1\xce\xce\xc1", "Анна", 0),
            ("shift_jis", "", b"\x95\x5c", "表", 0),
            ("utf-16le", "", b"A\0\xeb\0", "Aë", 0),
            ("iso-2022-jp", "", b"\x1b$BI=\x1b(B", "表", 0),
            // The declared charset is wrong.
            ("latin1", "", b"Zo\xc3\xab", "Zoë", 1),
            ("us-ascii", "", b"plain", "plain", 0),
            // No charset is declared.
            ("", "windows-1252", b"Zo\xeb", "Zoë", 1),
            ("", "windows-1252", b"Zo\xc3\xab", "Zoë", 0),
            ("utf-8", "windows-1252", b"Zo\xeb", "Zoë", 1),
            ("", "", b"Zo\xeb", "Zo\u{fffd}", 1),
            ("utf-8", "", b"Zo\xeb", "Zo\u{fffd}", 1),
            ("shift_jis", "", b"\xff", "\u{fffd}", 1),
        ] {
            assert_eq!(
                read(declared, otherwise, bytes),
                (text.to_owned(), notes),
                "{declared} {otherwise} {bytes:?}"
            );
        }
    }

    #[test]
    fn an_unknown_charset_name_gives_none() {
        for (label, known) in [
            (" Latin1 ", true),
            ("cp1252", true),
            ("utf8", true),
            ("utf-7", false),
            ("hz-gb-2312", false),
            ("", false),
            ("klingon", false),
        ] {
            assert_eq!(Charset::named(label).is_some(), known, "{label}");
        }
    }
}
