//! The statements for one record and their values as parameters, as text, without sending them.

use causeway_core::{
    consent::Change,
    delivery::{Delivery, Kind},
    mapping::Scope,
};
use serde_json::Value;

use super::{
    coerce::{self, Column, EQUALS},
    config::{MissingKey, OnConflict, OnRemove, Role, Settings, Table},
    create::create,
    engagement,
    plan::{no_key, wants},
    statement::{Dialect, Form, Relation},
};
use crate::destination::{Unsent, columns::is_opt_out};

/// Only the database knows the types of the columns, so the values are shown before they are made to fit.
pub(super) fn preview(settings: &Settings, delivery: &Delivery) -> Result<String, Unsent> {
    let dialect = settings.target.dialect();
    let mut out = Vec::new();
    for table in &settings.tables {
        if delivery.record.change == Change::Remove {
            out.extend(removed(dialect, table, delivery));
        } else if wants(table, delivery) {
            let scope = Scope::new(&delivery.record);
            if table.role == Role::Engagements {
                for scope in engagement::scopes(&delivery.record, &scope) {
                    out.extend(row(dialect, table, delivery, &scope)?);
                }
            } else {
                out.extend(row(dialect, table, delivery, &scope)?);
            }
        }
    }
    if out.is_empty() {
        return Ok("nothing: no table is configured for it".to_owned());
    }
    Ok(out.join("\n\n"))
}

/// The table as far as the configuration describes it.
fn relation(dialect: Dialect, table: &Table) -> Relation {
    let column = |name: &String| Column {
        name: name.clone(),
        type_name: String::new(),
        kind: coerce::Kind::Text(None),
        base: String::new(),
        equals: EQUALS.to_owned(),
        loose: None,
        fraction: None,
    };
    Relation {
        dialect,
        name: table.name.clone(),
        columns: table.columns.iter().map(|mapped| column(&mapped.name)).collect(),
        is_view: false,
    }
}

fn row(
    dialect: Dialect,
    table: &Table,
    delivery: &Delivery,
    scope: &Scope,
) -> Result<Option<String>, String> {
    let record = &delivery.record;
    let is_withdrawal = record.kind == Kind::Withdrawal;
    let is_lenient = table.role == Role::Contacts && is_opt_out(record);
    let (mut key, mut set, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (at, mapped) in table.columns.iter().enumerate() {
        let value = match mapped.eval(scope) {
            Ok(value) => value,
            Err(reason) if is_lenient && !mapped.is_key => {
                notes.push(format!("  -- left as it is: {reason}"));
                continue;
            }
            Err(reason) => return Err(reason),
        };
        if mapped.is_key && (value.is_null() || value.as_str() == Some("")) {
            return match table.missing_key {
                MissingKey::Skip => Ok(None),
                MissingKey::Reject => Err(no_key(table, mapped)),
            };
        }
        let is_left_out = (value.is_null() && !mapped.means_null(record))
            || (is_withdrawal && !mapped.is_for_withdrawals());
        if mapped.is_key {
            key.push((at, value));
        } else if !is_left_out {
            set.push((at, value));
        }
    }
    let relation = relation(dialect, table);
    let places = |values: &[(usize, Value)]| -> Vec<usize> { values.iter().map(|(at, _)| *at).collect() };
    let (find, values) = (places(&key), places(&set));
    let mut lines = Vec::new();
    let is_changed = table.on_conflict == OnConflict::Update || is_lenient;
    if is_changed && !values.is_empty() {
        lines.push(format!("{};", relation.update(&find, &values, Form::Rows(1))));
    }
    if !is_withdrawal {
        if let Some(update) = lines.last_mut() {
            update.push_str(" -- and where there is no such row:");
        }
        let all: Vec<usize> = find.iter().chain(&values).copied().collect();
        lines.push(format!("{};", relation.insert(&all, Form::Rows(1))));
    }
    lines.extend(parameters(table, key.iter().chain(&set), dialect));
    lines.extend(notes);
    Ok(Some(lines.join("\n")))
}

fn removed(dialect: Dialect, table: &Table, delivery: &Delivery) -> Option<String> {
    let scope = Scope::new(&delivery.record);
    let relation = relation(dialect, table);
    let key = match table.role {
        Role::Contacts => table.places(|mapped| mapped.is_key),
        Role::Actions | Role::Engagements => table.address().into_iter().collect(),
    };
    let value = |at: &usize| Some((*at, table.columns.get(*at)?.eval(&scope).ok()?));
    let found: Vec<(usize, Value)> = key.iter().filter_map(value).collect();
    let statement = match table.on_remove {
        OnRemove::Keep => return None,
        OnRemove::Delete => relation.delete(&key, Form::Rows(1)),
        OnRemove::Blank => {
            let personal = table.places(|mapped| mapped.is_personal && !mapped.is_key);
            relation.update(&key, &personal, Form::Nulls)
        }
        OnRemove::Unsubscribe => {
            let consent = table.places(|mapped| mapped.reads_consent && !mapped.is_key);
            relation.update(&key, &consent, Form::Rows(1))
        }
    };
    let mut lines = vec![format!("{statement};")];
    lines.extend(parameters(table, &found, dialect));
    Some(lines.join("\n"))
}

fn parameters<'a>(
    table: &'a Table,
    values: impl IntoIterator<Item = &'a (usize, Value)>,
    dialect: Dialect,
) -> impl Iterator<Item = String> {
    let mark = match dialect {
        Dialect::Postgres => "$",
        Dialect::Mysql | Dialect::Sqlite => "?",
    };
    (1..).zip(values).map(move |(n, (at, value))| {
        let name = table.columns.get(*at).map_or("", |mapped| &mapped.name);
        let value = match value {
            Value::Null => "NULL".to_owned(),
            value => value.to_string(),
        };
        format!("  {mark}{n} {name} = {value}")
    })
}

/// The statements that create the tables.
pub(super) fn create_statements(settings: &Settings) -> Vec<String> {
    let dialect = settings.target.dialect();
    settings
        .tables
        .iter()
        .map(|table| format!("{};", create(dialect, table)))
        .collect()
}
