//! The endpoints of properties and their groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Answer, Call, Failure, need_fields, text_of},
    batch::{complete, inputs},
    property::{Property, Type},
    record::{Kind, Objects},
};
use crate::fake_api::Reply;

/// Most inputs of a batch.
const MOST: usize = 100;
/// Most properties of an object whose values are unique.
const MOST_UNIQUE: usize = 10;
const FIELD_TYPES: [&str; 12] = [
    "booleancheckbox",
    "calculation_equation",
    "checkbox",
    "date",
    "file",
    "html",
    "number",
    "phonenumber",
    "radio",
    "select",
    "text",
    "textarea",
];

impl HubSpot {
    /// Below `/crm/properties/2026-09/{kind}`.
    pub(super) fn properties(&mut self, kind: Kind, rest: &[&str], call: &Call<'_>) -> Answer {
        let reads = call.method == "GET" || rest == ["batch", "read"];
        call.need_any(if reads {
            &["crm.schemas.contacts.read", "crm.objects.contacts.read"]
        } else {
            &["crm.schemas.contacts.write"]
        })?;
        let objects = match kind {
            Kind::Contact => &mut self.contacts,
            Kind::Note => &mut self.notes,
        };
        match (call.method, rest) {
            ("GET", []) => {
                let archived = call.query("archived") == Some("true");
                let all = objects.properties.by_name.values();
                let all = all.filter(|property| property.archived.is_some() == archived);
                let results: Vec<Value> = all.map(Property::json).collect();
                Ok(Reply::json(200, &json!({ "results": results })))
            }
            ("POST", []) => {
                let property = new(objects, &call.json()?, call.now)?;
                Ok(Reply::json(201, &property))
            }
            ("GET", ["groups"]) => {
                let groups = objects.properties.groups.iter().map(|name| group(name));
                Ok(Reply::json(
                    200,
                    &json!({ "results": groups.collect::<Vec<_>>() }),
                ))
            }
            ("POST", ["groups"]) => {
                let name = text_of(&call.json_with(&["name", "label"])?["name"])?;
                if !objects.properties.groups.insert(name.clone()) {
                    return Err(exists("group", &name));
                }
                Ok(Reply::json(201, &group(&name)))
            }
            ("POST", ["batch", "create"]) => in_batch(call, self.batches.mixed_status, |input| {
                new(objects, input, call.now)
            }),
            ("POST", ["batch", "read"]) => in_batch(call, self.batches.mixed_status, |input| {
                let name = text_of(&input["name"])?;
                let property = objects.properties.get(&name).map(Property::json);
                property.ok_or_else(|| unknown(&name))
            }),
            ("GET", [name]) => {
                let property = objects.properties.get(name).ok_or_else(|| unknown(name))?;
                Ok(Reply::json(200, &property.json()))
            }
            ("PATCH", [name]) => change(objects, name, &call.json()?),
            ("DELETE", [name]) => {
                let property = objects.properties.by_name.get_mut(*name);
                let property = property.ok_or_else(|| unknown(name))?;
                if property.is_hubspot_defined {
                    return Err(Failure::invalid("HubSpot defined properties cannot be archived"));
                }
                property.archived = Some(call.now);
                Ok(Reply::status(204))
            }
            _ => Err(Failure::not_found()),
        }
    }
}

fn in_batch(
    call: &Call<'_>,
    mixed_status: u16,
    mut one: impl FnMut(&Value) -> Result<Value, Failure>,
) -> Answer {
    let body = call.json()?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs(&body, MOST)? {
        match one(input) {
            Ok(property) => results.push(property),
            Err(failure) => errors.push(failure.entry(None)),
        }
    }
    let status = if errors.is_empty() { 200 } else { mixed_status };
    Ok(complete(status, &results, &errors, call.now))
}

fn group(name: &str) -> Value {
    json!({ "name": name, "label": name, "displayOrder": -1, "archived": false })
}

fn unknown(name: &str) -> Failure {
    let message = format!("Property {name} does not exist");
    Failure::new(404, "OBJECT_NOT_FOUND", &message).context("propertyName", &[name])
}

fn exists(what: &str, name: &str) -> Failure {
    let message = format!("A {what} named '{name}' already exists.");
    Failure::new(409, "OBJECT_ALREADY_EXISTS", &message).context("name", &[name])
}

fn new(objects: &mut Objects, body: &Value, now: Timestamp) -> Result<Value, Failure> {
    need_fields(body, &["name", "label", "type", "fieldType", "groupName"])?;
    let text = |name: &str| text_of(&body[name]);
    let (name, of) = (text("name")?, text("type")?);
    let is_word =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    if !name.chars().all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(Failure::invalid(&format!(
            "Property name {name} must start with a lower-case letter, \
            and have only lower-case letters, digits and underscores"
        )));
    }
    let Some(of) = Type::parse(&of) else {
        return Err(Failure::invalid(&format!(
            "Invalid input JSON: type {of} is unknown"
        )));
    };
    let field_type = text("fieldType")?;
    if !FIELD_TYPES.contains(&field_type.as_str()) {
        return Err(Failure::invalid(&format!(
            "Invalid input JSON: fieldType {field_type} is unknown"
        )));
    }
    let group = text("groupName")?;
    if !objects.properties.groups.contains(&group) {
        return Err(Failure::invalid(&format!(
            "Property group {group} does not exist"
        )));
    }
    if objects.properties.by_name.contains_key(&name) {
        return Err(exists("property", &name));
    }
    let is_unique = body["hasUniqueValue"] == true;
    let all = objects.properties.by_name.values();
    if is_unique && all.filter(|property| property.is_unique).count() >= MOST_UNIQUE {
        return Err(Failure::invalid(&format!(
            "An object has at most {MOST_UNIQUE} properties with unique values"
        )));
    }
    let property = Property {
        label: text("label")?,
        description: text("description")?,
        options: options(&body["options"])?,
        field_type,
        group,
        is_unique,
        created: now,
        ..Property::new(&name, of)
    };
    let answer = property.json();
    objects.properties.add(property);
    Ok(answer)
}

fn options(body: &Value) -> Result<Vec<(String, String)>, Failure> {
    let options = body.as_array().into_iter().flatten();
    options
        .map(|option| {
            need_fields(option, &["value", "label"])?;
            Ok((text_of(&option["value"])?, text_of(&option["label"])?))
        })
        .collect()
}

/// `hasUniqueValue` is no field of a change.
fn change(objects: &mut Objects, name: &str, body: &Value) -> Answer {
    need_fields(body, &[])?;
    let property = objects.properties.by_name.get_mut(name);
    let property = property.ok_or_else(|| unknown(name))?;
    if !body["label"].is_null() {
        property.label = text_of(&body["label"])?;
    }
    if !body["description"].is_null() {
        property.description = text_of(&body["description"])?;
    }
    if !body["options"].is_null() {
        property.options = options(&body["options"])?;
    }
    Ok(Reply::json(200, &property.json()))
}
