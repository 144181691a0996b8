//! What Brevo's errors mean. The code of an error decides, and the duplicates that it names.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use serde_json::Value;

use super::{Brevo, Step, consent, values::EXT_ID};
use crate::{
    connector::{Reading, Task},
    http::{Answer, retry_after},
};

type Of<'d> = Task<'d, Brevo>;

/// Attributes that name one contact. A number that is none, or another contact's, rejects the whole contact.
const NUMBERS: [&str; 3] = ["SMS", "WHATSAPP", "LANDLINE_NUMBER"];
/// How long Brevo is left alone when it refuses calls without saying for how long.
const PAUSE: Duration = Duration::from_secs(5);
/// The limit of an hour is the longest that Brevo has.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
const HAS_NO_LIST: &str = "Brevo has not all of the lists; correct `lists`";

/// An answer that is no success, for the tasks of one call.
pub(super) fn read(step: Step, answer: &Answer, tasks: &mut [&mut Of<'_>], now: Timestamp) -> Reading {
    let body = answer.json().filter(Value::is_object);
    let code = body.as_ref().and_then(|body| body.get("code")?.as_str());
    let code = word(code.unwrap_or_default()).to_owned();
    let status = answer.status;
    match (status, &body) {
        (429, _) if step == Step::FindEvents => {
            look_later(answer, tasks, now);
            Reading::Read
        }
        (429, _) => all(
            answer,
            Outcome::Busy {
                reason: "answered 429: too many calls".to_owned(),
                after: Some(pause(answer, now).unwrap_or(PAUSE)),
            },
        ),
        // The contact is being processed.
        (425, _) => all(
            answer,
            Outcome::Retry {
                reason: format!("answered 425: {code}"),
                after: pause(answer, now).or(Some(PAUSE)),
            },
        ),
        (400..=404, None) => all(
            answer,
            retry(&format!(
                "answered {status}, but not as Brevo does: something in between may have answered"
            )),
        ),
        (400 | 403 | 404, Some(_)) if step == Step::FindEvents => {
            for task in tasks {
                task.notes.push(format!(
                    "could not look whether Brevo has the event already: answered {status}"
                ));
            }
            Reading::Read
        }
        (400 | 413, _) if tasks.len() > 1 => Reading::Split,
        (404, Some(_)) if code == "document_not_found" => match tasks {
            [task] => missing(step, answer, task),
            _ => Reading::Split,
        },
        (404, Some(_)) => all(
            answer,
            halt("answered 404: there is no such API; check `api_version` and `base_url`"),
        ),
        (400, Some(body)) => match tasks {
            [task] => refused(step, answer, body, &code, task),
            _ => Reading::Split,
        },
        (401, Some(_)) => all(
            answer,
            halt("answered 401: Brevo does not accept the key, or not from this IP address"),
        ),
        (402, Some(_)) => all(answer, halt("answered 402: the account has no credits")),
        // The contact is written. A plan without events must not hold up opt-outs.
        (403, Some(_)) if step == Step::SendEvents => {
            let reason = format!("answered 403: {code}");
            all(answer, Outcome::Reject { reason })
        }
        (403, Some(_)) => all(
            answer,
            halt(&format!("answered 403: {code}; check the key and the plan")),
        ),
        _ => Reading::All(answer.attempt_result(now)),
    }
}

/// A 400 is about this person. It ends the delivery, unless the call can be made in another way.
fn refused(step: Step, answer: &Answer, error: &Value, code: &str, task: &mut Of<'_>) -> Reading {
    let by_hand = match step {
        // The opt-out is written all the same.
        Step::Look => return Reading::Read,
        Step::Upsert => match refused_contact(error, task) {
            Some(outcome) => return all(answer, outcome),
            None if drop_identifiers(error, task) => {
                task.then(Step::Upsert);
                return Reading::Read;
            }
            None => "",
        },
        Step::Withdraw => "; block the contact by hand",
        Step::Delete => "; delete the contact by hand",
        _ => "",
    };
    let reason = format!("answered 400: {code}{by_hand}");
    all(answer, Outcome::Reject { reason })
}

/// How a contact that Brevo refuses ends, if it is for one of these reasons.
fn refused_contact(error: &Value, task: &Of<'_>) -> Option<Outcome> {
    let named = duplicates(error);
    if !named.is_empty() && named.iter().all(|name| name == "EMAIL") {
        return Some(retry(
            "answered 400: another call creates the contact at this moment",
        ));
    }
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let is_about_lists = named.is_empty() && !task.memo.lists.is_empty() && names_lists(message);
    is_about_lists.then(|| no_list(400, task))
}

/// Whether a message is about lists, and not about a blacklist for example.
fn names_lists(message: &str) -> bool {
    let message = message.to_lowercase();
    let mut words = message.split(|sign: char| !sign.is_alphanumeric());
    words.any(|word| matches!(word, "list" | "lists" | "listid" | "listids"))
}

/// A list of the campaign may be wrong for this campaign only.
fn no_list(status: u16, task: &Of<'_>) -> Outcome {
    let reason = format!("answered {status}: {HAS_NO_LIST}");
    if task.memo.has_campaign_lists {
        let reason = format!("{reason}, or that of the campaign");
        Outcome::Reject { reason }
    } else {
        halt(&reason)
    }
}

/// Brevo says that it has no such contact.
fn missing(step: Step, answer: &Answer, task: &mut Of<'_>) -> Reading {
    let may_have_other_address = task.memo.memory.id.is_some() && !task.memo.by_id;
    match step {
        Step::Look | Step::ReadContact | Step::Delete if may_have_other_address => {
            task.memo.by_id = true;
            task.then(step);
        }
        // After `Withdraw` it may be a list that is missing. The contact itself is read next.
        Step::Withdraw | Step::Reread => {}
        Step::Look | Step::Confirm => {
            task.memo.by_id = false;
            consent::is_nobody(task);
        }
        Step::ReadContact => task.memo.by_id = false,
        Step::Delete => task.remember(Value::Null),
        // Nobody has this number any more. Without consent it does no harm that the address is written unread.
        Step::Upsert if task.memo.by_id && task.memo.lists.is_empty() => {
            task.memo.by_id = false;
            task.then(Step::Upsert);
        }
        Step::Upsert if !task.memo.by_id => return all(answer, no_list(404, task)),
        _ => return all(answer, retry("the contact is not there any more")),
    }
    Reading::Read
}

/// Takes out identifiers that Brevo refuses, so that a wrong telephone number keeps nobody off the list. Returns whether
/// there was one.
fn drop_identifiers(error: &Value, task: &mut Of<'_>) -> bool {
    let named = duplicates(error);
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = message.to_lowercase();
    let is_about_numbers = ["phone", "landline", "whatsapp", "sms"]
        .iter()
        .any(|word| message.contains(word));
    let is_refused =
        |name: &str| named.iter().any(|one| one == name) || (named.is_empty() && is_about_numbers);
    let mut dropped: Vec<&str> = Vec::new();
    for name in NUMBERS.into_iter().filter(|name| is_refused(name)) {
        dropped.extend(task.memo.attributes.shift_remove(name).map(|_| name));
    }
    if named.iter().any(|name| name == EXT_ID) && task.memo.ext_id.take().is_some() {
        dropped.push(EXT_ID);
    }
    for name in &dropped {
        task.notes.push(format!(
            "left out {name}: Brevo refuses it, or another contact has it"
        ));
    }
    !dropped.is_empty()
}

/// The identifiers that other contacts have, in capitals.
fn duplicates(error: &Value) -> Vec<String> {
    let found = error.pointer("/metadata/duplicate_identifiers");
    let found = found.and_then(Value::as_array).into_iter().flatten();
    found
        .filter_map(|name| Some(name.as_str()?.to_uppercase()))
        .collect()
}

/// The calls that read events have a small limit of their own, which must hold up nothing else.
fn look_later(answer: &Answer, tasks: &mut [&mut Of<'_>], now: Timestamp) {
    for task in tasks {
        if task.delivery.attempt <= 1 {
            task.notes
                .push("could not look whether Brevo has the event already: answered 429".to_owned());
        } else {
            let outcome = Outcome::Retry {
                reason: "answered 429: too many calls to look for events".to_owned(),
                after: pause(answer, now),
            };
            task.end(answer.result_with(outcome));
        }
    }
}

fn all(answer: &Answer, outcome: Outcome) -> Reading {
    Reading::All(answer.result_with(outcome))
}

pub(super) fn retry(reason: &str) -> Outcome {
    Outcome::Retry {
        reason: reason.to_owned(),
        after: None,
    }
}

fn halt(reason: &str) -> Outcome {
    Outcome::Halt {
        reason: reason.to_owned(),
    }
}

/// A code of Brevo's, without anything that may be a value.
fn word(code: &str) -> &str {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_word = !code.is_empty() && code.len() <= 60 && code.bytes().all(is_sign);
    if is_word { code } else { "no reason given" }
}

fn number(answer: &Answer, name: &str) -> Option<u64> {
    answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How long until the limit counts anew.
fn reset(answer: &Answer) -> Option<Duration> {
    let seconds = number(answer, "x-sib-ratelimit-reset")?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn pause(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let asked = retry_after(&answer.headers, now).ok().flatten();
    asked.or_else(|| reset(answer))
}

/// The rest until Brevo takes calls again, if this call was the last one. The limit of a second needs none, because calls
/// are spread.
pub(super) fn rest(step: Step, answer: &Answer) -> Option<Duration> {
    let is_last = number(answer, "x-sib-ratelimit-remaining") == Some(0) && answer.status < 300;
    reset(answer).filter(|rest| is_last && step != Step::FindEvents && *rest > Duration::from_secs(1))
}
