//! What must hold for every text that somebody calls XML.

use causeway_core::xml::{self, XmlError};
use serde_json::{Map, Value};

const DEPTH: usize = 64;
const VALUES: usize = 20_000;

/// Panics when a property is broken.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let value = match xml::read(&text, DEPTH, VALUES) {
        Ok(value) => value,
        Err(error) => return says_why(&error, &text),
    };
    // What is read is kept as JSON, and that is only read back up to a depth.
    let json = value.to_string();
    assert_eq!(serde_json::from_str::<Value>(&json).ok().as_ref(), Some(&value));
    comes_back(value);
}

fn says_why(error: &XmlError, text: &str) {
    let (XmlError::Malformed(at) | XmlError::Entity(at)) = error else {
        return;
    };
    // A byte order mark is not counted.
    assert!(*at <= text.len() as u64, "{error} of {}", text.len());
}

/// Two members, because one member alone reads the same as a list of one.
fn comes_back(value: Value) {
    let members = Map::from_iter([("a".to_owned(), printable(value)), ("b".to_owned(), "x".into())]);
    let printed = xml::write("r", &members);
    let again = xml::read(&printed, DEPTH + 1, 10 * VALUES);
    assert_eq!(again.as_ref(), Ok(&Value::from(members)), "{printed}");
}

/// What XML has no sign for becomes another one.
fn printable(value: Value) -> Value {
    match value {
        Value::String(text) => printable_text(&text).into(),
        Value::Array(items) => items.into_iter().map(printable).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (printable_text(&name), printable(value)))
            .collect(),
        other => other,
    }
}

fn printable_text(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\t' | '\n' | '\r' => letter,
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            _ => letter,
        })
        .collect()
}
