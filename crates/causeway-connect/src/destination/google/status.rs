//! How the processing of a request went. Google counts the members that it did not take, by reason, and never says
//! which. Therefore those of a larger request are sent again in smaller ones, until each has a result of its own.

use std::time::Duration;

use causeway_core::{clock::Timestamp, consent::Change, destination::Outcome};
use serde_json::Value;

use super::{
    Google, Step,
    answer::{FIRST_LOOK, Verdict, verdict},
    memory::Ticket,
    removal,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

/// The longest wait between two looks.
const LONGEST_WAIT: Duration = Duration::from_hours(4);
/// A request without a result after this time, in seconds, is sent again.
const GIVE_UP: i64 = 3 * 86_400;
/// How much smaller the next requests are.
const SMALLER: usize = 16;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Waiting,
    All,
    /// Members that were not taken, by reason. `are_all`: every member, all for the same reason.
    Some {
        counts: Vec<(String, u64)>,
        are_all: bool,
    },
}

pub(super) fn read(
    ticket: &Ticket,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Google>],
    now: Timestamp,
) -> Reading {
    let body = match verdict(answer, now) {
        Verdict::Done(body) => body,
        Verdict::All(outcome) => return Reading::All(answer.result_with(outcome)),
        Verdict::NoSuchRequest(reason) | Verdict::Spoiled { reason, .. } => {
            return again(
                answer,
                tasks,
                format!("{reason}: Google has no result, so it is sent again"),
            );
        }
    };
    let Some(status) = status_in(&body) else {
        return without_status(answer);
    };
    let warnings = counts(status.pointer("/warningInfo/warningCounts"));
    if !warnings.is_empty() {
        let note = format!("Google warned: {}", named(&warnings));
        for task in tasks.iter_mut() {
            task.notes.push(note.clone());
        }
    }
    match end(status) {
        End::Waiting => waiting(ticket, answer, tasks, now),
        End::All => {
            for task in tasks.iter_mut() {
                let memory = &task.memo.memory;
                if let Some(addition) = memory.adding().filter(|addition| may_follow(addition, ticket)) {
                    task.then(Step::After(addition));
                    continue;
                }
                let memory = match task.delivery.record.change {
                    // Nothing is remembered of an erased person.
                    Change::Remove => Value::Null,
                    _ if ticket.adds => memory.confirmed(now.as_second(), ticket).value(),
                    _ => memory.emptied().value(),
                };
                task.remember(memory);
            }
            Reading::Read
        }
        End::Some { counts, are_all } => not_taken(ticket, answer, tasks, &counts, are_all),
    }
}

fn status_in(body: &Value) -> Option<&Value> {
    body.get("requestStatusPerDestination")?.as_array()?.first()
}

fn without_status(answer: &Answer) -> Reading {
    Reading::All(answer.result_with(Outcome::Retry {
        reason: format!("answered {} without a status", answer.status),
        after: None,
    }))
}

/// Whether Google may have processed an addition after a removal that it accepted later.
fn may_follow(addition: &Ticket, removal: &Ticket) -> bool {
    !removal.adds && removal.since.saturating_sub(addition.since) <= GIVE_UP
}

/// An addition whose result was not known when its person was removed. The removal is confirmed; once the addition is
/// processed, too, the person is removed again.
pub(super) fn after(
    addition: &Ticket,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Google>],
    now: Timestamp,
) -> Reading {
    let age = now.as_second().saturating_sub(addition.since);
    let is_over = match verdict(answer, now) {
        Verdict::Done(body) => match status_in(&body) {
            Some(status) => end(status) != End::Waiting || age > GIVE_UP,
            None => return without_status(answer),
        },
        Verdict::All(outcome) => return Reading::All(answer.result_with(outcome)),
        Verdict::NoSuchRequest(_) | Verdict::Spoiled { .. } => true,
    };
    for task in tasks.iter_mut() {
        if is_over {
            // What was confirmed does not count any more, even if the next call fails.
            task.void_ticket();
            task.memo.memory = task.memo.memory.added();
            task.remember(task.memo.memory.value());
            task.then(removal(&task.memo.memory));
        } else {
            let ticket = task.delivery.ticket.clone().unwrap_or_default();
            let after = wait(age);
            task.end(answer.result_with(Outcome::Pending { ticket, after }));
        }
    }
    Reading::Read
}

/// As long again as it took until now.
fn wait(age: i64) -> Duration {
    Duration::from_secs(age.max(0).unsigned_abs()).clamp(FIRST_LOOK, LONGEST_WAIT)
}

fn end(status: &Value) -> End {
    let failed = counts(status.pointer("/errorInfo/errorCounts"));
    // Some clients and proxies show the number of the word.
    match status.get("requestStatus") {
        Some(Value::String(text)) if text == "SUCCESS" && failed.is_empty() => End::All,
        Some(Value::Number(number)) if number.as_u64() == Some(1) && failed.is_empty() => End::All,
        Some(Value::String(text)) if matches!(text.as_str(), "SUCCESS" | "PARTIAL_SUCCESS" | "FAILED") => {
            let members = members(status);
            let are_all = failed.len() == 1 && failed.iter().all(|(_, number)| Some(*number) >= members);
            End::Some {
                counts: failed,
                are_all: are_all && members.is_some(),
            }
        }
        _ => End::Waiting,
    }
}

/// The members of the request.
fn members(status: &Value) -> Option<u64> {
    let added = status.pointer("/audienceMembersIngestionStatus/userDataIngestionStatus/recordCount");
    let removed = status.pointer("/audienceMembersRemovalStatus/userDataRemovalStatus/recordCount");
    added.or(removed).and_then(number)
}

/// Google writes large numbers as texts.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Numbers by reason.
fn counts(list: Option<&Value>) -> Vec<(String, u64)> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let one = |entry: &Value| {
        let number = entry.get("recordCount").and_then(number)?;
        let reason = entry.get("reason").and_then(Value::as_str).unwrap_or("UNKNOWN");
        let reason = reason.trim_start_matches("PROCESSING_ERROR_REASON_");
        let reason = reason.trim_start_matches("PROCESSING_WARNING_REASON_");
        let plain = reason
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_');
        Some((plain.take(100).collect(), number))
    };
    list.filter_map(one).filter(|(_, number)| *number > 0).collect()
}

/// `3 of NO_CONSENT, 1 of INVALID_FORMAT`
fn named(counts: &[(String, u64)]) -> String {
    let texts = counts
        .iter()
        .map(|(reason, number)| format!("{number} of {reason}"));
    texts.collect::<Vec<_>>().join(", ")
}

fn waiting(ticket: &Ticket, answer: &Answer, tasks: &mut [&mut Task<'_, Google>], now: Timestamp) -> Reading {
    let age = now.as_second().saturating_sub(ticket.since);
    if age > GIVE_UP {
        return again(
            answer,
            tasks,
            "Google has had no result for three days, so it is sent again".to_owned(),
        );
    }
    Reading::All(answer.result_with(Outcome::Pending {
        ticket: ticket.text(),
        after: wait(age),
    }))
}

/// The next attempt sends anew. Adding and removing twice changes nothing.
fn again(answer: &Answer, tasks: &mut [&mut Task<'_, Google>], reason: String) -> Reading {
    for task in tasks {
        task.void_ticket();
    }
    Reading::All(answer.result_with(Outcome::Retry { reason, after: None }))
}

fn not_taken(
    ticket: &Ticket,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Google>],
    counts: &[(String, u64)],
    are_all: bool,
) -> Reading {
    let what = if ticket.adds { "add" } else { "remove" };
    if counts.is_empty() {
        return again(
            answer,
            tasks,
            format!("Google could not {what} the people and gave no reason"),
        );
    }
    let named = named(counts);
    if counts
        .iter()
        .any(|(reason, _)| reason.ends_with("TERMS_NOT_SIGNED"))
    {
        return Reading::All(answer.result_with(Outcome::Halt {
            reason: format!("{named}: accept the terms in Google Ads"),
        }));
    }
    // Google's own trouble is over at some time.
    if counts.iter().any(|(reason, _)| reason.contains("INTERNAL")) {
        return again(
            answer,
            tasks,
            format!("Google could not {what} everybody ({named})"),
        );
    }
    if ticket.deliveries > 1 && !are_all {
        let most = ticket.deliveries.div_ceil(SMALLER).max(1);
        for task in tasks.iter_mut() {
            let mut memory = task.memo.memory.clone();
            memory.most = Some(most);
            task.remember(memory.value());
        }
        let reason = format!(
            "Google did not {what} everybody of a call about {} people ({named}) and does not say whom; smaller calls \
             follow",
            ticket.deliveries
        );
        return again(answer, tasks, reason);
    }
    for task in tasks.iter_mut() {
        task.void_ticket();
    }
    let reason = if ticket.adds {
        format!("Google did not add the person ({named})")
    } else {
        format!("Google did not remove the person ({named}); remove them from the list by hand")
    };
    Reading::All(answer.result_with(Outcome::Reject { reason }))
}
