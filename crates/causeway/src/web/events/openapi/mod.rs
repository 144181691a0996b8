//! The OpenAPI description, generated from the tables of the decoder.

use causeway_core::decode::events::keys::{
    COMMON, CONTACT, Key, LONGEST_FIELD, MAX_FIELDS, MAX_WHOLE, SORTS, Shape, Sort,
};
use serde_json::{Map, Value, json};

/// Not blank, and without control characters.
const TEXT: &str =
    r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$";
/// An address of one mailbox, as [`causeway_core::contact::normal_email`] accepts it: in quotes or brackets, or after a name.
const ADDRESS: &str = r#"^(([^\S\u0000-\u001F\u007F-\u009F]|["'`<(\[,;:‘’“”„«»])*(mailto:)?[^\s@,;:<>()\[\]\\"\u0000-\u001F\u007F-\u009F]+@([^\s\u0000-\u002C\u002F\u003A-\u0040\u005B-\u005E\u0060\u007B-\u009F.]+\.)*[^\s\u0000-\u002C\u002F\u003A-\u0040\u005B-\u005E\u0060\u007B-\u009F.]+([^\S\u0000-\u001F\u007F-\u009F]|["'`>)\],;:.!?‘’“”„«»])*|[^@<>\u0000-\u001F\u007F-\u009F]*<([^\S\u0000-\u001F\u007F-\u009F]|["'`<(\[,;:‘’“”„«»])*(mailto:)?[^\s@,;:<>()\[\]\\"\u0000-\u001F\u007F-\u009F]+@([^\s\u0000-\u002C\u002F\u003A-\u0040\u005B-\u005E\u0060\u007B-\u009F.]+\.)*[^\s\u0000-\u002C\u002F\u003A-\u0040\u005B-\u005E\u0060\u007B-\u009F.]+([^\S\u0000-\u001F\u007F-\u009F]|["'`>)\],;:.!?‘’“”„«»])*>[^@<>\u0000-\u001F\u007F-\u009F]*)$"#;
const PURPOSE: &str = r"^[^\S\u0000-\u001F\u007F-\u009F]*[a-z][a-z0-9_-]*[^\S\u0000-\u001F\u007F-\u009F]*$";
/// Names that cannot be fields, because they have their own place.
const TAKEN: &str = "^([eE][mM][aA][iI][lL]$|tag:|list:|list_field_ids:)";

/// OpenAPI 3.1.
pub fn document() -> Value {
    let mut schemas: Map<String, Value> = SORTS
        .iter()
        .map(|sort| (sort.name.to_owned(), item(sort)))
        .collect();
    schemas.insert("person".to_owned(), contact());
    schemas.insert("nothing".to_owned(), nothing());
    schemas.insert("event".to_owned(), any_item());
    schemas.insert("answer".to_owned(), answer());
    schemas.insert("refusal".to_owned(), refusal());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Causeway events",
            "version": "1",
            "description": "Reports to the hub what people did with mails and pages, and their consent.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": { "/v1/events": { "post": post() } },
        "components": {
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer",
                "description": "One of the `tokens` of a source with `kind = \"events\"`.",
            } },
            "schemas": schemas,
        },
    })
}

fn post() -> Value {
    let examples: Map<String, Value> = SORTS
        .iter()
        .map(|sort| {
            (
                sort.name.to_owned(),
                json!({ "summary": sort.about, "value": example(sort) }),
            )
        })
        .chain([(
            "several".to_owned(),
            json!({ "summary": "Several at once.", "value": SORTS.iter().map(example).collect::<Vec<_>>() }),
        )])
        .collect();
    let said = |about: &str, schema: &str| {
        json!({
            "description": about,
            "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
        })
    };
    json!({
        "operationId": "sendEvents",
        "summary": "Sends one event or a list of events.",
        "description": "The response comes when all events are on disk. An invalid event does not affect the others.",
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": { "oneOf": [
                    { "$ref": "#/components/schemas/event" },
                    {
                        "type": "array", "minItems": 1,
                        "description": "At most `limits.items` of the source, 1000 by default.",
                        "items": { "$ref": "#/components/schemas/event" },
                    },
                ] },
                "examples": examples,
            } },
        },
        "responses": {
            "200": said("Stored. With `partial`, some events have errors.", "answer"),
            "400": said("All events are invalid (an answer), or there was none (a refusal).", "answer"),
            "401": said("No token, or an invalid one.", "refusal"),
            "405": said("Another method than POST.", "refusal"),
            "408": said("The body did not arrive in time.", "refusal"),
            "413": said("Too many events, or too large.", "refusal"),
            "415": said("A compressed body.", "refusal"),
            "429": said("Too many concurrent requests: try again after `Retry-After` seconds.", "refusal"),
            "503": said("Not stored: try again after `Retry-After` seconds.", "refusal"),
        },
    })
}

fn item(sort: &Sort) -> Value {
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "const": sort.name }));
    let mut required = vec!["type"];
    for key in sort.keys.iter().chain(COMMON) {
        properties.insert(key.name.to_owned(), property(key));
        if key.required {
            required.push(key.name);
        }
    }
    let mut schema = json!({
        "type": "object",
        "description": sort.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let (Some(schema), true) = (schema.as_object_mut(), sort.keys.is_empty()) {
        schema.insert("anyOf".to_owned(), says_something());
    }
    schema
}

/// The demand on an event with only the common keys: a field with a value or null, or two names of one person.
fn says_something() -> Value {
    let mut pairs = Vec::new();
    for (nth, one) in CONTACT.iter().enumerate() {
        pairs.extend(CONTACT.iter().skip(nth + 1).map(|other| given(&[one, other])));
    }
    // Null clears a field.
    let left_out = json!({ "anyOf": nothing_but_null() });
    json!([
        {
            "properties": { "fields": { "type": "object", "not": { "additionalProperties": left_out } } },
            "required": ["fields"],
        },
        { "properties": { "contact": { "anyOf": pairs } } },
    ])
}

/// The schema that requires these keys with a value that names somebody.
fn given(keys: &[&Key]) -> Value {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let properties: Map<String, Value> = names
        .iter()
        .map(|name| {
            let nothing = json!({ "$ref": "#/components/schemas/nothing" });
            ((*name).to_owned(), json!({ "not": nothing }))
        })
        .collect();
    json!({ "required": names, "properties": properties })
}

/// The schema of an empty value, which is ignored.
fn nothing() -> Value {
    let null = json!({ "type": "null" });
    let all: Vec<Value> = [null].into_iter().chain(nothing_but_null()).collect();
    json!({
        "description": "Empty: null, a blank text, or a list or object that contains only empty values.",
        "anyOf": all,
    })
}

fn nothing_but_null() -> [Value; 3] {
    let inside = json!({ "$ref": "#/components/schemas/nothing" });
    [
        json!({ "type": "string", "pattern": r"^\s*$" }),
        json!({ "type": "array", "items": inside }),
        json!({ "type": "object", "additionalProperties": inside }),
    ]
}

fn any_item() -> Value {
    let of = |name: &str| format!("#/components/schemas/{name}");
    let mapping: Map<String, Value> = SORTS
        .iter()
        .map(|sort| (sort.name.to_owned(), of(sort.name).into()))
        .collect();
    json!({
        "oneOf": SORTS.iter().map(|sort| json!({ "$ref": of(sort.name) })).collect::<Vec<_>>(),
        "discriminator": { "propertyName": "type", "mapping": mapping },
    })
}

fn contact() -> Value {
    let properties: Map<String, Value> = CONTACT
        .iter()
        .map(|key| {
            let blank = json!({ "type": "string", "pattern": r"^\s*$" });
            let schema = json!({ "description": key.about, "anyOf": [property(key), blank] });
            (key.name.to_owned(), schema)
        })
        .collect();
    json!({
        "type": "object",
        "description": "The person: at least one of these names. All names in one event are names of the same person.",
        "properties": properties,
        "anyOf": CONTACT.iter().map(|key| given(&[key])).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = match (key.shape, key.name) {
        (Shape::Text(most), "email") => json!({ "type": "string", "maxLength": most, "pattern": ADDRESS }),
        (Shape::Text(most), "purpose") => json!({ "type": "string", "maxLength": most, "pattern": PURPOSE }),
        // Numbers are accepted as texts.
        (Shape::Text(most), _) => {
            json!({ "type": ["string", "number"], "maxLength": most, "pattern": TEXT })
        }
        (Shape::Whole, _) => json!({ "type": "integer", "minimum": 0, "maximum": MAX_WHOLE }),
        (Shape::Number, _) => json!({ "type": "number" }),
        // Numbers of nine to eleven digits are seconds, of twelve to fourteen digits milliseconds.
        (Shape::Time, _) => json!({
            "type": ["string", "integer"], "format": "date-time",
            "minimum": 100_000_000, "maximum": 99_999_999_999_999_i64,
        }),
        (Shape::Words(words), _) => json!({ "enum": words }),
        (Shape::Fields, _) => json!({
            "type": "object", "maxProperties": MAX_FIELDS,
            "propertyNames": { "maxLength": LONGEST_FIELD, "pattern": TEXT, "not": { "pattern": TAKEN } },
        }),
        (Shape::Contact, _) => return json!({ "$ref": "#/components/schemas/person" }),
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), key.about.into());
        if !key.required {
            or_null(schema);
        }
    }
    schema
}

/// Allows null as well, because programs send it for unknown values.
fn or_null(schema: &mut Map<String, Value>) {
    for name in ["type", "enum"] {
        match schema.get_mut(name) {
            Some(Value::Array(all)) => all.push(if name == "enum" {
                Value::Null
            } else {
                "null".into()
            }),
            Some(one @ Value::String(_)) => *one = json!([one.clone(), "null"]),
            _ => {}
        }
    }
}

fn answer() -> Value {
    let count = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    json!({
        "type": "object",
        "properties": {
            "status": {
                "enum": ["ok", "partial", "error"],
                "description": "`partial`: some events have errors. `error`: all events have errors.",
            },
            "accepted": count("Events that are new."),
            "duplicates": count("Events that arrived before; they have no effect. While other messages wait, a duplicate \
                                 is accepted, and recognised when it is processed."),
            "errors": count("Events that are invalid."),
            "events": {
                "type": "array",
                "description": "One for each event, in the order of the request.",
                "items": {
                    "type": "object",
                    "properties": {
                        "status": { "enum": ["accepted", "duplicate", "error"] },
                        "reference": { "type": "string", "description": "The message number, for `causeway trace`; \
                             for a duplicate, that of the first message." },
                        "error": { "type": "string", "description": "What is wrong with the event. It is stored as dead; send the corrected event." },
                    },
                    "required": ["status", "reference"],
                    "additionalProperties": false,
                },
            },
        },
        "required": ["status", "accepted", "duplicates", "errors", "events"],
        "additionalProperties": false,
    })
}

fn refusal() -> Value {
    json!({
        "type": "object",
        "properties": { "status": { "const": "error" }, "error": { "type": "string" } },
        "required": ["status", "error"],
    })
}

/// An example of this sort of item with every key.
fn example(sort: &Sort) -> Value {
    let mut item = Map::new();
    item.insert("type".to_owned(), sort.name.into());
    item.insert("id".to_owned(), format!("{}-1", sort.name).into());
    item.insert("at".to_owned(), "2026-05-01T10:00:00+02:00".into());
    item.insert("contact".to_owned(), json!({ "email": "ada@example.org" }));
    for key in sort.keys {
        item.insert(key.name.to_owned(), value(sort, key));
    }
    if sort.name == "contact" {
        item.insert(
            "fields".to_owned(),
            json!({ "firstName": "Ada", "favourite colour": "green" }),
        );
        item.insert(
            "contact".to_owned(),
            json!({
                "email": "ada@example.org", "id": "4711", "contactRef": "q7Jb0kAcw4sVdO", "visitor": "b-81f2",
            }),
        );
    }
    Value::Object(item)
}

fn value(sort: &Sort, key: &Key) -> Value {
    match (sort.name, key.name) {
        ("page_visit" | "link_click", "key") => "https://example.org/whales".into(),
        ("email_open", "key") => "mail-88".into(),
        (_, "key") => "whales-1".into(),
        ("custom", "name") => "quiz finished".into(),
        (_, "name") => "Save the whales".into(),
        (_, "count") => 1.into(),
        (_, "score") => 42.into(),
        (_, "status") => "warm".into(),
        (_, "tag") => "ocean".into(),
        (_, "list") => "Newsletter".into(),
        (_, "purpose") => "email".into(),
        (_, "basis") => "stall in Bern, signed on paper".into(),
        _ => match key.shape {
            Shape::Words(words) => words.first().copied().unwrap_or_default().into(),
            _ => "example".into(),
        },
    }
}

#[cfg(test)]
mod tests;
