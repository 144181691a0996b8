//! What would be sent, as text: the statement for one row and its values as parameters.

use causeway_core::{delivery::Delivery, mapping::Scope};

use super::{
    config::{MissingKey, Settings, Table},
    mapping::value,
    plan::wants,
    statement::{Dialect, create, from_values},
};

/// The types of the columns are known only to the database, so the values are shown before they are made to fit.
pub(super) fn preview(settings: &Settings, delivery: &Delivery) -> Result<String, String> {
    let dialect = settings.target.dialect();
    let scope = Scope::new(&delivery.record);
    let mut out = Vec::new();
    for table in settings.tables.iter().filter(|table| wants(table, delivery)) {
        out.extend(row(dialect, table, &scope)?);
    }
    if out.is_empty() {
        return Ok("nothing: no table takes a row of it".to_owned());
    }
    Ok(out.join("\n\n"))
}

fn row(dialect: Dialect, table: &Table, scope: &Scope) -> Result<Option<String>, String> {
    let mut lines = vec![format!("{};", from_values(dialect, table, 1))];
    for (at, (name, source)) in table.columns.iter().enumerate() {
        let value = value(name, source, scope)?;
        if table.is_key(name) && (value.is_null() || value.as_str() == Some("")) {
            return match table.missing_key {
                MissingKey::Skip => Ok(None),
                MissingKey::Reject => Err(format!(
                    "key column {name:?} of {}: the record has no value",
                    table.name
                )),
            };
        }
        let value = if value.is_null() {
            "NULL".to_owned()
        } else {
            value.to_string()
        };
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
