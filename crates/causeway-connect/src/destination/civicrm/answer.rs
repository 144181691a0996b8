//! What CiviCRM's responses mean for each delivery.

use causeway_core::{
    clock::Timestamp,
    contact::normal_email,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    CiviCrm, Found, Step, calls,
    config::{Campaigns, Existing, OnRemove},
    consent,
    envelope::{self, Envelope, open},
    opt_in, person,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

type Tasks<'t, 'u, 'd> = &'t mut [&'u mut Task<'d, CiviCrm>];
type Results = Map<String, Value>;

pub(super) fn read(
    civicrm: &CiviCrm,
    step: Step,
    answer: &Answer,
    tasks: Tasks<'_, '_, '_>,
    now: Timestamp,
) -> Reading {
    let attempt = tasks.iter().map(|task| task.delivery.attempt).min().unwrap_or(1);
    let results = match open(answer, attempt, now) {
        Envelope::Results(results) => results,
        Envelope::Spoiled(_) if tasks.len() > 1 => return Reading::Split,
        Envelope::Spoiled(result) | Envelope::All(result) => return Reading::All(result),
    };
    let done = match step {
        Step::Find => find(civicrm, answer, &results, tasks),
        Step::Read => known(civicrm, answer, &results, tasks),
        Step::CreateCampaign => {
            campaigns(answer, &results, tasks);
            Ok(())
        }
        _ => {
            for (at, task) in tasks.iter_mut().enumerate() {
                one(civicrm, step, answer, &results, at, task);
            }
            Ok(())
        }
    };
    done.map_or_else(|result| Reading::All(*result), |()| Reading::Read)
}

fn find(
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
        let mut found: Vec<Found> = emails.iter().filter(of).map(by_address).collect();
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
            // The identifier names the person, whoever else has the address.
            match found.iter().find(|found| found.id == one.id) {
                Some(same) => one = same.clone(),
                None => one.lacks_address = true,
            }
            found.retain(|found| found.is_deleted || !found.is_individual);
            found.push(one);
        }
        task.memo.found = found;
        decide(civicrm, answer, task);
    }
    Ok(())
}

fn number(row: &Value, name: &str) -> u64 {
    let value = row.get(name);
    let number = value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    number.unwrap_or_default()
}

fn text(row: &Value, name: &str) -> String {
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
    let nobody = calls::affected(&task.memo).is_empty();
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

fn end(answer: &Answer, task: &mut Task<'_, CiviCrm>, outcome: Outcome) {
    task.end(answer.result_with(outcome));
}

/// Leaves out `Relate` if nothing hangs on the contact.
fn leave_out_empty(task: &mut Task<'_, CiviCrm>) {
    let memo = &task.memo;
    let is_empty = memo.joins.is_empty()
        && memo.address.is_empty()
        && memo.phone.is_empty()
        && memo.activity.is_empty()
        && !memo.releases_hold
        && memo.contact.as_ref().is_none_or(|contact| !contact.lacks_address);
    if is_empty {
        task.leave_out(|step| *step == Step::Relate);
    }
}

/// Compares what the contacts have with what the records say.
fn known(
    civicrm: &CiviCrm,
    answer: &Answer,
    results: &Results,
    tasks: Tasks<'_, '_, '_>,
) -> Result<(), Box<AttemptResult>> {
    let rows = |key: &str, what: &str| match results.get(key) {
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

fn gone() -> Outcome {
    Outcome::Retry {
        reason: "the contact is not there any more".to_owned(),
        after: None,
    }
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

fn campaigns(answer: &Answer, results: &Results, tasks: Tasks<'_, '_, '_>) {
    for task in tasks.iter_mut() {
        let Some((name, _)) = task.memo.campaign.clone() else {
            continue;
        };
        match envelope::rows(
            answer,
            results,
            &format!("campaign:{name}"),
            "the campaign",
            task.delivery.attempt,
        ) {
            Ok(rows) => task.memo.campaign_id = rows.first().map(|row| number(row, "id")),
            Err(result) => task.end(*result),
        }
    }
}

/// The results of the calls about one delivery. The worst of them counts.
fn one(
    civicrm: &CiviCrm,
    step: Step,
    answer: &Answer,
    results: &Results,
    at: usize,
    task: &mut Task<'_, CiviCrm>,
) {
    let request = calls::keys(civicrm, step, at, task);
    let mut worst: Option<AttemptResult> = None;
    let rank = |result: &AttemptResult| match result.outcome {
        Outcome::Halt { .. } => 3,
        Outcome::Retry { .. } => 2,
        _ => 1,
    };
    for key in request {
        let part = key.split('.').next_back().unwrap_or_default();
        let what = match (step, part.trim_end_matches(char::is_numeric)) {
            (Step::OptOut, _) => "the opt-out".to_owned(),
            (Step::Remove, _) => "the erasure".to_owned(),
            (_, "contact") => "the contact".to_owned(),
            (_, part) => format!("the {part} (the contact is written)"),
        };
        match envelope::rows(answer, results, &key, &what, task.delivery.attempt) {
            Ok(rows) if step == Step::Write => {
                let Some(id) = rows.first().map(|row| number(row, "id")).filter(|id| *id > 0) else {
                    worst = Some(answer.result_with(gone()));
                    continue;
                };
                task.remote_id = Some(id.to_string());
                let contact = task.memo.contact.get_or_insert_default();
                contact.id = id;
            }
            // A row that the user may not edit is left out without an error. That must not confirm an opt-out.
            Ok(rows) if rows.len() < calls::affected_by(&key, step, &task.memo) => {
                let reason =
                    format!("CiviCRM did not write {what} for all contacts; the API user may not edit them");
                worst = Some(answer.result_with(Outcome::Retry { reason, after: None }));
            }
            Ok(_) => {}
            Err(result) => {
                if worst.as_ref().is_none_or(|worst| rank(worst) < rank(&result)) {
                    worst = Some(*result);
                }
            }
        }
    }
    if let Some(worst) = worst {
        task.end(worst);
    } else if let (Step::OptOut, Some(reason)) = (step, task.memo.ambiguous.take()) {
        end(answer, task, Outcome::Reject { reason });
    } else if step == Step::Remove
        && let Err(several) = calls::removed(&task.memo)
        && civicrm.settings.on_remove != OnRemove::OptOut
    {
        let reason = format!(
            "several contacts have the address ({}): they get no mail any more; delete them in CiviCRM",
            person::ids(&several)
        );
        end(answer, task, Outcome::Reject { reason });
    }
}

/// The response that CiviCRM documents for success: nobody is known yet, except to an opt-out.
pub(super) fn expected(civicrm: &CiviCrm, step: Step, tasks: &[&Task<'_, CiviCrm>]) -> Answer {
    let mut results = Results::new();
    let values = |rows: Value| json!({ "values": rows, "version": 4 });
    match step {
        Step::Find => {
            let known = tasks.iter().filter(|task| !task.has_step(&Step::Write));
            let row =
                |task: &&Task<'_, CiviCrm>| json!({ "id": 1, "contact_id": 1, "email": task.memo.email });
            results.insert("emails".to_owned(), values(known.map(row).collect()));
        }
        Step::Read => {
            results.insert("campaigns".to_owned(), values(json!([])));
        }
        Step::CreateCampaign => {
            for (name, _) in tasks.iter().filter_map(|task| task.memo.campaign.as_ref()) {
                results.insert(format!("campaign:{name}"), values(json!([{ "id": 1 }])));
            }
        }
        _ => {
            for (at, task) in tasks.iter().enumerate() {
                for key in calls::keys(civicrm, step, at, task) {
                    results.insert(key, values(json!([{ "id": 1 }])));
                }
            }
        }
    }
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: Value::Object(results).to_string().into_bytes(),
        complete: true,
    }
}
