//! What each delivery of a batch sent to the database, for the trace: its statements, its own values, and what came of
//! them.
//!
//! Invariant: the part of a delivery holds no value of another one, because an erasure deletes only the parts of the
//! erased person. A statement about many rows is noted for each row as the statement about that row.

use causeway_core::destination::AttemptResult;
use serde_json::{Map, Value};

use super::{
    coerce::Cell,
    link::{Link, SqlError, Texts},
    statement::{Dialect, Form, Relation},
    target::Target,
};

/// A longer value is cut, so that the rest of the statements is kept.
const VALUE_BYTES: usize = 2_048;

pub(super) struct Journal {
    /// The database, without its credentials.
    place: String,
    /// One for each delivery of the batch.
    parts: Vec<String>,
}

impl Journal {
    pub(super) fn new(target: &Target, deliveries: usize) -> Self {
        Self {
            place: format!("SQL {}", target.place()),
            parts: vec![String::new(); deliveries],
        }
    }

    /// Forgets a transaction that was rolled back, and is run again.
    pub(super) fn restart(&mut self) {
        self.parts.iter_mut().for_each(String::clear);
    }

    /// A moment that [`Journal::back_to`] returns to.
    pub(super) fn now(&self) -> Vec<usize> {
        self.parts.iter().map(String::len).collect()
    }

    /// Forgets statements that PostgreSQL took back, and that are run again in smaller pieces.
    pub(super) fn back_to(&mut self, moment: &[usize]) {
        for (part, length) in self.parts.iter_mut().zip(moment) {
            part.truncate(*length);
        }
    }

    /// Adds to each result what was sent.
    pub(super) fn add_to(self, mut results: Vec<AttemptResult>) -> Vec<AttemptResult> {
        for (result, part) in results.iter_mut().zip(self.parts) {
            result.request = Some(part).filter(|part| !part.is_empty());
        }
        results
    }

    fn note(&mut self, delivery: usize, statement: &str, values: &Value, what_came: &str) {
        let Some(part) = self.parts.get_mut(delivery) else {
            return;
        };
        if part.is_empty() {
            part.push_str(&self.place);
        }
        if part.len() < AttemptResult::REQUEST_BYTES {
            for text in [statement, &values.to_string(), what_came] {
                part.push_str("\n\n");
                part.push_str(text);
            }
            part.truncate(part.floor_char_boundary(AttemptResult::REQUEST_BYTES));
        }
    }
}

/// The values of one row, as `{"where":{…},"set":{…}}`.
fn values(relation: &Relation, groups: &[(&str, &[usize])], cells: &[Cell]) -> Value {
    let mut cells = cells.iter();
    let group = |(word, columns): &(&str, &[usize])| {
        let named = columns.iter().zip(cells.by_ref()).filter_map(|(at, cell)| {
            let column = relation.columns.get(*at)?;
            Some((column.name.clone(), value(cell)))
        });
        ((*word).to_owned(), Value::Object(named.collect()))
    };
    Value::Object(groups.iter().map(group).collect::<Map<_, _>>())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(value) => (*value).into(),
        Cell::Integer(value) => (*value).into(),
        Cell::Float(value) => (*value).into(),
        Cell::Text(text) if text.len() > VALUE_BYTES => {
            let start = text.get(..text.floor_char_boundary(VALUE_BYTES));
            format!("{}…", start.unwrap_or_default()).into()
        }
        Cell::Text(text) => text.as_str().into(),
    }
}

fn rows(count: u64) -> String {
    match count {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    }
}

/// What is written about a statement: its text, and the groups of columns that its cells belong to.
struct Statement<'a> {
    relation: &'a Relation,
    text: String,
    groups: &'a [(&'a str, &'a [usize])],
}

/// A connection, and the journal of what is sent through it. The methods are those of [`Link`]; `owners` are the positions
/// of the rows' deliveries in the batch.
pub(super) struct Wire<'a> {
    pub link: &'a mut Link,
    pub journal: &'a mut Journal,
}

impl Wire<'_> {
    pub(super) async fn stored(
        &mut self,
        relation: &Relation,
        find: &[usize],
        show: &[usize],
        (owners, rows): (&[usize], &[Vec<Cell>]),
    ) -> Result<Vec<Vec<Texts>>, SqlError> {
        let result = self.link.stored(relation, find, show, rows).await;
        let statement = Statement {
            relation,
            text: relation.stored(find, show, form(relation)),
            groups: &[("where", find)],
        };
        self.note(&statement, (owners, rows), &result, |stored, at| {
            stored.get(at).map_or(0, |found| found.len() as u64)
        });
        result
    }

    pub(super) async fn insert(
        &mut self,
        relation: &Relation,
        set: &[usize],
        (owners, rows): (&[usize], &[Vec<Cell>]),
    ) -> Result<u64, SqlError> {
        let result = self.link.insert(relation, set, rows).await;
        let statement = Statement {
            relation,
            text: relation.insert(set, form(relation)),
            groups: &[("values", set)],
        };
        self.note_change(&statement, (owners, rows), &result);
        result
    }

    pub(super) async fn update(
        &mut self,
        relation: &Relation,
        find: &[usize],
        set: &[usize],
        (owners, rows): (&[usize], &[Vec<Cell>]),
    ) -> Result<u64, SqlError> {
        let result = self.link.update(relation, find, set, rows).await;
        let statement = Statement {
            relation,
            text: relation.update(find, set, form(relation)),
            groups: &[("where", find), ("set", set)],
        };
        self.note_change(&statement, (owners, rows), &result);
        result
    }

    pub(super) async fn delete(
        &mut self,
        relation: &Relation,
        find: &[usize],
        (owner, cells): (usize, &[Cell]),
    ) -> Result<u64, SqlError> {
        let result = self.link.delete(relation, find, cells).await;
        let statement = Statement {
            relation,
            text: relation.delete(find, Form::Rows(1)),
            groups: &[("where", find)],
        };
        self.note_change(&statement, (&[owner], &[cells.to_vec()]), &result);
        result
    }

    fn note_change(
        &mut self,
        statement: &Statement<'_>,
        (owners, rows): (&[usize], &[Vec<Cell>]),
        result: &Result<u64, SqlError>,
    ) {
        let all = rows.len() as u64;
        self.note(statement, (owners, rows), result, |changed, _| {
            // A statement about many rows has one count. If it is theirs, each row was changed.
            if *changed == all { 1 } else { *changed }
        });
    }

    /// Which of several rows the database refused is known when each is written alone. PostgreSQL takes the statement back
    /// until then; at the others some rows may be stored.
    fn note<T>(
        &mut self,
        statement: &Statement<'_>,
        (owners, all): (&[usize], &[Vec<Cell>]),
        result: &Result<T, SqlError>,
        count: impl Fn(&T, usize) -> u64,
    ) {
        let is_about_one_of_many = all.len() > 1 && matches!(result, Err(SqlError::Row { .. }));
        if is_about_one_of_many && statement.relation.dialect == Dialect::Postgres {
            return;
        }
        for (at, (owner, cells)) in owners.iter().zip(all).enumerate() {
            let what_came = match result {
                Ok(counted) => rows(count(counted, at)),
                Err(_) if is_about_one_of_many => "a row of the same batch was refused".to_owned(),
                Err(error) => error.in_trace(),
            };
            let values = values(statement.relation, statement.groups, cells);
            self.journal.note(*owner, &statement.text, &values, &what_came);
        }
    }
}

/// The form of the statement about one row.
fn form(relation: &Relation) -> Form {
    match relation.dialect {
        Dialect::Postgres => Form::Lists,
        Dialect::Mysql | Dialect::Sqlite => Form::Rows(1),
    }
}
