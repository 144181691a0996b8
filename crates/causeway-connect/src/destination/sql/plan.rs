//! Makes rows from deliveries: which row goes into which table, or why a delivery gets none. Pure.

use std::collections::{BTreeSet, HashMap};

use causeway_core::{
    consent::Change,
    delivery::{Delivery, Kind},
    destination::Outcome,
    mapping::Scope,
};

use super::{
    coerce::Cell,
    config::{MissingKey, Role, Table},
    engagement,
    statement::Relation,
};
use crate::destination::columns::{Mapped, is_opt_out, other_addresses};

/// One row, for the delivery at this position of the batch.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub delivery: usize,
    pub write: Write,
    /// One cell for each of the table's columns, in their order. `None` leaves a column out: a new row gets
    /// its default, an existing row keeps its value.
    pub cells: Vec<Option<Cell>>,
    /// The row takes consent away. A value that another column cannot hold must not stop it.
    pub is_opt_out: bool,
    /// The contact's other addresses. Each has its own consent.
    pub other_addresses: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// Update the row, or insert it if there is none.
    Store,
    /// Update the row. Never insert one: that would give away a person's data because they withdrew their
    /// consent.
    Withdraw,
}

/// Removes everything that the tables hold about an erased contact.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    pub delivery: usize,
    /// Replaces an address that is the key and cannot be emptied.
    pub erased_key: String,
    /// For each table how to find the rows and the values of its consent columns; or why the rows cannot be
    /// found.
    pub tables: Vec<Result<Target, String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The columns that find the rows: the key, or the address if the record has no value for the key.
    pub find: Vec<(usize, Cell)>,
    pub consent: Vec<(usize, Cell)>,
}

/// Deliveries in their order.
#[derive(Debug)]
pub(super) enum Step {
    /// For each table its waves. A wave becomes one statement: no two rows of a wave have the same key,
    /// and of two rows with the same key the later one is in a later wave.
    Rows(Vec<Vec<Vec<Row>>>),
    Removal(Removal),
}

/// Notes about a delivery that is written all the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// Columns that keep their values, and why.
    pub left_out: Vec<String>,
    /// The part of an opt-out that cannot be written. The rest is written, and the delivery is rejected with
    /// this reason.
    pub incomplete: Option<String>,
}

pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// The outcome of each delivery that gets no row.
    pub ended: Vec<Option<Outcome>>,
    /// One for each delivery.
    pub notes: Vec<Notes>,
}

/// `relations` belong to `tables`, in the same order.
pub(super) fn plan(tables: &[Table], relations: &[Relation], batch: &[Delivery], truncate: bool) -> Plan {
    let mut plan = Plan {
        steps: Vec::new(),
        ended: vec![None; batch.len()],
        notes: vec![Notes::default(); batch.len()],
    };
    let new_waves = || -> Vec<Waves> { tables.iter().map(|_| Waves::default()).collect() };
    let mut waves = new_waves();
    for (at, delivery) in batch.iter().enumerate() {
        if delivery.record.change == Change::Remove {
            let before = std::mem::replace(&mut waves, new_waves());
            plan.steps
                .push(Step::Rows(before.into_iter().map(Waves::sorted).collect()));
            let removal = removal(tables, relations, delivery, at);
            plan.steps.push(Step::Removal(removal));
            continue;
        }
        let made = Maker::new(delivery, at, truncate).rows(tables, relations);
        match made {
            Ok((rows, notes)) => {
                if let Some(place) = plan.notes.get_mut(at) {
                    *place = notes;
                }
                for ((rows, waves), table) in rows.into_iter().zip(&mut waves).zip(tables) {
                    for row in rows {
                        waves.add(table, row);
                    }
                }
            }
            Err(outcome) => {
                if let Some(place) = plan.ended.get_mut(at) {
                    *place = Some(outcome);
                }
            }
        }
    }
    plan.steps
        .push(Step::Rows(waves.into_iter().map(Waves::sorted).collect()));
    plan
}

/// An action is written once, when it is new; a contact each time, and its engagements unless it withdraws.
pub(super) fn wants(table: &Table, delivery: &Delivery) -> bool {
    match table.role {
        Role::Contacts => true,
        Role::Actions => delivery.record.kind == Kind::Record && delivery.record.action.is_some(),
        Role::Engagements => {
            delivery.record.kind != Kind::Withdrawal && !delivery.record.engagements.is_empty()
        }
    }
}

/// Makes the rows of one delivery.
struct Maker<'a> {
    delivery: &'a Delivery,
    at: usize,
    scope: Scope,
    truncate: bool,
    notes: Notes,
}

impl<'a> Maker<'a> {
    fn new(delivery: &'a Delivery, at: usize, truncate: bool) -> Self {
        Self {
            delivery,
            at,
            scope: Scope::new(&delivery.record),
            truncate,
            notes: Notes::default(),
        }
    }

    /// The rows of each table.
    fn rows(mut self, tables: &[Table], relations: &[Relation]) -> Result<(Vec<Vec<Row>>, Notes), Outcome> {
        let mut rows: Vec<Vec<Row>> = Vec::with_capacity(tables.len());
        let mut no_key = false;
        for (table, relation) in tables.iter().zip(relations) {
            let mut of_table = Vec::new();
            for scope in self.scopes(table) {
                match self.row(table, relation, &scope) {
                    Ok(row) => {
                        no_key |= row.is_none();
                        of_table.extend(row);
                    }
                    // The contact's row takes the opt-out, even if something is wrong with the other rows.
                    Err(Outcome::Reject { reason }) if rows.iter().flatten().any(|row| row.is_opt_out) => {
                        self.notes.incomplete.get_or_insert(reason);
                    }
                    Err(outcome) => return Err(outcome),
                }
            }
            rows.push(of_table);
        }
        if rows.iter().all(Vec::is_empty) {
            let reason = if no_key {
                "a key column has no value, and missing_key is \"skip\""
            } else {
                "no table is configured for it"
            };
            return Err(skip(reason.to_owned()));
        }
        Ok((rows, self.notes))
    }

    /// The names that the columns of each of the table's rows read.
    fn scopes(&self, table: &Table) -> Vec<Scope> {
        match table.role {
            _ if !wants(table, self.delivery) => Vec::new(),
            Role::Contacts | Role::Actions => vec![self.scope.clone()],
            Role::Engagements => engagement::scopes(&self.delivery.record, &self.scope),
        }
    }

    fn row(&mut self, table: &Table, relation: &Relation, scope: &Scope) -> Result<Option<Row>, Outcome> {
        let record = &self.delivery.record;
        // An action that the person took is written, whatever they said about consent.
        let is_opt_out = table.role == Role::Contacts && is_opt_out(record);
        let is_withdrawal = record.kind == Kind::Withdrawal;
        if is_withdrawal && !table.columns.iter().any(|column| column.shows_consent) {
            return Err(skip(format!(
                "consent: the columns of {} do not show an opt-out; enter it by hand",
                table.name
            )));
        }
        let mut cells = Vec::with_capacity(table.columns.len());
        for (column, stored) in table.columns.iter().zip(&relation.columns) {
            if is_withdrawal && !column.is_for_withdrawals() {
                cells.push(None);
                continue;
            }
            let made = column.eval(scope).and_then(|value| {
                let cell = if column.is_key {
                    stored.coerce_key(&value)?
                } else {
                    stored.coerce(&value, self.truncate)?
                };
                Ok((value, cell))
            });
            cells.push(match made {
                Ok((_, cell)) if column.is_key => {
                    if cell == Cell::Null || cell == Cell::Text(String::new()) {
                        return missing_key(table, column);
                    }
                    Some(cell)
                }
                Ok((_, Cell::Null)) if !column.means_null(record) => None,
                Ok((_, cell)) => Some(cell),
                Err(reason) if is_opt_out && !column.is_key => {
                    self.left_out(column, reason);
                    None
                }
                Err(reason) => return Err(Outcome::Reject { reason }),
            });
        }
        let shows = |column: &Mapped, cell: &Option<Cell>| column.shows_consent && cell.is_some();
        let is_shown = table
            .columns
            .iter()
            .zip(&cells)
            .any(|(column, cell)| shows(column, cell));
        if let Some(reason) = self.notes.incomplete.clone().filter(|_| is_opt_out && !is_shown) {
            return Err(Outcome::Reject { reason });
        }
        Ok(Some(Row {
            delivery: self.at,
            write: if is_withdrawal {
                Write::Withdraw
            } else {
                Write::Store
            },
            cells,
            is_opt_out,
            other_addresses: if is_withdrawal {
                other_addresses(record)
            } else {
                BTreeSet::new()
            },
        }))
    }

    fn left_out(&mut self, column: &Mapped, reason: String) {
        if column.shows_consent {
            self.notes.incomplete.get_or_insert(reason);
        } else {
            self.notes.left_out.push(reason);
        }
    }
}

fn missing_key(table: &Table, column: &Mapped) -> Result<Option<Row>, Outcome> {
    match table.missing_key {
        MissingKey::Skip => Ok(None),
        MissingKey::Reject => Err(Outcome::Reject {
            reason: no_key(table, column),
        }),
    }
}

/// Why a record without a value for a key column is rejected.
pub(super) fn no_key(table: &Table, column: &Mapped) -> String {
    format!(
        "key column {:?} of {}: the record has no value",
        column.name, table.name
    )
}

fn skip(reason: String) -> Outcome {
    Outcome::Skip { reason }
}

fn removal(tables: &[Table], relations: &[Relation], delivery: &Delivery, at: usize) -> Removal {
    let scope = Scope::new(&delivery.record);
    Removal {
        delivery: at,
        erased_key: format!("erased-{}", delivery.key.0),
        tables: tables
            .iter()
            .zip(relations)
            .map(|(table, relation)| target(table, relation, &scope))
            .collect(),
    }
}

/// A removal's record holds only what names the person, so a key that is made from anything else has no
/// value.
fn target(table: &Table, relation: &Relation, scope: &Scope) -> Result<Target, String> {
    let cell = |at: &usize| -> Option<(usize, Cell)> {
        let (column, stored) = (table.columns.get(*at)?, relation.columns.get(*at)?);
        let value = column.eval(scope).ok()?;
        let cell = stored.coerce_key(&value).ok()?;
        (cell != Cell::Null && cell != Cell::Text(String::new())).then_some((*at, cell))
    };
    // The key of an action or engagement identifies that; the key of a contact identifies the person.
    let key = match table.role {
        Role::Contacts => table.places(|column| column.is_key),
        Role::Actions | Role::Engagements => Vec::new(),
    };
    let by_key: Option<Vec<_>> = key.iter().map(cell).collect();
    let by_address = || Some(vec![cell(&table.address()?)?]);
    let find = by_key
        .filter(|find| !find.is_empty())
        .or_else(by_address)
        .ok_or_else(|| {
            format!(
                "the rows of an erased contact in {} cannot be found by key or address: remove them by hand",
                table.name
            )
        })?;
    let consent = table
        .places(|column| column.reads_consent && !column.is_key)
        .into_iter()
        .filter_map(|at| {
            let (column, stored) = (table.columns.get(at)?, relation.columns.get(at)?);
            Some((at, stored.coerce(&column.eval(scope).ok()?, true).ok()?))
        })
        .collect();
    Ok(Target { find, consent })
}

#[derive(Default)]
struct Waves {
    waves: Vec<Vec<(String, Row)>>,
    /// Key → the number of waves that contain it.
    seen: HashMap<String, usize>,
}

impl Waves {
    fn add(&mut self, table: &Table, row: Row) {
        let key: Vec<&Cell> = table
            .columns
            .iter()
            .zip(&row.cells)
            .filter(|(column, _)| column.is_key)
            .filter_map(|(_, cell)| cell.as_ref())
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

    /// All batches write in the order of the keys, so that concurrent ones do not deadlock.
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
    use crate::destination::sql::{
        coerce::{self, Column},
        config,
        statement::{Dialect, TableName},
        tests::signed,
    };

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
            base: String::new(),
            equals: coerce::EQUALS.to_owned(),
            loose: None,
            fraction: None,
        };
        let relation = Relation {
            dialect: Dialect::Sqlite,
            name: TableName::parse("c").unwrap(),
            columns: vec![column("email"), column("name")],
            is_view: false,
        };
        let named = |number: usize, name: &str| signed(number, &json!({ "firstName": name }));
        let batch = [
            named(2, "A"),
            named(1, "B"),
            named(2, "C"),
            named(2, "D"),
            named(1, "E"),
        ];
        let plan = plan(&tables, &[relation], &batch, false);
        let [Step::Rows(waves)] = plan.steps.as_slice() else {
            panic!("{:?}", plan.steps)
        };
        let waves: Vec<Vec<usize>> = waves[0]
            .iter()
            .map(|wave| wave.iter().map(|row| row.delivery).collect())
            .collect();
        assert_eq!(waves, [vec![1, 0], vec![4, 2], vec![3]]);
    }
}
