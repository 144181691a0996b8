//! What would be sent, as text: the statement for one row and its values as parameters.

use causeway_core::delivery::Delivery;
use serde_json::Value;

use super::{
    config::{MissingKey, Settings, Table},
    mapping::complete,
    plan::wants,
    statement::{Dialect, create, from_values},
};

/// The types of the columns are known only to the database, so the values are shown before they are made to fit.
pub(super) fn preview(settings: &Settings, delivery: &Delivery) -> Result<String, String> {
    let dialect = settings.target.dialect();
    let sources = settings
        .tables
        .iter()
        .flat_map(|table| table.columns.iter().map(|(_, source)| source));
    let record = complete(&delivery.record, sources);
    let mut out = Vec::new();
    for table in settings.tables.iter().filter(|table| wants(table, delivery)) {
        out.extend(row(dialect, table, &record)?);
    }
    if out.is_empty() {
        return Ok("nothing: no table takes a row of it".to_owned());
    }
    Ok(out.join("\n\n"))
}

fn row(dialect: Dialect, table: &Table, record: &Value) -> Result<Option<String>, String> {
    let mut lines = vec![format!("{};", from_values(dialect, table, 1))];
    for (at, (name, source)) in table.columns.iter().enumerate() {
        let value = source.value(record).filter(|value| !value.is_null());
        if table.is_key(name) && value.is_none_or(|value| value.as_str() == Some("")) {
            return match table.missing_key {
                MissingKey::Skip => Ok(None),
                MissingKey::Reject => Err(format!(
                    "key column {name:?} of {}: the record has no value",
                    table.name
                )),
            };
        }
        let value = value.map_or_else(|| "NULL".to_owned(), Value::to_string);
        let mark = match dialect {
            Dialect::Postgres => "$",
            Dialect::Mysql | Dialect::Sqlite => "?",
        };
        lines.push(format!("  {mark}{} {name} = {value}", at + 1));
    }
    Ok(Some(lines.join("\n")))
}

/// The statements that make the tables.
pub(super) fn create_statements(settings: &Settings) -> Vec<String> {
    let dialect = settings.target.dialect();
    settings
        .tables
        .iter()
        .map(|table| format!("{};", create(dialect, table)))
        .collect()
}
