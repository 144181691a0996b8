//! The clauses of `where`.

use std::cmp::Ordering;

use serde_json::Value;

use super::{CiviCrm, Row, errors::ApiError};

impl CiviCrm {
    /// Whether a row meets all clauses.
    pub(super) fn meets(&self, entity: &str, row: &Row, clauses: &Value) -> Result<bool, ApiError> {
        for clause in clauses.as_array().into_iter().flatten() {
            if !self.meets_one(entity, row, clause)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn meets_one(&self, entity: &str, row: &Row, clause: &Value) -> Result<bool, ApiError> {
        let part = |at: usize| clause.get(at).cloned().unwrap_or_default();
        let first = part(0);
        let first = first.as_str().unwrap_or_default();
        let inner = part(1);
        match first {
            "AND" => return self.meets(entity, row, &inner),
            "NOT" => return Ok(!self.meets(entity, row, &inner)?),
            "OR" => {
                for clause in inner.as_array().into_iter().flatten() {
                    if self.meets_one(entity, row, clause)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            _ => {}
        }
        let have = self.value(entity, row, first)?;
        let want = self.comparable(entity, first, part(2));
        let wanted = want.as_array().cloned().unwrap_or_default();
        Ok(match inner.as_str().unwrap_or("=") {
            "=" => is_equal(&have, &want),
            "!=" | "<>" => !is_equal(&have, &want),
            "IN" => wanted.iter().any(|want| is_equal(&have, want)),
            "NOT IN" => !wanted.iter().any(|want| is_equal(&have, want)),
            "IS NULL" => have.is_null(),
            "IS NOT NULL" => !have.is_null(),
            "IS EMPTY" => is_empty(&have),
            "IS NOT EMPTY" => !is_empty(&have),
            "LIKE" => is_like(&plain(&have), &plain(&want)),
            ">" => order(&have, &want) == Ordering::Greater,
            "<" => order(&have, &want) == Ordering::Less,
            ">=" => order(&have, &want) != Ordering::Less,
            "<=" => order(&have, &want) != Ordering::Greater,
            other => return Err(ApiError::new(format!("Unsupported operator: {other}"))),
        })
    }
}

/// As the database compares: without regard to case, and with numbers as texts.
pub(super) fn is_equal(one: &Value, other: &Value) -> bool {
    !one.is_null() && !other.is_null() && plain(one) == plain(other)
}

pub(super) fn is_empty(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_lowercase(),
        Value::Bool(is_true) => u8::from(*is_true).to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn order(one: &Value, other: &Value) -> Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => plain(one).cmp(&plain(other)),
    }
}

/// `%` at either end stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let inner = pattern.trim_matches('%');
    match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (true, true) => text.contains(inner),
        (true, false) => text.ends_with(inner),
        (false, true) => text.starts_with(inner),
        (false, false) => text == pattern,
    }
}
