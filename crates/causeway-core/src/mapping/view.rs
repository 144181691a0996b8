//! Presents the scope as objects of the engine, and converts values to and from the engine.

use std::{fmt, sync::Arc};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use serde_json::{Map, Number, Value as Json};

use super::{
    MappingError, limit,
    lookup::Tables,
    scope::{Found, Part, Scope, engagement_json},
};

/// The key under which an evaluation finds the lookup tables. It cannot be written as a name in an
/// expression.
pub(super) const TABLES: &str = "lookup tables";

/// The starting point of an evaluation.
#[derive(Debug)]
pub(super) struct Root {
    pub scope: Scope,
    pub tables: Tables,
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if name == TABLES {
            return Some(Value::from_object(self.tables.clone()));
        }
        Some(value_of(&self.scope, self.scope.member(&Part::Root, name)?))
    }
}

/// One of our objects or lists.
struct View {
    scope: Scope,
    part: Part,
}

/// The engine prints objects in its errors, so this must not contain personal data.
impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.part.fmt(f)
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.part {
            Part::Engagements(_) | Part::Members(_) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &self.part {
            Part::Engagements(kind) => {
                let row = self.scope.engagements(*kind).nth(key.as_usize()?)?;
                Some(value_of_json(&engagement_json(row)))
            }
            Part::Members(prefix) => self.scope.members(prefix).nth(key.as_usize()?).map(Value::from),
            _ => match key.as_str() {
                Some(name) => self.get_value_by_str(name),
                // The numbers that platforms gave to list fields.
                None if key.is_integer() => self.get_value_by_str(&key.to_string()),
                None => None,
            },
        }
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        Some(value_of(&self.scope, self.scope.member(&self.part, name)?))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.part {
            Part::Engagements(kind) => Enumerator::Seq(self.scope.engagements(*kind).count()),
            Part::Members(prefix) => Enumerator::Seq(self.scope.members(prefix).count()),
            part => match self.scope.json(part) {
                Json::Object(members) => {
                    Enumerator::Values(members.keys().map(|key| Value::from(key.as_str())).collect())
                }
                _ => Enumerator::Empty,
            },
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.scope.is_true(&self.part)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scope.json(&self.part))
    }
}

pub(super) fn value_of(scope: &Scope, found: Found<'_>) -> Value {
    match found {
        Found::Null => Value::from(()),
        Found::Bool(yes) => yes.into(),
        Found::Int(number) => number.into(),
        Found::Text(text) => text.into(),
        Found::Made(text) => text.into(),
        Found::Json(json) => value_of_json(json),
        Found::Part(part) => Value::from_object(View {
            scope: scope.clone(),
            part,
        }),
    }
}

pub(super) fn value_of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(yes) => (*yes).into(),
        Json::Number(number) => value_of_number(number),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(value_of_json).collect(),
        Json::Object(members) => Value::from_pairs(
            members
                .iter()
                .map(|(name, value)| (name.as_str(), value_of_json(value))),
        ),
    }
}

fn value_of_number(number: &Number) -> Value {
    if let Some(number) = number.as_i64() {
        return number.into();
    }
    if let Some(number) = number.as_u64() {
        return number.into();
    }
    match (number.to_string().parse::<i128>(), number.as_f64()) {
        (Ok(number), _) => number.into(),
        (_, Some(number)) => number.into(),
        (_, None) => number.to_string().into(),
    }
}

/// The result of an evaluation as JSON, within the limits.
pub(super) fn json_of(value: &Value) -> Result<Json, MappingError> {
    let mut left = limit::VALUES;
    json_within(value, 0, &mut left)
}

/// The value of a name alone, as it came and without limits. A stranger's long text must not stop a record.
pub(super) fn json_as_found(scope: &Scope, found: Found<'_>) -> Json {
    match found {
        Found::Null => Json::Null,
        Found::Bool(yes) => yes.into(),
        Found::Int(number) => number.into(),
        Found::Text(text) => text.into(),
        Found::Made(text) => text.into(),
        Found::Json(json) => json.clone(),
        Found::Part(part) => scope.json(&part),
    }
}

/// As [`json_as_found`], within the limits of an evaluation's result.
pub(super) fn json_of_found(scope: &Scope, found: Found<'_>) -> Result<Json, MappingError> {
    let json = json_as_found(scope, found);
    let mut left = limit::VALUES;
    check(&json, 0, &mut left)?;
    Ok(json)
}

fn check(json: &Json, depth: usize, left: &mut usize) -> Result<(), MappingError> {
    count(depth, left)?;
    match json {
        Json::String(text) if text.len() > limit::TEXT => Err(limit::too_long()),
        Json::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1, left)),
        Json::Object(members) => members
            .values()
            .try_for_each(|member| check(member, depth + 1, left)),
        _ => Ok(()),
    }
}

fn count(depth: usize, left: &mut usize) -> Result<(), MappingError> {
    if depth > limit::DEPTH {
        return Err(MappingError::new(format!(
            "nests lists and objects more than {} deep",
            limit::DEPTH
        )));
    }
    *left = left.checked_sub(1).ok_or_else(|| {
        MappingError::new(format!(
            "has more than {} values in one list or object",
            limit::VALUES
        ))
    })?;
    Ok(())
}

fn json_within(value: &Value, depth: usize, left: &mut usize) -> Result<Json, MappingError> {
    count(depth, left)?;
    if let Some(view) = value.downcast_object_ref::<View>() {
        let json = view.scope.json(&view.part);
        check(&json, depth, left)?;
        return Ok(json);
    }
    let odd = || MappingError::new(format!("a value of the type {} cannot be sent", value.kind()));
    match value.kind() {
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(value.is_true().into()),
        ValueKind::Number => number_of(value).map(Json::Number).ok_or_else(odd),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if text.len() > limit::TEXT {
                return Err(limit::too_long());
            }
            Ok(text.into())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|_| odd())?;
            items.map(|item| json_within(&item, depth + 1, left)).collect()
        }
        ValueKind::Map => {
            let mut members = Map::new();
            for key in value.try_iter().map_err(|_| odd())? {
                let member = value.get_item(&key).map_err(|_| odd())?;
                let name = match key.as_str() {
                    Some(name) => name.to_owned(),
                    None if key.is_integer() => key.to_string(),
                    None => return Err(MappingError::new("an object's names have to be texts")),
                };
                members.insert(name, json_within(&member, depth + 1, left)?);
            }
            Ok(Json::Object(members))
        }
        ValueKind::Undefined => Err(MappingError::new("a value in it is missing")
            .hint("`| default('')` gives a value for what is missing")),
        _ => Err(odd()),
    }
}

fn number_of(value: &Value) -> Option<Number> {
    if value.is_integer() {
        return value.to_string().parse().ok();
    }
    Number::from_f64(f64::try_from(value.clone()).ok()?)
}
