//! What the API's responses mean for each delivery.

use causeway_core::{
    clock::Timestamp, consent::Change, delivery::Kind as DeliveryKind, destination::Outcome, envelope::digest,
};
use data_encoding::HEXLOWER;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    Step, Supabase,
    config::{OnConflict, OnRemove, Role, Table},
    error::{Verdict, verdict},
};
use crate::{
    connector::{Reading, Task},
    destination::columns::{Mapped, is_opt_out},
    http::Answer,
};

/// The API reported success and did not name the row.
const SWALLOWED: &str = "the database reported no error and did not store the row: a trigger, a rule or a policy of the table \
                         left it out";

pub(super) fn read(
    supabase: &Supabase,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Supabase>],
    now: Timestamp,
) -> Reading {
    if !(200..300).contains(&answer.status) {
        return refused(supabase, step, answer, tasks, now);
    }
    let body = answer.json().unwrap_or_default();
    // A page of something in front of the API confirms nothing, and neither does an empty body.
    let Some(rows) = body.as_array().filter(|_| answer.complete) else {
        return Reading::All(answer.result_with(Outcome::Retry {
            reason: format!("answered {} without the rows that were written", answer.status),
            after: None,
        }));
    };
    match step {
        Step::Insert(role) => inserted(supabase, *role, rows, tasks),
        Step::Look => return looked(supabase, rows, tasks),
        Step::Prove(role) => return proved(*role, answer, rows, tasks),
        Step::Update(role, columns) if rows.len() >= tasks.len() => {
            for task in tasks.iter_mut() {
                remember(supabase, *role, columns, task);
            }
        }
        Step::Update(..) if tasks.len() > 1 => return Reading::Split,
        Step::Update(..) => return reject(answer, SWALLOWED),
        Step::Patch(role, columns) => patched(supabase, *role, columns, answer, rows, tasks),
        Step::Remove(_) => {}
    }
    for task in tasks {
        let is_last = task.steps_left() <= 1;
        if let Some(reason) = task.memo.incomplete.take_if(|_| is_last) {
            task.end(answer.result_with(Outcome::Reject { reason }));
        }
    }
    Reading::Read
}

/// The rows that are not in the response exist already.
fn inserted(supabase: &Supabase, role: Role, rows: &[Value], tasks: &mut [&mut Task<'_, Supabase>]) {
    let Some(table) = supabase.table(role) else { return };
    for task in tasks {
        let row = task.memo.row(role);
        if rows.iter().any(|stored| row.is_found_in(stored)) {
            let columns = row.names(|_| true);
            remember(supabase, role, &columns, task);
            continue;
        }
        let delivery = task.delivery;
        if table.on_conflict == OnConflict::Update {
            if role == Role::Contacts && task.memo.guard.is_some() {
                task.then(Step::Look);
            } else {
                let columns = row.names(|_| true);
                task.then(Step::Update(role, columns));
            }
        } else if role == Role::Contacts && is_opt_out(&delivery.record) {
            let columns = consent(table, task);
            task.then(Step::Patch(role, columns));
        } else {
            // A trigger that leaves a row out looks the same.
            task.then(Step::Prove(role));
        }
    }
}

/// Whether the table has the rows that were not inserted. One that it does not have was left out.
fn proved(role: Role, answer: &Answer, rows: &[Value], tasks: &mut [&mut Task<'_, Supabase>]) -> Reading {
    let is_there = |task: &Task<'_, Supabase>| rows.iter().any(|row| task.memo.row(role).is_found_in(row));
    match tasks {
        // The database may have the key in another form.
        [_] if !rows.is_empty() => Reading::Read,
        [_] => reject(answer, SWALLOWED),
        tasks if tasks.iter().all(|task| is_there(task)) => Reading::Read,
        _ => Reading::Split,
    }
}

/// The columns of the contact's row that show consent.
fn consent(table: &Table, task: &Task<'_, Supabase>) -> Vec<String> {
    let reads = |name: &str| {
        let is_it = |column: &&Mapped| column.name == name;
        let column = table.columns.iter().find(is_it);
        column.is_some_and(|column| !column.is_key && (column.reads_consent || column.shows_consent))
    };
    task.memo.contact.names(reads)
}

/// Writes each row with or without the columns of consent. Invariant: a contact who opted out there after they agreed here
/// stays opted out.
fn looked(supabase: &Supabase, rows: &[Value], tasks: &mut [&mut Task<'_, Supabase>]) -> Reading {
    let Some(table) = supabase.table(Role::Contacts) else {
        return Reading::Read;
    };
    let is_alone = tasks.len() == 1 && rows.len() == 1;
    let is_known = |stored: &Value| tasks.iter().any(|task| task.memo.contact.is_found_in(stored));
    let shows = |task: &Task<'_, Supabase>| rows.iter().any(|stored| task.memo.contact.is_found_in(stored));
    let is_whole = tasks.len() == 1 || tasks.iter().all(|task| shows(task));
    let shows_exactly_these = is_whole && rows.iter().all(is_known);
    // The database has a key in another form, or the response does not show all rows.
    if !is_alone && !shows_exactly_these {
        return Reading::Split;
    }
    for task in tasks {
        let stored = rows
            .iter()
            .find(|stored| is_alone || task.memo.contact.is_found_in(stored));
        let change = task.delivery.record.change;
        let keeps = task
            .memo
            .guard
            .as_ref()
            .zip(stored)
            .is_some_and(|(guard, stored)| {
                guard.keeps(stored, change, task.memo.since, has_left(table, task))
            });
        let mut left_out = Vec::new();
        if keeps {
            left_out = consent(table, task);
            if change == Change::Subscribe {
                task.notes.push(format!(
                    "the row in {} shows an opt-out that is not older than the opt-in: left opted out there",
                    table.name
                ));
            }
        }
        let columns = task
            .memo
            .contact
            .names(|name| !left_out.iter().any(|left| left == name));
        let is_new_refused = task.memo.no_value.is_some();
        task.then(if is_new_refused {
            patch(Role::Contacts, table, &columns)
        } else {
            Step::Update(Role::Contacts, columns)
        });
    }
    Reading::Read
}

/// Names the row of the contact. A contact with another address may have another row, which somebody else wrote.
fn place(table: &Table, task: &Task<'_, Supabase>) -> String {
    let subject = task.memo.contact.subject();
    HEXLOWER.encode(&digest(&[table.name.as_bytes(), subject.as_bytes()]))
}

/// Whether the last thing that this destination wrote into the contact's row is an opt-out.
fn has_left(table: &Table, task: &Task<'_, Supabase>) -> bool {
    let get = |name: &str| task.delivery.memory.as_ref()?.get(name);
    let is_opt_out = get("opted_out").and_then(Value::as_bool) == Some(true);
    is_opt_out && get("row").and_then(Value::as_str) == Some(&*place(table, task))
}

/// Notes whether the consent that was just written is an opt-out, if these columns showed it.
fn remember(supabase: &Supabase, role: Role, columns: &[String], task: &mut Task<'_, Supabase>) {
    let Some(table) = supabase.table(role).filter(|_| role == Role::Contacts) else {
        return;
    };
    let has_opted_out = is_opt_out(&task.delivery.record);
    let is_whole = || consent(table, task).iter().all(|name| columns.contains(name));
    if has_left(table, task) != has_opted_out && (has_opted_out || is_whole()) {
        let place = place(table, task);
        task.remember(json!({ "opted_out": has_opted_out, "row": place }));
    }
}

fn patched(
    supabase: &Supabase,
    role: Role,
    columns: &[String],
    answer: &Answer,
    rows: &[Value],
    tasks: &mut [&mut Task<'_, Supabase>],
) {
    let name = supabase.table(role).map_or("", |table| &table.name);
    for task in tasks.iter_mut().filter(|_| rows.is_empty()) {
        let outcome = if task.delivery.record.kind == DeliveryKind::Withdrawal {
            Outcome::Skip {
                reason: format!("{name} has no row of the contact"),
            }
        } else if let Some(reason) = task.memo.incomplete.take().or(task.memo.no_value.take()) {
            Outcome::Reject { reason }
        } else {
            // It was deleted meanwhile. The next attempt inserts it.
            Outcome::Retry {
                reason: format!("{name} has no row of the contact any more"),
                after: None,
            }
        };
        task.end(answer.result_with(outcome));
    }
    for task in tasks.iter_mut().filter(|_| !rows.is_empty()) {
        remember(supabase, role, columns, task);
    }
}

fn reject(answer: &Answer, reason: &str) -> Reading {
    Reading::All(answer.result_with(Outcome::Reject {
        reason: reason.to_owned(),
    }))
}

fn refused(
    supabase: &Supabase,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Supabase>],
    now: Timestamp,
) -> Reading {
    let verdict = verdict(answer, now);
    let is_alone = tasks.len() == 1;
    let reason = match verdict {
        Verdict::All(outcome) => {
            return Reading::All(answer.result_with(outcome));
        }
        _ if !is_alone => return Reading::Split,
        Verdict::TooMuch(reason) => {
            return Reading::All(answer.result_with(Outcome::Retry { reason, after: None }));
        }
        Verdict::Policy(reason) => return Reading::All(answer.result_with(Outcome::Halt { reason })),
        Verdict::NoValue(reason) if is_updated(supabase, step) => {
            for task in tasks {
                let table = supabase.table(role_of(step));
                let is_insert = matches!(step, Step::Insert(_));
                task.memo.no_value = Some(reason.clone()).filter(|_| is_insert);
                let next = match (step, table) {
                    (Step::Insert(Role::Contacts), _) if task.memo.guard.is_some() => Step::Look,
                    (Step::Update(role, columns), Some(table)) => patch(*role, table, columns),
                    (Step::Insert(role), Some(table)) => {
                        patch(*role, table, &task.memo.row(*role).names(|_| true))
                    }
                    _ => continue,
                };
                task.then(next);
            }
            return Reading::Read;
        }
        Verdict::NoValue(reason) | Verdict::Spoiled(reason) | Verdict::Referenced(reason) => reason,
    };
    spoiled(supabase, step, answer, tasks, reason)
}

/// Whether an update of the row may succeed after an upsert was refused for lack of a value: PostgreSQL asks for the values of
/// a new row even if the row exists.
fn is_updated(supabase: &Supabase, step: &Step) -> bool {
    match step {
        Step::Insert(role) => supabase
            .table(*role)
            .is_some_and(|table| table.on_conflict == OnConflict::Update),
        Step::Update(..) => true,
        Step::Look | Step::Prove(_) | Step::Patch(..) | Step::Remove(_) => false,
    }
}

fn patch(role: Role, table: &Table, columns: &[String]) -> Step {
    let columns = columns.iter().filter(|name| !table.is_key(name));
    Step::Patch(role, columns.cloned().collect())
}

fn role_of(step: &Step) -> Role {
    match step {
        Step::Insert(role)
        | Step::Update(role, _)
        | Step::Patch(role, _)
        | Step::Prove(role)
        | Step::Remove(role) => *role,
        Step::Look => Role::Contacts,
    }
}

/// What is written of an opt-out after these columns were refused: the columns of consent, and at last only those that
/// an opt-out must change.
fn fewer(table: &Table, task: &Task<'_, Supabase>, columns: &[String]) -> Vec<String> {
    let is_shown = |name: &str| {
        let mut own = table.columns.iter().filter(|column| column.name == name);
        own.any(|column| !column.is_key && column.shows_consent)
    };
    let each = [consent(table, task), task.memo.contact.names(is_shown)];
    let found = each.into_iter().find(|fewer| fewer.len() < columns.len());
    found.unwrap_or_default()
}

/// The only row of the request is refused. What remains of an opt-out or an erasure is written all the same.
fn spoiled(
    supabase: &Supabase,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Supabase>],
    reason: String,
) -> Reading {
    let table = supabase.table(Role::Contacts);
    let ([task], Some(table)) = (&mut *tasks, table) else {
        return reject(answer, &reason);
    };
    let columns = match step {
        Step::Insert(Role::Contacts) | Step::Update(Role::Contacts, _)
            if is_opt_out(&task.delivery.record) =>
        {
            consent(table, task)
        }
        Step::Patch(Role::Contacts, columns) if is_opt_out(&task.delivery.record) => {
            fewer(table, task, columns)
        }
        Step::Remove(Role::Contacts) if table.on_remove != OnRemove::Unsubscribe => consent(table, task),
        // A contact's row is removed even if those of the actions stay.
        Step::Remove(Role::Actions) if task.steps_left() > 1 => {
            task.memo.incomplete.get_or_insert(reason);
            return Reading::Read;
        }
        _ => Vec::new(),
    };
    if columns.is_empty() {
        return reject(answer, &reason);
    }
    task.memo.incomplete = Some(format!("{reason}; only the consent was written"));
    task.leave_out(|_| true);
    task.then(Step::Patch(Role::Contacts, columns));
    Reading::Read
}

/// The keys of all rows are returned, as if each was written.
pub(super) fn expected(supabase: &Supabase, step: &Step, tasks: &[&Task<'_, Supabase>]) -> Answer {
    let role = role_of(step);
    let keys = |task: &&Task<'_, Supabase>| -> Value {
        let cells = &task.memo.row(role).find;
        Value::Object(cells.iter().cloned().collect())
    };
    let is_write = supabase.table(role).is_some() && *step != Step::Look;
    let rows: Value = tasks.iter().filter(|_| is_write).map(keys).collect();
    Answer {
        status: if matches!(step, Step::Insert(_)) { 201 } else { 200 },
        headers: HeaderMap::new(),
        body: rows.to_string().into_bytes(),
        complete: true,
    }
}
