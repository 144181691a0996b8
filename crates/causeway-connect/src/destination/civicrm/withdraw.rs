//! The calls of an opt-out and of an erasure. They are about all contacts that have the address.

use causeway_core::consent::Suppression;
use serde_json::{Value, json};

use super::{
    CiviCrm, Found, Memo, Step,
    calls::{Calls, key},
    config::OnRemove,
    suppression,
};
use crate::connector::Task;

/// All contacts that have the address and are in use, of any type: the address may not be used for any of them.
pub(super) fn affected(memo: &Memo) -> Vec<&Found> {
    memo.found.iter().filter(|found| !found.is_deleted).collect()
}

/// The contacts that an opt-out is about: those, and the person's own, which is given the address.
fn opted_out(memo: &Memo) -> Vec<u64> {
    let own = memo.named.iter().filter(|named| named.lacks_address);
    ids(&affected(memo).into_iter().chain(own).collect::<Vec<_>>())
}

/// Whether the opt-out is the person's, and not only about the address.
fn is_by_person(task: &Task<'_, CiviCrm>) -> bool {
    suppression(task.delivery).is_none_or(|why| why == Suppression::Complained)
}

/// Whether an opt-out concerns any contact.
pub(super) fn has_calls(task: &Task<'_, CiviCrm>) -> bool {
    if is_by_person(task) {
        return !opted_out(&task.memo).is_empty();
    }
    !affected(&task.memo).is_empty()
}

/// How many rows a call of an opt-out or an erasure has to change.
pub(super) fn affected_by(key: &str, step: Step, memo: &Memo) -> usize {
    let affected = affected(memo);
    match step {
        Step::OptOut if key.rsplit('.').next() == Some("hold") => affected.len(),
        Step::OptOut => opted_out(memo).len(),
        Step::Remove => ids(&affected).len(),
        _ => 0,
    }
}

pub(super) fn ids(found: &[&Found]) -> Vec<u64> {
    let mut ids: Vec<u64> = found.iter().map(|found| found.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The state of an address that must not be used: 1 as after a bounce, 2 as after an opt-out.
pub(super) fn hold(why: Suppression) -> u8 {
    if why == Suppression::Complained { 2 } else { 1 }
}

pub(super) fn opt_out(civicrm: &CiviCrm, at: usize, task: &Task<'_, CiviCrm>, calls: &mut Calls) {
    let affected = affected(&task.memo);
    let contacts = opted_out(&task.memo);
    let settings = &civicrm.settings;
    let why = suppression(task.delivery);
    let by_person = is_by_person(task);
    if let Some(why) = why.filter(|_| !affected.is_empty()) {
        let hold = hold(why);
        let emails: Vec<u64> = affected.iter().map(|found| found.email_id).collect();
        let params = json!({ "where": [["id", "IN", emails]], "values": { "on_hold": hold } });
        calls.insert(key(at, "hold"), json!(["Email", "update", params]));
    }
    // A complaint ends all bulk mail, whatever an opt-out ends.
    let flag = match why {
        Some(Suppression::Complained) => settings.flag().or(Some("is_opt_out")),
        _ => settings.flag(),
    };
    if let Some(flag) = flag.filter(|_| by_person) {
        let params = json!({ "where": [["id", "IN", contacts]], "values": { flag: true } });
        calls.insert(key(at, "flag"), json!(["Contact", "update", params]));
    }
    if by_person {
        for (number, group) in settings.groups.iter().enumerate() {
            let record = |id: &u64| json!({ "contact_id": id, "group_id:name": group, "status": "Removed" });
            let records: Vec<Value> = contacts.iter().map(record).collect();
            let params = json!({ "records": records, "match": ["contact_id", "group_id"] });
            calls.insert(
                key(at, &format!("group{number}")),
                json!(["GroupContact", "save", params]),
            );
        }
    }
}

/// The contacts that an erasure deletes: the one in use, and those in the trash. `Err` has the contacts among which nobody
/// may choose.
pub(super) fn removed(memo: &Memo) -> Result<Vec<u64>, Vec<&Found>> {
    let in_use = affected(memo);
    match ids(&in_use).len() {
        0 | 1 => Ok(ids(&memo.found.iter().collect::<Vec<_>>())),
        _ => Err(in_use),
    }
}

pub(super) fn remove(civicrm: &CiviCrm, at: usize, task: &Task<'_, CiviCrm>, calls: &mut Calls) {
    let memo = &task.memo;
    let settings = &civicrm.settings;
    let deletes = |trash: bool, contacts: &[u64]| json!(["Contact", "delete", { "where": [["id", "IN", contacts]], "useTrash": trash }]);
    let in_use = ids(&affected(memo));
    // A contact that CiviCRM does not delete gets no mail any more.
    if !in_use.is_empty() {
        let flag = settings.flag().unwrap_or("is_opt_out");
        let params = json!({ "where": [["id", "IN", in_use]], "values": { flag: true } });
        calls.insert(key(at, "flag"), json!(["Contact", "update", params]));
    }
    match (settings.on_remove, removed(memo)) {
        (OnRemove::Delete, Ok(contacts)) => {
            calls.insert(key(at, "delete"), deletes(false, &contacts));
        }
        (OnRemove::Trash, Ok(_)) => {
            calls.insert(key(at, "delete"), deletes(true, &in_use));
        }
        // Nobody may choose whom to delete.
        (OnRemove::OptOut, _) | (_, Err(_)) => {
            for (number, group) in settings.groups.iter().enumerate() {
                let record =
                    |id: &u64| json!({ "contact_id": id, "group_id:name": group, "status": "Removed" });
                let records: Vec<Value> = in_use.iter().map(record).collect();
                let params = json!({ "records": records, "match": ["contact_id", "group_id"] });
                calls.insert(
                    key(at, &format!("group{number}")),
                    json!(["GroupContact", "save", params]),
                );
            }
        }
    }
}
