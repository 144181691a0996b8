//! The contacts that a look-up found, and what becomes of them.

use causeway_core::{clock::Timestamp, consent::Change};
use serde_json::Value;

use super::{Becomes, KnownBy, Memo, Step, Vbout};
use crate::connector::Task;

type Of<'d> = Task<'d, Vbout>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub id: String,
    pub standing: Standing,
    /// The number of the list, if VBOUT shows it.
    pub list: Option<String>,
}

/// The status of a contact. VBOUT's documents show only `1`; the others are those of published clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Unconfirmed,
    /// Unsubscribed or bounced.
    Left,
    Unknown,
}

impl Row {
    /// A contact whose number is remembered.
    pub fn of_number(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            standing: Standing::Unknown,
            list: None,
        }
    }

    /// `None` if it is not a contact with this address, or with any if `email` is `None`.
    fn read(row: &Value, email: Option<&str>) -> Option<Self> {
        let text = |name: &str| match row.get(name) {
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let is_number = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_same =
            |email: &str| text("email").is_some_and(|shown| shown.to_lowercase() == email.to_lowercase());
        let standing = match text("status").map(|status| status.to_lowercase()).as_deref() {
            Some("1" | "active") => Standing::Active,
            Some("0" | "unconfirmed") => Standing::Unconfirmed,
            Some("2" | "3" | "disactive" | "inactive" | "unsubscribed" | "bounced") => Standing::Left,
            _ => Standing::Unknown,
        };
        Some(Self {
            id: text("id")
                .filter(is_number)
                .filter(|_| email.is_none_or(is_same))?,
            standing,
            list: text("listid").or_else(|| text("list_id")).filter(is_number),
        })
    }

    /// All contacts of a look-up; `None` if one cannot be read.
    pub fn read_all(rows: &[Value], email: Option<&str>) -> Option<Vec<Self>> {
        rows.iter().map(|row| Self::read(row, email)).collect()
    }
}

/// Takes over the contacts of the destination's list.
pub(super) fn take(vbout: &Vbout, rows: Vec<Row>, task: &mut Of<'_>) {
    let list = vbout.settings.list.to_string();
    let is_of_list = |row: &Row| row.list.as_ref().is_none_or(|own| *own == list);
    let memo = &mut task.memo;
    memo.rows = rows.into_iter().filter(is_of_list).collect();
    let ids = memo.rows.iter().map(|row| row.id.clone()).collect();
    memo.memory.found(ids);
    if memo.known_by == KnownBy::Memory {
        memo.known_by = KnownBy::Search;
    }
    for (name, value) in memo
        .fields
        .iter()
        .filter(|(name, _)| memo.brought.contains(*name))
    {
        memo.memory.wrote(name, value);
    }
    task.remote_id = task.memo.rows.first().map(|row| row.id.clone());
}

/// Writes the contacts that were found, or creates one.
pub(super) fn write(task: &mut Of<'_>, now: Timestamp) {
    if task.memo.rows.is_empty() {
        task.memo.memory.forget();
    }
    if task.memo.agreed {
        task.memo.memory.set_unseen(false);
    } else if task.memo.memory.is_unseen() {
        task.then(Step::Verify(0));
    }
    // Another contact than the one that is remembered has none of the tags.
    if task.memo.new_tags().next().is_some() && !task.has_step(&Step::AddTags) {
        task.then(Step::AddTags);
    }
    if task.memo.rows.is_empty() {
        task.then(Step::Create);
        return;
    }
    let mut left = 0;
    let mut edits = Vec::new();
    for (at, row) in task.memo.rows.iter().enumerate() {
        let becomes = opt_in(&task.memo, row.standing);
        let is_left_so = task.memo.agreed && becomes.is_none() && row.standing != Standing::Active;
        left += usize::from(is_left_so);
        if becomes.is_some() || task.memo.changed().next().is_some() {
            edits.push(Step::Edit { at, becomes });
        }
    }
    let has_left = task.memo.rows.iter().any(|row| row.standing == Standing::Left);
    let becomes_active = edits
        .iter()
        .any(|edit| matches!(edit, Step::Edit { becomes: Some(_), .. }));
    let memo = &mut task.memo;
    if left > 0 {
        task.notes
            .push("the person unsubscribed at VBOUT, or bounced there: left so".to_owned());
    }
    if has_left && !becomes_active {
        memo.memory.has_left(now);
    }
    if memo.rows.iter().all(|row| row.standing == Standing::Active) {
        memo.memory.is_active();
    }
    // An opt-in that is written is decided when VBOUT confirmed it.
    if memo.agreed && !becomes_active {
        memo.memory.decided(memo.since);
    }
    remember(task);
    for edit in edits.into_iter().rev() {
        task.then(edit);
    }
}

/// The status that an opt-in gives. An unsubscribe that is there stays, unless the opt-in is newer.
fn opt_in(memo: &Memo, standing: Standing) -> Option<Becomes> {
    let is_made_active = match standing {
        Standing::Active => false,
        // They have not clicked in a mail of VBOUT, but agreed here.
        Standing::Unconfirmed => true,
        Standing::Left | Standing::Unknown => memo.memory.is_over(memo.since),
    };
    (memo.agreed && is_made_active).then_some(Becomes::Active)
}

/// Takes the contacts off that were found, or those with the remembered numbers: their address may have been changed.
pub(super) fn leave(task: &mut Of<'_>, known: Vec<String>, now: Timestamp) {
    task.memo.memory.set_unseen(false);
    if task.memo.rows.is_empty() && !known.is_empty() {
        by_number(task, known);
    }
    if task.memo.rows.is_empty() {
        task.notes
            .push("VBOUT has no contact with this address on the list".to_owned());
        task.memo.memory.forget();
        remember(task);
        task.leave_out(|_| true);
        return;
    }
    let becomes = match task.delivery.record.change {
        Change::Suppress => Becomes::Suppressed,
        _ => Becomes::OptedOut,
    };
    let memo = &task.memo;
    let is_changed = memo.changed().next().is_some();
    let mut steps = Vec::new();
    for (at, row) in memo.rows.iter().enumerate() {
        let is_off = match row.standing {
            Standing::Left => true,
            // `Disactive` may become this.
            Standing::Unconfirmed => memo.memory.is_left_by_us(),
            Standing::Active | Standing::Unknown => false,
        };
        let becomes = (!is_off).then_some(becomes);
        if becomes.is_some() || is_changed {
            steps.push(Step::Edit { at, becomes });
        }
        steps.extend(becomes.map(|_| Step::Verify(at)));
    }
    if !steps.iter().any(|step| matches!(step, Step::Verify(_))) {
        task.notes
            .push("the person is not mailed at VBOUT already".to_owned());
        task.memo.memory.has_left(now);
    }
    task.memo.memory.decided(None);
    remember(task);
    for step in steps.into_iter().rev() {
        task.then(step);
    }
}

/// Goes on with the contacts that have these numbers.
pub(super) fn by_number(task: &mut Of<'_>, known: Vec<String>) {
    let memo = &mut task.memo;
    memo.rows = known.iter().map(|id| Row::of_number(id)).collect();
    memo.known_by = KnownBy::Number;
    memo.memory.found(known);
    let note = "nobody has this address at VBOUT: the contact with the remembered number is meant";
    task.notes.push(note.to_owned());
}

/// Keeps what was learnt about the contact.
pub(super) fn remember(task: &mut Of<'_>) {
    let memory = task.memo.memory.value();
    task.remember(memory);
}
