//! Finds the contact that a delivery is about, and decides which steps it needs.

use causeway_core::{
    contact::normal_email,
    destination::{AttemptResult, Outcome},
};
use serde_json::Value;

use super::{
    CiviCrm, Found, Step,
    answer::{Results, Tasks, leave_out_empty},
    calls,
    config::OnRemove,
    envelope, opt_in, person, withdraw,
};
use crate::{connector::Task, http::Answer};

pub(super) fn find(
    civicrm: &CiviCrm,
    answer: &Answer,
    results: &Results,
    tasks: Tasks<'_, '_, '_>,
) -> Result<(), Box<AttemptResult>> {
    let emails = envelope::rows(answer, results, "emails", "the look-up of addresses", 1)?;
    let keys = match results.get("keys") {
        Some(_) => envelope::rows(answer, results, "keys", "the look-up of identifiers", 1)?,
        None => Vec::new(),
    };
    for task in tasks.iter_mut() {
        let of = |row: &&Value| {
            let email = row.get("email").and_then(Value::as_str).and_then(normal_email);
            email.as_deref() == Some(&*task.memo.email)
        };
        let found: Vec<Found> = emails.iter().filter(of).map(by_address).collect();
        let key = task.memo.fields.get("external_identifier").cloned();
        let own = keys.iter().filter(|row| {
            key.as_ref()
                .is_some_and(|key| calls::is_same(key, &row["external_identifier"]))
        });
        let own: Vec<Found> = own.map(by_key).collect();
        for mut one in own {
            if one.is_deleted {
                task.notes.push(format!(
                    "the external identifier belongs to contact {} in the trash: left out",
                    one.id
                ));
                task.memo.fields.shift_remove("external_identifier");
                continue;
            }
            match found.iter().find(|found| found.id == one.id) {
                Some(same) => one = same.clone(),
                None => one.lacks_address = true,
            }
            task.memo.named = Some(one);
        }
        task.memo.found = found;
        decide(civicrm, answer, task);
    }
    Ok(())
}

pub(super) fn number(row: &Value, name: &str) -> u64 {
    let value = row.get(name);
    let number = value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    number.unwrap_or_default()
}

pub(super) fn text(row: &Value, name: &str) -> String {
    row.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn by_address(row: &Value) -> Found {
    Found {
        id: number(row, "contact_id"),
        email_id: number(row, "id"),
        is_individual: row
            .get("contact_id.contact_type")
            .is_none_or(|kind| kind == "Individual"),
        is_deleted: row.get("contact_id.is_deleted") == Some(&true.into()),
        first_name: text(row, "contact_id.first_name"),
        last_name: text(row, "contact_id.last_name"),
        on_hold: number(row, "on_hold"),
        hold_date: row.get("hold_date").and_then(Value::as_str).map(str::to_owned),
        lacks_address: false,
    }
}

fn by_key(row: &Value) -> Found {
    Found {
        id: number(row, "id"),
        is_individual: true,
        is_deleted: row.get("is_deleted") == Some(&true.into()),
        first_name: text(row, "first_name"),
        last_name: text(row, "last_name"),
        ..Found::default()
    }
}

/// Which contact is meant, and which steps are needed for it.
fn decide(civicrm: &CiviCrm, answer: &Answer, task: &mut Task<'_, CiviCrm>) {
    let nobody = if task.has_step(&Step::OptOut) {
        !withdraw::has_calls(task)
    } else {
        withdraw::affected(&task.memo).is_empty()
    };
    if task.has_step(&Step::Remove) {
        let is_gone = match civicrm.settings.on_remove {
            OnRemove::Delete => task.memo.found.is_empty(),
            _ => nobody,
        };
        if is_gone {
            end(answer, task, skip());
        }
        return;
    }
    if nobody {
        task.leave_out(|step| *step == Step::OptOut);
        if !task.has_step(&Step::Write) {
            end(answer, task, skip());
            return;
        }
    }
    match person::choose(&task.memo, civicrm.settings.several) {
        Ok(Some((found, note))) => {
            task.memo.contact = Some(found);
            task.notes.extend(note.filter(|_| task.has_step(&Step::Write)));
        }
        Ok(None) => {
            // An organisation may have the address; the person becomes a contact of their own.
            let campaign = task.memo.campaign.is_some();
            task.leave_out(|step| *step == Step::Read && !campaign);
            let groups = civicrm.settings.groups.iter().cloned();
            task.memo.joins = groups.filter(|_| opt_in(task.delivery).is_some()).collect();
            leave_out_empty(task);
        }
        Err(_) if !task.has_step(&Step::Write) => {}
        Err(ids) => {
            let reason = format!("several contacts have the address ({ids}); merge them in CiviCRM");
            // The opt-out is for all of them.
            if task.has_step(&Step::OptOut) {
                task.memo.ambiguous = Some(reason);
                task.leave_out(|step| *step != Step::OptOut);
            } else {
                end(answer, task, Outcome::Reject { reason });
            }
        }
    }
}

fn skip() -> Outcome {
    Outcome::Skip {
        reason: "no contact in CiviCRM has the address".to_owned(),
    }
}

pub(super) fn end(answer: &Answer, task: &mut Task<'_, CiviCrm>, outcome: Outcome) {
    task.end(answer.result_with(outcome));
}
