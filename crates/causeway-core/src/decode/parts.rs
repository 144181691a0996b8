//! Several records in one message: finds them, and makes each a message of its own.
//!
//! Invariant: if a message holds several records, either each becomes a message of its own, or the whole
//! message is dead with a reason that gives their number. It never happens that one is taken and the rest
//! dropped.

use serde_json::{Map, Value};

use super::{
    body::{Body, Format},
    json::{self, DEEPEST},
    names::{look_up_all, unfolded},
};
use crate::{
    envelope::{Dedup, Envelope, Memory, MessageKey, Part, digest},
    event::{DeadCode, Decoded},
    id::InboxId,
};

/// The path of a body that is the list itself.
pub const WHOLE: &str = ".";
/// The maximum bytes that are copied to the parts from beside the list.
const MAX_AROUND: usize = 16 << 20;

/// One record of a message, and the values beside the list that contained it.
pub(super) struct Record {
    pub body: Body,
    pub around: Map<String, Value>,
}

/// Decodes the record, or each of the records, of the message. `each` is the path to their list.
pub(super) fn decode(
    envelope: &Envelope,
    each: Option<&str>,
    read: impl FnOnce() -> Result<Body, Decoded>,
    one: impl Fn(Record) -> Decoded,
) -> Decoded {
    if let Some(part) = &envelope.meta.part {
        return decode_part(envelope, part, one);
    }
    let body = match read() {
        Ok(body) => body,
        Err(end) => return end,
    };
    let Some(each) = each else {
        return match &body.value {
            Value::Array(items) if items.len() > 1 => several(items.len(), WHOLE),
            _ => one(Record {
                body,
                around: Map::new(),
            }),
        };
    };
    let Body {
        value,
        format,
        mut notes,
    } = body;
    let (mut items, around, left) = match split(value, each) {
        Split::Items { items, around, left } => (items, around, left),
        Split::Nothing(value) => {
            notes.push("each: nothing at the configured path; the message is read as one record".to_owned());
            (vec![value], Map::new(), Map::new())
        }
    };
    if items.len() > 1 || !left.is_empty() {
        let all = Records {
            items,
            around,
            left,
            format,
            notes,
        };
        return parts(envelope, all, one);
    }
    match items.pop() {
        Some(value) => one(Record {
            body: Body { value, format, notes },
            around,
        }),
        None => Decoded::Skip {
            reason: "the list at the path `each` is empty".to_owned(),
        },
    }
}

/// The result for a message with several records whose source does not allow this.
pub(super) fn several(count: usize, path: &str) -> Decoded {
    Decoded::Dead {
        code: DeadCode::Malformed,
        reason: format!(
            "{count} records in one message, and none was processed: set `each = '{path}'` in the source's table `generic` (or `sync`), and replay it"
        ),
    }
}

enum Split {
    Items {
        items: Vec<Value>,
        around: Map<String, Value>,
        /// Other contacts beside the list.
        left: Map<String, Value>,
    },
    /// There is nothing at the path.
    Nothing(Value),
}

fn split(value: Value, each: &str) -> Split {
    let only = |items: Vec<Value>| Split::Items {
        items: items.into_iter().map(record).collect(),
        around: Map::new(),
        left: Map::new(),
    };
    let value = match unfolded(&value).unwrap_or(value) {
        // XML that consists of items with one name is a list, too, whatever the name.
        Value::Array(items) => return only(items),
        other if each.trim() == WHOLE => return only(vec![other]),
        other => other,
    };
    let Value::Object(members) = &value else {
        return Split::Nothing(value);
    };
    let Some(found) = look_up_all(members, each).into_iter().next() else {
        return Split::Nothing(value);
    };
    let items = match found {
        Value::Array(items) => items.clone(),
        // A list with missing items.
        Value::Object(items)
            if !items.is_empty() && items.iter().all(|(key, item)| is_number(key) && item.is_object()) =>
        {
            items.values().cloned().collect()
        }
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    // Members beside the path's first step belong to each record, unless they hold other contacts. What is
    // below that step is not searched.
    let holds = |member: &Value| std::ptr::eq(member, found) || is_below(member, found);
    let (mut around, mut left) = (Map::new(), Map::new());
    for (name, member) in members.iter().filter(|(_, member)| !holds(member)) {
        let to = match contacts_in(member) {
            None => &mut around,
            Some(_) => &mut left,
        };
        to.insert(name.clone(), member.clone());
    }
    Split::Items {
        items: items.into_iter().map(record).collect(),
        around,
        left,
    }
}

/// The first list of contacts in a value: its path, and how many of the contacts have an address.
pub(super) fn contacts_in(value: &Value) -> Option<(String, usize)> {
    let mut path = Vec::new();
    let count = search(value, &mut path)?;
    Some((written(&path), count))
}

fn search(value: &Value, path: &mut Vec<String>) -> Option<usize> {
    if path.len() > MAX_STEPS {
        return None;
    }
    match value {
        Value::Array(items) => {
            let named = items
                .iter()
                .filter(|item| item.is_object() && has_address(item, MAX_STEPS));
            Some(named.count()).filter(|count| *count > 0)
        }
        // A list with missing items.
        Value::Object(members)
            if members.len() > 1
                && members
                    .iter()
                    .all(|(key, item)| is_number(key) && item.is_object()) =>
        {
            let named = members.values().filter(|item| has_address(item, MAX_STEPS));
            Some(named.count()).filter(|count| *count > 0)
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            path.push(name.clone());
            let found = search(member, path);
            if found.is_none() {
                path.pop();
            }
            found
        }),
        _ => None,
    }
}

/// More steps than to any list of contacts, and to an address in one of them.
const MAX_STEPS: usize = 6;

fn has_address(value: &Value, room: usize) -> bool {
    match value {
        Value::String(text) => text.contains('@') && crate::contact::normal_email(text).is_some(),
        Value::Object(members) if room > 0 => members.values().any(|member| has_address(member, room - 1)),
        _ => false,
    }
}

/// The path as written in a configuration. A name that is not plain may be personal data, and is not shown.
fn written(steps: &[String]) -> String {
    let is_plain = |name: &String| {
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
    };
    if steps.is_empty() {
        return WHOLE.to_owned();
    }
    let step = |name: &String| match name {
        name if !is_plain(name) => "…".to_owned(),
        name if name.contains('.') => format!("\"{name}\""),
        name => name.clone(),
    };
    steps.iter().map(step).collect::<Vec<_>>().join(".")
}

/// A bare address in a list is a contact, too.
fn record(item: Value) -> Value {
    match item {
        Value::String(text) if crate::contact::normal_email(&text).is_some() => {
            Value::Object(Map::from_iter([("email".to_owned(), Value::String(text))]))
        }
        other => other,
    }
}

fn is_below(value: &Value, wanted: &Value) -> bool {
    let mut members: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => return false,
    };
    members.any(|member| std::ptr::eq(member, wanted) || is_below(member, wanted))
}

fn is_number(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_digit())
}

struct Records {
    items: Vec<Value>,
    around: Map<String, Value>,
    left: Map<String, Value>,
    format: Format,
    notes: Vec<String>,
}

fn parts(envelope: &Envelope, all: Records, one: impl Fn(Record) -> Decoded) -> Decoded {
    let copied = Value::Object(all.around.clone()).to_string().len();
    if copied.saturating_mul(all.items.len()) > MAX_AROUND {
        return Decoded::Dead {
            code: DeadCode::Malformed,
            reason: format!(
                "{} records in one message, with too much beside their list to keep it with each of them",
                all.items.len()
            ),
        };
    }
    let texts: Vec<String> = all.items.iter().map(Value::to_string).collect();
    let beside = [&all.around, &all.left].map(|members| Value::Object(members.clone()).to_string());
    let pieces: Vec<&[u8]> = texts.iter().chain(&beside).map(String::as_bytes).collect();
    let whole = digest(&pieces);
    let part = |number: u32, value: &Value| {
        let part = Part {
            // The store fills it in.
            of: InboxId(0),
            number,
            around: all.around.clone(),
            plus_is_space: all.format.reads_plus_as_space(),
            notes: all.notes.clone(),
        };
        let text = value.to_string();
        let dedup = dedup(envelope, number, &whole);
        let mut meta = envelope.meta.clone();
        meta.content_type = Some("application/json".to_owned());
        meta.query = None;
        meta.part = Some(Box::new(part));
        Envelope {
            source: envelope.source.clone(),
            dedup,
            received_at: envelope.received_at,
            meta,
            body: text.into(),
        }
    };
    let mut parts = Vec::with_capacity(all.items.len() + 1);
    let mut number = 0;
    for value in all.items {
        number += 1;
        let envelope = part(number, &value);
        let body = Body {
            value,
            format: all.format,
            notes: all.notes.clone(),
        };
        let around = all.around.clone();
        parts.push((envelope, one(Record { body, around })));
    }
    if !all.left.is_empty() {
        let left = Value::Object(all.left);
        let (path, count) = contacts_in(&left).unwrap_or_default();
        parts.push((part(number + 1, &left), several(count, &path)));
    }
    Decoded::Parts(parts)
}

/// A part is a duplicate if it has the same position in a message with the same records, and the same id of
/// the sender, if there is one. Among other records it is a different message: these may have changed the
/// data in between. The parts of a message that dates itself derive their keys from its key.
fn dedup(envelope: &Envelope, number: u32, whole: &MessageKey) -> Dedup {
    let number = number.to_be_bytes();
    let id = envelope.dedup.id.map(|id| digest(&[b"part of id", &id, &number]));
    let key = match (envelope.dedup.memory, &id) {
        (Memory::Dated, _) => digest(&[b"part of message", &envelope.dedup.key, &number]),
        (_, Some(id)) => digest(&[b"part and content", id, whole]),
        (_, None) => digest(&[b"part", &number, whole]),
    };
    Dedup {
        key,
        id,
        memory: envelope.dedup.memory,
    }
}

fn decode_part(envelope: &Envelope, part: &Part, one: impl Fn(Record) -> Decoded) -> Decoded {
    let text = String::from_utf8_lossy(&envelope.body);
    match json::read(&text, DEEPEST) {
        Err(error) => Decoded::Dead {
            code: DeadCode::Internal,
            reason: format!("a part of a message: {error}"),
        },
        Ok((value, _)) => one(Record {
            body: Body {
                value,
                format: if part.plus_is_space {
                    Format::Form
                } else {
                    Format::Json
                },
                notes: part.notes.clone(),
            },
            around: part.around.clone(),
        })
        .part_of(part.of),
    }
}
