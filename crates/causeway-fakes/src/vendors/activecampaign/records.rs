//! Custom objects: schemas and their records, each of which has an id of the caller's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ActiveCampaign, Call, errors::Failure, loose};

/// A custom object.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// The ids of its fields.
    pub fields: Vec<String>,
    /// The caller's id → record.
    pub records: BTreeMap<String, Value>,
}

impl ActiveCampaign {
    pub fn add_schema(&mut self, id: &str, fields: &[&str]) {
        let schema = Schema {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..Schema::default()
        };
        self.schemas.insert(id.to_owned(), schema);
    }

    pub(super) fn run_records(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<(u16, Value), Failure> {
        let (["schemas", schema] | ["records", schema, ..]) = rest else {
            return Err(Failure::message(404, "No route found"));
        };
        let missing = || Failure::message(404, "The schema was not found");
        let found = self.schemas.get(*schema).ok_or_else(missing)?;
        match (call.method, rest) {
            ("GET", ["schemas", id]) => {
                let fields = found.fields.iter();
                let fields: Vec<Value> = fields
                    .map(|field| json!({ "id": field, "type": "text" }))
                    .collect();
                Ok((200, json!({ "schema": { "id": id, "fields": fields } })))
            }
            ("GET", ["records", _, "external", id]) => {
                let record = found.records.get(*id);
                let record = record.ok_or_else(|| Failure::message(404, "The record was not found"))?;
                Ok((200, json!({ "record": record })))
            }
            ("POST", ["records", schema]) => self.write_record(schema, call),
            _ => Err(Failure::message(404, "No route found")),
        }
    }

    /// Creates the record, or writes the one with this `externalId` anew.
    fn write_record(&mut self, schema: &str, call: &Call<'_>) -> Result<(u16, Value), Failure> {
        let given = call.member("record")?.clone();
        let fields = given
            .get("fields")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let known = &self.schemas[schema].fields;
        for field in &fields {
            let id = field.get("id").and_then(Value::as_str).unwrap_or_default();
            if !known.iter().any(|known| known == id) {
                return Err(Failure::invalid(
                    "The field is not in the schema",
                    "field_invalid",
                    "fields",
                ));
            }
        }
        // The reference describes a list, and its example shows one value.
        let contact = given.pointer("/relationships/primary-contact");
        let contact = contact.map(|contact| contact.get(0).unwrap_or(contact));
        if !loose(contact).is_some_and(|contact| self.contacts.contains_key(&contact)) {
            return Err(Failure::invalid(
                "The contact does not exist",
                "relationship_invalid",
                "relationships",
            ));
        }
        let external = given.get("externalId").and_then(Value::as_str);
        let external = external.map_or_else(|| self.next_id().to_string(), str::to_owned);
        let records = &mut self.schemas.get_mut(schema).unwrap().records;
        records.insert(external, given.clone());
        Ok((201, json!({ "record": given })))
    }
}
