//! Writes a plan in one transaction: looks the keys up, updates the existing rows, inserts the others, and
//! counts them.
//!
//! Invariant: a row is only changed by a delivery whose key equals the row's key as a person reads it, and
//! not just as the database compares. A row that the database did not count is not delivered.

use std::collections::BTreeMap;

use causeway_core::destination::{AttemptResult, Outcome};

use super::{
    coerce::Cell,
    config::{OnConflict, Table},
    journal::Wire,
    link::{SqlError, Texts},
    plan::{Notes, Plan, Row, Step, Write},
    removal,
    statement::{Dialect, Relation},
};
use crate::destination::columns::Mapped;

/// A table of the configuration with its description by the database.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub table: &'a Table,
    pub relation: &'a Relation,
}

/// The progress of a delivery.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub written: bool,
    /// There was nothing to change.
    pub absent: Option<String>,
    pub refused: Option<AttemptResult>,
    pub notes: Notes,
}

impl Done {
    pub(super) fn add(&mut self, mark: Mark) {
        match mark {
            Mark::Written(notes) => {
                self.written = true;
                self.notes.left_out.extend(notes.left_out);
                self.notes.incomplete = self.notes.incomplete.take().or(notes.incomplete);
            }
            Mark::Absent(reason) => {
                self.absent.get_or_insert(reason);
            }
            Mark::Refused(result) => {
                self.refused.get_or_insert(result);
            }
        }
    }

    fn result(self) -> AttemptResult {
        if let Some(refused) = self.refused {
            return refused;
        }
        if let Some(reason) = self.notes.incomplete {
            let reason = if self.written {
                format!("{reason}; everything else was written")
            } else {
                reason
            };
            return Outcome::Reject { reason }.into();
        }
        if let (false, Some(reason)) = (self.written, self.absent) {
            return Outcome::Skip { reason }.into();
        }
        let mut note = format!("left as it was: {}", self.notes.left_out.join("; "));
        note.truncate(note.floor_char_boundary(AttemptResult::EXCERPT_BYTES));
        AttemptResult {
            excerpt: (!self.notes.left_out.is_empty()).then_some(note),
            ..Outcome::Delivered { remote_id: None }.into()
        }
    }
}

/// The result of one row.
#[derive(Debug)]
pub(super) enum Mark {
    /// With notes about columns that keep their values.
    Written(Notes),
    Absent(String),
    Refused(AttemptResult),
}

impl Mark {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Refused(Outcome::Reject { reason }.into())
    }
}

/// The database reported success, but counted fewer rows than it should.
pub(super) const SWALLOWED: &str = "the database reported no error and did not store the row: a trigger, a rule or a policy \
                                    of the table left it out";

/// Runs first without savepoints, since usually all rows are fine. If a row is rejected, it starts again with
/// savepoints.
pub(super) async fn write(
    wire: &mut Wire<'_>,
    places: &[Place<'_>],
    plan: &Plan,
) -> Result<Vec<AttemptResult>, SqlError> {
    for careful in [false, true] {
        let mut done: Vec<Done> = plan
            .notes
            .iter()
            .zip(&plan.ended)
            .map(|(notes, ended)| Done {
                refused: ended.clone().map(AttemptResult::from),
                notes: notes.clone(),
                ..Done::default()
            })
            .collect();
        wire.journal.restart();
        wire.link.begin().await?;
        match write_steps(wire, places, plan, &mut done, careful).await {
            Ok(()) => {
                wire.link.commit().await?;
                return Ok(done.into_iter().map(Done::result).collect());
            }
            Err(SqlError::Row { .. }) if !careful => wire.link.run("ROLLBACK").await?,
            Err(error) => return Err(error),
        }
    }
    Err(SqlError::Conflict(
        "the rows could not be written one by one".to_owned(),
    ))
}

async fn write_steps(
    wire: &mut Wire<'_>,
    places: &[Place<'_>],
    plan: &Plan,
    done: &mut [Done],
    careful: bool,
) -> Result<(), SqlError> {
    for step in &plan.steps {
        let tables = match step {
            Step::Rows(tables) => tables,
            Step::Removal(gone) => {
                let marks = removal::remove(wire, places, gone).await?;
                if let Some(done) = done.get_mut(gone.delivery) {
                    for mark in marks {
                        done.add(mark);
                    }
                }
                continue;
            }
        };
        for (place, waves) in places.iter().zip(tables) {
            for wave in waves {
                // An action whose contact was rejected is not written.
                let rows: Vec<&Row> = wave
                    .iter()
                    .filter(|row| done.get(row.delivery).is_some_and(|done| done.refused.is_none()))
                    .collect();
                for piece in rows.chunks(wire.link.most_rows()) {
                    let marks = if careful {
                        write_halving(wire, *place, piece).await?
                    } else {
                        write_piece(wire, *place, piece).await?
                    };
                    for (at, mark) in marks {
                        if let Some(done) = done.get_mut(at) {
                            done.add(mark);
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Each with the position of its delivery in the batch.
type Marks = Vec<(usize, Mark)>;

/// Halves the rejected rows until the bad ones are alone.
async fn write_halving(wire: &mut Wire<'_>, place: Place<'_>, rows: &[&Row]) -> Result<Marks, SqlError> {
    let mut marks = Vec::new();
    let mut waiting = vec![rows];
    while let Some(rows) = waiting.pop() {
        if let [row] = rows {
            marks.push((row.delivery, write_one(wire, place, row).await?));
            continue;
        }
        wire.link.savepoint().await?;
        let moment = wire.journal.now();
        match write_piece(wire, place, rows).await {
            Ok(more) => {
                wire.link.release().await?;
                marks.extend(more);
            }
            Err(SqlError::Row { .. }) => {
                wire.link.take_back().await?;
                if place.relation.dialect == Dialect::Postgres {
                    wire.journal.back_to(&moment);
                }
                let (first, second) = rows.split_at_checked(rows.len() / 2).unwrap_or((rows, &[]));
                waiting.push(second);
                waiting.push(first);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(marks)
}

/// What a row needs, given what is stored under its key.
#[expect(clippy::large_enum_variant, reason = "it is matched as soon as it is made")]
enum Need {
    Insert(Vec<usize>),
    Update(Vec<usize>),
    Nothing(Mark),
}

/// Writes rows with different keys in as few statements as possible. After [`SqlError::Row`] any of them may
/// be written.
async fn write_piece(wire: &mut Wire<'_>, place: Place<'_>, rows: &[&Row]) -> Result<Marks, SqlError> {
    let stored = look_up(wire, place, rows).await?;
    let mut marks = Vec::new();
    let (mut inserts, mut updates) = (BTreeMap::new(), BTreeMap::new());
    for (row, stored) in rows.iter().zip(&stored) {
        let (group, columns) = match need(place, row, stored) {
            Need::Nothing(mark) => {
                marks.push((row.delivery, mark));
                continue;
            }
            Need::Insert(columns) => (&mut inserts, columns),
            Need::Update(columns) => (&mut updates, columns),
        };
        group.entry(columns).or_insert_with(Vec::new).push(*row);
    }
    let relation = place.relation;
    for (columns, rows) in &updates {
        let cells = cells(place, rows, columns);
        let changed = wire
            .update(relation, &key(place), columns, (&owners(rows), &cells))
            .await?;
        all_counted(relation, changed, rows)?;
        marks.extend(
            rows.iter()
                .map(|row| (row.delivery, Mark::Written(Notes::default()))),
        );
    }
    for (columns, rows) in &inserts {
        let rows_cells: Vec<Vec<Cell>> = rows.iter().map(|row| picked(row, columns)).collect();
        let changed = wire
            .insert(relation, columns, (&owners(rows), &rows_cells))
            .await?;
        all_counted(relation, changed, rows)?;
        marks.extend(
            rows.iter()
                .map(|row| (row.delivery, Mark::Written(Notes::default()))),
        );
    }
    Ok(marks)
}

fn all_counted(relation: &Relation, changed: u64, rows: &[&Row]) -> Result<(), SqlError> {
    if relation.counts_rows() && usize::try_from(changed) != Ok(rows.len()) {
        return Err(SqlError::row(SWALLOWED));
    }
    Ok(())
}

/// The positions of the rows' deliveries in the batch.
fn owners(rows: &[&Row]) -> Vec<usize> {
    rows.iter().map(|row| row.delivery).collect()
}

fn key(place: Place<'_>) -> Vec<usize> {
    place.table.places(|column| column.is_key)
}

/// The cells of some columns. A column that the row leaves out gives null; callers do not ask for it.
fn picked(row: &Row, columns: &[usize]) -> Vec<Cell> {
    let cell = |at: &usize| row.cells.get(*at).cloned().flatten().unwrap_or(Cell::Null);
    columns.iter().map(cell).collect()
}

/// For each row first the cells that find it, then the cells to set.
fn cells(place: Place<'_>, rows: &[&Row], columns: &[usize]) -> Vec<Vec<Cell>> {
    let mut all = key(place);
    all.extend(columns);
    rows.iter().map(|row| picked(row, &all)).collect()
}

/// For each row what is stored under its key, as texts: the key columns, then the address if it is a column.
async fn look_up(wire: &mut Wire<'_>, place: Place<'_>, rows: &[&Row]) -> Result<Vec<Vec<Texts>>, SqlError> {
    let find = key(place);
    let mut show = find.clone();
    show.extend(address(place));
    let cells = cells(place, rows, &[]);
    wire.stored(place.relation, &find, &show, (&owners(rows), &cells))
        .await
}

/// The column of the address, if it is not part of the key.
fn address(place: Place<'_>) -> Option<usize> {
    let at = place.table.address()?;
    place.table.columns.get(at).filter(|column| !column.is_key)?;
    Some(at)
}

fn need(place: Place<'_>, row: &Row, stored: &[Texts]) -> Need {
    let table = place.table;
    let find = key(place);
    let filled = |test: &dyn Fn(usize) -> bool| -> Vec<usize> {
        let all = row.cells.iter().enumerate();
        all.filter(|(at, cell)| cell.is_some() && test(*at))
            .map(|(at, _)| at)
            .collect()
    };
    // The default of a new row may be an opt-in, so a new row shows the whole opt-out or is not inserted.
    let is_cut = |(column, cell): (&Mapped, &Option<Cell>)| {
        column.shows_consent && column.reads_consent && cell.is_none()
    };
    let is_cut = row.is_opt_out && table.columns.iter().zip(&row.cells).any(is_cut);
    let texts = match stored {
        [] if row.write == Write::Withdraw || is_cut => {
            return Need::Nothing(Mark::Absent(format!("{} has no row of the contact", table.name)));
        }
        [] => return Need::Insert(filled(&|_| true)),
        [texts] => texts,
        _ => {
            return Need::Nothing(Mark::refused(format!(
                "{} rows of {} have this key; none was changed",
                stored.len(),
                table.name
            )));
        }
    };
    let own = picked(row, &find);
    if let Some(reason) = other_key(place, &find, &own, texts) {
        return Need::Nothing(Mark::refused(reason));
    }
    let stored_address = texts.get(find.len()).and_then(Option::as_deref);
    if stored_address.is_some_and(|stored| row.other_addresses.contains(&stored.to_lowercase())) {
        return Need::Nothing(Mark::Absent(format!(
            "the row in {} holds another address of the contact, which has a consent of its own",
            table.name
        )));
    }
    let is_left = table.on_conflict == OnConflict::Ignore;
    if is_left && !row.is_opt_out {
        return Need::Nothing(Mark::Written(Notes::default()));
    }
    let is_set = |at: usize| {
        let column = table.columns.get(at);
        column.is_some_and(|column| !column.is_key && (column.reads_consent || !is_left))
    };
    match filled(&is_set) {
        set if set.is_empty() => Need::Nothing(Mark::Written(Notes::default())),
        set => Need::Update(set),
    }
}

/// Why the row that the database found by these columns may belong to another contact; `None` if it does not.
pub(super) fn other_key(place: Place<'_>, find: &[usize], own: &[Cell], stored: &Texts) -> Option<String> {
    find.iter().zip(own).zip(stored).find_map(|((at, own), stored)| {
        let column = place.relation.columns.get(*at)?;
        if !column.is_compared_as_text() {
            return None;
        }
        let (own, stored) = (own.text()?, stored.as_deref()?);
        if is_same_key(&own, stored) {
            return None;
        }
        let why = column.loose.as_deref().unwrap_or("its type or collation");
        Some(format!(
            "key column {:?} of {}: the database takes the value for that of another row ({why}), which was not changed",
            column.name, place.table.name
        ))
    })
}

/// Addresses are equal whatever their case; ids are not.
fn is_same_key(one: &str, other: &str) -> bool {
    one == other || one.contains('@') && one.to_lowercase() == other.to_lowercase()
}

/// How often another writer may change the row meanwhile.
const MAX_TURNS: u32 = 4;

/// Writes one row, as much of it as the database accepts.
async fn write_one(wire: &mut Wire<'_>, place: Place<'_>, row: &Row) -> Result<Mark, SqlError> {
    let (mut refusal, mut is_in_vain) = (None, false);
    for _ in 0..MAX_TURNS {
        wire.link.savepoint().await?;
        let stored = look_up(wire, place, &[row]).await;
        let stored = match wire.link.settle(stored).await? {
            Ok(stored) => stored.into_iter().next().unwrap_or_default(),
            Err(error) => return Ok(Mark::Refused(blamed(wire, place, row, error).await?)),
        };
        let is_there = !stored.is_empty();
        let columns = match need(place, row, &stored) {
            Need::Nothing(mark) => return Ok(mark),
            // The insert was not rejected because such a row had come in between.
            Need::Insert(_) if refusal.is_some() => break,
            // The update found nothing, although the row exists.
            Need::Update(_) if is_in_vain => {
                refusal = Some(SqlError::row(SWALLOWED));
                break;
            }
            Need::Insert(columns) | Need::Update(columns) => columns,
        };
        match change(wire, place, row, &columns, is_there).await? {
            Ok(true) => return Ok(Mark::Written(Notes::default())),
            Ok(false) if is_there => is_in_vain = true,
            Ok(false) => refusal = Some(SqlError::row(SWALLOWED)),
            Err(error) => {
                if row.is_opt_out
                    && let Some(mark) = essentials(wire, place, row, &columns, is_there).await?
                {
                    return Ok(mark);
                }
                refusal = Some(error);
                if is_there {
                    break;
                }
            }
        }
    }
    let error = refusal.unwrap_or_else(|| SqlError::row("the row kept changing while it was written"));
    Ok(Mark::Refused(blamed(wire, place, row, error).await?))
}

/// Updates or inserts one row. Returns whether the database counted it, or why the database rejected it.
async fn change(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    row: &Row,
    columns: &[usize],
    is_there: bool,
) -> Result<Result<bool, SqlError>, SqlError> {
    wire.link.savepoint().await?;
    let changed = if is_there {
        let cells = cells(place, &[row], columns);
        wire.update(place.relation, &key(place), columns, (&[row.delivery], &cells))
            .await
    } else {
        let cells = [picked(row, columns)];
        wire.insert(place.relation, columns, (&[row.delivery], &cells))
            .await
    };
    let counted = |changed: u64| changed > 0 || !place.relation.counts_rows();
    Ok(wire.link.settle(changed).await?.map(counted))
}

/// Writes as many columns of an opt-out as the database accepts. `None` if none of them shows the opt-out.
async fn essentials(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    row: &Row,
    columns: &[usize],
    is_there: bool,
) -> Result<Option<Mark>, SqlError> {
    let is = |at: usize, test: &dyn Fn(&Mapped) -> bool| place.table.columns.get(at).is_some_and(test);
    let shows = |at: usize| is(at, &|column| column.shows_consent);
    let (needed, others): (Vec<usize>, Vec<usize>) = columns
        .iter()
        .partition(|at| is(**at, &|column| column.is_key || column.reads_consent));
    // A new row shows the whole opt-out or is not inserted, as in `need`.
    let mut spare: Vec<usize> = needed.clone();
    spare.retain(|at| is(*at, &|column| !column.is_key) && (is_there || !shows(*at)));
    spare.sort_by_key(|at| shows(*at));
    // All columns, then all but one: that one does not fit, or contradicts the others.
    let all_but = |left: Option<usize>| needed.iter().copied().filter(move |at| Some(*at) != left);
    let mut written: Vec<usize> = Vec::new();
    for left in std::iter::once(None).chain(spare.iter().copied().map(Some)) {
        let some: Vec<usize> = all_but(left).collect();
        if some.iter().any(|at| shows(*at))
            && matches!(change(wire, place, row, &some, is_there).await?, Ok(true))
        {
            written = some;
            break;
        }
    }
    if written.is_empty() && !is_there {
        return Ok(None);
    }
    let (visible, silent): (Vec<usize>, Vec<usize>) = needed
        .into_iter()
        .filter(|at| !written.contains(at))
        .partition(|at| shows(*at));
    let refused = one_by_one(wire, place, row, &visible).await?;
    if written.is_empty() && refused.len() == visible.len() {
        return Ok(None);
    }
    let left_out = one_by_one(wire, place, row, &[silent, others].concat()).await?;
    Ok(Some(Mark::Written(Notes {
        left_out,
        incomplete: (!refused.is_empty()).then(|| refused.join("; ")),
    })))
}

/// Sets columns of an existing row one by one. Returns why the database rejected those that it did not
/// accept.
async fn one_by_one(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    row: &Row,
    columns: &[usize],
) -> Result<Vec<String>, SqlError> {
    let mut waiting = columns.to_vec();
    loop {
        let mut refused = Vec::new();
        for at in &waiting {
            let error = match change(wire, place, row, &[*at], true).await? {
                Ok(true) => continue,
                Ok(false) => SqlError::row(SWALLOWED),
                Err(error) => error,
            };
            refused.push((*at, error));
        }
        // With a check over several columns, one may only be accepted after another.
        if refused.is_empty() || refused.len() == waiting.len() {
            return Ok(refused
                .into_iter()
                .map(|(at, error)| why(place, at, error))
                .collect());
        }
        waiting = refused.into_iter().map(|(at, _)| at).collect();
    }
}

/// Why a column was rejected, with its name.
fn why(place: Place<'_>, at: usize, error: SqlError) -> String {
    let name = place.table.columns.get(at).map_or("", |column| &column.name);
    let name = format!("{name:?}");
    if error.names_no_column() {
        return error.of_column(&name).reason().to_owned();
    }
    match error.reason() {
        reason if reason.contains(&name) => reason.to_owned(),
        reason => format!("column {name}: {reason}"),
    }
}

/// The result of a rejected row, with the column whose value the database could not read.
async fn blamed(
    wire: &mut Wire<'_>,
    place: Place<'_>,
    row: &Row,
    error: SqlError,
) -> Result<AttemptResult, SqlError> {
    if error.names_no_column()
        && let Some(column) = wire.link.blame(place.relation, &row.cells).await?
    {
        return Ok(error.of_column(&column).attempt_result());
    }
    Ok(error.attempt_result())
}
