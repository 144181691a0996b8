//! POST, PATCH and DELETE: one statement each, which changes all of its rows or none.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Call, Supabase,
    auth::Role,
    error::Refusal,
    filter,
    prefer::Resolution,
    read::{body, found, selected, shown},
    table::{Row, Table},
};
use crate::fake_api::Reply;

/// What a role must be allowed.
#[derive(Clone, Copy)]
enum Right {
    Insert,
    Update,
    Delete,
}

/// The rows that a statement wrote, and whether each is new.
type Written = Vec<(Row, bool)>;

impl Supabase {
    fn begin(&self, call: &Call<'_>, verb: &str, rows: usize) -> Result<(), Refusal> {
        if self.is_read_only {
            let message = format!("cannot execute {verb} in a read-only transaction");
            return Err(Refusal::sql("25006", message));
        }
        if rows > self.most_rows {
            return Err(Refusal::sql(
                "57014",
                "canceling statement due to statement timeout",
            ));
        }
        let table = &self.tables[&call.table];
        // Also `ON CONFLICT` and `RETURNING` read rows.
        let reads = call.prefer.resolution.is_some() || call.prefer.is_representation;
        if reads && table.policies.is_some() && !Self::sees(table, call.role) && verb == "INSERT" {
            return Err(violates(table));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let table = &self.tables[&call.table];
        let (names, rows) = payload(call, table)?;
        let chosen = selected(call, table)?;
        self.begin(call, "INSERT", rows.len())?;
        let arbiter = arbiter(call, table)?;
        let (before, number) = (table.rows.clone(), table.last_number);
        let insert = Insert {
            call,
            names: &names,
            arbiter: arbiter.as_deref(),
        };
        let table = self.tables.get_mut(&call.table).unwrap();
        let written = insert.run(table, &rows);
        let written = written.and_then(|written| self.check_references(&call.table).map(|()| written));
        let written = match written {
            Ok(written) => written,
            Err(refusal) => {
                // A sequence is not set back.
                let table = self.tables.get_mut(&call.table).unwrap();
                table.rows = before;
                table.last_number = table.last_number.max(number);
                return Err(refusal);
            }
        };
        self.statements += 1;
        let is_merge = call.prefer.resolution == Some(Resolution::Merge) && arbiter.is_some();
        let has_new = written.iter().any(|(_, is_new)| *is_new);
        let status = if is_merge && !has_new { 200 } else { 201 };
        reply(
            call,
            status,
            status,
            written.iter().map(|(row, _)| shown(row, &chosen)).collect(),
        )
    }

    pub(super) fn update(&mut self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let table = &self.tables[&call.table];
        let changes: Value = serde_json::from_slice(call.body)
            .map_err(|_| Refusal::postgrest(400, 102, "Empty or invalid json"))?;
        let changes = changes.as_object().cloned().unwrap_or_default();
        let chosen = selected(call, table)?;
        self.begin(call, "UPDATE", 1)?;
        let places = condition(call, table, "UPDATE")?;
        let (mut rows, mut written) = (table.rows.clone(), Vec::new());
        for at in places {
            let mut row = rows[at].clone();
            for (name, value) in &changes {
                row.insert(name.clone(), read(table, name, value)?);
            }
            table.check(&row)?;
            allow(table, call.role, Right::Update)?;
            rows[at].clone_from(&row);
            written.push(shown(&row, &chosen));
        }
        for name in changes.keys() {
            known_to_cache(table, name)?;
        }
        unique(table, &rows)?;
        let table = self.tables.get_mut(&call.table).unwrap();
        let before = std::mem::replace(&mut table.rows, rows);
        if let Err(refusal) = self.check_references(&call.table) {
            self.tables.get_mut(&call.table).unwrap().rows = before;
            return Err(refusal);
        }
        self.statements += 1;
        reply(call, 200, 204, written)
    }

    pub(super) fn delete(&mut self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let table = &self.tables[&call.table];
        let chosen = selected(call, table)?;
        self.begin(call, "DELETE", 1)?;
        let mut places = condition(call, table, "DELETE")?;
        if allow(table, call.role, Right::Delete).is_err() {
            places.clear();
        }
        let (mut kept, mut deleted) = (Vec::new(), Vec::new());
        for (at, row) in table.rows.iter().enumerate() {
            if places.contains(&at) {
                deleted.push(shown(row, &chosen));
            } else {
                kept.push(row.clone());
            }
        }
        for other in self.tables.values() {
            for (name, column, to, key) in &other.foreign_keys {
                let refers =
                    |row: &Row| !row[column].is_null() && !kept.iter().any(|kept| kept[key] == row[column]);
                if to == &call.table && other.rows.iter().any(refers) {
                    let message = format!(
                        "update or delete on table \"{to}\" violates foreign key constraint \"{name}\" on table \"{}\"",
                        other.name
                    );
                    return Err(Refusal::sql("23503", message));
                }
            }
        }
        self.tables.get_mut(&call.table).unwrap().rows = kept;
        self.statements += 1;
        reply(call, 200, 204, deleted)
    }

    /// At the end of a statement each reference must have a row.
    fn check_references(&self, name: &str) -> Result<(), Refusal> {
        let table = &self.tables[name];
        for (name, column, to, key) in &table.foreign_keys {
            for row in &table.rows {
                let value = &row[column];
                let exists = self.tables[to].rows.iter().any(|other| &other[key] == value);
                if !value.is_null() && !exists {
                    let message = format!(
                        "insert or update on table \"{}\" violates foreign key constraint \"{name}\"",
                        table.name
                    );
                    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let details = format!("Key ({column})=({shown}) is not present in table \"{to}\".");
                    return Err(Refusal::sql("23503", message).details(details));
                }
            }
        }
        Ok(())
    }
}

/// The rows of the body, and the columns that are written.
fn payload(call: &Call<'_>, table: &Table) -> Result<(Vec<String>, Vec<Row>), Refusal> {
    let invalid = |message: &str| Refusal::postgrest(400, 102, message);
    let content: Value = serde_json::from_slice(call.body).map_err(|_| invalid("Empty or invalid json"))?;
    let rows: Vec<Row> = match content {
        Value::Array(items) => items
            .into_iter()
            .map(|item| {
                item.as_object()
                    .cloned()
                    .ok_or_else(|| invalid("All object keys must match"))
            })
            .collect::<Result<_, _>>()?,
        Value::Object(row) => vec![row],
        _ => Vec::new(),
    };
    let names = if let Some(columns) = call.parameter("columns") {
        filter::names(columns)?
    } else {
        let keys = |row: &Row| row.keys().cloned().collect::<BTreeSet<_>>();
        let first = rows.first().map(keys).unwrap_or_default();
        if rows.iter().any(|row| keys(row) != first) {
            return Err(invalid("All object keys must match"));
        }
        first.into_iter().collect()
    };
    for name in &names {
        known_to_cache(table, name)?;
    }
    Ok((names, rows))
}

fn known_to_cache(table: &Table, name: &str) -> Result<(), Refusal> {
    if table.column(name).is_some() {
        return Ok(());
    }
    let message = format!(
        "Could not find the '{name}' column of '{}' in the schema cache",
        table.name
    );
    Err(Refusal::postgrest(400, 204, &message))
}

/// The columns by which two rows are the same. `None` if there is no `ON CONFLICT`.
fn arbiter(call: &Call<'_>, table: &Table) -> Result<Option<Vec<String>>, Refusal> {
    if call.prefer.resolution.is_none() {
        return Ok(None);
    }
    let columns = match call.parameter("on_conflict") {
        Some(columns) => filter::names(columns)?,
        None => table.primary_key.clone(),
    };
    if columns.is_empty() {
        return Ok(None);
    }
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    if table.indexes().any(|(_, index)| set(index) == set(&columns)) {
        return Ok(Some(columns));
    }
    Err(Refusal::sql(
        "42P10",
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    ))
}

struct Insert<'a> {
    call: &'a Call<'a>,
    names: &'a [String],
    arbiter: Option<&'a [String]>,
}

impl Insert<'_> {
    fn run(&self, table: &mut Table, rows: &[Row]) -> Result<Written, Refusal> {
        let mut written: Written = Vec::new();
        let mut places: Vec<usize> = Vec::new();
        for given in rows {
            let row = self.proposed(table, given)?;
            if table.swallows.is_some_and(|swallows| swallows(&row)) {
                continue;
            }
            if table.raises.is_some_and(|raises| raises(&row)) {
                return Err(Refusal::sql("P0001", "the row is refused"));
            }
            table.check(&row)?;
            allow(table, self.call.role, Right::Insert)?;
            let Some(at) = self.arbiter.and_then(|columns| existing(table, &row, columns)) else {
                table.rows.push(row.clone());
                unique(table, &table.rows)?;
                places.push(table.rows.len() - 1);
                written.push((row, true));
                continue;
            };
            if self.call.prefer.resolution == Some(Resolution::Ignore) {
                continue;
            }
            if places.contains(&at) {
                let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
                return Err(Refusal::sql("21000", message));
            }
            let mut merged = table.rows[at].clone();
            for name in self.names {
                merged.insert(name.clone(), row[name].clone());
            }
            table.check(&merged)?;
            allow(table, self.call.role, Right::Update)?;
            table.rows[at].clone_from(&merged);
            unique(table, &table.rows)?;
            places.push(at);
            written.push((merged, false));
        }
        Ok(written)
    }

    /// The row that would be new. A column that is not named gets its default, and a named one without a value gets null,
    /// unless the caller prefers the default.
    fn proposed(&self, table: &mut Table, given: &Row) -> Result<Row, Refusal> {
        let mut row = Row::new();
        let all: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        for name in all {
            let is_named = self.names.contains(&name);
            let value = match given.get(&name).filter(|_| is_named) {
                Some(value) => read(table, &name, value)?,
                None if is_named && !self.call.prefer.missing_is_default => Value::Null,
                None => table.fill(&name),
            };
            row.insert(name, value);
        }
        Ok(row)
    }
}

fn read(table: &Table, name: &str, value: &Value) -> Result<Value, Refusal> {
    known_to_cache(table, name)?;
    let column = table.column(name).unwrap();
    if column.is_generated {
        let message = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
        return Err(Refusal::sql("428C9", message));
    }
    column.kind.read(value)
}

fn existing(table: &Table, row: &Row, columns: &[String]) -> Option<usize> {
    let key = table.key(row, columns)?;
    table
        .rows
        .iter()
        .position(|other| table.key(other, columns).as_ref() == Some(&key))
}

fn unique(table: &Table, rows: &[Row]) -> Result<(), Refusal> {
    for (name, columns) in table.indexes() {
        let mut seen = BTreeSet::new();
        for key in rows.iter().filter_map(|row| table.key(row, columns)) {
            if !seen.insert(Value::from(key.clone()).to_string()) {
                let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let values: Vec<String> = key.iter().map(plain).collect();
                let message = format!("duplicate key value violates unique constraint \"{name}\"");
                let details = format!(
                    "Key ({})=({}) already exists.",
                    columns.join(", "),
                    values.join(", ")
                );
                return Err(Refusal::sql("23505", message).details(details));
            }
        }
    }
    Ok(())
}

fn violates(table: &Table) -> Refusal {
    let message = format!(
        "new row violates row-level security policy for table \"{}\"",
        table.name
    );
    Refusal::sql("42501", message)
}

fn allow(table: &Table, role: Role, right: Right) -> Result<(), Refusal> {
    let allowed = match (role, &table.policies) {
        (Role::Service, _) | (_, None) => true,
        (Role::Anon, Some(_)) => false,
        (Role::Authenticated, Some(policies)) => match right {
            Right::Insert => policies.insert,
            Right::Update => policies.update,
            Right::Delete => policies.delete,
        },
    };
    if allowed { Ok(()) } else { Err(violates(table)) }
}

/// The rows of a PATCH or DELETE. Supabase refuses one without a condition.
fn condition(call: &Call<'_>, table: &Table, verb: &str) -> Result<Vec<usize>, Refusal> {
    let conditions = filter::read(call)?;
    if conditions.is_empty() {
        return Err(Refusal::sql("21000", format!("{verb} requires a WHERE clause")));
    }
    let places = found(table, &conditions)?;
    Ok(if Supabase::sees(table, call.role) {
        places
    } else {
        Vec::new()
    })
}

fn reply(call: &Call<'_>, full: u16, minimal: u16, rows: Vec<Value>) -> Result<Reply, Refusal> {
    let reply = if call.prefer.is_representation {
        Reply::json(full, &body(call, rows)?)
    } else {
        Reply::status(minimal)
    };
    let reply = reply.header("content-range", "*/*");
    Ok(match call.prefer.applied() {
        applied if applied.is_empty() => reply,
        applied => reply.header("preference-applied", &applied),
    })
}
