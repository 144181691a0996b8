//! The JSON Schema of the configuration, generated from the types that read it.

use causeway_connect::destination;
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use super::{
    Http, Hub, RetentionConfig, Test,
    automation::{AutomationConfig, ScoreConfig, StatusConfig},
    common::{Common, CommonSource},
};
use crate::sources;

/// Draft 2020-12, for editors that complete and check TOML.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let destinations: Vec<Value> = destination::KINDS
        .iter()
        .map(|kind| {
            section(
                kind.name,
                kind.summary,
                schema_for!(Common),
                (kind.schema)(),
                &mut definitions,
            )
        })
        .collect();
    let sources: Vec<Value> = sources::KINDS
        .iter()
        .map(|kind| {
            section(
                kind.name,
                kind.summary,
                schema_for!(CommonSource),
                (kind.schema)(),
                &mut definitions,
            )
        })
        .collect();
    let mut plain = |schema: Schema| lifted("hub", schema, &mut definitions);
    let (hub, http, retention, test) = (
        plain(schema_for!(Hub)),
        plain(schema_for!(Http)),
        plain(schema_for!(RetentionConfig)),
        plain(schema_for!(Test)),
    );
    let (automation, score, status) = (
        plain(schema_for!(AutomationConfig)),
        plain(schema_for!(ScoreConfig)),
        plain(schema_for!(StatusConfig)),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Causeway configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "hub": hub, "http": http, "retention": retention,
            "test": { "type": "array", "items": test },
            "source": { "type": "object", "additionalProperties": { "oneOf": sources } },
            "automation": { "type": "array", "items": automation },
            "score": { "type": "array", "items": score },
            "status": { "type": "array", "items": status },
            "destination": { "type": "object", "additionalProperties": { "oneOf": destinations } },
            "lookup": {
                "type": "object",
                "description": "Tables for the filter `lookup` of mappings: value = what it becomes",
                "additionalProperties": { "type": "object", "minProperties": 1 },
            },
        },
        "$defs": definitions,
    })
}

/// The schema of one kind: shared keys and own keys in one object, with `kind` fixed.
fn section(
    name: &str,
    summary: &str,
    shared: Schema,
    own: Schema,
    definitions: &mut Map<String, Value>,
) -> Value {
    let mut section = lifted("common", shared, definitions);
    let own = lifted(name, own, definitions);
    let Some(object) = section.as_object_mut() else {
        return section;
    };
    for key in ["properties", "required"] {
        match (object.get_mut(key), own.get(key)) {
            (Some(Value::Object(to)), Some(Value::Object(from))) => to.extend(from.clone()),
            (Some(Value::Array(to)), Some(Value::Array(from))) => to.extend(from.iter().cloned()),
            (None, Some(from)) => drop(object.insert(key.to_owned(), from.clone())),
            _ => {}
        }
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.insert(
            "kind".to_owned(),
            json!({ "const": name, "description": summary }),
        );
    }
    object.insert("title".to_owned(), name.into());
    section
}

/// The schema without its own `$defs` and `$schema`. The definitions move to the root with `owner` as a prefix of their
/// names, because two kinds may use one name for different types.
fn lifted(owner: &str, schema: Schema, definitions: &mut Map<String, Value>) -> Value {
    let mut value = schema.to_value();
    point_to(owner, &mut value);
    if let Some(object) = value.as_object_mut() {
        object.remove("$schema");
        if let Some(Value::Object(own)) = object.remove("$defs") {
            definitions.extend(own.into_iter().map(|(name, it)| (format!("{owner}.{name}"), it)));
        }
    }
    value
}

/// Changes every `$ref` to the name that [`lifted`] gave.
fn point_to(owner: &str, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                match inner {
                    Value::String(path) if key == "$ref" => {
                        *path = path.replace("#/$defs/", &format!("#/$defs/{owner}."));
                    }
                    _ => point_to(owner, inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| point_to(owner, inner)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shared key is taken before the kind reads its own, so a kind would never see it.
    #[test]
    fn no_kind_has_a_key_of_its_own_with_the_name_of_a_shared_one() {
        let keys = |schema: &Schema| -> Vec<String> {
            let properties = schema.get("properties").and_then(Value::as_object);
            properties.into_iter().flat_map(Map::keys).cloned().collect()
        };
        let destinations = destination::KINDS.iter().map(|kind| (kind.name, (kind.schema)()));
        let sources = sources::KINDS.iter().map(|kind| (kind.name, (kind.schema)()));
        let of = |shared: Schema| keys(&shared);
        let all = destinations
            .map(|one| (one, of(schema_for!(Common))))
            .chain(sources.map(|one| (one, of(schema_for!(CommonSource)))));
        for ((name, own), shared) in all {
            let own = keys(&own);
            let both: Vec<&String> = own.iter().filter(|key| shared.contains(key)).collect();
            assert!(both.is_empty(), "{name}: {both:?}");
        }
    }
}
