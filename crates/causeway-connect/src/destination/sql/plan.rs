//! From deliveries to rows: which row goes into which table, or why a delivery gets none. Pure.

use std::collections::HashMap;

use super::{
    coerce::{Cell, Column},
    config::{MissingKey, Role, Table},
    mapping::value,
};
use causeway_core::{
    delivery::{Delivery, Kind},
    destination::Outcome,
    mapping::Scope,
};

/// One row, for the delivery at this place of the batch.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub delivery: usize,
    /// As many and in the order of the table's columns.
    pub cells: Vec<Cell>,
}

pub(super) struct Plan {
    /// For each table its waves. No two rows of a wave have the same key, and of two rows with the same key the
    /// later is in a later wave: so that a wave can be one statement.
    pub waves: Vec<Vec<Vec<Row>>>,
    /// For each delivery that gets no row, how it ends.
    pub ended: Vec<Option<Outcome>>,
}

/// `columns` are those of each table, in the order of its mapping.
pub(super) fn plan(tables: &[Table], columns: &[Vec<Column>], batch: &[Delivery], truncate: bool) -> Plan {
    let mut waves: Vec<Waves> = tables.iter().map(|_| Waves::default()).collect();
    let mut ended = Vec::with_capacity(batch.len());
    for (at, delivery) in batch.iter().enumerate() {
        let rows = rows(tables, columns, delivery, truncate);
        let outcome = match &rows {
            Err(reason) => Some(Outcome::Reject {
                reason: reason.clone(),
            }),
            Ok(rows) if rows.iter().all(Option::is_none) => Some(Outcome::Skip {
                reason: "no table takes a row of it".to_owned(),
            }),
            Ok(_) => None,
        };
        ended.push(outcome);
        for ((row, waves), table) in rows.unwrap_or_default().into_iter().zip(&mut waves).zip(tables) {
            if let Some(cells) = row {
                waves.add(table, Row { delivery: at, cells });
            }
        }
    }
    Plan {
        waves: waves.into_iter().map(Waves::sorted).collect(),
        ended,
    }
}

/// The values of a delivery's row for each table, `None` where it has none.
fn rows(
    tables: &[Table],
    columns: &[Vec<Column>],
    delivery: &Delivery,
    truncate: bool,
) -> Result<Vec<Option<Vec<Cell>>>, String> {
    let scope = Scope::new(&delivery.record);
    tables
        .iter()
        .zip(columns)
        .map(|(table, columns)| {
            if wants(table, delivery) {
                row(table, columns, &scope, truncate)
            } else {
                Ok(None)
            }
        })
        .collect()
}

/// An action is written once, when it is new; a contact each time.
pub(super) fn wants(table: &Table, delivery: &Delivery) -> bool {
    match table.role {
        Role::Contacts => true,
        Role::Actions => delivery.record.kind == Kind::Record && delivery.record.action.is_some(),
    }
}

fn row(
    table: &Table,
    columns: &[Column],
    scope: &Scope,
    truncate: bool,
) -> Result<Option<Vec<Cell>>, String> {
    let mut cells = Vec::with_capacity(columns.len());
    for ((name, source), column) in table.columns.iter().zip(columns) {
        let is_key = table.is_key(name);
        // A key that is cut could be somebody else's.
        let value = value(name, source, scope)?;
        let cell = column.coerce(&value, truncate && !is_key)?;
        if is_key && (cell == Cell::Null || cell == Cell::Text(String::new())) {
            return match table.missing_key {
                MissingKey::Skip => Ok(None),
                MissingKey::Reject => Err(format!(
                    "key column {name:?} of {}: the record has no value",
                    table.name
                )),
            };
        }
        cells.push(cell);
    }
    Ok(Some(cells))
}

#[derive(Default)]
struct Waves {
    waves: Vec<Vec<(String, Row)>>,
    /// Key → the number of waves that have it.
    seen: HashMap<String, usize>,
}

impl Waves {
    fn add(&mut self, table: &Table, row: Row) {
        let key: Vec<&Cell> = table
            .columns
            .iter()
            .zip(&row.cells)
            .filter(|((name, _), _)| table.is_key(name))
            .map(|(_, cell)| cell)
            .collect();
        let key = format!("{key:?}");
        let wave = self.seen.entry(key.clone()).or_default();
        if *wave == self.waves.len() {
            self.waves.push(Vec::new());
        }
        if let Some(rows) = self.waves.get_mut(*wave) {
            rows.push((key, row));
        }
        *wave += 1;
    }

    /// Everybody writes in the order of the keys, so that concurrent batches do not lock each other out.
    fn sorted(self) -> Vec<Vec<Row>> {
        self.waves
            .into_iter()
            .map(|mut wave| {
                wave.sort_by(|(a, _), (b, _)| a.cmp(b));
                wave.into_iter().map(|(_, row)| row).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::destination::sql::{coerce, config, tests::signed};

    #[test]
    fn a_wave_has_each_key_once_and_the_later_row_in_a_later_wave() {
        let config = "url = 'sqlite:a.db'\n[contacts]\ntable = 'c'\n[contacts.columns]\n\
                      email = 'contact.email'\nname = 'contact.firstName'";
        let (_, tables, _) = config::parse(
            &config.parse().unwrap(),
            &causeway_core::mapping::Tables::default(),
        )
        .unwrap();
        let column = |name: &str| Column {
            name: name.to_owned(),
            type_name: "text".to_owned(),
            kind: coerce::Kind::Text(None),
            cast: None,
        };
        let named = |number: usize, name: &str| signed(number, &json!({ "firstName": name }));
        let batch = [
            named(2, "A"),
            named(1, "B"),
            named(2, "C"),
            named(2, "D"),
            named(1, "E"),
        ];
        let plan = plan(&tables, &[vec![column("email"), column("name")]], &batch, false);
        let waves: Vec<Vec<usize>> = plan.waves[0]
            .iter()
            .map(|wave| wave.iter().map(|row| row.delivery).collect())
            .collect();
        assert_eq!(waves, [vec![1, 0], vec![4, 2], vec![3]]);
    }
}
