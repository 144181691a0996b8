//! Reads XML into JSON values.

use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
    reader::Reader,
};
use serde_json::{Map, Value};

use super::{ENTRY, ITEM};

/// Why a document cannot be read. The texts contain nothing of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("invalid XML at byte {0}")]
    Malformed(u64),
    #[error("XML with a document type is not read: remove the <!DOCTYPE …>")]
    DocumentType,
    #[error("XML with an entity of its own at byte {0}: only amp, lt, gt, quot, apos and numbers are read")]
    Entity(u64),
    #[error("XML in another encoding than UTF-8")]
    Encoding,
    #[error("nested more than {0} deep")]
    TooDeep(usize),
    #[error("more than {0} values")]
    TooMany(usize),
}

/// Reads a document. The name of its root does not matter. Texts stay texts, and an element without content
/// is an empty text. `max_values` counts elements below the root and attributes; `max_depth` counts levels of
/// lists and objects below the root.
pub fn read(text: &str, max_depth: usize, max_values: usize) -> Result<Value, XmlError> {
    let mut reader = Reader::from_str(text);
    let mut building = Building {
        open: Vec::new(),
        done: None,
        max_depth,
        room: max_values,
        max_values,
    };
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        let broken = |_| XmlError::Malformed(at);
        match event.map_err(|_| XmlError::Malformed(reader.error_position()))? {
            Event::Start(start) => building.start(&start, at)?,
            Event::Empty(start) => {
                building.start(&start, at)?;
                building.end(at)?;
            }
            Event::End(_) => building.end(at)?,
            Event::Text(text) => building.text(&text.xml10_content(), at)?,
            Event::CData(text) => building.text(&text.xml10_content(), at)?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(broken)? {
                Some(letter) => building.text(letter.encode_utf8(&mut [0; 4]), at)?,
                None => building.text(predefined(&reference).ok_or(XmlError::Entity(at))?, at)?,
            },
            Event::DocType(_) => return Err(XmlError::DocumentType),
            Event::Decl(declaration) => {
                let encoding = declaration
                    .encoding()
                    .transpose()
                    .map_err(|_| XmlError::Malformed(at))?;
                let other =
                    |name: &str| !["utf-8", "utf8", "us-ascii"].contains(&name.to_ascii_lowercase().as_str());
                if encoding.is_some_and(|name| other(&name)) {
                    return Err(XmlError::Encoding);
                }
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => {
                let value = building.done.filter(|_| building.open.is_empty());
                let value = value.ok_or(XmlError::Malformed(at))?;
                // Names that repeat beside other members become lists, so a value may have more levels than
                // the document.
                return if height(&value) > max_depth.saturating_add(1) {
                    Err(XmlError::TooDeep(max_depth))
                } else {
                    Ok(value)
                };
            }
        }
    }
}

/// The encoding that a document's declaration names, and the document without its declaration.
pub fn declaration(document: &[u8]) -> (Option<&str>, &[u8]) {
    let document = document.trim_ascii_start();
    let rest = document
        .strip_prefix(b"<?xml")
        .filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
    let end = rest.and_then(|rest| {
        rest.windows(2)
            .take(MAX_DECLARATION)
            .position(|pair| pair == b"?>")
    });
    let Some((declaration, body)) = rest.zip(end).and_then(|(rest, end)| rest.split_at_checked(end)) else {
        return (None, document);
    };
    let value = || {
        let (_, value) = std::str::from_utf8(declaration).ok()?.split_once("encoding")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value.strip_prefix(quote)?.split(quote).next()
    };
    (value(), body.strip_prefix(b"?>").unwrap_or(body))
}

/// The maximum bytes of a declaration. No real one has a tenth of them.
const MAX_DECLARATION: usize = 1024;

/// The number of levels of lists and objects.
fn height(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(height).max(),
        Value::Object(members) => members.values().map(height).max(),
        _ => return 0,
    };
    1 + below.unwrap_or_default()
}

fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

struct Building {
    open: Vec<Element>,
    done: Option<Value>,
    max_depth: usize,
    room: usize,
    max_values: usize,
}

/// An element that is still open.
#[derive(Default)]
struct Element {
    name: String,
    /// Attributes, then elements, in order.
    members: Vec<(String, Value)>,
    text: String,
}

impl Building {
    fn start(&mut self, start: &BytesStart<'_>, at: u64) -> Result<(), XmlError> {
        if self.done.is_some() {
            return Err(XmlError::Malformed(at));
        }
        // The root is one level more than in a form, and an element with only a text is no level. See also
        // `height`.
        if self.open.len() > self.max_depth.saturating_add(1) {
            return Err(XmlError::TooDeep(self.max_depth));
        }
        if !self.open.is_empty() {
            self.take_room()?;
        }
        let mut element = Element {
            name: start.local_name().into_inner().to_owned(),
            ..Element::default()
        };
        let is_entry = element.name == ENTRY;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| XmlError::Malformed(at))?;
            let key = attribute.key.into_inner();
            if key == "xmlns" || key.contains(':') {
                continue;
            }
            self.take_room()?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| XmlError::Entity(at))?
                .into_owned();
            if is_entry && key == "name" {
                element.name = value;
            } else {
                element.members.push((key.to_owned(), value.into()));
            }
        }
        self.open.push(element);
        Ok(())
    }

    fn take_room(&mut self) -> Result<(), XmlError> {
        let left = self.room.checked_sub(1);
        self.room = left.ok_or(XmlError::TooMany(self.max_values))?;
        Ok(())
    }

    fn text(&mut self, text: &str, at: u64) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::Malformed(at)),
        }
        Ok(())
    }

    fn end(&mut self, at: u64) -> Result<(), XmlError> {
        let mut element = self.open.pop().ok_or(XmlError::Malformed(at))?;
        let name = std::mem::take(&mut element.name);
        let value = element.value();
        match self.open.last_mut() {
            Some(parent) => parent.members.push((name, value)),
            None => self.done = Some(value),
        }
        Ok(())
    }
}

impl Element {
    fn value(mut self) -> Value {
        if self.members.is_empty() {
            return self.text.into();
        }
        let many = self.members.len() > 1;
        let all = |name: &str| self.members.iter().all(|(member, _)| member == name);
        let first = self
            .members
            .first()
            .map(|(name, _)| name.as_str())
            .unwrap_or_default();
        if all(ITEM) || (many && all(first)) {
            return self.members.into_iter().map(|(_, value)| value).collect();
        }
        if !self.text.trim().is_empty() {
            self.members.push(("value".to_owned(), self.text.trim().into()));
        }
        let mut object = Map::new();
        let mut lists: Vec<String> = Vec::new();
        for (name, value) in self.members {
            match object.get_mut(&name) {
                None => {
                    object.insert(name, value);
                }
                Some(Value::Array(items)) if lists.contains(&name) => items.push(value),
                Some(first) => {
                    *first = Value::Array(vec![first.take(), value]);
                    lists.push(name);
                }
            }
        }
        object.into()
    }
}
