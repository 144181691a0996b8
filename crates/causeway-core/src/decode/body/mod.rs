//! Converts the body of a request to JSON, whatever its format. Listener and decoders use the same code, so
//! that every body that the listener accepted can be decoded.

use serde_json::{Map, Value};

use super::{
    json::{self, JsonError},
    multipart,
    params::Params,
};
use crate::{
    charset::{Charset, Texts},
    envelope::Meta,
    form,
    xml::{self, XmlError},
};

/// The limits of a body. Exceeding one is an error, never a silent loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes: usize,
    /// The pairs of a form, the values of a JSON text, or the elements and attributes of XML.
    pub pairs: usize,
    /// The brackets of a form name, the nesting of a JSON text (at most 127), or the nesting of the value of
    /// XML.
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
    /// No body: everything is in the query.
    Query,
}

impl Format {
    /// Whether a `+` meant a space in the request.
    pub fn reads_plus_as_space(self) -> bool {
        matches!(self, Self::Form | Self::Query)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// An object, unless a JSON text was something else. In forms, all leaves are strings.
    pub value: Value,
    pub format: Format,
    /// Notes about odd input, without personal data.
    pub notes: Vec<String>,
}

/// The limit that a body exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Bytes,
    Pairs,
    Depth,
}

/// Why a body cannot be read. The texts contain nothing of the body.
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
    /// The HTTP status for this error.
    pub fn status(&self) -> u16 {
        match self {
            Self::Empty | Self::Malformed(_) => 400,
            Self::OverLimit(..) => 413,
            Self::Unsupported(_) => 415,
        }
    }
}

impl From<JsonError> for BodyError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::TooDeep(_) => Self::OverLimit(Excess::Depth, error.to_string()),
            JsonError::Malformed { .. } => Self::Malformed(error.to_string()),
        }
    }
}

impl From<XmlError> for BodyError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::TooDeep(_) => Self::OverLimit(Excess::Depth, error.to_string()),
            XmlError::TooMany(_) => Self::OverLimit(Excess::Pairs, error.to_string()),
            XmlError::Encoding => Self::Unsupported("XML in an unknown encoding: send it as UTF-8"),
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

/// Removes the byte order mark that some programs put in front of UTF-8.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The source's way of writing, for messages that do not declare it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spelling {
    /// The charset of texts that are not UTF-8.
    pub charset: Option<Charset>,
    pub params: Params,
}

/// Reads a body with the default [`Spelling`]; see [`Spelling::read`].
pub fn read(meta: &Meta, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
    Spelling::default().read(meta, body, limits)
}

impl Spelling {
    /// Reads the body by its content type or, without one, by its first character. Then merges the query; if
    /// both have a value, the body's wins.
    pub fn read(&self, meta: &Meta, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
        let mut read = self.read_as_sent(meta, body, limits)?;
        if let Value::Object(members) = &mut read.value {
            read.notes.extend(self.params.rename(members));
        }
        Ok(read)
    }

    fn read_as_sent(&self, meta: &Meta, body: &[u8], limits: Limits) -> Result<Body, BodyError> {
        if body.len() > limits.body_bytes {
            let most = limits.body_bytes;
            return Err(BodyError::OverLimit(
                Excess::Bytes,
                format!("more than {most} bytes"),
            ));
        }
        let query = meta.query.as_deref().unwrap_or_default();
        let source = Reader {
            limits,
            content_type: meta.content_type.as_deref().unwrap_or_default(),
            otherwise: self.charset,
        };
        let bare = without_mark(body);
        let has_body = bare.iter().any(|byte| !byte.is_ascii_whitespace());
        if !has_body && query.is_empty() {
            return Err(BodyError::Empty);
        }
        if !has_body {
            return source.query(query);
        }
        let mut read = source.body(body)?;
        if !query.is_empty() {
            let below = source.query(query)?;
            read.notes.extend(below.notes);
            if let (Some(over), Value::Object(below)) = (read.value.as_object_mut(), below.value) {
                merge_under(over, below);
            }
        }
        Ok(read)
    }
}

/// The reader of one message.
struct Reader<'a> {
    limits: Limits,
    content_type: &'a str,
    otherwise: Option<Charset>,
}

impl Reader<'_> {
    /// The charset of the content type does not apply to the query.
    fn query(&self, query: &str) -> Result<Body, BodyError> {
        self.form(query.as_bytes(), Format::Query, None)
    }

    fn body(&self, body: &[u8]) -> Result<Body, BodyError> {
        let label = multipart::parameter(self.content_type, "charset").filter(|label| !label.is_empty());
        let named = label.as_deref().and_then(Charset::named);
        let unknown = label.is_some() && named.is_none();
        // A byte order mark overrides the declared charset.
        let (declared, body) = match Charset::by_mark(body) {
            Some((charset, body)) => (Some(charset), body),
            None => (named, body),
        };
        let mut texts = Texts::new(declared, self.otherwise);
        let text;
        let (body, declared) = if declared.is_some_and(Charset::is_wide) {
            text = texts.whole(body);
            (text.as_bytes(), None)
        } else {
            (body, declared)
        };
        let mut read = self.by_type(body, declared)?;
        if unknown {
            read.notes
                .push("charset: the declared charset is unknown, so the body was read as UTF-8".to_owned());
        }
        Ok(read)
    }

    fn by_type(&self, body: &[u8], declared: Option<Charset>) -> Result<Body, BodyError> {
        let media_type = self
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let looks_like_json = matches!(first, Some(b'{' | b'['));
        match media_type.as_str() {
            "multipart/form-data" => self.multipart(body, declared),
            "application/x-www-form-urlencoded" => {
                // curl and careless senders declare JSON as a form. A form that begins with a bracket has no
                // readable name, so this is safe.
                match looks_like_json.then(|| self.json(body, declared)) {
                    Some(Ok(read)) => Ok(noted(read, "body: JSON that was declared to be a form")),
                    Some(Err(error @ BodyError::OverLimit(..))) => Err(error),
                    _ => self.form(body, Format::Form, declared),
                }
            }
            json if json == "application/json" || json.ends_with("+json") || json == "text/json" => {
                match self.json(body, declared) {
                    Err(BodyError::Malformed(_)) if !looks_like_json && body.contains(&b'=') => {
                        let read = self.form(body, Format::Form, declared)?;
                        Ok(noted(read, "body: a form that was declared to be JSON"))
                    }
                    read => read,
                }
            }
            xml if xml.ends_with("/xml") || xml.ends_with("+xml") => self.xml(body, declared),
            _ if looks_like_json => self.json(body, declared),
            _ if first == Some(&b'<') => self.xml(body, declared),
            _ => self.form(body, Format::Form, declared),
        }
    }

    fn form_mode(&self) -> form::Mode {
        form::Mode::Lenient {
            max_pairs: self.limits.pairs,
            max_depth: self.limits.depth,
        }
    }

    fn form(&self, body: &[u8], format: Format, declared: Option<Charset>) -> Result<Body, BodyError> {
        // Line breaks after the last value come from hand-made requests. Spaces may belong to the value.
        let end = body
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
            .map_or(0, |at| at + 1);
        let body = body.get(..end).unwrap_or(body);
        let parsed = form::parse(body, self.form_mode())?;
        // Browsers fill a field of this name with the charset of all other fields.
        let of_form = match parsed.root.get(&form::Key::new(CHARSET_FIELD)) {
            Some(form::Value::Text(label)) => Charset::named(&String::from_utf8_lossy(label)),
            _ => None,
        };
        let mut texts = Texts::new(of_form.or(declared), self.otherwise);
        Ok(form_body(parsed, format, &mut texts, of_form.is_some()))
    }

    fn multipart(&self, body: &[u8], declared: Option<Charset>) -> Result<Body, BodyError> {
        let found = multipart::split(self.content_type, body)
            .map_err(|why| BodyError::Malformed(format!("multipart: {why}")))?;
        let mut of_form = found.named.iter().filter(|part| part.name == CHARSET_FIELD);
        let of_form = of_form.find_map(|part| Charset::named(&String::from_utf8_lossy(part.content)));
        let mut builder = form::Builder::new(self.form_mode());
        let mut notes = Vec::new();
        let common = of_form.or(declared);
        let mut texts = Texts::new(common, self.otherwise);
        for part in found.named {
            let own = part.charset.as_deref().and_then(Charset::named);
            texts.declared = own.or(common);
            let content = texts.text(part.content.to_vec()).into_bytes();
            texts.declared = common;
            let name = texts.text(part.name).into_bytes();
            builder.push_pair(&name, content)?;
        }
        notes.extend(texts.notes("multipart"));
        for (count, sentence) in [
            (found.files, "files were left out"),
            (found.nameless, "parts have no name and were left out"),
        ] {
            if count > 0 {
                notes.push(format!("multipart: {count} {sentence}"));
            }
        }
        if found.is_open {
            notes.push(
                "multipart: the closing boundary is missing; the last part may be incomplete".to_owned(),
            );
        }
        let mut read = form_body(
            builder.finish(),
            Format::Multipart,
            &mut Texts::default(),
            of_form.is_some(),
        );
        read.notes.extend(notes);
        Ok(read)
    }

    fn json(&self, body: &[u8], declared: Option<Charset>) -> Result<Body, BodyError> {
        check_json_size(body, self.limits)?;
        let mut texts = Texts::new(declared, self.otherwise);
        let (value, mut notes) = if declared.is_none_or(Charset::is_utf8) {
            json::read_bytes(body, &mut texts, self.limits.depth)?
        } else {
            let text = texts.whole(body);
            json::read_bytes(text.as_bytes(), &mut Texts::default(), self.limits.depth)?
        };
        notes.extend(texts.notes("JSON"));
        Ok(Body {
            value,
            format: Format::Json,
            notes,
        })
    }

    fn xml(&self, body: &[u8], declared: Option<Charset>) -> Result<Body, BodyError> {
        let (label, document) = xml::declaration(body);
        // An error's position must count the declaration, which is removed here.
        let offset = body.len() - document.len();
        let own = label.map(|label| Charset::named(label).ok_or(XmlError::Encoding));
        let charset = match (declared, own) {
            (Some(declared), _) => Some(declared),
            // A declaration in UTF-16 could not have been found here, so it is not true.
            (None, Some(own)) => Some(own?).filter(|own| !own.is_wide()),
            (None, None) => None,
        };
        let mut texts = Texts::new(charset, self.otherwise);
        let text = texts.whole(document);
        let value = xml::read(&text, self.limits.depth, self.limits.pairs).map_err(|error| match error {
            XmlError::Malformed(at) => XmlError::Malformed(at + offset as u64),
            XmlError::Entity(at) => XmlError::Entity(at + offset as u64),
            other => other,
        })?;
        Ok(Body {
            value,
            format: Format::Xml,
            notes: texts.notes("XML"),
        })
    }
}

/// The field in which a form names its charset.
const CHARSET_FIELD: &[u8] = b"_charset_";

fn noted(mut read: Body, note: &str) -> Body {
    read.notes.push(note.to_owned());
    read
}

fn form_body(parsed: form::Parsed, format: Format, texts: &mut Texts, names_charset: bool) -> Body {
    let mut notes = parsed.report.notes();
    let mut members = form::array_to_json_with(parsed.root, &mut |bytes| texts.text(bytes));
    notes.extend(texts.notes("form"));
    if names_charset {
        // It describes the other fields, not the contact.
        members.shift_remove("_charset_");
    }
    Body {
        value: Value::Object(members),
        format,
        notes,
    }
}

/// Checks the limits before anything is built: the depth, and the commas as an estimate of the number of
/// values.
fn check_json_size(body: &[u8], limits: Limits) -> Result<(), BodyError> {
    let (mut depth, mut values) = (0_usize, 1_usize);
    for (_, byte) in json::outside_texts(body) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        // The root is one level more in JSON than in a form.
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

/// Adds members that `over` does not have.
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
mod tests;
