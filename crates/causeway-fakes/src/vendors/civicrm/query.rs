//! `get` and `getFields`, and the names of values: joins, options, custom fields.

use serde_json::{Map, Value, json};

use super::{
    CiviCrm, Row,
    clauses::order,
    errors::ApiError,
    schema::{self, Kind},
};

/// What a name in `select`, `where` or `values` stands for.
pub(super) enum Named<'a> {
    Own {
        field: &'static schema::Field,
        suffix: &'a str,
    },
    Custom,
    /// A field of the row that a key names.
    Joined {
        key: &'static schema::Field,
        entity: &'static str,
        rest: &'a str,
    },
    Unknown,
}

impl CiviCrm {
    pub(super) fn named<'a>(&self, entity: &str, name: &'a str) -> Named<'a> {
        let Some(known) = schema::entity(entity) else {
            return Named::Unknown;
        };
        if self
            .custom
            .iter()
            .any(|(own, custom)| *own == entity && custom == name)
        {
            return Named::Custom;
        }
        let (plain, suffix) = name.split_once(':').unwrap_or((name, ""));
        if let Some(field) = known.field(plain) {
            return Named::Own { field, suffix };
        }
        let joined = || {
            let (first, rest) = name.split_once('.')?;
            let key = known.field(first)?;
            match key.kind {
                Kind::Key(entity) => Some(Named::Joined { key, entity, rest }),
                _ => None,
            }
        };
        joined().unwrap_or(Named::Unknown)
    }

    /// One value of a row.
    pub(super) fn value(&self, entity: &str, row: &Row, name: &str) -> Result<Value, ApiError> {
        // An option group is a table of its own, and here only its name counts.
        if let Some(value) = row.get(name) {
            return Ok(value.clone());
        }
        match self.named(entity, name) {
            Named::Own { field, suffix } => {
                let value = row.get(field.name).cloned().unwrap_or_default();
                match field.kind {
                    Kind::Choice(group) if !suffix.is_empty() => Ok(self.shown(group, suffix, &value)),
                    Kind::Key(other) if !suffix.is_empty() => {
                        let id = value.as_u64().unwrap_or_default();
                        Ok(self.get(other, id, suffix))
                    }
                    _ => Ok(value),
                }
            }
            Named::Custom => Ok(Value::Null),
            Named::Joined { key, entity, rest } => {
                let id = row.get(key.name).and_then(Value::as_u64).unwrap_or_default();
                let empty = Map::new();
                let other = self.table(entity).get(&id).unwrap_or(&empty);
                self.value(entity, other, rest)
            }
            Named::Unknown => Err(ApiError::new(format!("Invalid field '{name}'"))),
        }
    }

    /// A value of `where` in the form in which it is stored.
    pub(super) fn comparable(&self, entity: &str, name: &str, value: Value) -> Value {
        match self.named(entity, name) {
            Named::Own { field, suffix: "" } if field.kind == Kind::Bool => match value {
                Value::Number(number) => Value::Bool(number.as_u64() == Some(1)),
                other => other,
            },
            _ => value,
        }
    }

    fn shown(&self, group: &str, suffix: &str, value: &Value) -> Value {
        let options = self.options.get(group);
        let mut options = options.into_iter().flatten();
        let found = options.find(|option| value.as_u64() == Some(option.value) || value == option.name);
        found.map_or(Value::Null, |option| match suffix {
            "abbr" => option.abbr.into(),
            _ => option.name.into(),
        })
    }

    /// The rows of `get`: all that meet the clauses, in order, with the values of `select`.
    pub(super) fn found(&self, entity: &str, rows: Vec<Row>, params: &Value) -> Result<Vec<Value>, ApiError> {
        let clauses = params.get("where").unwrap_or(&Value::Null);
        let mut kept = Vec::new();
        for row in rows {
            if self.meets(entity, &row, clauses)? {
                kept.push(row);
            }
        }
        let sorts = params.get("orderBy").and_then(Value::as_object);
        for (name, direction) in sorts.into_iter().flatten().rev() {
            let mut keyed = Vec::new();
            for row in kept {
                keyed.push((self.value(entity, &row, name)?, row));
            }
            keyed.sort_by(|(one, _), (other, _)| match direction.as_str() {
                Some("DESC") => order(other, one),
                _ => order(one, other),
            });
            kept = keyed.into_iter().map(|(_, row)| row).collect();
        }
        let number = |name: &str| {
            params
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let most = number("limit").filter(|most| *most > 0).unwrap_or(usize::MAX);
        let kept = kept.into_iter().skip(number("offset").unwrap_or(0)).take(most);
        Ok(kept.map(|row| self.selected(entity, row, params)).collect())
    }

    /// Names in `select` that do not exist are left out.
    fn selected(&self, entity: &str, row: Row, params: &Value) -> Value {
        let names = params
            .get("select")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        if names.is_empty() || names.contains(&"*") {
            return row.into();
        }
        let mut selected = Map::new();
        for name in ["id"]
            .into_iter()
            .chain(names)
            .filter(|name| *name != "row_count")
        {
            if let Ok(value) = self.value(entity, &row, name) {
                selected.insert(name.to_owned(), value);
            }
        }
        selected.into()
    }

    /// The rows that `get` searches.
    pub(super) fn rows(&self, entity: &str) -> Vec<Row> {
        if entity == "OptionValue" {
            let groups = self.options.iter();
            let rows = groups.flat_map(|(group, options)| options.iter().map(move |option| (group, option)));
            return rows
                .enumerate()
                .filter_map(|(at, (group, option))| {
                    json!({
                        "id": at + 1, "option_group_id:name": group, "value": option.value.to_string(),
                        "name": option.name, "label": option.name, "is_active": true,
                    })
                    .as_object()
                    .cloned()
                })
                .collect();
        }
        self.table(entity).values().cloned().collect()
    }

    /// The rows of `getFields`.
    pub(super) fn field_rows(&self, entity: &str) -> Vec<Row> {
        let known = schema::entity(entity).map_or(&[][..], |entity| entity.fields);
        let own = known.iter().map(|field| {
            let (data_type, other) = match field.kind {
                Kind::Text(_) => ("String", Value::Null),
                Kind::Int | Kind::Choice(_) | Kind::Contacts => ("Integer", Value::Null),
                Kind::Bool => ("Boolean", Value::Null),
                Kind::Time => ("Timestamp", Value::Null),
                Kind::Key(other) => ("Integer", other.into()),
            };
            json!({
                "name": field.name, "title": field.name.replace('_', " "), "type": "Field", "data_type": data_type,
                "required": field.is_required, "readonly": field.is_readonly, "fk_entity": other,
            })
        });
        let custom = self.custom.iter().filter(|(own, _)| *own == entity);
        let custom = custom.map(|(_, name)| {
            json!({ "name": name, "title": name, "type": "Custom", "data_type": "String", "required": false, "readonly": false })
        });
        own.chain(custom)
            .filter_map(|row| row.as_object().cloned())
            .collect()
    }
}
