//! What Engaging Networks' responses mean when they are refusals. One limit is a 401 and the other a 429, and "not
//! there" is a 204 or a 404.

use std::time::Duration;

use causeway_core::{clock::Timestamp, consent::Change, destination::Outcome};
use serde_json::Value;

use super::{
    EngagingNetworks, Step,
    action::leave_out_action,
    answer::{Of, retry, unknown, unreadable},
    session::{HOUR_IS_USED, is_used_up, message},
};
use crate::{
    connector::Reading,
    http::{Answer, retry_after},
};

/// How long nothing is sent after a 429 that does not say it. The number of actions counts for 5 minutes.
const WAIT: Duration = Duration::from_mins(1);
/// From this attempt on, a page that answers with an error refuses the action for good.
const PAGE_ERRORS: u32 = 3;

pub(super) fn read(
    networks: &EngagingNetworks,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
    now: Timestamp,
) -> Reading {
    let all = |outcome: Outcome| Reading::All(answer.result_with(outcome));
    let status = answer.status;
    let body = answer.json().filter(|_| answer.complete).unwrap_or_default();
    let text = message(&body);
    let asked = retry_after(&answer.headers, now).ok().flatten();
    let halt = |reason: &str| {
        all(Outcome::Halt {
            reason: format!("answered {status}: {reason}"),
        })
    };
    match status {
        400..=403 if text.contains("adequate permissions") => halt(
            "the API user may not do this; give its permission group the rights that docs/engagingnetworks.md lists",
        ),
        401 if is_used_up(text) => all(Outcome::Busy {
            reason: "answered 401: the API user has used up its calls of this hour".to_owned(),
            after: Some(asked.unwrap_or(HOUR_IS_USED)),
        }),
        429 => all(Outcome::Busy {
            reason: "answered 429: too many calls".to_owned(),
            after: Some(asked.or(seconds(&body)).unwrap_or(WAIT)),
        }),
        401 | 403 if body.is_object() || answer.body.is_empty() => {
            halt("Engaging Networks refuses the API user; check its addresses, its rights and `token`")
        }
        401 | 403 => Reading::All(retry(answer, "with something other than JSON")),
        404 if !text.is_empty() || answer.body.is_empty() => absent(networks, step, answer, tasks),
        404 | 405 | 410 => halt("check `base_url`"),
        400 | 409 | 422 if text.contains("not present in the account") => {
            halt("the account has no such field or question; run `causeway doctor` and correct the mapping")
        }
        400 | 409 | 422 => refused(networks, step, answer, text, tasks),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// The guide of a client shows the wait in the body.
fn seconds(body: &Value) -> Option<Duration> {
    let seconds = body.get("retryAfter")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn refused(
    networks: &EngagingNetworks,
    step: &Step,
    answer: &Answer,
    text: &str,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    let status = answer.status;
    let what = match step {
        Step::Suppress if tasks.len() > 1 => return Reading::Split,
        _ if is_about_address(text) => "the address",
        Step::ReadPage(_) | Step::Act => {
            for task in tasks {
                refuse_action(
                    task,
                    &format!("answered {status}: Engaging Networks refuses the action"),
                );
            }
            return Reading::Read;
        }
        _ => "the supporter",
    };
    let reason = format!("answered {status}: Engaging Networks refuses {what}");
    if matches!(step, Step::Write | Step::Act)
        && let [task] = tasks
        && opts_out_alone(networks, &reason, task)
    {
        return Reading::Read;
    }
    Reading::All(answer.result_with(Outcome::Reject { reason }))
}

/// An opt-out does not fail because of the data beside it: it is written alone, and the delivery ends as refused.
/// Returns whether there is something to leave out.
fn opts_out_alone(networks: &EngagingNetworks, reason: &str, task: &mut Of<'_>) -> bool {
    let takes_consent = matches!(
        task.delivery.record.change,
        Change::Unsubscribe | Change::Suppress
    );
    if !takes_consent || task.memo.id.is_none() {
        return false;
    }
    let memo = &mut task.memo;
    let before = memo.fields.len() + memo.questions.len();
    memo.fields.clear();
    let is_opt_in = |name: &str| networks.settings.opt_in_names().any(|known| known == name);
    memo.questions.retain(|name, _| is_opt_in(name));
    if memo.questions.len() == before && !task.has_step(&Step::Act) {
        return false;
    }
    task.memo.refusal = Some(format!("{reason}. The opt-out is written"));
    task.leave_out(|step| matches!(step, Step::FindAction | Step::ReadPage(_) | Step::Act));
    if !task.memo.questions.is_empty() {
        task.then(Step::Write);
    }
    true
}

fn is_about_address(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("email") && text.contains("valid")
}

/// The person is written without the action, and the delivery ends as refused.
pub(super) fn refuse_action(task: &mut Of<'_>, reason: &str) {
    task.memo.refusal = Some(format!("{reason}. The person is written"));
    leave_out_action(task, "the action is not stored");
}

/// A page answered with status 200 and an error.
pub(super) fn page_failed(
    networks: &EngagingNetworks,
    answer: &Answer,
    body: &Value,
    task: &mut Of<'_>,
) -> Reading {
    let error = ["error", "message"].map(|name| body.get(name).and_then(Value::as_str).unwrap_or_default());
    if error.iter().any(|text| is_about_address(text)) {
        let reason = "the page refuses the address".to_owned();
        if opts_out_alone(networks, &reason, task) {
            return Reading::Read;
        }
        return Reading::All(answer.result_with(Outcome::Reject { reason }));
    }
    if task.delivery.attempt < PAGE_ERRORS {
        return Reading::All(answer.result_with(Outcome::Retry {
            reason: "the page answered 200 with the status ERROR".to_owned(),
            after: None,
        }));
    }
    let reason = "the page answered with the status ERROR again and again".to_owned();
    refuse_action(task, &reason);
    Reading::Read
}

/// Something is not there. An empty 404 may be that of something in front of Engaging Networks.
pub(super) fn absent(
    networks: &EngagingNetworks,
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    let is_proven = answer.status == 204 || !answer.body.is_empty();
    match step {
        Step::Find(what) | Step::FindById(what) => {
            for task in tasks {
                if matches!(step, Step::Find(_)) && task.memo.memory.supporter.is_some() {
                    task.then(Step::FindById(*what));
                    continue;
                }
                task.memo.memory.forget_supporter();
                if is_proven {
                    unknown(networks, *what, task);
                } else {
                    task.then(Step::Prove(*what));
                }
            }
            Reading::Read
        }
        // The supporter was found just now, so it has no transactions.
        Step::FindAction if is_proven => Reading::Read,
        // It was deleted since it was found.
        Step::Delete | Step::OptOut | Step::Confirm if is_proven => {
            for task in tasks {
                task.leave_out(|step| *step == Step::Suppress);
                task.notes
                    .push("the supporter is not at Engaging Networks any more".to_owned());
            }
            Reading::Read
        }
        Step::Write | Step::Suppress if is_proven => gone(step, answer, tasks),
        Step::ReadPage(_) | Step::Act if is_proven => {
            for task in tasks {
                let reason = format!(
                    "answered {}: the account has no such page; check `action.page`",
                    answer.status
                );
                refuse_action(task, &reason);
            }
            Reading::Read
        }
        _ if answer.status == 204 => unreadable(answer),
        _ => Reading::All(answer.result_with(Outcome::Halt {
            reason: format!("answered {}: check `base_url`", answer.status),
        })),
    }
}

/// The supporter was deleted since it was found or remembered.
fn gone(step: &Step, answer: &Answer, tasks: &mut [&mut Of<'_>]) -> Reading {
    let [task] = tasks else { return Reading::Split };
    if task.memo.id.is_none() {
        // Creating a supporter cannot miss one.
        return Reading::All(answer.result_with(Outcome::Halt {
            reason: format!("answered {}: check `base_url`", answer.status),
        }));
    }
    task.memo.memory.forget_supporter();
    super::consent::remember(task);
    if *step == Step::Write && !task.memo.is_found {
        // Nothing was decided by what it had, so it is created anew.
        task.memo.id = None;
        task.then(Step::Write);
        return Reading::Read;
    }
    Reading::All(retry(answer, "because the supporter is not there any more"))
}
