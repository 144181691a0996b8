//! What a 400 or 403 of Mailchimp means. The title of the problem decides, and for some the text, because titles
//! changed over the years.

use std::time::Duration;

use causeway_core::destination::Outcome;
use serde_json::Value;

use super::{Mailchimp, Step, config::OptIn};
use crate::{connector::Task, http::Answer};

type Of<'d> = Task<'d, Mailchimp>;

/// How long Mailchimp is left alone after a refusal of its gateway.
const PAUSE: Duration = Duration::from_secs(30);
/// From this attempt on, the waits of the hub's own schedule are longer than an hour.
const LONG_WAITS_FROM: u32 = 5;

/// A 403 of Mailchimp's own has a problem; one without comes from its gateway, at very many calls.
pub(super) fn forbidden(step: &Step, task: &Of<'_>, problem: Option<&Value>) -> Outcome {
    let Some(problem) = problem else {
        return Outcome::Busy {
            reason: "answered 403 without a reason, as Mailchimp does at too many calls".to_owned(),
            after: Some(PAUSE),
        };
    };
    let reason = format!("answered 403: {}", title(problem));
    match step {
        // Opt-outs need no room, so the destination does not halt.
        Step::Upsert if is_about(problem, &["your plan", "contact limit"]) => full(task),
        // The member is written. A plan without events must not hold up opt-outs.
        Step::Tag | Step::FindEvent | Step::SendEvent => Outcome::Reject { reason },
        _ => Outcome::Halt {
            reason: format!("{reason}; check the key, its user and the plan"),
        },
    }
}

/// A 400 is about this person. It ends the delivery, unless the call can be made in another way.
pub(super) fn refused(
    mailchimp: &Mailchimp,
    step: &Step,
    answer: &Answer,
    problem: &Value,
    task: &mut Of<'_>,
) {
    let by_hand = match step {
        // The opt-out is written all the same.
        Step::Look => return,
        // An opt-out must not fail because of a word or a permission that the audience does not have.
        Step::Withdraw { plain: false } => {
            task.then(Step::Withdraw { plain: true });
            return;
        }
        Step::Withdraw { plain: true } => "; unsubscribe the person by hand",
        Step::Archive | Step::Delete => "; delete the person by hand",
        Step::Upsert if is_about(problem, &["compliance state"]) => {
            ask_or_leave(mailchimp, task);
            return;
        }
        Step::Upsert => match refused_member(problem, task) {
            Some(outcome) => {
                task.end(answer.result_with(outcome));
                return;
            }
            None if drop_refused(problem, task) => {
                task.then(Step::Upsert);
                return;
            }
            None => "",
        },
        _ => "",
    };
    let outcome = if problem.is_object() {
        Outcome::Reject {
            reason: format!("answered 400: {}{by_hand}", title(problem)),
        }
    } else {
        // Something in between: it decides about nobody, least of all about an opt-out.
        Outcome::Retry {
            reason: "answered 400 with something other than JSON".to_owned(),
            after: None,
        }
    };
    task.end(answer.result_with(outcome));
}

/// How a member that Mailchimp refuses ends, if it is for one of these reasons.
fn refused_member(problem: &Value, task: &Of<'_>) -> Option<Outcome> {
    if is_about(problem, &["permanently deleted", "forgotten email"]) {
        let reason = "Mailchimp deleted the address for good; only the person can come back, by its own form";
        return Some(Outcome::Skip {
            reason: reason.to_owned(),
        });
    }
    if is_about(problem, &["signed up to a lot of lists", "too many lists"]) {
        return Some(Outcome::Retry {
            reason: "answered 400: the address signed up to too many lists lately".to_owned(),
            after: waits(task),
        });
    }
    if is_about(problem, &["your plan", "contact limit"]) {
        return Some(full(task));
    }
    let is_misconfigured = is_about(problem, &["invalid interest"])
        || fields(problem).any(|field| field.starts_with("marketing_permissions"));
    is_misconfigured.then(|| Outcome::Halt {
        reason:
            "answered 400: the audience lacks a group or a marketing permission; correct `interests` and \
                 `marketing_permissions`"
                .to_owned(),
    })
}

fn full(task: &Of<'_>) -> Outcome {
    Outcome::Retry {
        reason: "the plan has no room for more contacts: upgrade it, or archive contacts".to_owned(),
        after: waits(task),
    }
}

/// An hour, until the waits of the hub's own schedule are longer.
fn waits(task: &Of<'_>) -> Option<Duration> {
    (task.delivery.attempt < LONG_WAITS_FROM).then(|| Duration::from_hours(1))
}

/// Mailchimp does not let the API subscribe a person who left by themselves, or whose address bounced.
fn ask_or_leave(mailchimp: &Mailchimp, task: &mut Of<'_>) {
    if mailchimp.settings.opt_in == OptIn::Pending && task.memo.status == Some("subscribed") {
        task.memo.status = Some("pending");
        task.then(Step::Upsert);
        return;
    }
    task.notes.push(
        "Mailchimp lets only the person subscribe again, because they left there or the address bounced: left so"
            .to_owned(),
    );
    task.leave_out(|_| true);
}

/// Takes out the values that Mailchimp refused, so that a wrong birthday keeps nobody off the list. Returns whether
/// there was one.
fn drop_refused(problem: &Value, task: &mut Of<'_>) -> bool {
    let mut is_less = false;
    for field in fields(problem) {
        let path = field.strip_prefix("merge_fields.").unwrap_or(field);
        let tag = path.split('.').next().unwrap_or(path);
        let is_dropped = task.memo.fields.shift_remove(tag).is_some()
            || (field == "language" && task.memo.language.take().is_some());
        if is_dropped {
            task.notes
                .push(format!("left out {tag}: Mailchimp refuses the value"));
        }
        is_less |= is_dropped;
    }
    is_less
}

/// Whether the title or the text of a problem has one of these words.
fn is_about(problem: &Value, words: &[&str]) -> bool {
    ["title", "detail"].iter().any(|part| {
        let text = problem.get(*part).and_then(Value::as_str).unwrap_or_default();
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    })
}

/// The fields that a problem names.
fn fields(problem: &Value) -> impl Iterator<Item = &str> {
    let errors = problem.get("errors").and_then(Value::as_array);
    let errors = errors.into_iter().flatten();
    errors.filter_map(|error| error.get("field")?.as_str())
}

/// The title of a problem and the fields that it names, without anything that may be a value.
pub(super) fn title(problem: &Value) -> String {
    let title = problem.get("title").and_then(Value::as_str);
    let is_name = |name: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_ -.'".contains(&byte);
        !name.is_empty() && name.len() <= 100 && name.bytes().all(is_plain)
    };
    let names = title.into_iter().chain(fields(problem)).filter(is_name).take(5);
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        "no reason given".to_owned()
    } else {
        names
    }
}
