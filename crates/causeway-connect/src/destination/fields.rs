//! `fields = { "EMAIL" = "contact.email", "SOURCE" = "=petition" }`: which part of the canonical record goes where.
//! Read once, with the configuration; looked up for each delivery.

use serde_json::{Map, Value};

use crate::config::ConfigError;

/// Name over there → what to put in, in the order of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(Vec<(String, Term)>);

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Path(Path),
    Text(String),
}

/// Where in a JSON value: `contact.address.street`, `tags.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    pub fn read(key: &str, text: &str) -> Result<Self, ConfigError> {
        let steps: Vec<String> = text.split('.').map(|step| step.trim().to_owned()).collect();
        if steps.iter().any(String::is_empty) {
            return Err(ConfigError::new(key, format!("{text:?} is no path"))
                .hint("write it like contact.email, or \"=text\" for a fixed text"));
        }
        Ok(Self(steps))
    }

    /// `None` where there is nothing, or null.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let mut at = value;
        for step in &self.0 {
            at = match at {
                Value::Object(members) => members.get(step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (!at.is_null()).then_some(at)
    }
}

impl Fields {
    /// Reads the table of the configuration. `key` is its name there.
    pub fn read(key: &str, table: &toml::Table) -> Result<Self, ConfigError> {
        if table.is_empty() {
            return Err(ConfigError::new(key, "names no field").hint("leave it out to send the whole record"));
        }
        let mut fields = Vec::new();
        for (name, value) in table {
            let at = format!("{key}.{name}");
            let text = value
                .as_str()
                .ok_or_else(|| ConfigError::new(&at, "has to be a text: a path, or \"=text\""))?;
            let term = match text.strip_prefix('=') {
                Some(text) => Term::Text(text.to_owned()),
                None => Term::Path(Path::read(&at, text)?),
            };
            fields.push((name.clone(), term));
        }
        Ok(Self(fields))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Each name with its value; null where the record has none.
    pub fn apply<'a>(&'a self, record: &'a Value) -> impl Iterator<Item = (&'a str, Value)> {
        self.0.iter().map(|(name, term)| {
            let value = match term {
                Term::Text(text) => Value::from(text.as_str()),
                Term::Path(path) => path.find(record).cloned().unwrap_or(Value::Null),
            };
            (name.as_str(), value)
        })
    }

    /// The same as one JSON object, where `a[b]` and `a[0]` are names of nested members, as in a PHP form.
    /// Fails (once, with the configuration: it depends on the names only) when two names want the same place.
    pub fn nest(&self, record: &Value) -> Result<Value, ConfigError> {
        nest(self.apply(record))
    }

    /// What [`Fields::nest`] gives for a record that has everything: to check the names with the configuration.
    pub fn outline(&self) -> Result<Value, ConfigError> {
        nest(self.names().map(|name| (name, Value::from("text"))))
    }
}

fn nest<'a>(fields: impl Iterator<Item = (&'a str, Value)>) -> Result<Value, ConfigError> {
    let mut object = Map::new();
    for (name, value) in fields {
        put(&mut object, &steps(name), value).ok_or_else(|| {
            ConfigError::new(
                &format!("fields.{name}"),
                "is in the way of another field, or the other way round",
            )
        })?;
    }
    let members = object.into_iter().map(|(name, value)| (name, lists(value)));
    Ok(Value::Object(members.collect()))
}

/// `a[b][0]` → `a`, `b`, `0`. What is not written like that is one name.
fn steps(name: &str) -> Vec<&str> {
    let whole = vec![name];
    let Some((first, rest)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) else {
        return whole;
    };
    let mut steps = vec![first];
    steps.extend(rest.split("]["));
    let plain = steps
        .iter()
        .all(|step| !step.is_empty() && !step.contains(['[', ']']));
    if plain { steps } else { whole }
}

fn put(object: &mut Map<String, Value>, steps: &[&str], value: Value) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    if rest.is_empty() {
        return object.insert((*first).to_owned(), value).is_none().then_some(());
    }
    let inner = object
        .entry(*first)
        .or_insert_with(|| Value::Object(Map::from_iter([(NESTED.to_owned(), Value::Null)])));
    match inner {
        // The mark tells an object that we made from one that is a field's value.
        Value::Object(members) if members.contains_key(NESTED) => put(members, rest, value),
        _ => None,
    }
}

/// No name in a TOML file: it would have to hold a control character.
const NESTED: &str = "\u{0}";

/// Takes the marks out, and makes lists of the objects with the keys 0, 1, 2, ….
fn lists(value: Value) -> Value {
    let Value::Object(mut members) = value else {
        return value;
    };
    if members.shift_remove(NESTED).is_none() {
        return Value::Object(members);
    }
    let is_list = members
        .keys()
        .enumerate()
        .all(|(index, key)| *key == index.to_string());
    let members = members.into_iter().map(|(key, value)| (key, lists(value)));
    if is_list {
        Value::Array(members.map(|(_, value)| value).collect())
    } else {
        Value::Object(members.collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Result<Fields, ConfigError> {
        Fields::read("fields", &toml::from_str(text).unwrap())
    }

    #[test]
    fn paths_and_texts_are_looked_up_in_the_order_of_the_configuration() {
        let record =
            json!({ "contact": { "email": "ada@example.org", "tags": ["a", "b"], "none": null }, "at": 1 });
        let cases = [
            ("z = 'contact.email'", json!("ada@example.org")),
            ("z = 'contact.tags.1'", json!("b")),
            ("z = 'contact.tags'", json!(["a", "b"])),
            ("z = 'contact.tags.2'", json!(null)),
            ("z = 'contact.none'", json!(null)),
            ("z = 'at.0'", json!(null)),
            ("z = '=contact.email'", json!("contact.email")),
            ("z = '='", json!("")),
        ];
        for (text, expected) in cases {
            let fields = fields(&format!("{text}\na = 'at'")).unwrap();
            let found: Vec<_> = fields.apply(&record).collect();
            assert_eq!(found, [("z", expected), ("a", json!(1))], "{text}");
        }
    }

    #[test]
    fn names_with_brackets_nest() {
        let record = json!({ "a": 1, "o": { "x": 2 } });
        let nested = fields(
            "'c[id]' = 'a'\n't[0]' = '=p'\n't[1]' = '=q'\n'g[2]' = 'a'\n'd[e][f]' = 'o'\n'odd[' = 'a'\n'x[]' = 'a'",
        );
        let expected = json!({
            "c": { "id": 1 }, "t": ["p", "q"], "g": { "2": 1 }, "d": { "e": { "f": { "x": 2 } } }, "odd[": 1, "x[]": 1,
        });
        assert_eq!(nested.unwrap().nest(&record).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, key) in [
            ("a = 'b..c'", "fields.a"),
            ("a = ''", "fields.a"),
            ("b = 1", "fields.b"),
            ("", "fields"),
        ] {
            assert_eq!(fields(text).unwrap_err().key, key, "{text}");
        }
        for text in [
            "a = 'o'\n'a[x]' = 'a'",
            "'a[x]' = 'a'\na = 'o'",
            "'a[b]' = 'a'\n'a[b][c]' = 'a'",
        ] {
            assert!(fields(text).unwrap().nest(&json!({ "o": {} })).is_err(), "{text}");
        }
    }
}
