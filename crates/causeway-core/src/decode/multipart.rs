//! Reads a `multipart/form-data` body from memory, as leniently as PHP: lines may end with a bare line feed,
//! and the body may end without a closing boundary.
//!
//! It continues in two cases where PHP stops: after a part without a name, and after the twentieth file.

use memchr::memmem;

/// A part that is no file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub name: Vec<u8>,
    pub content: &'a [u8],
    /// The charset in the part's own content type.
    pub charset: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub named: Vec<Part<'a>>,
    pub files: usize,
    pub nameless: usize,
    /// The closing boundary is missing.
    pub is_open: bool,
}

/// Splits the body at its boundary. `Err` says why it cannot.
pub(super) fn split<'a>(content_type: &str, body: &'a [u8]) -> Result<Parts<'a>, &'static str> {
    let boundary = parameter(content_type, "boundary")
        .map(|boundary| boundary.split(',').next().unwrap_or_default().trim().to_owned())
        .filter(|boundary| !boundary.is_empty())
        .ok_or("the content type names no boundary")?;
    let first = ["--", &boundary].concat();
    let next = ["\n--", &boundary].concat();
    let mut rest = Lines { rest: body };
    let mut found = Parts {
        is_open: true,
        ..Parts::default()
    };
    let mut any = false;
    while rest.skip_to(first.as_bytes()) {
        any = true;
        let head = Head::read(&mut rest);
        if head.name.is_none() && !head.is_file {
            // The content is not wanted, and the next line may already be a boundary.
            found.nameless += 1;
            found.is_open = false;
            continue;
        }
        let (content, end) = content(rest.rest, next.as_bytes());
        found.is_open = end.is_none();
        rest.rest = end.unwrap_or_default();
        match head {
            Head {
                name: Some(name),
                is_file: false,
                charset,
            } => found.named.push(Part {
                name,
                content,
                charset,
            }),
            _ => found.files += 1,
        }
    }
    if any {
        Ok(found)
    } else {
        Err("the boundary does not occur")
    }
}

/// The content of a part, and the rest of the body from the next boundary on.
fn content<'a>(body: &'a [u8], next: &[u8]) -> (&'a [u8], Option<&'a [u8]>) {
    let (content, end) = match memmem::find(body, next).and_then(|at| body.split_at_checked(at)) {
        Some((content, end)) => (content, Some(end)),
        None => (without_begun_boundary(body, next), None),
    };
    let is_cut = end.is_some() || content.len() < body.len();
    let line = content.strip_suffix(b"\r").filter(|_| is_cut);
    (line.unwrap_or(content), end)
}

/// The body without the beginning of a boundary at its end.
fn without_begun_boundary<'a>(body: &'a [u8], next: &[u8]) -> &'a [u8] {
    let begun = (1..next.len())
        .rev()
        .find_map(|length| body.strip_suffix(next.get(..length)?));
    begun.unwrap_or(body)
}

/// The lines of a body, which end with `\n` or `\r\n`.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// `None` if no complete line is left.
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Skips to the line after `wanted`. Returns whether it was found.
    fn skip_to(&mut self, wanted: &[u8]) -> bool {
        while let Some(line) = self.next() {
            if line == wanted {
                return true;
            }
        }
        false
    }
}

#[derive(Default)]
struct Head {
    name: Option<Vec<u8>>,
    is_file: bool,
    charset: Option<String>,
}

impl Head {
    /// Reads up to the empty line.
    fn read(lines: &mut Lines<'_>) -> Self {
        let mut headers: Vec<(&[u8], Vec<u8>)> = Vec::new();
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            let is_new = !line.first().is_some_and(u8::is_ascii_whitespace);
            let colon = line.iter().position(|byte| *byte == b':').filter(|_| is_new);
            match colon.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))) {
                Some((name, value)) => headers.push((name, value.trim_ascii_start().to_vec())),
                None => {
                    if let Some((_, value)) = headers.last_mut() {
                        value.extend_from_slice(line);
                    }
                }
            }
        }
        let value = |wanted: &str| {
            let mut all = headers.iter();
            all.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|(_, value)| value.as_slice())
        };
        let mut head = Self::default();
        if let Some(disposition) = value("content-disposition") {
            head.read_disposition(disposition);
        }
        head.charset = value("content-type")
            .map(String::from_utf8_lossy)
            .and_then(|value| parameter(&value, "charset"));
        head
    }

    fn read_disposition(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let (word, after) = word(rest, b';');
            rest = after.trim_ascii_start();
            if !word.contains(&b'=') {
                continue;
            }
            let (key, value) = self::word(word, b'=');
            if key.eq_ignore_ascii_case(b"name") {
                self.name = Some(unquoted(value));
            } else if key.eq_ignore_ascii_case(b"filename") {
                self.is_file = true;
            }
        }
    }
}

/// The text before the separator, and the text after it and further ones. Separators in quotes are ignored.
fn word(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let (mut at, mut quote) = (0, None);
    while let Some(byte) = text.get(at).copied() {
        match quote {
            Some(open) if byte == b'\\' && text.get(at + 1) == Some(&open) => at += 1,
            Some(open) if byte == open => quote = None,
            None if byte == separator => break,
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            Some(_) | None => {}
        }
        at += 1;
    }
    let (word, mut rest) = text.split_at_checked(at).unwrap_or((text, &[]));
    while let Some(behind) = rest.strip_prefix(&[separator]) {
        rest = behind;
    }
    (word, rest)
}

/// A value without its quotes, or up to the first blank.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii_start();
    let quote = value.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let mut bytes = value
        .iter()
        .copied()
        .skip(usize::from(quote.is_some()))
        .peekable();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let is_end = quote.map_or(byte.is_ascii_whitespace(), |quote| byte == quote);
        if is_end {
            break;
        }
        let escaped = bytes.next_if(|next| byte == b'\\' && (*next == b'\\' || Some(*next) == quote));
        out.push(escaped.unwrap_or(byte));
    }
    out
}

/// Finds `; name=value` or `; name="va\"lue"` in a header value.
pub(super) fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once(';')?;
        let (name, after) = after.split_once('=')?;
        let (value, after) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            quoted_value(quoted)?
        } else {
            let end = after.find(';').unwrap_or(after.len());
            let (value, after) = after.split_at_checked(end)?;
            (value.trim().to_owned(), after)
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// Reads up to the closing quote. Also returns the text after it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}
