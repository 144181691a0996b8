//! Responses about several contacts: a search, contacts that were written, and a segment.

use causeway_core::{consent::Change, destination::Outcome};
use serde_json::Value;

use super::{
    Mautic, Step, consent,
    contact::{Contact, items, number, row},
    request::ROWS,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

type Of<'d> = Task<'d, Mautic>;

/// The contacts with the addresses. `None` if the response does not show them.
pub(super) fn found(mautic: &Mautic, body: &Value, tasks: &mut [&mut Of<'_>]) -> Option<Reading> {
    let contacts: Vec<Contact> = items(body.get("contacts")?)?
        .map(Contact::of)
        .collect::<Option<_>>()?;
    let total = body
        .get("total")
        .and_then(number)
        .and_then(|total| usize::try_from(total).ok())?;
    if total > contacts.len() && tasks.len() > 1 {
        return Some(Reading::Split);
    }
    for task in tasks {
        if total > contacts.len() {
            task.notes.push(format!(
                "more than {ROWS} contacts have the address: the rest was left as it is"
            ));
        }
        let email = task.memo.email.to_lowercase();
        let own = contacts
            .iter()
            .filter(|contact| contact.email.as_deref() == Some(&*email));
        let own: Vec<&Contact> = own.collect();
        task.memo.is_new = own.is_empty();
        for contact in &own {
            one(mautic, contact, task);
        }
        if own.is_empty() && is_withdrawn(task) {
            match task.memo.memory.id {
                // The person may have another address there by now.
                Some(id) => task.then(Step::Get(id)),
                None => task
                    .notes
                    .push("Mautic has no contact with this address".to_owned()),
            }
        }
    }
    Some(Reading::Read)
}

/// Whether the delivery does something to contacts that exist.
fn is_withdrawn(task: &Of<'_>) -> bool {
    task.memo.is_leaving || task.delivery.record.change == Change::Remove
}

/// What becomes of a contact that exists, before anything is written.
pub(super) fn one(mautic: &Mautic, contact: &Contact, task: &mut Of<'_>) {
    task.remote_id.get_or_insert_with(|| contact.id.to_string());
    if task.delivery.record.change == Change::Remove {
        task.then(Step::Delete(contact.id));
    } else {
        consent::withdraw(mautic, contact, task);
    }
}

/// The contacts that were written, each with a status of its own. `None` if the response does not show that.
pub(super) fn written(
    mautic: &Mautic,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Of<'_>],
) -> Option<Reading> {
    let statuses = body.get("statusCodes")?;
    let contacts = body.get("contacts")?;
    let nothing = Value::Null;
    for (at, task) in tasks.iter_mut().enumerate() {
        let error = body.get("errors").and_then(|errors| row(errors, at));
        let status = row(statuses, at).and_then(number);
        let contact = row(contacts, at).and_then(Contact::of);
        match (status, error, contact) {
            (Some(200 | 201), None, Some(contact)) if is_same(&contact, task) => {
                let was_there = status == Some(200);
                wrote(mautic, &contact, was_there, task);
            }
            (Some(status @ 400..=499), error, _) => {
                refused(answer, status, error.unwrap_or(&nothing), task);
            }
            _ => {
                let status = status.map_or("no status".to_owned(), |status| status.to_string());
                task.end(answer.result_with(Outcome::Retry {
                    reason: format!("answered {} with {status} for this contact", answer.status),
                    after: None,
                }));
            }
        }
    }
    Some(Reading::Read)
}

fn is_same(contact: &Contact, task: &Of<'_>) -> bool {
    let shown = contact.email.as_deref();
    shown.is_none_or(|shown| shown == task.memo.email.to_lowercase())
}

fn wrote(mautic: &Mautic, contact: &Contact, was_there: bool, task: &mut Of<'_>) {
    let lost: Vec<&str> = task
        .memo
        .fields
        .keys()
        .map(String::as_str)
        .filter(|name| !contact.aliases.is_empty() && !contact.aliases.iter().any(|alias| alias == name))
        .filter(|name| !NO_FIELDS.contains(name))
        .collect();
    if !lost.is_empty() {
        let lost = lost.join(", ");
        task.notes
            .push(format!("Mautic has no contact field {lost}; correct `fields`"));
    }
    if was_there && task.memo.entry_if_new().is_some() && !task.memo.is_leaving {
        task.notes.push(
            "Mautic found the contact by another unique field, and does not contact them from now on"
                .to_owned(),
        );
    }
    let is_open = contact.entries(&mautic.settings.channel).is_empty();
    if is_open && task.memo.entry_if_new().is_some() {
        // Mautic passed over the entry.
        task.then(Step::AddEntry(contact.id));
    }
    task.memo.id = Some(contact.id);
    task.memo.memory.id = Some(contact.id);
    task.remote_id = Some(contact.id.to_string());
    consent::remember(task);
    if !task.memo.agreed {
        return;
    }
    match consent::may_subscribe(mautic, contact, task) {
        Some(true) => task.then(Step::RemoveEntry(contact.id)),
        Some(false) => {}
        None => task.leave_out(|step| matches!(step, Step::Join(_))),
    }
}

/// Members of a contact that may be written, and are not shown among its fields.
pub(super) const NO_FIELDS: [&str; 5] = ["owner", "stage", "ipAddress", "lastActive", "companies"];

/// Mautic refused one contact. Values that it does not take keep nobody out: the contact is written without them.
fn refused(answer: &Answer, status: u64, error: &Value, task: &mut Of<'_>) {
    let details = error.get("details").and_then(Value::as_object);
    let named: Vec<&str> = details
        .into_iter()
        .flat_map(|details| details.keys())
        .map(String::as_str)
        .filter(|name| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            name.len() <= 60 && name.bytes().all(is_plain)
        })
        .take(10)
        .collect();
    let reason = match status {
        403 => {
            let reason = "answered 403 for this contact: the user's role must allow to create contacts and to edit all";
            task.end(answer.result_with(Outcome::Halt {
                reason: reason.to_owned(),
            }));
            return;
        }
        404 | 409 | 423 | 429 => {
            let reason = format!("answered {status} for this contact");
            task.end(answer.result_with(Outcome::Retry { reason, after: None }));
            return;
        }
        _ if named.contains(&"email") => format!("answered {status}: Mautic refuses the address"),
        _ if named.is_empty() => format!("answered {status}: Mautic refuses the contact"),
        _ => format!(
            "answered {status}: Mautic refuses the contact: {}",
            named.join(", ")
        ),
    };
    let mut is_less = false;
    for name in &named {
        if *name != "email" && task.memo.fields.shift_remove(*name).is_some() {
            is_less = true;
            task.notes
                .push(format!("left out {name}: Mautic refuses the value"));
        }
    }
    if is_less && !named.contains(&"email") {
        task.then(Step::Upsert);
    } else {
        task.end(answer.result_with(Outcome::Reject { reason }));
    }
}

/// Contacts that were put into a segment, each with a result of its own. `None` if the response does not show that.
pub(super) fn joined(
    answer: &Answer,
    body: &Value,
    segment: u64,
    tasks: &mut [&mut Of<'_>],
) -> Option<Reading> {
    let details = body.get("details")?.as_object()?;
    for task in tasks {
        let id = task.memo.id.unwrap_or_default().to_string();
        let success = details.get(&id).and_then(|one| one.get("success")?.as_bool());
        if success == Some(true) {
            let since = task.memo.since;
            task.memo.memory.segments.insert(segment, since);
            consent::remember(task);
        } else {
            task.end(answer.result_with(Outcome::Retry {
                reason: format!(
                    "the contact was not put into segment {segment}: it is gone, or may not be edited"
                ),
                after: None,
            }));
        }
    }
    Some(Reading::Read)
}
