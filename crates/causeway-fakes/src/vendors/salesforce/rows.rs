//! Single records (`/sobjects`) and collections of up to 200 (`/composite/sobjects`).

use serde_json::{Map, Value, json};

use super::{
    Salesforce,
    call::{Answer, Call},
    errors::{ApiError, RowError, Wrong},
    schema::{Object, Type},
    values::{as_text, several_found},
    write::Options,
};
use crate::fake_api::Reply;

const MOST_ROWS: usize = 200;
/// Ends of values that the server takes for the extension of a file.
const EXTENSIONS: [&str; 1] = [".inc"];

impl Salesforce {
    /// `/sobjects/…`
    pub(super) fn rows(&mut self, path: &[&str], call: &Call) -> Answer {
        match (&*call.method, path) {
            ("GET", []) => {
                let all = self.objects.iter().map(Object::describe);
                Ok(Reply::json(
                    200,
                    &json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all.collect::<Vec<_>>() }),
                ))
            }
            ("GET", [object, "describe"]) => Ok(Reply::json(200, &self.known(object)?.describe())),
            ("POST", [object]) => self.create_one(&self.known(object)?, call),
            (_, [object, id]) => {
                let object = self.known(object)?;
                self.one(&object, id, call)
            }
            (_, [object, key, value]) => {
                let object = self.known(object)?;
                self.one_by_key(&object, key, value, call)
            }
            _ => Err(ApiError::not_found()),
        }
    }

    pub(super) fn known(&self, name: &str) -> Result<Object, ApiError> {
        let not_found = || ApiError::not_found();
        self.object(name).cloned().ok_or_else(not_found)
    }

    fn create_one(&mut self, object: &Object, call: &Call) -> Answer {
        let values = self.read_values(object, &call.object()?, true)?;
        let id = self.insert(object, values, call.options())?;
        Ok(Reply::json(
            201,
            &json!({ "id": id, "success": true, "errors": [] }),
        ))
    }

    fn one(&mut self, object: &Object, id: &str, call: &Call) -> Answer {
        let found = self.by_id(id).filter(|record| record.object == object.name);
        let Some(id) = found.map(|record| record.id.clone()) else {
            return Err(ApiError::not_found());
        };
        match &*call.method {
            "GET" => Ok(Reply::json(200, &self.show(object, &id, call)?)),
            "PATCH" => {
                let values = self.read_values(object, &call.object()?, false)?;
                self.update(object, &id, values)?;
                Ok(Reply::status(204))
            }
            "DELETE" => {
                self.delete(&id)?;
                Ok(Reply::status(204))
            }
            _ => Err(method_not_allowed(call)),
        }
    }

    fn show(&self, object: &Object, id: &str, call: &Call) -> Result<Value, ApiError> {
        let record = self.by_id(id).ok_or_else(ApiError::not_found)?;
        let wanted = call.query("fields");
        let mut shown = record.attributes(&call.version);
        for field in object
            .fields
            .iter()
            .filter(|field| object.seen(&field.name).is_some())
        {
            let is_wanted = |names: &str| {
                names
                    .split(',')
                    .any(|name| name.eq_ignore_ascii_case(&field.name))
            };
            if wanted.as_deref().is_none_or(is_wanted) {
                let value = record.value(&field.name, field.of == Type::Boolean);
                shown.insert(field.name.clone(), value);
            }
        }
        Ok(Value::Object(shown))
    }

    fn one_by_key(&mut self, object: &Object, key: &str, value: &str, call: &Call) -> Answer {
        check_key(object, key)?;
        let value_lower = value.to_lowercase();
        if EXTENSIONS.iter().any(|end| value_lower.ends_with(end)) {
            return Err(ApiError::not_found());
        }
        let found = self.find_by_external(object, key, value);
        if found.len() > 1 {
            let url = |id: &String| format!("/services/data/{}/sobjects/{}/{id}", call.version, object.name);
            return Ok(Reply::json(300, &found.iter().map(url).collect()));
        }
        match (&*call.method, found.first()) {
            ("PATCH", found) => self.upsert_one(object, (key, value), found.map(String::as_str), call),
            ("GET" | "DELETE", Some(id)) => self.one(object, id, call),
            ("GET" | "DELETE", None) => Err(ApiError::not_found()),
            _ => Err(method_not_allowed(call)),
        }
    }

    fn upsert_one(
        &mut self,
        object: &Object,
        (key, value): (&str, &str),
        found: Option<&str>,
        call: &Call,
    ) -> Answer {
        let mut sent = call.object()?;
        if sent.keys().any(|name| name.eq_ignore_ascii_case(key)) {
            let message = format!("The {key} field should not be specified in the sobject data.");
            return Err(ApiError::invalid("INVALID_FIELD", message));
        }
        let created = found.is_none();
        let id = match found {
            Some(id) => {
                let values = self.read_values(object, &sent, false)?;
                self.update(object, id, values)?
            }
            None if call.query("updateOnly").as_deref() == Some("true") => {
                return Err(ApiError::not_found());
            }
            None => {
                sent.insert(key.to_owned(), value.into());
                let values = self.read_values(object, &sent, true)?;
                self.insert(object, values, call.options())?
            }
        };
        if call.number() < 46 && !created {
            return Ok(Reply::status(204));
        }
        let status = if created { 201 } else { 200 };
        Ok(Reply::json(
            status,
            &json!({ "id": id, "success": true, "errors": [], "created": created }),
        ))
    }

    /// `/composite/sobjects/…`
    pub(super) fn collection(&mut self, path: &[&str], call: &Call) -> Answer {
        match (&*call.method, path) {
            ("PATCH", [object, key]) => {
                let object = self.known(object)?;
                check_key(&object, key)?;
                self.write_all(call, &|salesforce, row, seen, options| {
                    salesforce.upsert_row(&object, key, row, seen, options)
                })
            }
            ("POST", [object]) => self.retrieve(&self.known(object)?, call),
            ("POST", []) => self.write_all(call, &|salesforce, row, _, options| {
                let object = salesforce.object_of(row)?;
                let values = salesforce.read_values(&object, row, true)?;
                let id = salesforce.insert(&object, values, options)?;
                Ok(json!({ "id": id, "success": true, "errors": [] }))
            }),
            ("PATCH", []) => self.write_all(call, &|salesforce, row, seen, _| {
                let object = salesforce.object_of(row)?;
                let id = row.iter().find(|(name, _)| name.eq_ignore_ascii_case("id"));
                let Some(id) = id.map(|(_, id)| as_text(id)) else {
                    return Err(
                        RowError::new("MISSING_ARGUMENT", "Id not specified in an update call").into(),
                    );
                };
                if seen.contains(&id) {
                    let message = format!("duplicate id in list: {id}");
                    return Err(ApiError::invalid("DUPLICATE_VALUE", message).into());
                }
                seen.push(id.clone());
                let values = salesforce.read_values(&object, row, false)?;
                let id = salesforce.update(&object, &id, values)?;
                Ok(json!({ "id": id, "success": true, "errors": [] }))
            }),
            ("DELETE", []) => self.delete_all(call),
            _ => Err(ApiError::not_found()),
        }
    }

    fn object_of(&self, row: &Map<String, Value>) -> Result<Object, ApiError> {
        let name = row.get("attributes").and_then(|all| all.get("type")?.as_str());
        let Some(name) = name else {
            let message = "Include attributes with the type in each record";
            return Err(ApiError::invalid("INVALID_INPUT", message));
        };
        self.object(name).cloned().ok_or_else(|| {
            ApiError::invalid("INVALID_TYPE", format!("sObject type '{name}' is not supported."))
        })
    }

    fn write_all(&mut self, call: &Call, write: &Write<'_>) -> Answer {
        let body = Value::Object(call.object()?);
        let Some(rows) = body["records"].as_array() else {
            return Err(ApiError::invalid(
                "JSON_PARSER_ERROR",
                "records: a list is expected",
            ));
        };
        check_number(rows.len())?;
        let before = self.snapshot();
        let all_or_none = body["allOrNone"] == true;
        let (mut results, mut seen, mut failed) = (Vec::new(), Vec::new(), false);
        for row in rows {
            let row = row.as_object().cloned().unwrap_or_default();
            match write(self, &row, &mut seen, call.options()) {
                Ok(result) => results.push(result),
                Err(Wrong::Row(error)) => {
                    failed = true;
                    results.push(error.json());
                }
                Err(Wrong::Call(error)) => {
                    self.records = before;
                    return Err(error);
                }
            }
        }
        if all_or_none && failed {
            self.records = before;
            let message = "Record rolled back because not all records were valid and the request was using AllOrNone \
                           header";
            let back = RowError::new("ALL_OR_NONE_OPERATION_ROLLED_BACK", message).json();
            for result in &mut results {
                if result["success"] == true {
                    *result = back.clone();
                }
            }
        }
        Ok(Reply::json(200, &Value::Array(results)))
    }

    fn upsert_row(
        &mut self,
        object: &Object,
        key: &str,
        row: &Map<String, Value>,
        seen: &mut Vec<String>,
        options: Options,
    ) -> Result<Value, Wrong> {
        if self.object_of(row)?.name != object.name {
            let message = "All records must be of the type in the address";
            return Err(ApiError::invalid("INVALID_INPUT", message).into());
        }
        let value = row.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        let value = value.map(|(_, value)| as_text(value)).unwrap_or_default();
        if value.is_empty() {
            return Err(RowError::of("MISSING_ARGUMENT", format!("{key} not specified"), &[]).into());
        }
        let found = self.find_by_external(object, key, &value);
        // All rows are read first: a row of the wrong type refuses the call.
        let values = self.read_values(object, row, found.is_empty())?;
        if seen.contains(&value.to_lowercase()) {
            let message = format!("Duplicate external id specified: {value}");
            return Err(RowError::of("DUPLICATE_VALUE", message, &[key]).into());
        }
        seen.push(value.to_lowercase());
        let (id, created) = match &*found {
            [] => (self.insert(object, values, options)?, true),
            [id] => (self.update(object, id, values)?, false),
            several => return Err(several_found(key, several).into()),
        };
        Ok(json!({ "id": id, "success": true, "errors": [], "created": created }))
    }

    /// Reads records by their ids; null for one that does not exist.
    fn retrieve(&self, object: &Object, call: &Call) -> Answer {
        let body = Value::Object(call.object()?);
        let texts = |name: &str| {
            let list = body[name].as_array().cloned().unwrap_or_default();
            list.iter().map(as_text).collect::<Vec<_>>()
        };
        let (ids, fields) = (texts("ids"), texts("fields"));
        let mut found = Vec::new();
        for id in &ids {
            let Some(record) = self.by_id(id).filter(|record| record.object == object.name) else {
                found.push(Value::Null);
                continue;
            };
            let mut shown = record.attributes(&call.version);
            for name in &fields {
                let field = object.seen(name).ok_or_else(|| {
                    let message = format!("No such column '{name}' on entity '{}'.", object.name);
                    ApiError::invalid("INVALID_FIELD", message)
                })?;
                let value = record.value(&field.name, field.of == Type::Boolean);
                shown.insert(field.name.clone(), value);
            }
            found.push(Value::Object(shown));
        }
        Ok(Reply::json(200, &Value::Array(found)))
    }

    fn delete_all(&mut self, call: &Call) -> Answer {
        let ids = call.query("ids").unwrap_or_default();
        let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
        check_number(ids.len())?;
        let deleted = ids.into_iter().map(|id| match self.delete(id) {
            Ok(id) => json!({ "id": id, "success": true, "errors": [] }),
            Err(error) => error.json(),
        });
        Ok(Reply::json(200, &deleted.collect()))
    }
}

type Write<'a> =
    dyn Fn(&mut Salesforce, &Map<String, Value>, &mut Vec<String>, Options) -> Result<Value, Wrong> + 'a;

fn check_number(rows: usize) -> Result<(), ApiError> {
    if rows <= MOST_ROWS {
        return Ok(());
    }
    let message = "Record limit reached. Cannot submit more than 200 records in this call.";
    Err(ApiError::invalid("EXCEEDED_ID_LIMIT", message))
}

/// Whether records can be found by the field.
pub(super) fn check_key(object: &Object, key: &str) -> Result<(), ApiError> {
    let field = object.seen(key);
    if field.is_some_and(|field| field.external_id || field.of == Type::Id) {
        return Ok(());
    }
    let message = format!("Provided external ID field does not exist or is not accessible: {key}");
    Err(ApiError::new(404, "NOT_FOUND", message))
}

fn method_not_allowed(call: &Call) -> ApiError {
    let message = format!("HTTP Method '{}' not allowed.", call.method);
    ApiError::new(405, "METHOD_NOT_ALLOWED", message)
}
