//! Reads JSON as senders write it: strict JSON, and small deviations whose meaning is clear, with a note.
//!
//! Unclear input is an error that names line and column, and never quotes the text.

use serde_json::{Map, Number, Value};

use crate::charset::{HOLE, Texts};

/// The deepest nesting for which the stack is certainly large enough, as in `serde_json`.
pub(crate) const DEEPEST: usize = 127;

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("invalid JSON at line {line} column {column}: {what}")]
    Malformed {
        line: usize,
        column: usize,
        what: &'static str,
    },
    #[error("nested more than {0} deep")]
    TooDeep(usize),
}

/// Counts of deviations.
#[derive(Debug, Default)]
struct Odd {
    duplicates: usize,
    halves: usize,
    no_numbers: usize,
    commas: usize,
    raw: usize,
    quotes: usize,
}

impl Odd {
    fn notes(&self) -> Vec<String> {
        let sentences = [
            (self.duplicates, "members that occur twice; the last one counts"),
            (
                self.halves,
                "halves of a surrogate pair; they were replaced, and a known value stays",
            ),
            (
                self.no_numbers,
                "values NaN, Infinity or undefined, which say nothing, were left out",
            ),
            (self.commas, "extra commas were ignored"),
            (self.raw, "line ends or tabs inside a text were taken as they are"),
            (self.quotes, "escaped single quotes were taken as quotes"),
        ];
        sentences
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, sentence)| format!("JSON: {count} {sentence}"))
            .collect()
    }
}

/// Reads a text; see [`read_bytes`].
pub fn read(text: &str, max_depth: usize) -> Result<(Value, Vec<String>), JsonError> {
    read_bytes(text.as_bytes(), &mut Texts::default(), max_depth)
}

/// Reads a value, and returns notes about deviations. Beside strict JSON it accepts: a byte order mark; the
/// same member twice (the last one counts); half of a surrogate pair (becomes U+FFFD); `NaN`, `Infinity` and
/// `undefined` (left out); a comma after the last item; control characters and `\'` in texts.
pub(super) fn read_bytes(
    bytes: &[u8],
    texts: &mut Texts,
    max_depth: usize,
) -> Result<(Value, Vec<String>), JsonError> {
    let mut reader = Reader {
        bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
        at: 0,
        texts,
        odd: Odd::default(),
        max_depth: max_depth.min(DEEPEST),
    };
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.at < reader.bytes.len() {
        return Err(reader.error("there is more after the value"));
    }
    let value = value.ok_or_else(|| reader.error("a value that is not JSON"))?;
    Ok((value, reader.odd.notes()))
}

/// Parses a text that contains a list or an object in JSON.
pub(super) fn inside(text: &str) -> Option<Value> {
    let text = text.trim();
    let encloses = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    if !encloses('{', '}') && !encloses('[', ']') {
        return None;
    }
    read(text, DEEPEST / 2).ok().map(|(value, _)| value)
}

/// The bytes outside of JSON strings, with their positions.
pub(super) fn outside_texts(json: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_text, mut escaped) = (false, false);
    json.iter().copied().enumerate().filter(move |(_, byte)| {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            return false;
        }
        in_text = *byte == b'"';
        !in_text
    })
}

/// The items of a list as they are written, if the list as a whole cannot be read. Each ends at the comma
/// after its last bracket. `None` if the bytes are no list.
pub fn items(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let list = bytes.trim_ascii().strip_prefix(b"[")?;
    let (mut items, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let mut end = list.len();
    for (at, byte) in outside_texts(list) {
        match byte {
            b'{' | b'[' => depth += 1,
            b']' if depth == 0 => {
                end = at;
                break;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                items.extend(list.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    items.extend(list.get(start..end));
    // Bytes after the list belong to no readable item.
    items.extend(list.get(end + 1..));
    items.retain(|item| !item.trim_ascii().is_empty());
    Some(items)
}

struct Reader<'a, 't> {
    bytes: &'a [u8],
    at: usize,
    texts: &'t mut Texts,
    odd: Odd,
    max_depth: usize,
}

/// `None` for a value that means nothing, such as `NaN`.
type Read = Result<Option<Value>, JsonError>;

impl Reader<'_, '_> {
    fn error(&self, what: &'static str) -> JsonError {
        let before = self.bytes.get(..self.at).unwrap_or(self.bytes);
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let letters = before.get(line_start..).unwrap_or_default();
        // The column counts letters, not bytes, because people and editors do.
        let column = 1 + letters.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        JsonError::Malformed { line, column, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Skips blanks, and then the byte if it is there.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Read {
        self.skip_blanks();
        match self.peek() {
            None => Err(self.error("it ends where a value is expected")),
            Some(b'{') => self.object(depth + 1).map(Some),
            Some(b'[') => self.list(depth + 1).map(Some),
            Some(b'"') => self.text().map(|text| Some(Value::String(text))),
            Some(b'-' | b'0'..=b'9') if !self.rest().starts_with(b"-I") => self.number().map(Some),
            Some(_) => self.word(),
        }
    }

    fn word(&mut self) -> Read {
        let words: [(&[u8], Option<Value>); 7] = [
            (b"null", Some(Value::Null)),
            (b"true", Some(Value::Bool(true))),
            (b"false", Some(Value::Bool(false))),
            (b"NaN", None),
            (b"Infinity", None),
            (b"-Infinity", None),
            (b"undefined", None),
        ];
        for (word, value) in words {
            let after = self.rest().strip_prefix(word);
            if after.is_some_and(|after| !after.first().is_some_and(u8::is_ascii_alphanumeric)) {
                self.at += word.len();
                self.odd.no_numbers += usize::from(value.is_none());
                return Ok(value);
            }
        }
        Err(self.error("no value begins like this"))
    }

    fn check_depth(&self, depth: usize) -> Result<(), JsonError> {
        // The value itself is one level more than in a form.
        if depth > self.max_depth.saturating_add(1) {
            return Err(JsonError::TooDeep(self.max_depth));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut members = Map::new();
        loop {
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if self.peek() != Some(b'"') {
                return Err(self.error("the name of a member is expected, in double quotes"));
            }
            let name = self.text()?;
            if !self.take(b':') {
                return Err(self.error("a colon is expected"));
            }
            let known = members.contains_key(&name);
            self.odd.duplicates += usize::from(known);
            match self.value(depth)? {
                Some(value) => {
                    members.insert(name, value);
                }
                None if known => {
                    members.shift_remove(&name);
                }
                None => {}
            }
            if self.take(b',') {
                self.skip_blanks();
                self.odd.commas += usize::from(self.peek() == Some(b'}'));
            } else if self.peek() != Some(b'}') {
                return Err(self.error("a comma or } is expected"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            // In a list, each position counts, so the gap is filled.
            items.push(self.value(depth)?.unwrap_or_default());
            if self.take(b',') {
                self.skip_blanks();
                self.odd.commas += usize::from(self.peek() == Some(b']'));
            } else if self.peek() != Some(b']') {
                return Err(self.error("a comma or ] is expected"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                reader.at += 1;
            }
            reader.at - from
        };
        self.at += usize::from(self.peek() == Some(b'-'));
        let leads_with_zero = self.peek() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || leads_with_zero && whole > 1 {
            self.at = start;
            return Err(self.error("a number cannot begin like this: write it in double quotes"));
        }
        let mut is_complete = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            is_complete &= digits(self) > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            is_complete &= digits(self) > 0;
        }
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<Number>().ok())
            .filter(|_| is_complete);
        number
            .map(Value::Number)
            .ok_or_else(|| self.error("a number cannot end like this"))
    }

    fn text(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\') || *byte < b' ')
                .unwrap_or(rest.len());
            bytes.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                None => {
                    self.at = start;
                    return Err(self.error("this text has no end"));
                }
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.texts.text(bytes));
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(control) => {
                    self.odd.raw += 1;
                    self.at += 1;
                    bytes.push(control);
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let Some(letter) = self.bytes.get(self.at + 1).copied() else {
            return Err(self.error("it ends within a text"));
        };
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'\'' => {
                self.odd.quotes += 1;
                letter
            }
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let letter = self.escaped_letter()?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("this escape does not exist in JSON")),
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    /// Reads `\uXXXX`, and the second half of a surrogate pair.
    fn escaped_letter(&mut self) -> Result<char, JsonError> {
        let first = self
            .unit(self.at)
            .ok_or_else(|| self.error("four hexadecimal digits are expected after \\u"))?;
        self.at += 6;
        if let Some(letter) = char::from_u32(first) {
            return Ok(letter);
        }
        let second = self.unit(self.at).filter(|unit| (0xdc00..0xe000).contains(unit));
        if let Some(second) = second.filter(|_| first < 0xdc00) {
            self.at += 6;
            let letter = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(letter).unwrap_or(HOLE));
        }
        self.odd.halves += 1;
        Ok(HOLE)
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digits = std::str::from_utf8(digits).ok()?;
        // `from_str_radix` would accept a sign as a digit.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }
}

#[cfg(test)]
mod tests;
