//! Chained calls: once for each row of the result, after the call itself.

use serde_json::{Map, Value};

use super::{CiviCrm, errors::ApiError};

impl CiviCrm {
    pub(super) fn chained(
        &mut self,
        _entity: &str,
        rows: Vec<Value>,
        params: &Value,
    ) -> Result<Vec<Value>, ApiError> {
        let empty = Map::new();
        let chain = params.get("chain").and_then(Value::as_object).unwrap_or(&empty);
        let mut results = Vec::new();
        for row in rows {
            let mut row = row.as_object().cloned().unwrap_or_default();
            for (label, link) in chain {
                let part = |at: usize| link.get(at).cloned().unwrap_or_default();
                let (entity, action) = (part(0), part(1));
                let params = filled(&part(2), &row.clone().into());
                let result = self.call(
                    entity.as_str().unwrap_or_default(),
                    action.as_str().unwrap_or_default(),
                    &params,
                )?;
                let mut values = result.get("values").cloned().unwrap_or_default();
                if let Some(at) = part(3).as_u64() {
                    values = usize::try_from(at)
                        .ok()
                        .and_then(|at| values.get(at).cloned())
                        .unwrap_or_default();
                }
                row.insert(label.clone(), values);
            }
            results.push(row.into());
        }
        Ok(results)
    }
}

/// The parameters with each text that begins with `$` replaced by what it refers to, or by null. That is so for all texts,
/// wherever they come from.
fn filled(params: &Value, row: &Value) -> Value {
    match params {
        Value::String(text) => match text.strip_prefix('$') {
            Some(path) => {
                let pointer = format!("/{}", path.replace('.', "/"));
                row.pointer(&pointer).cloned().unwrap_or_default()
            }
            None => params.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, row)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            let members: Map<String, Value> = members
                .map(|(name, value)| (name.clone(), filled(value, row)))
                .collect();
            members.into()
        }
        other => other.clone(),
    }
}
