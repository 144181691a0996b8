//! One API call: permissions, the action, and its result.

use serde_json::{Map, Value, json};

use super::{CiviCrm, Row, errors::ApiError, schema};

impl CiviCrm {
    pub(super) fn call(&mut self, entity: &str, action: &str, params: &Value) -> Result<Value, ApiError> {
        let Some(known) = schema::entity(entity) else {
            return Err(ApiError::new(format!(
                "API (Api4) is not available for entity {entity}"
            )));
        };
        let entity = known.name;
        let named = format!("{entity}.{action}");
        if self.denied.contains(&named) {
            let message = format!("Authorization failed: Api4 {entity}::{action}");
            return Err(ApiError::unauthorized(&message));
        }
        self.log.push(named);
        let (values, updated) = match action {
            "get" => (self.found(entity, self.rows(entity), params)?, 0),
            "getFields" => (self.found_fields(entity, params), 0),
            "checkAccess" => (self.access(entity, params), 0),
            "create" => (self.create_and_chain(entity, params)?, 0),
            "update" => {
                let rows = self.update(entity, params)?;
                let count = rows.len();
                (self.chained(entity, rows, params)?, count)
            }
            "save" => {
                let (rows, count) = self.save(entity, params)?;
                (self.chained(entity, rows, params)?, count)
            }
            "delete" => (self.delete(entity, params)?, 0),
            other => {
                return Err(ApiError::new(format!(
                    "Api {entity} {other} version 4 does not exist."
                )));
            }
        };
        let count = values.len();
        let mut result = json!({
            "values": values, "entity": entity, "action": action, "debug": null, "version": 4,
            "count": count, "countFetched": count,
        });
        if action == "save" {
            result["countMatched"] = updated.into();
        }
        Ok(result)
    }

    fn found_fields(&self, entity: &str, params: &Value) -> Vec<Value> {
        let names = params
            .get("where")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let mut wanted: Option<Vec<Value>> = None;
        for clause in names {
            if clause.get(0) == Some(&"name".into()) {
                wanted = clause
                    .get(2)
                    .map(|value| value.as_array().cloned().unwrap_or(vec![value.clone()]));
            }
        }
        let rows = self.field_rows(entity).into_iter();
        let is_wanted = |row: &Row| {
            let name = row.get("name").cloned().unwrap_or_default();
            wanted.as_ref().is_none_or(|wanted| wanted.contains(&name))
        };
        let select = params
            .get("select")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        rows.filter(is_wanted)
            .map(|row| {
                let shown = row.into_iter();
                let shown =
                    shown.filter(|(name, _)| select.is_empty() || select.contains(&name.as_str().into()));
                Value::Object(shown.collect())
            })
            .collect()
    }

    fn access(&self, entity: &str, params: &Value) -> Vec<Value> {
        let action = params.get("action").and_then(Value::as_str).unwrap_or_default();
        let access = !self.denied.contains(&format!("{entity}.{action}"));
        vec![json!({ "access": access })]
    }

    /// A failing chain takes the new row back, if the site has transactions.
    fn create_and_chain(&mut self, entity: &'static str, params: &Value) -> Result<Vec<Value>, ApiError> {
        let before = self.has_transactions.then(|| self.tables.clone());
        let empty = Map::new();
        let values = params.get("values").and_then(Value::as_object).unwrap_or(&empty);
        let values = self.read_values(entity, values)?;
        self.validate(entity, "create", &values)?;
        let row = self.insert(entity, values)?;
        let result = self.chained(entity, vec![row], params);
        if let (Err(_), Some(before)) = (&result, before) {
            self.tables = before;
        }
        result
    }
}
