//! `contact.country | lookup('regions')`: the tables of the configuration.

use super::{Error, Kwargs, State, TABLES, Value, fallback, nothing, refuse, text_of};
use crate::{
    mapping::{lookup::Tables, view::value_of_json},
    nearest::did_you_mean,
};

pub(super) fn lookup(
    state: &State<'_, '_>,
    value: &Value,
    name: &str,
    options: Kwargs,
) -> Result<Value, Error> {
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let Some(key) = text_of(value)? else {
        return Ok(instead.unwrap_or_else(nothing));
    };
    let tables = state.lookup(TABLES);
    let table = tables
        .as_ref()
        .and_then(|tables| tables.downcast_object_ref::<Tables>()?.get(name));
    let Some(table) = table else {
        return Err(refuse(format!("there is no lookup table {name:?}"), None));
    };
    let found = table.get(&*key).or_else(|| table.get(key.trim()));
    if let Some(found) = found.map(value_of_json).or(instead) {
        return Ok(found);
    }
    // Checked only here: a table may map an empty text, too.
    if key.trim().is_empty() {
        return Ok(nothing());
    }
    let fallback = "`default=…` gives a value for all others";
    let hint = did_you_mean(&key, table.keys().map(String::as_str));
    let hint = hint.map_or_else(|| fallback.to_owned(), |hint| format!("{hint} {fallback}"));
    Err(refuse(
        format!("the value is not in the lookup table {name:?}"),
        Some(hint),
    ))
}
