//! The body of a request to JSON, whatever it was written in. The listener and the decoders read the same
//! way, so that what the listener let in can be decoded.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::multipart::{self, MultipartError};
use crate::{
    envelope::Meta,
    form,
    xml::{self, XmlError},
};

/// What a body may have. Over it is an error, never a silent loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes: usize,
    /// Pairs of a form, values of a JSON text, or elements and attributes of XML.
    pub pairs: usize,
    /// Brackets of a form name, or nesting of a JSON text (there at most 127) or of what XML becomes.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            pairs: 20_000,
            depth: 64,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Form,
    Multipart,
    Json,
    Xml,
    /// No body: everything came in the query.
    Query,
}

impl Format {
    /// Whether a `+` meant a space on the wire.
    pub fn reads_plus_as_space(self) -> bool {
        matches!(self, Self::Form | Self::Query)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// An object, unless a JSON text was something else. Leaves of forms are strings.
    pub value: Value,
    pub format: Format,
    /// What was odd, without personal data.
    pub notes: Vec<String>,
}

/// Which of the [`Limits`] a body is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Bytes,
    Pairs,
    Depth,
}

/// Why there is no value. The texts hold nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("no data: the body and the query are empty")]
    Empty,
    #[error("the body is over the limit: {1}")]
    OverLimit(Excess, String),
    #[error("the body cannot be read: {0}")]
    Malformed(String),
    #[error("this listener does not read {0}")]
    Unsupported(&'static str),
}

impl BodyError {
    /// The HTTP status that says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Empty | Self::Malformed(_) => 400,
            Self::OverLimit(..) => 413,
            Self::Unsupported(_) => 415,
        }
    }
}

impl From<XmlError> for BodyError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::TooDeep(_) => Self::OverLimit(Excess::Depth, error.to_string()),
            XmlError::TooMany(_) => Self::OverLimit(Excess::Pairs, error.to_string()),
            XmlError::Encoding => Self::Unsupported("XML in another encoding than UTF-8"),
            XmlError::Malformed(_) | XmlError::DocumentType | XmlError::Entity(_) => {
                Self::Malformed(error.to_string())
            }
        }
    }
}

impl From<form::FormError> for BodyError {
    fn from(error: form::FormError) -> Self {
        let excess = match error {
            form::FormError::TooManyPairs { .. } => Excess::Pairs,
            form::FormError::TooDeep { .. } => Excess::Depth,
        };
        Self::OverLimit(excess, error.to_string())
    }
}

/// Without the byte order mark that some programs put in front of UTF-8.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Reads the body by its content type, else by its first character; the query is merged under it: where
/// both tell a value, the body's stays.
pub fn read(meta: &Meta, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    if body.len() > limits.body_bytes {
        let most = limits.body_bytes;
        return Err(BodyError::OverLimit(
            Excess::Bytes,
            format!("more than {most} bytes"),
        ));
    }
    let query = meta.query.as_deref().unwrap_or_default();
    let body = without_mark(body);
    let has_body = body.iter().any(|byte| !byte.is_ascii_whitespace());
    if !has_body && query.is_empty() {
        return Err(BodyError::Empty);
    }
    if !has_body {
        return read_form(query.as_bytes(), Format::Query, limits);
    }
    let mut read = read_body(meta.content_type.as_deref().unwrap_or_default(), body, limits)?;
    if !query.is_empty() {
        let below = read_form(query.as_bytes(), Format::Query, limits)?;
        read.notes.extend(below.notes);
        if let (Some(over), Value::Object(below)) = (read.value.as_object_mut(), below.value) {
            merge_under(over, below);
        }
    }
    Ok(read)
}

fn read_body(content_type: &str, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let looks_like_json = matches!(first, Some(b'{' | b'['));
    match media_type.as_str() {
        "multipart/form-data" => read_multipart(content_type, body, limits),
        "application/x-www-form-urlencoded" => {
            // What curl and careless senders do. A form that begins with a bracket has no readable name.
            match looks_like_json.then(|| read_json(body, limits)) {
                Some(Ok(read)) => Ok(noted(read, "body: JSON that was declared to be a form")),
                Some(Err(error @ BodyError::OverLimit(..))) => Err(error),
                _ => read_form(body, Format::Form, limits),
            }
        }
        json if json == "application/json" || json.ends_with("+json") || json == "text/json" => {
            match read_json(body, limits) {
                Err(BodyError::Malformed(_)) if !looks_like_json && body.contains(&b'=') => {
                    let read = read_form(body, Format::Form, limits)?;
                    Ok(noted(read, "body: a form that was declared to be JSON"))
                }
                read => read,
            }
        }
        xml if xml.ends_with("/xml") || xml.ends_with("+xml") => read_xml(body, limits),
        _ if looks_like_json => read_json(body, limits),
        _ if first == Some(&b'<') => read_xml(body, limits),
        _ => read_form(body, Format::Form, limits),
    }
}

fn noted(mut read: Body, note: &str) -> Body {
    read.notes.push(note.to_owned());
    read
}

fn form_mode(limits: Limits) -> form::Mode {
    form::Mode::Lenient {
        max_pairs: limits.pairs,
        max_depth: limits.depth,
    }
}

fn read_form(body: &[u8], format: Format, limits: Limits) -> Result<Body, BodyError> {
    // Line ends behind the last value come from hand-made requests; spaces may belong to the value.
    let end = body
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |at| at + 1);
    let body = body.get(..end).unwrap_or(body);
    Ok(form_body(form::parse(body, form_mode(limits))?, format))
}

fn form_body(parsed: form::Parsed, format: Format) -> Body {
    let mut notes = parsed.report.notes();
    let mut not_utf8 = 0;
    let value = Value::Object(form::array_to_json(parsed.root, &mut not_utf8));
    if not_utf8 > 0 {
        notes.push(format!(
            "form: {not_utf8} texts are not UTF-8; their odd bytes were replaced"
        ));
    }
    Body { value, format, notes }
}

fn read_multipart(content_type: &str, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    match multipart::read(content_type, body, form_mode(limits)) {
        Ok((parsed, files)) => {
            let mut read = form_body(parsed, Format::Multipart);
            if files > 0 {
                read.notes.push(format!("multipart: {files} files were left out"));
            }
            Ok(read)
        }
        Err(MultipartError::Form(error)) => Err(error.into()),
        Err(MultipartError::Malformed(why)) => Err(BodyError::Malformed(format!("multipart: {why}"))),
    }
}

fn read_json(body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    check_json_size(body, limits)?;
    let mut notes = Vec::new();
    let text = String::from_utf8_lossy(body);
    if let Cow::Owned(_) = text {
        notes.push("JSON: not UTF-8; odd bytes were replaced".to_owned());
    }
    // Place and sort only: serde's own text may quote the value.
    let value = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        BodyError::Malformed(format!("no valid JSON at line {line} column {column}"))
    })?;
    Ok(Body {
        value,
        format: Format::Json,
        notes,
    })
}

fn read_xml(body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    let mut notes = Vec::new();
    let text = String::from_utf8_lossy(body);
    if let Cow::Owned(_) = text {
        notes.push("XML: not UTF-8; odd bytes were replaced".to_owned());
    }
    Ok(Body {
        value: xml::read(&text, limits.depth, limits.pairs)?,
        format: Format::Xml,
        notes,
    })
}

/// Counts before anything is built: depth, and commas as a measure of how many values there are.
fn check_json_size(body: &[u8], limits: Limits) -> Result<(), BodyError> {
    let (mut depth, mut values) = (0_usize, 1_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in body {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        // A form of this depth has one level more in JSON: the root.
        if depth > limits.depth.saturating_add(1) {
            let why = format!("nested more than {} deep", limits.depth);
            return Err(BodyError::OverLimit(Excess::Depth, why));
        }
    }
    if values > limits.pairs {
        let why = format!("more than {} values", limits.pairs);
        return Err(BodyError::OverLimit(Excess::Pairs, why));
    }
    Ok(())
}

/// Adds what `over` does not say itself.
fn merge_under(over: &mut Map<String, Value>, below: Map<String, Value>) {
    for (key, value) in below {
        match (over.get_mut(&key), value) {
            (Some(Value::Object(over)), Value::Object(below)) => merge_under(over, below),
            (Some(_), _) => {}
            (None, value) => {
                over.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
