//! Writes JSON values as XML.

use serde_json::{Map, Value};

use super::{ENTRY, ITEM};

/// Prints the members below an element `root`. Characters that XML cannot hold, such as control characters,
/// become U+FFFD.
pub fn write(root: &str, members: &Map<String, Value>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push('<');
    out.push_str(root);
    out.push('>');
    object(members, &mut out);
    close(root, &mut out);
    out.push('\n');
    out
}

fn object(members: &Map<String, Value>, out: &mut String) {
    for (name, member) in members {
        if is_name(name) {
            element(name, None, member, out);
        } else {
            element(ENTRY, Some(name), member, out);
        }
    }
}

fn element(tag: &str, name: Option<&str>, value: &Value, out: &mut String) {
    out.push('<');
    out.push_str(tag);
    if let Some(name) = name {
        out.push_str(" name=\"");
        escape(name, true, out);
        out.push('"');
    }
    out.push('>');
    match value {
        Value::Null => {}
        Value::Bool(yes) => out.push_str(if *yes { "1" } else { "0" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => escape(text, false, out),
        Value::Array(items) => {
            for item in items {
                element(ITEM, None, item, out);
            }
        }
        Value::Object(members) => object(members, out),
    }
    close(tag, out);
}

fn close(tag: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Whether the name is valid in XML. Accepts only ASCII, on which all XML readers agree.
fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let reserved = name
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("xml"));
    starts
        && !reserved
        && name != ITEM
        && name != ENTRY
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn escape(text: &str, in_attribute: bool, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            // Readers turn a raw carriage return into a line feed, and all three into spaces in an attribute.
            '\r' => out.push_str("&#13;"),
            '\n' if in_attribute => out.push_str("&#10;"),
            '\t' if in_attribute => out.push_str("&#9;"),
            '\n' | '\t' => out.push(letter),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
}
