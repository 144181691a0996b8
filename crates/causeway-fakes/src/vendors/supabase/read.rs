//! GET and HEAD, and the rows of a response.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    Call, Supabase,
    auth::Role,
    error::Refusal,
    filter::{self, Condition},
    table::{Row, Table},
};
use crate::fake_api::Reply;

/// The rows that fulfil all conditions, by their places.
pub fn found(table: &Table, conditions: &[Condition]) -> Result<Vec<usize>, Refusal> {
    let mut places = Vec::new();
    for (at, row) in table.rows.iter().enumerate() {
        let mut holds = true;
        for condition in conditions {
            holds &= condition.holds(table, row)? == Some(true);
        }
        places.extend(holds.then_some(at));
    }
    // A condition on a column that does not exist is an error even if there is no row.
    if table.rows.is_empty() {
        let row = Row::new();
        for condition in conditions {
            condition.holds(table, &row)?;
        }
    }
    Ok(places)
}

/// Which columns the response has, under which names.
pub fn selected(call: &Call<'_>, table: &Table) -> Result<Vec<(String, String)>, Refusal> {
    let all = || {
        table
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.name.clone()))
    };
    let Some(select) = call.parameter("select").filter(|select| !select.is_empty()) else {
        return Ok(all().collect());
    };
    let mut columns = Vec::new();
    for item in filter::names(&select.replace(':', ","))? {
        if item == "*" {
            columns.extend(all());
        } else {
            filter::known(table, &item)?;
            columns.push((item.clone(), item));
        }
    }
    Ok(columns)
}

pub fn shown(row: &Row, columns: &[(String, String)]) -> Value {
    let cells = columns.iter().map(|(name, column)| {
        let value = row.get(column).cloned().unwrap_or_default();
        (name.clone(), value)
    });
    Value::Object(cells.collect::<Map<_, _>>())
}

/// One object in place of a list, if the caller wants that.
pub fn body(call: &Call<'_>, rows: Vec<Value>) -> Result<Value, Refusal> {
    if !call.is_single {
        return Ok(rows.into());
    }
    let count = rows.len();
    match rows.into_iter().next() {
        Some(row) if count == 1 => Ok(row),
        _ => {
            let refusal = Refusal::postgrest(406, 116, "Cannot coerce the result to a single JSON object");
            Err(refusal.details(format!("The result contains {count} rows")))
        }
    }
}

impl Supabase {
    /// Whether the role sees the rows of a table.
    pub(super) fn sees(table: &Table, role: Role) -> bool {
        match (role, &table.policies) {
            (Role::Service, _) | (_, None) => true,
            (Role::Anon, Some(_)) => false,
            (Role::Authenticated, Some(policies)) => policies.select,
        }
    }

    pub(super) fn read(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let table = &self.tables[&call.table];
        let columns = selected(call, table)?;
        let mut places = found(table, &filter::read(call)?)?;
        if !Self::sees(table, call.role) {
            places.clear();
        }
        if let Some(order) = call.parameter("order") {
            sort(table, &mut places, order)?;
        }
        let number = |name: &str| call.parameter(name).and_then(|text| text.parse::<usize>().ok());
        let (offset, limit) = (
            number("offset").unwrap_or(0),
            number("limit").unwrap_or(1_000).min(1_000),
        );
        let total = places.len();
        let page = places.iter().skip(offset).take(limit);
        let rows: Vec<Value> = page.map(|at| shown(&table.rows[*at], &columns)).collect();
        let range = match rows.len() {
            0 => "*".to_owned(),
            count => format!("{offset}-{}", offset + count - 1),
        };
        let all = if call.prefer.counts {
            total.to_string()
        } else {
            "*".to_owned()
        };
        let status = if call.prefer.counts && rows.len() < total {
            206
        } else {
            200
        };
        let body = body(call, rows)?;
        let reply = if call.method == "HEAD" {
            Reply::status(status)
        } else {
            Reply::json(status, &body)
        };
        Ok(reply.header("content-range", &format!("{range}/{all}")))
    }
}

/// Sorts by `name.desc,other.asc`.
fn sort(table: &Table, places: &mut [usize], order: &str) -> Result<(), Refusal> {
    for term in order.split(',').rev() {
        let mut parts = term.split('.');
        let column = parts.next().unwrap_or_default();
        filter::known(table, column)?;
        let is_descending = parts.next() == Some("desc");
        let value = |at: &usize| table.rows[*at].get(column).cloned().unwrap_or_default();
        places.sort_by(|one, other| {
            let order = by_value(&value(one), &value(other));
            if is_descending { order.reverse() } else { order }
        });
    }
    Ok(())
}

/// Null is the greatest.
fn by_value(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()).unwrap(),
        (one, other) => one.to_string().cmp(&other.to_string()),
    }
}
