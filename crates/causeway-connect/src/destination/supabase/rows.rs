//! Makes rows from records, and reads what a stored row says about consent. Pure.

use causeway_core::{
    clock::Timestamp, consent::Change, delivery::Delivery, destination::Outcome, mapping::Scope,
    record::Record,
};
use serde_json::{Map, Value};

use super::config::{MissingKey, OnRemove, Role, Table};
use crate::destination::columns::{Mapped, is_opt_out, without_nul};

/// A row, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Column → value. A column without a known value is left out: a new row gets its default, and a row that exists keeps
    /// its value.
    pub cells: Map<String, Value>,
    /// The columns that find the row, with their values.
    pub find: Vec<(String, Value)>,
    /// The row is left alone if its address is one of these.
    pub not_at: Vec<String>,
    /// The column of the address, if it is not part of the key.
    pub address: Option<String>,
}

impl Row {
    /// Equal for rows that may be the same.
    pub fn subject(&self) -> String {
        let values = self.find.iter().map(|(_, value)| plain(value).to_lowercase());
        values.collect::<Vec<_>>().join("\u{1f}")
    }

    /// Whether a row that the API returned is this one. The database may store a key in another form: its type decides.
    pub fn is_found_in(&self, stored: &Value) -> bool {
        let is_same = |(name, value): &(String, Value)| {
            let stored = stored.get(name).map(plain).unwrap_or_default();
            stored.to_lowercase() == plain(value).to_lowercase()
        };
        !self.find.is_empty() && self.find.iter().all(is_same)
    }

    /// The names of the columns for which `test` holds.
    pub fn names(&self, test: impl Fn(&str) -> bool) -> Vec<String> {
        let names = self.cells.keys().filter(|name| test(name));
        names.cloned().collect()
    }
}

/// A value as text: a number of a key column may be sent as a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A row and notes about its columns. `Err` is the reason for which the table gets none.
type Made = Result<(Row, Vec<String>), String>;

/// The row of a record that is no withdrawal.
pub(super) fn full(table: &Table, record: &Record, scope: &Scope) -> Result<Made, Outcome> {
    make(table, record, scope, false)
}

/// What a withdrawal sets: the consent, and no personal data. The address of a withdrawal may be a former one, and its row
/// may be somebody else's by now.
pub(super) fn withdrawn(table: &Table, record: &Record, scope: &Scope) -> Result<Made, Outcome> {
    make(table, record, scope, true)
}

fn make(table: &Table, record: &Record, scope: &Scope, is_withdrawal: bool) -> Result<Made, Outcome> {
    let mut row = Row {
        address: table
            .address()
            .filter(|column| !column.is_key)
            .map(|column| column.name.clone()),
        ..Row::default()
    };
    let mut notes = Vec::new();
    let is_lenient = is_withdrawal || is_opt_out(record);
    for column in &table.columns {
        if is_withdrawal && !column.is_for_withdrawals() {
            continue;
        }
        match column.eval(scope) {
            Ok(value) if column.is_key => {
                if is_empty(&value) {
                    return missing(table, column);
                }
                row.find.push((column.name.clone(), without_nul(&value)));
                row.cells.insert(column.name.clone(), without_nul(&value));
            }
            Ok(Value::Null) if !column.means_null(record) => {}
            Ok(value) => {
                row.cells.insert(column.name.clone(), without_nul(&value));
            }
            Err(reason) if is_lenient && !column.is_key => notes.push(format!("left as it was: {reason}")),
            Err(reason) => return Err(Outcome::Reject { reason }),
        }
    }
    let shows = |column: &Mapped| column.shows_consent;
    let is_shown = |column: &Mapped| shows(column) && row.cells.contains_key(&column.name);
    if is_lenient && table.columns.iter().any(shows) && !table.columns.iter().any(is_shown) {
        let reason = format!(
            "no column of {} can show the opt-out: {}",
            table.name,
            notes.join("; ")
        );
        return Err(Outcome::Reject { reason });
    }
    Ok(Ok((row, notes)))
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

fn missing(table: &Table, column: &Mapped) -> Result<Made, Outcome> {
    let reason = format!(
        "key column {:?} of {}: the record has no value",
        column.name, table.name
    );
    match table.missing_key {
        MissingKey::Skip => Ok(Err(reason)),
        MissingKey::Reject => Err(Outcome::Reject { reason }),
    }
}

/// The rows of an erased contact, and what is written into those that stay. A removal's record holds only what names the
/// person.
pub(super) fn erased(table: &Table, delivery: &Delivery, scope: &Scope) -> Result<Row, String> {
    let value = |column: &Mapped| {
        let value = column.eval(scope).ok().filter(|value| !is_empty(value))?;
        Some((column.name.clone(), without_nul(&value)))
    };
    // The key of an action identifies the action; the key of a contact identifies the person.
    let by_key: Option<Vec<_>> = match table.role {
        Role::Contacts => table.keys().map(value).collect(),
        Role::Actions => None,
    };
    let by_address = || Some(vec![value(table.address()?)?]);
    let find = by_key.or_else(by_address).ok_or_else(|| {
        format!(
            "the rows of an erased contact in {} cannot be found by key or address: remove them by hand",
            table.name
        )
    })?;
    let mut cells = Map::new();
    for column in &table.columns {
        if column.reads_consent && !column.is_key && table.role == Role::Contacts {
            cells.extend(column.eval(scope).ok().map(|value| (column.name.clone(), value)));
        } else if table.on_remove == OnRemove::Blank && column.is_personal && !column.is_key {
            cells.insert(column.name.clone(), Value::Null);
        } else if table.on_remove == OnRemove::Blank && column.is_address {
            // A key cannot be empty.
            let erased = format!("erased-{}", delivery.key.0);
            cells.insert(column.name.clone(), erased.into());
        }
    }
    Ok(Row {
        cells,
        find,
        ..Row::default()
    })
}

/// The columns that show whether the contact of a row may be written to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guard {
    subscribed: Option<String>,
    state: Option<String>,
    since: Option<String>,
}

impl Guard {
    /// `None` if the columns cannot show whether an opt-out came after an opt-in.
    pub fn of(table: &Table, purpose: &str) -> Option<Self> {
        let column = |part: &str| {
            let reads = |column: &&Mapped| {
                let path = column.term.as_path();
                path.is_some_and(|path| path.steps == ["consent", purpose, part])
            };
            table.columns.iter().find(reads).map(|column| column.name.clone())
        };
        let guard = Self {
            subscribed: column("subscribed"),
            state: column("state"),
            since: column("since"),
        };
        let is_shown = guard.state.is_some() || (guard.subscribed.is_some() && guard.since.is_some());
        is_shown.then_some(guard)
    }

    pub fn columns(&self) -> impl Iterator<Item = &str> {
        [&self.subscribed, &self.state, &self.since]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Whether the row keeps what it says about consent, because somebody else wrote it after the person agreed, or because
    /// the record says nothing. `has_left` says that the last thing written here was an opt-out by this destination.
    pub fn keeps(&self, row: &Value, change: Change, here: Option<Timestamp>, has_left: bool) -> bool {
        let get = |name: &Option<String>| name.as_ref().and_then(|name| row.get(name));
        let state = get(&self.state).and_then(Value::as_str).unwrap_or_default();
        let is_subscribed = match get(&self.subscribed) {
            Some(Value::Bool(is_subscribed)) => *is_subscribed,
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "t" | "1" | "yes"),
            _ => matches!(state, "opted_in" | "double_opted_in"),
        };
        let there = get(&self.since).and_then(Value::as_str).and_then(timestamp);
        let has_opted_out = !is_subscribed
            && match state {
                "pending" => false,
                // Causeway writes no time for these, so somebody else did.
                "" | "unknown" | "not_subscribed" => there.is_some(),
                _ => true,
            };
        match change {
            Change::None => is_subscribed || has_opted_out,
            _ if !has_opted_out => false,
            _ => match (there, here) {
                (Some(there), Some(here)) => here <= there,
                _ => !has_left,
            },
        }
    }
}

/// A time of a column with or without a time zone. Without one it is UTC.
fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}
