//! Reads a `multipart/form-data` body that is in memory as a whole.

use crate::form;

/// Why a multipart body could not be read.
#[derive(Debug)]
pub(super) enum MultipartError {
    Form(form::FormError),
    Malformed(&'static str),
}

/// Parts by the rules of PHP for their names; parts that are files are left out and counted.
pub(super) fn read(
    content_type: &str,
    body: &[u8],
    mode: form::Mode,
) -> Result<(form::Parsed, usize), MultipartError> {
    let boundary = parameter(content_type, "boundary")
        .filter(|boundary| !boundary.is_empty())
        .ok_or(MultipartError::Malformed("the content type names no boundary"))?;
    // Each part is introduced by a line break and the delimiter; the very first may lack the line break.
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let without_break = delimiter.get(2..).unwrap_or_default();
    let mut rest = match body.strip_prefix(without_break) {
        Some(rest) => rest,
        None => split_at(body, &delimiter)
            .map(|(_, rest)| rest)
            .ok_or(MultipartError::Malformed("the boundary does not occur"))?,
    };
    let mut builder = form::Builder::new(mode);
    let mut files = 0;
    while !rest.starts_with(b"--") {
        let (part, after) =
            split_at(rest, &delimiter).ok_or(MultipartError::Malformed("the last part has no end"))?;
        let part = read_part(part).ok_or(MultipartError::Malformed("a part has no name"))?;
        if part.is_file {
            files += 1;
        } else {
            let pushed = builder.push_pair(part.name.as_bytes(), part.content.to_vec());
            pushed.map_err(MultipartError::Form)?;
        }
        rest = after;
    }
    Ok((builder.finish(), files))
}

struct Part<'a> {
    name: String,
    content: &'a [u8],
    is_file: bool,
}

/// `None` when the part has no name.
fn read_part(part: &[u8]) -> Option<Part<'_>> {
    // The part begins behind the delimiter, whose line ends here.
    let (head, content) = split_at(part, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(head);
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    Some(Part {
        name: parameter(disposition, "name")?,
        content,
        is_file: parameter(disposition, "filename").is_some(),
    })
}

/// Finds `; name=value` or `; name="va\"lue"` in a header value.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once(';')?;
        let (name, after) = after.split_once('=')?;
        let (value, after) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            unquote(quoted)?
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

/// Reads up to the closing quote; gives what is behind it, too.
fn unquote(text: &str) -> Option<(String, &str)> {
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

/// What is before and behind the first `needle`. Linear for needles that begin with `\r\n`.
fn split_at<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(needle.len()).position(|window| window == needle)?;
    Some((text.get(..at)?, text.get(at + needle.len()..)?))
}
