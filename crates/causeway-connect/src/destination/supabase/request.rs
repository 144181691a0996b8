//! The request of each step.
//!
//! Each write asks for the keys of the rows that it wrote: they prove that the database stored them. A status alone may come
//! from a proxy, and a trigger may leave a row out without an error.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value};

use super::{
    Step, Supabase,
    config::{OnRemove, Role, Table},
    rows::{Guard, Row},
};
use crate::{connector::Task, http::HttpRequest};

/// Existing rows stay as they are.
const IGNORE: &str = "resolution=ignore-duplicates,missing=default,return=representation";
/// Existing rows get the columns of the request.
const MERGE: &str = "resolution=merge-duplicates,missing=default,return=representation";
const REPRESENTATION: &str = "return=representation";

pub(super) fn request(supabase: &Supabase, step: &Step, tasks: &[&Task<'_, Supabase>]) -> HttpRequest {
    let role = match step {
        Step::Insert(role)
        | Step::Update(role, _)
        | Step::Patch(role, _)
        | Step::Prove(role)
        | Step::Remove(role) => *role,
        Step::Look => Role::Contacts,
    };
    let Some(table) = supabase.table(role) else {
        // Steps are planned for tables that are configured.
        return to(supabase, "", &[]);
    };
    let rows: Vec<&Row> = tasks.iter().map(|task| task.memo.row(role)).collect();
    match step {
        Step::Insert(_) => insert(supabase, table, &rows),
        Step::Look => {
            let guard = tasks.first().and_then(|task| task.memo.guard.as_ref());
            look(supabase, table, &rows, guard)
        }
        Step::Prove(_) => look(supabase, table, &rows, None),
        Step::Update(_, columns) => upsert(supabase, table, columns, &rows, MERGE),
        Step::Patch(_, columns) => patch(supabase, table, columns, &rows),
        Step::Remove(_) if table.on_remove == OnRemove::Delete => {
            let pairs = [("and", all_of(&rows)), ("select", keys(table))];
            write(
                Method::DELETE,
                REPRESENTATION,
                &Value::Null,
                to(supabase, &table.name, &pairs),
            )
        }
        Step::Remove(_) => {
            let columns = rows.first().map(|row| row.names(|_| true)).unwrap_or_default();
            patch(supabase, table, &columns, &rows)
        }
    }
}

/// Names all mapped columns: those that a row has no value for get their defaults.
fn insert(supabase: &Supabase, table: &Table, rows: &[&Row]) -> HttpRequest {
    let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    upsert(supabase, table, &columns, rows, IGNORE)
}

fn upsert(
    supabase: &Supabase,
    table: &Table,
    columns: &[String],
    rows: &[&Row],
    prefer: &'static str,
) -> HttpRequest {
    let pairs = [
        ("columns", list(columns.iter().map(String::as_str))),
        ("on_conflict", keys(table)),
        ("select", keys(table)),
    ];
    let body = rows.iter().map(|row| Value::Object(some(row, columns))).collect();
    write(Method::POST, prefer, &body, to(supabase, &table.name, &pairs))
}

/// Updates the row with this key, and inserts none.
fn patch(supabase: &Supabase, table: &Table, columns: &[String], rows: &[&Row]) -> HttpRequest {
    let mut pairs = vec![("and", all_of(rows))];
    if let Some(row) = rows.first()
        && let (Some(address), false) = (&row.address, row.not_at.is_empty())
    {
        let others = row.not_at.iter().map(|address| quoted(address));
        let others: Vec<String> = others.collect();
        let (name, others) = (name(address), others.join(","));
        pairs.push(("or", format!("({name}.is.null,{name}.not.in.({others}))")));
    }
    pairs.push(("select", keys(table)));
    let cells = rows.first().map(|row| some(row, columns)).unwrap_or_default();
    let request = to(supabase, &table.name, &pairs);
    write(Method::PATCH, REPRESENTATION, &Value::Object(cells), request)
}

/// Reads the keys of the rows, and what they say about consent.
fn look(supabase: &Supabase, table: &Table, rows: &[&Row], guard: Option<&Guard>) -> HttpRequest {
    let guarded = guard.into_iter().flat_map(Guard::columns);
    let shown = list(table.keys().map(|column| column.name.as_str()).chain(guarded));
    let filter = if let Some([(column, _)]) = rows.first().map(|row| row.find.as_slice()) {
        let values = rows.iter().flat_map(|row| &row.find);
        let values: Vec<String> = values.map(|(_, value)| quoted_value(value)).collect();
        ("and", format!("({}.in.({}))", name(column), values.join(",")))
    } else {
        let each: Vec<String> = rows.iter().map(|row| format!("and{}", all(row))).collect();
        ("or", format!("({})", each.join(",")))
    };
    to(supabase, &table.name, &[("select", shown), filter])
}

/// A read of some columns that returns no row.
pub(super) fn columns_of(supabase: &Supabase, table: &Table) -> HttpRequest {
    let columns = list(table.columns.iter().map(|column| column.name.as_str()));
    let pairs = [("select", columns), ("limit", "0".to_owned())];
    to(supabase, &table.name, &pairs)
}

/// A write of no row, for which the database still looks for the unique index and asks for the rights.
pub(super) fn write_nothing(supabase: &Supabase, table: &Table) -> HttpRequest {
    let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    upsert(supabase, table, &columns, &[], MERGE)
}

/// All but the signs that RFC 3986 never reserves, and those that the API's own syntax uses.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'(')
    .remove(b')')
    .remove(b',');

/// A GET of the table with these parameters.
fn to(supabase: &Supabase, table: &str, pairs: &[(&str, String)]) -> HttpRequest {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut url = supabase.settings.base.clone();
    let path = format!("{}/{}", url.path().trim_end_matches('/'), encode(table));
    url.set_path(&path);
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    url.set_query(Some(&query.join("&")));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: supabase.headers.clone(),
        body: Bytes::new(),
    }
}

fn write(method: Method, prefer: &'static str, body: &Value, mut request: HttpRequest) -> HttpRequest {
    let prefer = HeaderValue::from_static(prefer);
    request.headers.insert(HeaderName::from_static("prefer"), prefer);
    request.method = method;
    if !body.is_null() {
        request.body = Bytes::from(body.to_string());
    }
    request
}

/// Some cells of a row.
fn some(row: &Row, columns: &[String]) -> Map<String, Value> {
    let cells = columns.iter().filter_map(|name| row.cells.get_key_value(name));
    cells.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn keys(table: &Table) -> String {
    list(table.keys().map(|column| column.name.as_str()))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(name).collect();
    names.join(",")
}

/// A name in the API's own syntax.
fn name(name: &str) -> String {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// The condition that finds the row of the only task. It is never empty: without one, all rows would be changed.
fn all_of(rows: &[&Row]) -> String {
    rows.first().map_or_else(|| all(&Row::default()), |row| all(row))
}

fn all(row: &Row) -> String {
    let each: Vec<String> = row
        .find
        .iter()
        .map(|(column, value)| format!("{}.eq.{}", name(column), quoted_value(value)))
        .collect();
    format!("({})", each.join(","))
}

fn quoted_value(value: &Value) -> String {
    quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
