//! `create`, `update`, `save` and `delete`, and what the site does by itself when a row is written.

use serde_json::{Map, Value, json};

use super::{
    CiviCrm, Row,
    clauses::{is_empty, is_equal},
    errors::ApiError,
    query::Named,
    schema::{self, Kind},
};

impl CiviCrm {
    /// The values as they are stored. Options that do not exist become null, and names that do not exist are left out.
    pub(super) fn read_values(&self, entity: &str, values: &Map<String, Value>) -> Result<Row, ApiError> {
        let mut row = Row::new();
        for (name, value) in values {
            match self.named(entity, name) {
                Named::Own { field, suffix } => {
                    let stored = self.stored(field, suffix, value)?;
                    row.insert(field.name.to_owned(), stored);
                }
                Named::Custom => {
                    row.insert(name.clone(), value.clone());
                }
                // `campaign_id.name` is the campaign with this name.
                Named::Joined { key, entity, rest } => {
                    let rows = self.rows_with(entity, rest, value);
                    let id = rows.first().and_then(|row| row.get("id")).cloned();
                    row.insert(key.name.to_owned(), id.unwrap_or_default());
                }
                Named::Unknown => {}
            }
        }
        Ok(row)
    }

    fn stored(&self, field: &schema::Field, suffix: &str, value: &Value) -> Result<Value, ApiError> {
        let invalid = || ApiError::new(format!("{} is not valid for {}", value, field.name));
        match field.kind {
            Kind::Choice(group) if !suffix.is_empty() => {
                let options = self.options.get(group).into_iter().flatten();
                let mut found = options.filter(|option| match suffix {
                    "abbr" => value == option.abbr,
                    _ => value == option.name,
                });
                Ok(found.next().map_or(Value::Null, |option| match group {
                    "languages" => option.name.into(),
                    _ => option.value.into(),
                }))
            }
            Kind::Key(entity) if !suffix.is_empty() => {
                let rows = self.rows_with(entity, suffix, value);
                Ok(rows
                    .first()
                    .and_then(|row| row.get("id"))
                    .cloned()
                    .unwrap_or_default())
            }
            Kind::Text(most) => match value {
                Value::String(text) if text.chars().count() > most => Err(ApiError::new(
                    "DB Error: unknown error [nativecode=1406 ** Data too long]",
                )),
                Value::Array(_) | Value::Object(_) => Err(invalid()),
                Value::Number(number) => Ok(number.to_string().into()),
                other => Ok(other.clone()),
            },
            Kind::Int | Kind::Key(_) => match value {
                Value::String(text) if !text.is_empty() => {
                    text.parse::<u64>().map(Value::from).map_err(|_| invalid())
                }
                other => Ok(other.clone()),
            },
            Kind::Bool => Ok(match value {
                Value::Number(number) => (number.as_u64() == Some(1)).into(),
                Value::String(text) => (text == "1").into(),
                other => other.clone(),
            }),
            Kind::Time | Kind::Choice(_) | Kind::Contacts => Ok(value.clone()),
        }
    }

    pub(super) fn validate(&self, entity: &str, action: &str, row: &Row) -> Result<(), ApiError> {
        let fields = schema::entity(entity).map_or(&[][..], |entity| entity.fields);
        let missing = fields
            .iter()
            .filter(|field| field.is_required && row.get(field.name).is_none_or(is_empty));
        let mut missing: Vec<&str> = missing.map(|field| field.name).collect();
        if action == "update" {
            missing.clear();
        }
        let has = |name: &str| row.get(name).is_some_and(|value| !is_empty(value));
        let names = ["first_name", "last_name", "organization_name", "display_name"];
        if entity == "Contact" && action != "update" && !names.iter().any(|name| has(name)) {
            missing.push("first_name");
        }
        if !missing.is_empty() {
            return Err(ApiError::new(format!(
                "Mandatory values missing from Api4 {entity}::{action}: {}",
                missing.join(", ")
            )));
        }
        if entity == "Email"
            && !row
                .get("email")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .contains('@')
        {
            return Err(ApiError::new(format!(
                "{} is not a valid email",
                row.get("email").cloned().unwrap_or_default()
            )));
        }
        if entity == "GroupContact" {
            let group = row.get("group_id").and_then(Value::as_u64).unwrap_or_default();
            if !self.get("Group", group, "saved_search_id").is_null() {
                return Err(ApiError::new("Cannot add contacts to a smart group"));
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, entity: &'static str, mut row: Row) -> Result<Value, ApiError> {
        self.refuse_duplicates(entity, None, &row)?;
        let mut set = |name: &str, value: Value| {
            if row.get(name).is_none_or(Value::is_null) {
                row.insert(name.to_owned(), value);
            }
        };
        match entity {
            "Contact" => {
                set("contact_type", "Individual".into());
                for name in [
                    "is_opt_out",
                    "do_not_email",
                    "do_not_phone",
                    "do_not_mail",
                    "is_deleted",
                    "is_deceased",
                ] {
                    set(name, false.into());
                }
                let now = self.local_now();
                set("created_date", now.clone().into());
                set("modified_date", now.into());
            }
            "Email" => {
                set("on_hold", 0.into());
                set("is_bulkmail", false.into());
                set("location_type_id", 1.into());
            }
            "GroupContact" => set("status", "Added".into()),
            "Activity" => {
                set("status_id", 2.into());
                set("activity_date_time", self.local_now().into());
            }
            "Campaign" => set("is_active", true.into()),
            _ => {}
        }
        let id = self.next_id();
        row.insert("id".to_owned(), id.into());
        self.tables.entry(entity).or_default().insert(id, row);
        self.written(entity, id, &Row::new());
        Ok(self.table(entity).get(&id).cloned().unwrap_or_default().into())
    }

    /// Changes a row, with what follows from it.
    pub(super) fn update_row(&mut self, entity: &'static str, id: u64, values: &Row) {
        let Some(row) = self.tables.entry(entity).or_default().get_mut(&id) else {
            return;
        };
        let before = row.clone();
        row.extend(values.clone());
        if *row != before {
            self.written(entity, id, &before);
        }
    }

    /// Unique columns count for rows in the trash, too.
    fn refuse_duplicates(&self, entity: &str, own: Option<u64>, row: &Row) -> Result<(), ApiError> {
        let unique: &[&[&str]] = match entity {
            "Contact" => &[&["external_identifier"]],
            "GroupContact" => &[&["contact_id", "group_id"]],
            "Campaign" => &[&["name"]],
            _ => &[],
        };
        for columns in unique {
            if columns.iter().any(|column| row.get(*column).is_none_or(is_empty)) {
                continue;
            }
            let is_same = |other: &Row| {
                let value = |row: &Row, column: &str| row.get(column).cloned().unwrap_or_default();
                columns
                    .iter()
                    .all(|column| is_equal(&value(row, column), &value(other, column)))
            };
            let mut others = self.table(entity).iter().filter(|(id, _)| Some(**id) != own);
            if others.any(|(_, other)| is_same(other)) {
                return Err(ApiError::new("DB Error: already exists"));
            }
        }
        Ok(())
    }

    fn checked_update(&mut self, entity: &'static str, id: u64, values: &Row) -> Result<Value, ApiError> {
        let mut whole = self.table(entity).get(&id).cloned().unwrap_or_default();
        whole.extend(values.clone());
        self.refuse_duplicates(entity, Some(id), &whole)?;
        self.validate(entity, "update", &whole)?;
        self.update_row(entity, id, values);
        Ok(self.table(entity).get(&id).cloned().unwrap_or_default().into())
    }

    pub(super) fn update(&mut self, entity: &'static str, params: &Value) -> Result<Vec<Value>, ApiError> {
        let empty = Map::new();
        let given = params.get("values").and_then(Value::as_object).unwrap_or(&empty);
        let values = self.read_values(entity, given)?;
        let has_clauses = params
            .get("where")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty());
        if !has_clauses && !given.contains_key("id") {
            return Err(ApiError::new("Parameter \"where\" is required."));
        }
        let mut results = Vec::new();
        for id in self.ids(entity, params)? {
            results.push(self.checked_update(entity, id, &values)?);
        }
        Ok(results)
    }

    fn ids(&self, entity: &str, params: &Value) -> Result<Vec<u64>, ApiError> {
        let clauses = json!({ "where": params.get("where"), "select": ["id"] });
        let found = self.found(entity, self.rows(entity), &clauses)?;
        let ids = found.iter().filter_map(|row| row.get("id")?.as_u64());
        // Rows that the user may not edit are left out without an error.
        let is_locked = |id: &u64| entity == "Contact" && self.locked.contains(id);
        Ok(ids.filter(|id| !is_locked(id)).collect())
    }

    /// All records are checked first. The rows, and how many of them were there.
    pub(super) fn save(
        &mut self,
        entity: &'static str,
        params: &Value,
    ) -> Result<(Vec<Value>, usize), ApiError> {
        let members = |name: &str| {
            params
                .get(name)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let records = params
            .get("records")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let names = params
            .get("match")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        let mut work = Vec::new();
        for record in records {
            let mut given = members("defaults");
            given.extend(record.as_object().cloned().unwrap_or_default());
            let row = self.read_values(entity, &given)?;
            let id = match row.get("id").and_then(Value::as_u64) {
                Some(id) if !self.table(entity).contains_key(&id) => {
                    return Err(ApiError::unauthorized("ACL check failed"));
                }
                Some(id) => Some(id),
                None => self.matched(entity, &names, &row),
            };
            if id.is_none() {
                self.validate(entity, "save", &row)?;
            }
            work.push((id, row));
        }
        let (mut results, mut updated) = (Vec::new(), 0);
        for (id, row) in work {
            results.push(match id {
                Some(id) => {
                    updated += 1;
                    self.checked_update(entity, id, &row)?
                }
                None => self.insert(entity, row)?,
            });
        }
        Ok((results, updated))
    }

    /// The one row that equals the record in these fields. Two are like none.
    fn matched(&self, entity: &str, names: &[&str], record: &Row) -> Option<u64> {
        if names.is_empty() || names.iter().any(|name| !record.contains_key(*name)) {
            return None;
        }
        let is_same = |row: &Row| {
            names.iter().all(|name| {
                let (have, want) = (row.get(*name), record.get(*name));
                match want.filter(|value| !is_empty(value)) {
                    Some(want) => have.is_some_and(|have| is_equal(have, want)),
                    None => have.is_none_or(is_empty),
                }
            })
        };
        let mut found = self.table(entity).iter().filter(|(_, row)| is_same(row));
        let first = found.next().map(|(id, _)| *id);
        first.filter(|_| found.next().is_none())
    }

    pub(super) fn delete(&mut self, entity: &'static str, params: &Value) -> Result<Vec<Value>, ApiError> {
        let uses_trash = params.get("useTrash") != Some(&false.into());
        let mut deleted = Vec::new();
        for id in self.ids(entity, params)? {
            if entity == "Contact" && uses_trash {
                self.update_row(
                    entity,
                    id,
                    &Row::from_iter([("is_deleted".to_owned(), true.into())]),
                );
            } else {
                self.tables.entry(entity).or_default().remove(&id);
            }
            if entity == "Contact" && !uses_trash {
                for other in ["Email", "Phone", "Address", "GroupContact", "SubscriptionHistory"] {
                    let rows = self.tables.entry(other).or_default();
                    rows.retain(|_, row| row.get("contact_id") != Some(&id.into()));
                }
                // What only this contact did goes with it.
                let activities = self.tables.entry("Activity").or_default();
                activities.retain(|_, row| row.get("source_contact_id") != Some(&id.into()));
            }
            deleted.push(json!({ "id": id }));
        }
        Ok(deleted)
    }
}
