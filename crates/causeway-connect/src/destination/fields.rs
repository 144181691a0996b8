//! `fields = { "EMAIL" = "contact.email", "SOURCE" = "=petition" }`: what of a record goes where, under which name.
//! Read once, with the configuration; evaluated for each delivery.

use causeway_core::mapping::{Mapping, MappingError, Scope, Tables};
use serde_json::{Map, Value};

use super::Needs;
use crate::config::{ConfigError, term_json};

/// Name over there → what to put in, in the order of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(Mapping);

/// Where in a JSON answer: `data.id`, `tags.0`.
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

/// What `config check` says of a mapping that does not tell a no from a yes.
const MUTE: &str = "`fields` name none of `change`, `type` and `consent.PURPOSE.state` or `.subscribed` with this \
                    destination's purpose: a no cannot be told from anything else, and is not sent here";

impl Fields {
    /// Reads the table of the configuration. `key` is its name there.
    pub fn read(key: &str, table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        if table.is_empty() {
            return Err(ConfigError::new(key, "names no field").hint("leave it out to send the whole record"));
        }
        let values: Vec<(&str, Value)> = table
            .iter()
            .map(|(name, value)| (name.as_str(), term_json(value.clone())))
            .collect();
        let pairs = values.iter().map(|(name, value)| (*name, value));
        Mapping::read(pairs, tables, &[])
            .map(Self)
            .map_err(|error| ConfigError::from_mapping(key, error))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// Each name with its value, or the reason why there is not one for each.
    pub fn apply(&self, scope: &Scope) -> Result<Vec<(String, Value)>, MappingError> {
        self.0.apply(scope)
    }

    /// The same as one JSON object, where `a[b]` and `a[0]` are names of nested members, as in a PHP form.
    pub fn nest(&self, scope: &Scope) -> Result<Value, MappingError> {
        nest(self.apply(scope)?)
    }

    /// What [`Fields::nest`] gives for a record that has everything: to check the names with the configuration.
    pub fn outline(&self) -> Result<Value, ConfigError> {
        let texts = self.names().map(|name| (name.to_owned(), Value::from("text")));
        nest(texts).map_err(|error| ConfigError::from_mapping("fields", error))
    }

    /// What the rest of the program has to know.
    pub fn needs(&self) -> Needs {
        Needs {
            history: self.0.needs_history(),
            tells: self.0.tells(),
            mute: MUTE,
            warnings: self.0.doubts(),
        }
    }
}

/// Fails only by the names: with the configuration already.
fn nest(fields: impl IntoIterator<Item = (String, Value)>) -> Result<Value, MappingError> {
    let mut object = Map::new();
    for (name, value) in fields {
        if put(&mut object, &steps(&name), value).is_none() {
            let mut error = MappingError::new("is in the way of another field, or the other way round");
            error.field = Some(name);
            return Err(error);
        }
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
    use causeway_testkit::destination_contract::delivery;
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Result<Fields, ConfigError> {
        Fields::read("fields", &toml::from_str(text).unwrap(), &Tables::default())
    }

    fn scope() -> Scope {
        Scope::new(&delivery(1).record)
    }

    #[test]
    fn names_texts_and_templates_are_evaluated_in_the_order_of_the_configuration() {
        let cases = [
            ("z = 'contact.email'", json!("person1@example.org")),
            ("z = 'action.fields'", json!({ "comment": "Save\nthe river" })),
            ("z = 'contact.street'", json!(null)),
            ("z = 'contact.tags'", json!([])),
            ("z = '=contact.email'", json!("contact.email")),
            ("z = '='", json!("")),
            ("z = 1", json!(1)),
            ("z = 2026-03-01", json!("2026-03-01")),
            ("z = 'contact.country == \"HU\"'", json!(true)),
            ("z = '{{ contact.firstName }}!'", json!("Ada!")),
            ("z = ['contact.country', '=x', true]", json!(["HU", "x", true])),
            ("z = { c = 'contact.country' }", json!({ "c": "HU" })),
        ];
        for (text, expected) in cases {
            let (head, rest) = text.split_once('=').unwrap();
            let fields = fields(&format!("{head}={rest}\na = 'event'")).unwrap();
            let found = fields.apply(&scope()).unwrap();
            let expected = [("z".to_owned(), expected), ("a".to_owned(), json!("action"))];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn names_with_brackets_nest() {
        let nested = fields(
            "'c[id]' = 'event'\n't[0]' = '=p'\n't[1]' = '=q'\n'g[2]' = 'event'\n'd[e][f]' = 'action.fields'\n\
             'odd[' = 'event'\n'x[]' = 'event'",
        );
        let expected = json!({
            "c": { "id": "action" }, "t": ["p", "q"], "g": { "2": "action" },
            "d": { "e": { "f": { "comment": "Save\nthe river" } } }, "odd[": "action", "x[]": "action",
        });
        assert_eq!(nested.unwrap().nest(&scope()).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, key) in [
            ("a = 'b..c'", "fields.a"),
            ("a = ''", "fields.a"),
            ("a = 'contct.email'", "fields.a"),
            ("a = { b = 'campaign.nmae' }", "fields.a.b"),
            ("", "fields"),
        ] {
            assert_eq!(fields(text).unwrap_err().key, key, "{text}");
        }
        for text in [
            "a = 'action.fields'\n'a[x]' = 'event'",
            "'a[x]' = 'event'\na = 'action.fields'",
            "'a[b]' = 'event'\n'a[b][c]' = 'event'",
        ] {
            assert!(fields(text).unwrap().nest(&scope()).is_err(), "{text}");
            assert!(fields(text).unwrap().outline().is_err(), "{text}");
        }
    }

    #[test]
    fn one_value_that_is_not_there_gives_no_record_at_all() {
        let fields = fields("a = 'contact.email'\nb = 'action.fields.coment'").unwrap();
        let error = fields.apply(&scope()).unwrap_err().to_string();
        assert!(
            error.starts_with("`b`: `action.fields.coment` is not there"),
            "{error}"
        );
        assert!(error.contains("did you mean action.fields.comment?"), "{error}");
    }
}
