//! The API's messages as JSON, with Google's rules: names in either case, enums by name or number, nothing unknown.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value};

use super::error::Violation;

/// A field of a message.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// In snake case.
    name: &'static str,
    /// A scalar type, or the name of a message or an enum.
    kind: &'static str,
    many: bool,
    /// At most one field of a group may be set.
    group: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Schema {
    messages: BTreeMap<&'static str, Vec<Field>>,
    enums: BTreeMap<&'static str, Vec<(&'static str, i64)>>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| parse(include_str!("schema.txt")));

fn parse(text: &'static str) -> Schema {
    let mut schema = Schema::default();
    let mut owner = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else {
            continue;
        };
        match first {
            "message" if !line.starts_with(' ') => {
                owner = second;
                schema.messages.insert(owner, Vec::new());
            }
            "enum" if !line.starts_with(' ') => {
                owner = second;
                schema.enums.insert(owner, Vec::new());
            }
            _ => {
                if let Some(values) = schema.enums.get_mut(owner) {
                    values.push((first, second.parse().unwrap()));
                } else if let Some(fields) = schema.messages.get_mut(owner) {
                    fields.push(Field {
                        name: first,
                        kind: second.trim_end_matches('*'),
                        many: second.ends_with('*'),
                        group: words.next(),
                    });
                }
            }
        }
    }
    schema
}

/// `productDestinationId` for `product_destination_id`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    for (at, part) in name.split('_').enumerate() {
        let mut letters = part.chars();
        match letters.next() {
            Some(first) if at > 0 => out.push(first.to_ascii_uppercase()),
            Some(first) => out.push(first),
            None => {}
        }
        out.push_str(letters.as_str());
    }
    out
}

/// Reads a message that came as JSON. The result has names in snake case, enums by name, and no null.
pub(super) fn read(message: &str, body: &Value) -> Result<Map<String, Value>, Vec<Violation>> {
    let mut reader = Reader::default();
    let read = reader.message(message, body, "");
    match read {
        Some(Value::Object(read)) if reader.problems.is_empty() => Ok(read),
        _ => Err(reader.problems),
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<Violation>,
}

impl Reader {
    fn refuse(&mut self, path: &str, description: String) -> Option<Value> {
        self.problems.push(Violation {
            field: path.to_owned(),
            description,
            reason: None,
        });
        None
    }

    fn message(&mut self, name: &str, value: &Value, path: &str) -> Option<Value> {
        let Some(members) = value.as_object() else {
            return self.refuse(path, invalid(path, &format!("type.googleapis.com/{name}"), value));
        };
        let fields = SCHEMA.messages.get(name).unwrap();
        let mut read = Map::new();
        let mut groups: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, value) in members {
            let Some(field) = fields
                .iter()
                .find(|field| field.name == key || camel(field.name) == *key)
            else {
                let at = if path.is_empty() {
                    String::new()
                } else {
                    format!(" at '{path}'")
                };
                let text =
                    format!("Invalid JSON payload received. Unknown name \"{key}\"{at}: Cannot find field.");
                self.refuse(path, text);
                continue;
            };
            if value.is_null() {
                continue;
            }
            if let Some(group) = field.group
                && let Some(other) = groups.insert(group, field.name)
            {
                let text = format!(
                    "Invalid value at '{path}' (oneof), oneof field '{group}' is already set by '{other}'. \
                     Cannot set '{}'",
                    camel(field.name)
                );
                self.refuse(path, text);
                continue;
            }
            let at = if path.is_empty() {
                field.name.to_owned()
            } else {
                format!("{path}.{}", field.name)
            };
            if let Some(value) = self.field(*field, value, &at) {
                read.insert(field.name.to_owned(), value);
            }
        }
        Some(read.into())
    }

    fn field(&mut self, field: Field, value: &Value, path: &str) -> Option<Value> {
        match (field.many, value.as_array()) {
            (true, Some(items)) => {
                let read = items
                    .iter()
                    .enumerate()
                    .filter_map(|(at, item)| self.one(field.kind, item, &format!("{path}[{at}]")))
                    .collect();
                Some(Value::Array(read))
            }
            (true, None) => self.refuse(path, invalid(path, "repeated", value)),
            (false, Some(_)) => {
                let text = "Invalid JSON payload received. Proto field is not repeating, cannot start list.";
                self.refuse(path, text.to_owned())
            }
            (false, None) => self.one(field.kind, value, path),
        }
    }

    fn one(&mut self, kind: &str, value: &Value, path: &str) -> Option<Value> {
        if let Some(values) = SCHEMA.enums.get(kind) {
            let number = whole(value);
            let found = values.iter().find(|(name, value_of)| match value {
                Value::String(text) => text == name,
                _ => number == Some(*value_of),
            });
            return match found {
                Some((name, _)) => Some((*name).into()),
                None => self.refuse(path, invalid(path, &format!("type.googleapis.com/{kind}"), value)),
            };
        }
        let (read, type_name) = match kind {
            "string" => (value.is_string().then(|| value.clone()), "TYPE_STRING"),
            "bool" => (value.is_boolean().then(|| value.clone()), "TYPE_BOOL"),
            "int32" => (whole(value).map(Value::from), "TYPE_INT32"),
            "int64" => (whole(value).map(Value::from), "TYPE_INT64"),
            "timestamp" => {
                let time = value
                    .as_str()
                    .and_then(|text| text.parse::<jiff::Timestamp>().ok());
                (time.map(|_| value.clone()), "Timestamp")
            }
            "duration" => {
                let seconds = value.as_str().and_then(|text| text.strip_suffix('s'));
                let number = seconds.and_then(|text| text.parse::<f64>().ok());
                (number.map(|_| value.clone()), "Duration")
            }
            message => return self.message(message, value, path),
        };
        match read {
            Some(read) => Some(read),
            None => self.refuse(path, invalid(path, type_name, value)),
        }
    }
}

/// Whole numbers may be written as texts.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn invalid(path: &str, kind: &str, value: &Value) -> String {
    format!("Invalid value at '{path}' ({kind}), {value}")
}

/// Writes a message as JSON. Large whole numbers become texts; enums become numbers for clients that ask for them.
pub(super) fn write(message: &str, value: &Value, numbers: bool) -> Value {
    let fields = SCHEMA.messages.get(message).unwrap();
    let members = value.as_object().into_iter().flatten();
    let written = members.map(|(name, value)| {
        let field = fields.iter().find(|field| field.name == name).unwrap();
        let value = match value.as_array() {
            Some(items) => items
                .iter()
                .map(|item| write_one(field.kind, item, numbers))
                .collect(),
            None => write_one(field.kind, value, numbers),
        };
        (camel(name), value)
    });
    Value::Object(written.collect())
}

fn write_one(kind: &str, value: &Value, numbers: bool) -> Value {
    if let Some(values) = SCHEMA.enums.get(kind) {
        let (name, number) = values
            .iter()
            .find(|(name, _)| value.as_str() == Some(name))
            .unwrap();
        return if numbers { (*number).into() } else { (*name).into() };
    }
    match kind {
        "int64" => value.to_string().into(),
        "string" | "bool" | "int32" | "timestamp" | "duration" => value.clone(),
        message => write(message, value, numbers),
    }
}
