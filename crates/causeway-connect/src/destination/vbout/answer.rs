//! What VBOUT's responses mean. The envelope decides, not the HTTP status.

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{
    Becomes, For, KnownBy, Step, Vbout,
    envelope::{self, Lookup, Refusal},
    found::{self, Row, Standing, remember},
    request,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

type Of<'d> = Task<'d, Vbout>;

/// The most contacts with one address that an erasure deletes in one attempt.
const MOST_DELETED: usize = 50;

pub(super) fn read(vbout: &Vbout, step: Step, answer: &Answer, task: &mut Of<'_>, now: Timestamp) -> Reading {
    let opened = envelope::open(answer);
    match (answer.status, opened) {
        (429, _) => busy(answer, now),
        (405, _) if matches!(step, Step::Delete { by_post: true, .. }) => {
            if let Step::Delete { at, .. } = step {
                task.then(Step::Delete { at, by_post: false });
            }
            Reading::Read
        }
        (_, Some(Err(refusal))) if refusal.is_limit() => busy(answer, now),
        (_, Some(Err(refusal))) if refusal.is_about_key() => halt(
            answer,
            &format!("{}: VBOUT refuses the key; check `api_key`", refusal.shown()),
        ),
        (401 | 403, opened) => refused_access(answer, opened.is_some()),
        (200..=299, None) => retry(answer, "without VBOUT's envelope"),
        (404 | 405 | 410, None) => halt(answer, "check `base_url` and `api_version`"),
        (400 | 409 | 413 | 422, None) => reject(answer, "VBOUT refuses the call"),
        (200..=299 | 400..=499, Some(opened)) => meant(vbout, step, opened, answer, task, now),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

fn busy(answer: &Answer, now: Timestamp) -> Reading {
    Reading::All(answer.result_with(Outcome::Busy {
        reason: format!("answered {}: too many calls", answer.status),
        after: Some(envelope::wait(answer, now)),
    }))
}

/// A page of something in front of VBOUT proves nothing about the key.
fn refused_access(answer: &Answer, is_theirs: bool) -> Reading {
    let is_json = answer.json().is_some_and(|body| body.is_object());
    if is_theirs || is_json || answer.body.is_empty() {
        halt(answer, "VBOUT refuses the key; check `api_key` and its rights")
    } else {
        retry(answer, "with something other than JSON")
    }
}

/// Reads what VBOUT itself said.
fn meant(
    vbout: &Vbout,
    step: Step,
    opened: Result<Value, Refusal>,
    answer: &Answer,
    task: &mut Of<'_>,
    now: Timestamp,
) -> Reading {
    if let Step::Find(_) | Step::Verify(_) = step {
        return match envelope::lookup(opened) {
            Some(Lookup::Refused(refusal)) => refused(&refusal, answer, now),
            Some(Lookup::Missing) => found_rows(vbout, step, &[], answer, task, now),
            Some(Lookup::Found(rows)) => found_rows(vbout, step, &rows, answer, task, now),
            None => retry(answer, "without a contact"),
        };
    }
    match opened {
        Ok(data) if envelope::is_absence(&data) => missing(step, answer, task),
        Ok(data) => wrote(step, &data, answer, task, now),
        Err(refusal) if refusal.is_missing() => missing(step, answer, task),
        Err(refusal) if is_opt_out(step) && refusal.is_about_contact() && drops_fields(task) => {
            task.then(step);
            Reading::Read
        }
        Err(refusal) => refused(&refusal, answer, now),
    }
}

fn is_opt_out(step: Step) -> bool {
    matches!(
        step,
        Step::Edit {
            becomes: Some(Becomes::OptedOut | Becomes::Suppressed),
            ..
        }
    )
}

/// An opt-out does not fail because of the values beside it. Returns whether there were some.
fn drops_fields(task: &mut Of<'_>) -> bool {
    let had_some = task.memo.changed().next().is_some();
    if had_some {
        task.memo.fields.clear();
        task.notes
            .push("left out the fields: VBOUT refuses the opt-out with them".to_owned());
    }
    had_some
}

/// An error that the step has no use for. The reason names VBOUT's code, never its words.
fn refused(refusal: &Refusal, answer: &Answer, now: Timestamp) -> Reading {
    if refusal.is_limit() {
        return busy(answer, now);
    }
    let shown = refusal.shown();
    if refusal.is_about_key() {
        return halt(
            answer,
            &format!("{shown}: VBOUT refuses the key; check `api_key`"),
        );
    }
    if refusal.is_about_list() {
        return halt(answer, &format!("{shown}: VBOUT refuses the list; check `list`"));
    }
    reject(answer, &format!("{shown}: VBOUT refuses this contact"))
}

/// The contacts that a look-up found.
fn found_rows(
    vbout: &Vbout,
    step: Step,
    rows: &[Value],
    answer: &Answer,
    task: &mut Of<'_>,
    now: Timestamp,
) -> Reading {
    let is_by_address = !matches!(step, Step::Verify(_));
    let Some(rows) = Row::read_all(rows, is_by_address.then_some(&*task.memo.email)) else {
        return retry(answer, "with a contact that cannot be read");
    };
    match step {
        Step::Verify(at) if task.delivery.record.change == Change::Remove => {
            return is_gone(at, &rows, answer, task);
        }
        Step::Verify(at) => return verified(vbout, at, &rows, answer, task, now),
        Step::Find(For::Erasing) => return erase(rows, answer, task),
        Step::Find(For::Writing) => {
            found::take(vbout, rows, task);
            found::write(task, now);
        }
        Step::Find(For::Leaving) => {
            let known = task.memo.memory.ids.clone();
            found::take(vbout, rows, task);
            found::leave(task, known, now);
        }
        _ => {
            let before = task.memo.memory.clone();
            found::take(vbout, rows, task);
            let ids = std::mem::take(&mut task.memo.memory.ids);
            task.memo.memory = before;
            task.memo.memory.ids = ids;
            if task.memo.memory.ids.is_empty() {
                return retry(answer, "without the contact that was created");
            }
            remember(task);
        }
    }
    Reading::Read
}

/// Deletes what was found, and looks again: a look-up may show one contact of several. If nobody has the address, the
/// contacts with the remembered numbers are deleted, which may have another one by now.
fn erase(mut rows: Vec<Row>, answer: &Answer, task: &mut Of<'_>) -> Reading {
    let is_first = task.memo.deleted.is_empty() && task.memo.known_by != KnownBy::Number;
    if rows.is_empty() && is_first && !task.memo.memory.ids.is_empty() {
        let known = task.memo.memory.ids.clone();
        found::by_number(task, known);
        rows.clone_from(&task.memo.rows);
        for at in (0..rows.len()).rev() {
            task.then(Step::Verify(at));
        }
    }
    if rows.is_empty() {
        if task.memo.deleted.is_empty() {
            task.notes
                .push("VBOUT has no contact with this address".to_owned());
        }
        if task.memo.known_by != KnownBy::Number {
            task.remember(Value::Null);
        }
        return Reading::Read;
    }
    let is_deleted = |row: &Row| task.memo.deleted.contains(&row.id);
    if rows.iter().any(is_deleted) || task.memo.deleted.len() >= MOST_DELETED {
        return retry(answer, "with a contact although it was deleted");
    }
    task.memo.rows = rows;
    task.then(Step::Find(For::Erasing));
    for at in (0..task.memo.rows.len()).rev() {
        task.then(Step::Delete { at, by_post: true });
    }
    Reading::Read
}

/// After the deletion of a contact whose number alone is known.
fn is_gone(at: usize, rows: &[Row], answer: &Answer, task: &mut Of<'_>) -> Reading {
    let id = task.memo.rows.get(at).map(|row| &row.id);
    if rows.iter().any(|row| Some(&row.id) == id) {
        // The next attempt needs the number again.
        remember(task);
        return retry(answer, "with a contact although it was deleted");
    }
    task.remember(Value::Null);
    Reading::Read
}

/// After an opt-out, or for a new person who did not agree: VBOUT must not show the person as active. Nothing else
/// proves that the status had its effect.
fn verified(
    vbout: &Vbout,
    at: usize,
    rows: &[Row],
    answer: &Answer,
    task: &mut Of<'_>,
    now: Timestamp,
) -> Reading {
    let id = task.memo.rows.get(at).map(|row| row.id.clone());
    let shown = rows.iter().find(|row| Some(&row.id) == id.as_ref());
    match shown.map(|row| row.standing) {
        Some(Standing::Active) => {
            let word = request::status(vbout, Becomes::OptedOut);
            halt(
                answer,
                &format!(
                    "VBOUT shows a person as active although `{word}` was written; correct `opt_out_status`"
                ),
            )
        }
        Some(Standing::Unknown) => retry(answer, "with a status that is not known"),
        None if !rows.is_empty() => retry(answer, "with another contact"),
        // A contact that was to be created, and not one that was to be taken off.
        None if task.memo.memory.is_unseen() => missing(Step::Verify(at), answer, task),
        shown => {
            if shown == Some(Standing::Unconfirmed) {
                task.notes.push(
                    "VBOUT shows the person as unconfirmed: set opt_out_status = \"2\" for unsubscribed"
                        .to_owned(),
                );
            }
            if shown.is_none() && task.memo.known_by == KnownBy::Number {
                task.notes
                    .push("VBOUT has no contact with this address on the list".to_owned());
                task.memo.memory.forget();
            } else {
                task.memo.memory.took_off(now);
            }
            task.memo.memory.set_unseen(false);
            remember(task);
            task.remote_id = task.remote_id.take().or(id);
            Reading::Read
        }
    }
}

/// Reads the success of a write, or of the timeline.
fn wrote(step: Step, data: &Value, answer: &Answer, task: &mut Of<'_>, now: Timestamp) -> Reading {
    match step {
        Step::Create => created(data, task, now),
        Step::Edit { at, becomes } => edited(at, becomes, task),
        Step::Delete { at, .. } => {
            let id = task.memo.rows.get(at).map(|row| row.id.clone());
            task.memo.deleted.extend(id);
        }
        Step::AddTags => {
            let new: Vec<String> = task.memo.new_tags().map(str::to_owned).collect();
            for tag in new {
                task.memo.memory.tagged(&tag);
            }
            remember(task);
        }
        Step::ReadTimeline => {
            let Some(timeline) = data.get("timeline") else {
                return retry(answer, "without a timeline");
            };
            if timeline.to_string().contains(&request::reference(task)) {
                task.leave_out(|step| *step == Step::AddActivity);
                task.notes.push("VBOUT has the action already".to_owned());
            }
        }
        Step::AddActivity | Step::Find(_) | Step::Verify(_) => {}
    }
    if task.remote_id.is_none() {
        task.remote_id = task.memo.memory.ids.first().cloned();
    }
    Reading::Read
}

fn created(data: &Value, task: &mut Of<'_>, now: Timestamp) {
    let id = match data.get("id") {
        Some(Value::Number(id)) => Some(id.to_string()),
        Some(Value::String(id)) if id.bytes().all(|byte| byte.is_ascii_digit()) && !id.is_empty() => {
            Some(id.clone())
        }
        _ => None,
    };
    let memo = &mut task.memo;
    let is_known = id.is_some();
    memo.known_by = KnownBy::Creation;
    memo.rows = id.iter().map(|id| Row::of_number(id)).collect();
    memo.memory.found(id.into_iter().collect());
    memo.memory.set_unseen(!memo.agreed);
    for (name, value) in &memo.fields {
        memo.memory.wrote(name, value);
    }
    if memo.agreed {
        memo.memory.is_active();
        memo.memory.decided(memo.since);
    } else {
        memo.memory.took_off(now);
    }
    remember(task);
    // Nobody wrote on its timeline before it existed.
    task.leave_out(|step| *step == Step::ReadTimeline);
    if task.memo.memory.is_unseen() {
        task.then(Step::Verify(0));
    }
    if !is_known {
        task.then(Step::Find(For::Number));
    }
}

fn edited(at: usize, becomes: Option<Becomes>, task: &mut Of<'_>) {
    let is_edited_too = |at: usize| {
        [None, Some(Becomes::Active)]
            .into_iter()
            .any(|becomes| task.has_step(&Step::Edit { at, becomes }))
    };
    // What is written into several contacts is remembered when the last one has it.
    let is_last = !(at + 1..task.memo.rows.len()).any(is_edited_too);
    let memo = &mut task.memo;
    if at + 1 == memo.rows.len() {
        for (name, value) in memo
            .fields
            .iter()
            .filter(|(name, _)| !memo.brought.contains(*name))
        {
            memo.memory.wrote(name, value);
        }
    }
    if becomes == Some(Becomes::Active) && is_last {
        memo.memory.is_active();
        memo.memory.decided(memo.since);
    }
    remember(task);
}

/// The contact is not there any more.
fn missing(step: Step, answer: &Answer, task: &mut Of<'_>) -> Reading {
    match step {
        Step::Delete { at, .. } => {
            let id = task.memo.rows.get(at).map(|row| row.id.clone());
            task.memo.deleted.extend(id);
            Reading::Read
        }
        // Its absence is verified.
        Step::Edit {
            becomes: Some(Becomes::OptedOut | Becomes::Suppressed),
            ..
        } => Reading::Read,
        Step::Edit { .. } if task.memo.known_by == KnownBy::Memory => {
            task.memo.memory.forget();
            remember(task);
            task.leave_out(|step| matches!(step, Step::Edit { .. }));
            task.then(Step::Find(For::Writing));
            Reading::Read
        }
        _ if task.memo.known_by == KnownBy::Creation => {
            retry(answer, "because VBOUT has not stored the new contact yet")
        }
        _ => {
            task.memo.memory.forget();
            remember(task);
            retry(answer, "because the contact is not there any more")
        }
    }
}

fn retry(answer: &Answer, what: &str) -> Reading {
    Reading::All(answer.result_with(Outcome::Retry {
        reason: format!("answered {} {what}", answer.status),
        after: None,
    }))
}

fn halt(answer: &Answer, what: &str) -> Reading {
    Reading::All(answer.result_with(Outcome::Halt {
        reason: format!("answered {}: {what}", answer.status),
    }))
}

fn reject(answer: &Answer, what: &str) -> Reading {
    let result: AttemptResult = answer.result_with(Outcome::Reject {
        reason: format!("answered {}: {what}", answer.status),
    });
    Reading::All(result)
}

/// The response that VBOUT documents for success.
pub(super) fn expected(vbout: &Vbout, step: Step, tasks: &[&Of<'_>]) -> Answer {
    let memo = tasks.first().map(|task| &task.memo);
    let email = memo.map_or("", |memo| &memo.email);
    let list = vbout.settings.list.to_string();
    let contact = |status: &str| json!([{ "id": "1", "email": email, "status": status, "listid": list }]);
    let is_erased = memo.is_some_and(|memo| !memo.deleted.is_empty());
    let data = match step {
        Step::Find(For::Erasing) if is_erased => json!({ "contact": [] }),
        Step::Find(For::Writing) => json!({ "contact": [] }),
        Step::Find(_) => json!({ "contact": contact("1") }),
        Step::Verify(_) => json!({ "contact": contact("2") }),
        Step::Create => json!({ "id": 1, "item": "" }),
        Step::ReadTimeline => json!({ "timeline": { "data": [], "count": 0, "total": 0 } }),
        Step::Edit { .. } | Step::Delete { .. } | Step::AddTags | Step::AddActivity => json!({ "item": "" }),
    };
    let body = json!({ "response": { "header": { "status": "ok", "dataType": "json" }, "data": data } });
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
