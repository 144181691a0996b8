//! The description and the decoder agree about every item that differs from an example in one value.

use causeway_core::decode::{events::EventsDecoder, placeholders::Placeholders};
use regex::Regex;

use super::*;

/// Implements the part of JSON Schema that the description uses. Fails on an unknown keyword.
fn is_valid(schemas: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(words) = schema else {
        return schema != &Value::Bool(false);
    };
    let valid = |schema: &Value, value: &Value| is_valid(schemas, schema, value);
    let matches = |pattern: &Value, text: &str| Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text);
    let all = |of: &Value| of.as_array().unwrap().clone();
    words.iter().all(|(word, said)| match (word.as_str(), value) {
        ("$ref", _) => valid(
            &schemas[said.as_str().unwrap().rsplit('/').next().unwrap()],
            value,
        ),
        ("type", _) => match said {
            Value::Array(types) => types.iter().any(|one| is_of(one, value)),
            one => is_of(one, value),
        },
        ("const", _) => said == value,
        ("enum", _) => all(said).contains(value),
        ("not", _) => !valid(said, value),
        ("anyOf", _) => all(said).iter().any(|one| valid(one, value)),
        ("maxLength", Value::String(text)) => text.chars().count() as u64 <= said.as_u64().unwrap(),
        ("pattern", Value::String(text)) => matches(said, text),
        ("format", Value::String(text)) => text.parse::<causeway_core::clock::Timestamp>().is_ok(),
        ("minimum", Value::Number(number)) => number.as_f64() >= said.as_f64(),
        ("maximum", Value::Number(number)) => number.as_f64() <= said.as_f64(),
        ("items", Value::Array(items)) => items.iter().all(|item| valid(said, item)),
        ("required", Value::Object(members)) => all(said)
            .iter()
            .all(|name| members.contains_key(name.as_str().unwrap())),
        ("maxProperties", Value::Object(members)) => members.len() as u64 <= said.as_u64().unwrap(),
        ("propertyNames", Value::Object(members)) => {
            members.keys().all(|name| valid(said, &name.as_str().into()))
        }
        ("properties", Value::Object(members)) => members.iter().all(|(name, value)| {
            let schema = said.get(name);
            schema.is_none_or(|schema| valid(schema, value))
        }),
        ("additionalProperties", Value::Object(members)) => {
            let known = words.get("properties").and_then(Value::as_object);
            members
                .iter()
                .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                .all(|(_, value)| valid(said, value))
        }
        // The keyword says nothing about this type of value.
        (
            "description"
            | "maxLength"
            | "pattern"
            | "format"
            | "minimum"
            | "maximum"
            | "items"
            | "required"
            | "maxProperties"
            | "propertyNames"
            | "properties"
            | "additionalProperties",
            _,
        ) => true,
        (word, _) => panic!("unknown keyword {word}"),
    })
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("unknown type {other}"),
    }
}

fn values() -> Vec<Value> {
    let long = |count: usize| Value::from("x".repeat(count));
    vec![
        Value::Null,
        "".into(),
        " ".into(),
        "x".into(),
        " x y ".into(),
        "Phone".into(),
        " phone ".into(),
        "a\u{7}b".into(),
        "ann@example.org".into(),
        " ann@example.org".into(),
        "ann @example.org".into(),
        "ann@".into(),
        "a@b@c".into(),
        "ann@example.org.".into(),
        "mailto:ann@example.org".into(),
        "ann@ex..ample.org".into(),
        "ann@exam=ple.org".into(),
        "ann,ben@example.org".into(),
        "Ann <ann@example.org>".into(),
        "o'neil+x=1@b-c_d.example.org".into(),
        "add".into(),
        "opt_in".into(),
        "2026-05-01T10:00:00+02:00".into(),
        "1714739400".into(),
        long(64),
        long(65),
        long(201),
        long(2_001),
        json!(0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(-1),
        json!(-1_714_739_400),
        json!(1_714_739_400),
        json!(1_714_739_400.0),
        json!(99_999_999),
        json!(1_714_739_400_000_i64),
        json!(1_000_000_000_000_000_i64),
        json!(1e30),
        json!(u64::MAX),
        json!(true),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "email": null }),
        json!({ "email": "ann@example.org" }),
        json!({ "id": 7, "visitor": null }),
        json!({ "id": 7, "visitor": "b" }),
        json!({ "id": true }),
        json!({ "emial": "x" }),
        json!({ "Email": "x" }),
        json!({ "e-mail": "x" }),
        json!({ "tag:x": true }),
        json!({ " ": 1 }),
        json!({ "a\u{7}": 1 }),
        json!({ "x".repeat(201): 1 }),
        json!({ "a": null, "b": [" ", {}] }),
        json!({ "a": null, "b": [" ", { "c": 0 }] }),
    ]
}

#[test]
fn the_decoder_accepts_exactly_what_the_description_allows() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let decoder = EventsDecoder {
        placeholders: Placeholders::default(),
        namespace: "site".into(),
        proca: "proca".into(),
    };
    let now = "2026-05-01T10:00:00Z".parse().unwrap();
    let (mut taken, mut refused, mut differ) = (0, 0, Vec::new());
    let mut look = |sort: &Sort, item: &Value| {
        let read = decoder.item(item, now);
        match read {
            Ok(_) => taken += 1,
            Err(_) => refused += 1,
        }
        if read.is_ok() != is_valid(schemas, &schemas[sort.name], item) {
            differ.push(format!("{item}: {:?}", read.err()));
        }
    };
    for sort in SORTS {
        let bare = json!({ "type": sort.name, "contact": { "email": "ann@example.org" } });
        let mut items = vec![bare.clone(), example(sort)];
        if sort.keys.is_empty() {
            items.push(
                json!({ "type": sort.name, "contact": { "email": "ann@example.org" }, "fields": { "a": 1 } }),
            );
        }
        for item in items {
            look(sort, &item);
            let names = sort.keys.iter().chain(COMMON).map(|key| key.name);
            for name in names.chain(["unknown"]) {
                for value in values() {
                    let mut item = item.clone();
                    item[name] = value;
                    look(sort, &item);
                }
            }
            for key in CONTACT {
                // A placeholder names nobody. The schema cannot express that.
                let is_name = |value: &Value| match value {
                    Value::String(text) => text.trim().is_empty() || !decoder.placeholders.names_nobody(text),
                    Value::Number(number) => !decoder.placeholders.names_nobody(&number.to_string()),
                    _ => true,
                };
                for value in values().into_iter().filter(is_name) {
                    let mut item = item.clone();
                    item["contact"][key.name] = value;
                    look(sort, &item);
                }
            }
        }
    }
    assert!(
        differ.is_empty(),
        "{} differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert!(taken > 500 && refused > 500, "{taken} taken, {refused} refused");
}
