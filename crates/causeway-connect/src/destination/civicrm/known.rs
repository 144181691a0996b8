//! Compares what contacts have with what the records say, so that only what is new is written.

use causeway_core::destination::AttemptResult;
use serde_json::{Map, Value};

use super::{
    CiviCrm, Step,
    answer::{Results, Tasks, gone, leave_out_empty},
    calls,
    config::{Campaigns, Existing},
    consent, envelope,
    find::{end, number, text},
    opt_in,
};
use crate::{connector::Task, http::Answer};

/// Compares what the contacts have with what the records say.
pub(super) fn known(
    civicrm: &CiviCrm,
    answer: &Answer,
    results: &Results,
    tasks: Tasks<'_, '_, '_>,
) -> Result<(), Box<AttemptResult>> {
    let mut asked = calls::Calls::new();
    let shared: Vec<&Task<'_, CiviCrm>> = tasks.iter().map(|task| &**task).collect();
    calls::read(civicrm, &shared, &mut asked);
    // A result that is missing says nothing, least of all that nobody left a group.
    let rows = |key: &str, what: &str| match asked.get(key) {
        Some(_) => envelope::rows(answer, results, key, what, 1),
        None => Ok(Vec::new()),
    };
    let contacts = rows("contacts", "the contacts")?;
    let (groups, history) = (
        rows("groups", "the groups")?,
        rows("history", "the history of groups")?,
    );
    let (addresses, phones) = (
        rows("addresses", "the addresses")?,
        rows("phones", "the telephone numbers")?,
    );
    let campaigns = rows("campaigns", "the campaigns")?;
    let settings = &civicrm.settings;
    for task in tasks.iter_mut() {
        campaign(settings.campaigns, &campaigns, task);
        let Some(id) = task.memo.contact.as_ref().map(|found| found.id) else {
            leave_out_empty(task);
            continue;
        };
        let Some(contact) = contacts
            .iter()
            .find(|row| number(row, "id") == id)
            .and_then(Value::as_object)
        else {
            end(answer, task, gone());
            continue;
        };
        task.memo.news = calls::news(settings.existing, &task.memo.fields, contact);
        let theirs = |row: &&Value| number(row, "contact_id") == id;
        address(
            settings.existing,
            addresses
                .iter()
                .find(|row| theirs(row) && row["is_primary"] == true),
            task,
        );
        if phones
            .iter()
            .filter(theirs)
            .any(|row| is_same_number(row, &task.memo.phone))
        {
            task.memo.phone.clear();
        }
        if let Some(opt_in) = opt_in(task.delivery) {
            let membership = |group: &str| {
                let of = |row: &&Value| theirs(row) && row["group_id:name"] == group;
                let status = groups.iter().find(of).map(|row| text(row, "status"))?;
                let left = history.iter().filter(of);
                let left = left
                    .filter_map(|row| consent::time(row.get("date"), &settings.zone))
                    .max();
                Some((status, left))
            };
            let notes = consent::subscribe(civicrm, &mut task.memo, opt_in, contact, &membership);
            task.notes.extend(notes);
        }
        if task.memo.news.is_empty() {
            task.remote_id = Some(id.to_string());
            task.leave_out(|step| *step == Step::Write);
        }
        leave_out_empty(task);
    }
    Ok(())
}

fn campaign(how: Campaigns, known: &[Value], task: &mut Task<'_, CiviCrm>) {
    let Some((name, _)) = &task.memo.campaign else {
        return;
    };
    let found = known
        .iter()
        .find(|row| calls::is_same(&row["name"], &name.as_str().into()));
    match (found, how) {
        (Some(row), _) => task.memo.campaign_id = Some(number(row, "id")),
        (None, Campaigns::Create) => task.then(Step::CreateCampaign),
        (None, _) => task
            .notes
            .push("CiviCRM has no campaign of this name: the activity belongs to none".to_owned()),
    }
}

/// An address is filled in where it says nothing else; another address stays.
fn address(how: Existing, known: Option<&Value>, task: &mut Task<'_, CiviCrm>) {
    let Some(known) = known.and_then(Value::as_object) else {
        return;
    };
    let wanted = &task.memo.address;
    let differs = wanted.iter().any(|(name, value)| {
        let have = known.get(name).filter(|have| calls::is_set(have));
        have.is_some_and(|have| !calls::is_same(have, value))
    });
    let news = match how {
        Existing::Keep if differs => Map::new(),
        _ => calls::news(how, wanted, known),
    };
    if differs && news.is_empty() && !wanted.is_empty() {
        task.notes
            .push("the contact has another address in CiviCRM: left as it is".to_owned());
    }
    task.memo.address = news;
    task.memo.address_id = known.get("id").and_then(Value::as_u64);
}

fn is_same_number(row: &Value, wanted: &Map<String, Value>) -> bool {
    let digits = |value: Option<&Value>| -> String {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(char::is_ascii_digit).collect()
    };
    digits(row.get("phone")) == digits(wanted.get("phone"))
}
