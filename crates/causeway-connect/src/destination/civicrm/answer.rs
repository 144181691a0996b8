//! What CiviCRM's responses mean for each delivery.

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    CiviCrm, Step, calls,
    config::OnRemove,
    envelope::{self, Envelope, open},
    find::{self, end, number},
    known, person, withdraw,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

pub(super) type Tasks<'t, 'u, 'd> = &'t mut [&'u mut Task<'d, CiviCrm>];
pub(super) type Results = Map<String, Value>;

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
        Step::Find => find::find(civicrm, answer, &results, tasks),
        Step::Read => known::known(civicrm, answer, &results, tasks),
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
    match done {
        Ok(()) => Reading::Read,
        // A look-up is refused for all, perhaps because of one address in it.
        Err(result) if tasks.len() > 1 && matches!(result.outcome, Outcome::Reject { .. }) => Reading::Split,
        Err(result) => Reading::All(*result),
    }
}

/// Leaves out `Relate` if nothing hangs on the contact.
pub(super) fn leave_out_empty(task: &mut Task<'_, CiviCrm>) {
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

pub(super) fn gone() -> Outcome {
    Outcome::Retry {
        reason: "the contact is not there any more".to_owned(),
        after: None,
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
            Ok(rows) if rows.len() < withdraw::affected_by(&key, step, &task.memo) => {
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
        && let Err(several) = withdraw::removed(&task.memo)
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
