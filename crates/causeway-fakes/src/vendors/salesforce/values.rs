//! Checks what a caller sends for a record.

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value};

use super::{
    Salesforce,
    errors::{ApiError, RowError, Wrong},
    record::{self, Values},
    schema::{Field, Object, Type},
};

impl Salesforce {
    /// The values by the fields' own names; null clears a field. An unknown field, or a value of another type, refuses
    /// the whole call.
    pub(super) fn read_values(
        &self,
        object: &Object,
        sent: &Map<String, Value>,
        is_insert: bool,
    ) -> Result<Vec<(String, Value)>, Wrong> {
        let mut values = Vec::new();
        let (mut fixed, mut wrong) = (Vec::new(), None);
        for (name, value) in sent {
            if name == "attributes" || name.eq_ignore_ascii_case("id") {
                continue;
            }
            let (field, value) = match (object.seen(name), object.by_relationship(name)) {
                (Some(field), _) => (field, Ok(read_type(field, value)?)),
                (None, Some(field)) => (field, self.by_relation(field, value)),
                (None, None) => return Err(no_such_column(&object.name, name).into()),
            };
            if !field.may_write(is_insert) {
                fixed.push(field.name.as_str());
                continue;
            }
            match value.and_then(|value| self.checked(field, value)) {
                Ok(value) => values.push((field.name.clone(), value)),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        if !fixed.is_empty() {
            let message = format!(
                "Unable to create/update fields: {}. Please check the security settings of this field and verify that \
                 it is read/write for your profile or permission set.",
                fixed.join(", ")
            );
            return Err(RowError::of("INVALID_FIELD_FOR_INSERT_UPDATE", message, &fixed).into());
        }
        wrong.map_or(Ok(values), |error| Err(error.into()))
    }

    /// The record that is named by its external id: `"Contact": {"Ext_Id__c": "x"}`.
    fn by_relation(&self, field: &Field, value: &Value) -> Result<Value, RowError> {
        let Type::Reference(to) = &field.of else {
            return Ok(Value::Null);
        };
        let mut named = value.as_object().into_iter().flatten();
        let Some((key, value)) = named.find(|(name, _)| *name != "attributes") else {
            return Err(RowError::new("INVALID_FIELD", "no external id is given"));
        };
        let text = as_text(value);
        for object in to {
            let Some(known) = self.object(object) else {
                continue;
            };
            if known.seen(key).is_none_or(|field| !field.external_id) {
                let message = format!("{key} is not an External ID or indexed field for {object}");
                return Err(RowError::of("INVALID_FIELD", message, &[]));
            }
            match &*self.find_by_external(known, key, &text) {
                [] => {
                    let message = format!(
                        "Foreign key external ID: {text} not found for field {key} in entity {object}"
                    );
                    return Err(RowError::of("INVALID_FIELD", message, &[]));
                }
                [id] => return Ok(id.as_str().into()),
                several => return Err(several_found(key, several)),
            }
        }
        Err(RowError::new("INVALID_FIELD", "the field refers to no object"))
    }

    /// A value of the right type.
    fn checked(&self, field: &Field, value: Value) -> Result<Value, RowError> {
        let name = field.name.as_str();
        let Some(text) = value.as_str() else {
            return Ok(value);
        };
        // Salesforce keeps no blanks at the ends of texts.
        let text = text.trim();
        if text.is_empty() {
            return Ok(Value::Null);
        }
        if field.length > 0 && text.chars().count() > field.length {
            let message = format!(
                "{name}: data value too large: {text} (max length={})",
                field.length
            );
            return Err(RowError::of("STRING_TOO_LONG", message, &[name]));
        }
        match &field.of {
            Type::Email if !is_email(text) => {
                let message = format!("{name}: invalid email address: {text}");
                Err(RowError::of("INVALID_EMAIL_ADDRESS", message, &[name]))
            }
            Type::Picklist(values) if !values.is_empty() && !values.iter().any(|value| value == text) => {
                let message = format!("{name}: bad value for restricted picklist field: {text}");
                let code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST";
                Err(RowError::of(code, message, &[name]))
            }
            Type::Reference(to) => self.referred(name, to, text),
            _ => Ok(text.into()),
        }
    }

    fn referred(&self, name: &str, to: &[String], id: &str) -> Result<Value, RowError> {
        let found = self.by_id(id).filter(|record| to.contains(&record.object));
        match found {
            Some(record) => Ok(record.id.as_str().into()),
            None if id.len() != 15 && id.len() != 18 => {
                let message = format!("{name}: id value of incorrect type: {id}");
                Err(RowError::of("MALFORMED_ID", message, &[name]))
            }
            None => {
                let message = "invalid cross reference id";
                Err(RowError::of("INVALID_CROSS_REFERENCE_KEY", message, &[]))
            }
        }
    }

    /// Ids of the records whose external id is this. Deleted ones do not count.
    pub(super) fn find_by_external(&self, object: &Object, field: &str, value: &str) -> Vec<String> {
        let Some(field) = object.field(field) else {
            return Vec::new();
        };
        let is_it = |have: &str| {
            if field.case_sensitive {
                have == value
            } else {
                have.eq_ignore_ascii_case(value)
            }
        };
        let of_object = self.records.values();
        of_object
            .filter(|record| record.object == object.name && !record.is_deleted)
            .filter(|record| {
                if field.of == Type::Id {
                    return record::is_same(&record.id, value);
                }
                let have = record.values.get(&field.name);
                have.is_some_and(|have| match have.as_str() {
                    Some(text) => is_it(text),
                    None => is_it(&as_text(have)),
                })
            })
            .map(|record| record.id.clone())
            .collect()
    }

    /// The rules about a whole record, with the values that it would have.
    pub(super) fn check_record(&self, object: &Object, id: &str, values: &Values) -> Result<(), RowError> {
        let fields = object.fields.iter();
        let missing: Vec<&str> = fields
            .filter(|field| field.required && !values.contains_key(&field.name))
            .map(|field| field.name.as_str())
            .collect();
        if !missing.is_empty() {
            let message = format!("Required fields are missing: [{}]", missing.join(", "));
            return Err(RowError::of("REQUIRED_FIELD_MISSING", message, &missing));
        }
        for field in object.fields.iter().filter(|field| field.unique) {
            let Some(value) = values.get(&field.name) else {
                continue;
            };
            let others = self.find_by_external(object, &field.name, &as_text(value));
            if let Some(other) = others.iter().find(|other| *other != id) {
                let name = &field.name;
                let message =
                    format!("duplicate value found: {name} duplicates value on record with id: {other}");
                return Err(RowError::new("DUPLICATE_VALUE", message));
            }
        }
        if object.name == "CampaignMember" {
            return self.check_member(id, values);
        }
        Ok(())
    }

    /// A person is a member of a campaign once.
    fn check_member(&self, id: &str, values: &Values) -> Result<(), RowError> {
        let person = |values: &Values| {
            let person = ["ContactId", "LeadId"].map(|name| values.get(name).cloned());
            (values.get("CampaignId").cloned(), person)
        };
        let own = person(values);
        if own.1.iter().flatten().count() != 1 {
            let message = "A campaign member has a contact or a lead";
            return Err(RowError::of("FIELD_INTEGRITY_EXCEPTION", message, &["LeadId"]));
        }
        let of_campaigns = self.records.values();
        let taken = of_campaigns
            .filter(|record| record.object == "CampaignMember" && record.id != id && !record.is_deleted)
            .any(|record| person(&record.values) == own);
        if taken {
            return Err(RowError::new("DUPLICATE_VALUE", "Already a campaign member."));
        }
        Ok(())
    }
}

pub(super) fn several_found(key: &str, ids: &[String]) -> RowError {
    let message = format!(
        "{key}: more than one record found for external id field: [{}]",
        ids.join(", ")
    );
    RowError::of("DUPLICATE_EXTERNAL_ID", message, &[key])
}

fn no_such_column(object: &str, name: &str) -> ApiError {
    ApiError::invalid(
        "INVALID_FIELD",
        format!("No such column '{name}' on sobject of type {object}"),
    )
}

/// JSON of another type refuses the whole call.
fn read_type(field: &Field, value: &Value) -> Result<Value, ApiError> {
    let sort = match value {
        Value::Null => return Ok(Value::Null),
        Value::Bool(_) if field.of == Type::Boolean => return Ok(value.clone()),
        Value::Number(_) if field.of == Type::Number => return Ok(value.clone()),
        Value::String(text) => match field.of {
            Type::Boolean | Type::Number => "VALUE_STRING",
            Type::Date if text.parse::<jiff::civil::Date>().is_err() => "VALUE_STRING",
            Type::DateTime if instant(text).is_none() => "VALUE_STRING",
            _ => return Ok(value.clone()),
        },
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER_INT",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    };
    let name = match field.of {
        Type::Boolean => "boolean",
        Type::Date => "date",
        Type::DateTime => "datetime",
        Type::Number => "double",
        _ => "string",
    };
    let message = format!(
        "Cannot deserialize instance of {name} from {sort} value {} or request may be missing a required field at \
         [line:1, column:1]",
        as_text(value)
    );
    Err(ApiError::invalid("JSON_PARSER_ERROR", message))
}

/// A date and time, with the forms of zones that Salesforce writes and reads.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let parsed = text.parse().ok();
    parsed.or_else(|| {
        let (start, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let (hours, minutes) = zone.split_at_checked(3)?;
        format!("{start}{hours}:{minutes}").parse().ok()
    })
}

pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else {
        return false;
    };
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', '<', '>']);
    is_plain(local) && is_plain(host) && host.contains('.') && !host.ends_with('.')
}
