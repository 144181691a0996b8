//! Whether an opt-in may change what CiviCRM says. Who unsubscribed there stays so, unless the opt-in is provably newer.

use causeway_core::clock::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::{CiviCrm, Memo, OptIn, config::OptOut, person::moment};

/// How a contact stands in a group: its status, and when it last left.
pub(super) type Membership = (String, Option<Timestamp>);

/// Decides about flags, groups and the hold of the address, for a contact that is known. Returns remarks.
pub(super) fn subscribe(
    civicrm: &CiviCrm,
    memo: &mut Memo,
    opt_in: OptIn,
    contact: &Map<String, Value>,
    membership: &dyn Fn(&str) -> Option<Membership>,
) -> Vec<String> {
    let settings = &civicrm.settings;
    let is = |name: &str| contact.get(name) == Some(&Value::Bool(true));
    let mut notes = Vec::new();
    // CiviCRM does not store when a flag was set. It cannot have been later than the last change of the contact.
    let modified = time(contact.get("modified_date"), &settings.zone);
    for flag in ["is_opt_out", "do_not_email"] {
        if !is(flag) {
            continue;
        }
        let is_ours = flag == "is_opt_out" || settings.opt_out == OptOut::NoMail;
        if is_ours && opt_in.agreed.is_after(modified) {
            memo.news.insert(flag.to_owned(), false.into());
        } else {
            notes.push(format!(
                "the contact has `{flag}` in CiviCRM: left as it is, and in no group"
            ));
        }
    }
    if is("is_deceased") {
        notes.push("the contact is marked as deceased in CiviCRM: put into no group".to_owned());
    }
    if !notes.is_empty() {
        return notes;
    }
    for group in &settings.groups {
        match membership(group) {
            Some((status, _)) if status == "Added" => {}
            Some((status, left)) if status == "Removed" && !opt_in.agreed.is_after(left) => {
                let since = left.map_or("an unknown time".to_owned(), |at| at.to_string());
                notes.push(format!(
                    "the person left the group `{group}` in CiviCRM, at {since}: not added again"
                ));
            }
            _ => memo.joins.push(group.clone()),
        }
    }
    hold(memo, opt_in, &settings.zone, &mut notes);
    notes
}

/// An address on hold is used again only after a click that is newer: it proves that mail arrives.
fn hold(memo: &mut Memo, opt_in: OptIn, zone: &TimeZone, notes: &mut Vec<String>) {
    let Some(found) = memo.contact.as_ref().filter(|found| found.on_hold != 0) else {
        return;
    };
    let held = found.hold_date.as_deref().and_then(|at| moment(at, zone));
    if opt_in.is_confirmed && opt_in.agreed.is_after(held) {
        memo.releases_hold = true;
    } else {
        notes.push("the address is on hold in CiviCRM: left so".to_owned());
    }
}

pub(super) fn time(value: Option<&Value>, zone: &TimeZone) -> Option<Timestamp> {
    moment(value?.as_str()?, zone)
}
