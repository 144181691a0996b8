//! What Google's responses mean. The reason in the details of an error decides first, then its status.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Google, Step, memory::Ticket, request};
use crate::{
    connector::{Reading, Task},
    http::{Answer, classify},
};

/// What a response means for a call as a whole.
pub(super) enum Verdict {
    /// Success, with the body.
    Done(Value),
    All(Outcome),
    /// The call was refused because of these members, or of some that are not named.
    Spoiled {
        reason: String,
        members: Vec<usize>,
    },
    /// The status of the request cannot be asked for (any more).
    NoSuchRequest(String),
}

/// Google looks at a request after half an hour at the earliest.
pub(super) const FIRST_LOOK: Duration = Duration::from_mins(30);

/// The response to people who were added or removed.
pub(super) fn accepted(
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Google>],
    now: Timestamp,
) -> Reading {
    let adds = matches!(step, Step::Add { .. });
    match verdict(answer, now) {
        Verdict::Done(body) => {
            let id = body
                .get("requestId")
                .and_then(Value::as_str)
                .filter(|id| !id.is_empty());
            let Some(id) = id else {
                return retry(answer, format!("answered {} without a request id", answer.status));
            };
            let ticket = Ticket {
                adds,
                since: now.as_second(),
                deliveries: tasks.len(),
                request: id.to_owned(),
            };
            let warnings = body
                .get("fieldWarnings")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            for task in tasks.iter_mut() {
                if adds {
                    let memory = task.memo.memory.sent(&task.memo.ids, &ticket);
                    task.remember(memory.value());
                }
                if warnings > 0 {
                    task.notes
                        .push(format!("Google warned about {warnings} fields of the call"));
                }
            }
            Reading::All(answer.result_with(Outcome::Pending {
                ticket: ticket.text(),
                after: FIRST_LOOK,
            }))
        }
        Verdict::All(outcome) => Reading::All(answer.result_with(outcome)),
        Verdict::NoSuchRequest(reason) => retry(answer, reason),
        Verdict::Spoiled { reason, members } => {
            let reason = if adds {
                reason
            } else {
                format!("{reason}; remove the person from the list by hand")
            };
            spoiled(step, answer, tasks, &reason, &members)
        }
    }
}

fn retry(answer: &Answer, reason: String) -> Reading {
    Reading::All(answer.result_with(Outcome::Retry { reason, after: None }))
}

/// Ends those whose members are named, and sends the others again. Google takes all members of a call or none.
fn spoiled(
    step: &Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Google>],
    reason: &str,
    members: &[usize],
) -> Reading {
    let reject = || {
        answer.result_with(Outcome::Reject {
            reason: reason.to_owned(),
        })
    };
    let mut next = 0;
    let mut is_named = Vec::with_capacity(tasks.len());
    for task in tasks.iter() {
        let own = match step {
            Step::Remove { .. } => request::members_of(&task.memo.ids),
            _ => 1,
        };
        is_named.push(members.iter().any(|member| (next..next + own).contains(member)));
        next += own;
    }
    if tasks.len() == 1 {
        return Reading::All(reject());
    }
    if !is_named.contains(&true) {
        return Reading::Split;
    }
    for (task, is_named) in tasks.iter_mut().zip(is_named) {
        if is_named {
            task.end(reject());
        } else {
            task.then(step.clone());
        }
    }
    Reading::Read
}

pub(super) fn verdict(answer: &Answer, now: Timestamp) -> Verdict {
    let outcome = classify(answer.status, &answer.headers, now);
    let Some(body) = answer.json() else {
        // A page for people comes from something in front of the API.
        let is_redirect = (300..400).contains(&answer.status);
        return Verdict::All(match outcome {
            Outcome::Halt { .. } if is_redirect => outcome,
            Outcome::Retry { .. } | Outcome::Busy { .. } => outcome,
            _ => Outcome::Retry {
                reason: format!("answered {} with something other than JSON", answer.status),
                after: None,
            },
        });
    };
    match body.get("error").filter(|error| error.is_object()) {
        Some(error) => refused(answer, &outcome, error),
        None => match outcome {
            Outcome::Delivered { .. } if body.is_object() => Verdict::Done(body),
            Outcome::Delivered { .. } => Verdict::All(Outcome::Retry {
                reason: format!("answered {} with something unknown", answer.status),
                after: None,
            }),
            // Not Google's own error: something else answers at this address.
            Outcome::Reject { reason } if matches!(answer.status, 404 | 405 | 410) => {
                Verdict::All(Outcome::Halt {
                    reason: format!("{reason}, not as Google does: check `base_url` and `api_version`"),
                })
            }
            Outcome::Reject { reason } => Verdict::Spoiled {
                reason,
                members: Vec::new(),
            },
            other => Verdict::All(other),
        },
    }
}

/// What the details of an error say.
#[derive(Default)]
struct Details {
    /// The error's own reason, then those of its fields.
    reasons: Vec<String>,
    /// The members of the request that are named, and whether anything else is.
    members: Vec<usize>,
    field: Option<String>,
    delay: Option<Duration>,
    is_daily: bool,
}

fn details(error: &Value) -> Details {
    let mut found = Details::default();
    for detail in error
        .get("details")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        found.reasons.extend(name(detail.get("reason")));
        let quota = detail.pointer("/metadata/quota_limit").and_then(Value::as_str);
        found.is_daily |= quota.is_some_and(|quota| quota.to_lowercase().contains("day"));
        let delay = detail.get("retryDelay").and_then(Value::as_str);
        let seconds = delay.and_then(|delay| delay.strip_suffix('s')?.parse::<f64>().ok());
        // A wait of more than a day is implausible.
        let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
        found.delay = found.delay.or(seconds.map(Duration::from_secs_f64));
        for violation in detail
            .get("fieldViolations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            found.reasons.extend(name(violation.get("reason")));
            let field = violation.get("field").and_then(Value::as_str).unwrap_or_default();
            match member(field) {
                Some(member) => found.members.push(member),
                None => found.field = found.field.or(Some(first_part(field))),
            }
        }
    }
    found
}

/// A reason, unless the text is something else.
fn name(reason: Option<&Value>) -> Option<String> {
    let reason = reason?.as_str()?;
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!reason.is_empty() && reason.len() <= 100 && reason.bytes().all(is_name)).then(|| reason.to_owned())
}

/// 12 for `audience_members[12].user_data`, in any spelling.
fn member(field: &str) -> Option<usize> {
    let small = field.to_lowercase().replace('_', "");
    let (_, rest) = small.split_once("audiencemembers[")?;
    rest.split_once(']')?.0.parse().ok()
}

/// The name before the first dot or bracket.
fn first_part(field: &str) -> String {
    let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    field.chars().take_while(is_name).take(40).collect()
}

/// A limit was reached.
fn busy(named: &str, details: &Details, outcome: &Outcome) -> Outcome {
    let (what, wait) = if details.is_daily {
        ("the calls of this day are used up", Duration::from_hours(1))
    } else {
        ("too many calls of this project", Duration::from_mins(1))
    };
    Outcome::Busy {
        reason: format!("{named}: {what}"),
        after: Some(asked(outcome).or(details.delay).unwrap_or(wait)),
    }
}

/// The wait that the header asks for.
fn asked(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Busy { after, .. } | Outcome::Retry { after, .. } => *after,
        _ => None,
    }
}

/// The error object of the API.
fn refused(answer: &Answer, outcome: &Outcome, error: &Value) -> Verdict {
    let details = details(error);
    let status = name(error.get("status")).unwrap_or_default();
    let code = details
        .reasons
        .iter()
        .rfind(|reason| *reason != "INVALID_ARGUMENT")
        .unwrap_or(&status);
    let named = if code.is_empty() {
        format!("answered {}", answer.status)
    } else {
        format!("answered {}: {code}", answer.status)
    };
    let has = |reason: &str| details.reasons.iter().any(|have| have == reason) || status == reason;
    if answer.status == 429 || has("RESOURCE_EXHAUSTED") || has("RATE_LIMIT_EXCEEDED") {
        return Verdict::All(busy(&named, &details, outcome));
    }
    if has("INVALID_REQUEST_ID") || has("REQUEST_TOO_OLD") {
        return Verdict::NoSuchRequest(named);
    }
    if let Some(what) = details.reasons.iter().find_map(|reason| blocked(reason)) {
        return Verdict::All(Outcome::Halt {
            reason: format!("{named}: {what}"),
        });
    }
    let transient = [
        "INTERNAL",
        "INTERNAL_ERROR",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "CANCELLED",
    ];
    if answer.status >= 500 || transient.iter().any(|reason| has(reason)) {
        return Verdict::All(Outcome::Retry {
            reason: named,
            after: asked(outcome).or(details.delay),
        });
    }
    let halt = |what: &str| {
        Verdict::All(Outcome::Halt {
            reason: format!("{named}: {what}"),
        })
    };
    match answer.status {
        401 => halt("Google does not accept the token; check the credentials"),
        403 => halt(
            "invite the service account or the person as a user of the account in Google Ads (Admin, Access and \
             security), and set `login_account` if access comes through a manager account",
        ),
        404 => halt(
            "there is no such account or list, or no such version of the API; check `account` and `list`",
        ),
        400 if details.members.is_empty() && details.field.is_some() => halt(&format!(
            "Google refuses the whole call because of `{}`; check `account`, `login_account` and `list`, and whether \
             there is a newer Causeway",
            details.field.unwrap_or_default()
        )),
        400..=499 => Verdict::Spoiled {
            reason: format!("{named}: Google refused the person's identifiers"),
            members: details.members,
        },
        // An error that is not known says nothing about a person.
        _ => Verdict::All(Outcome::Retry {
            reason: named,
            after: None,
        }),
    }
}

/// What a person has to do before any call can succeed.
fn blocked(reason: &str) -> Option<&'static str> {
    let what = match reason {
        "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED" => {
            "a campaign of the account does not say whether it has political ads for the EU; declare it for every \
             campaign in Google Ads"
        }
        "TERMS_AND_CONDITIONS_NOT_SIGNED" | "ADVERTISER_TOS_NOT_ACCEPTED" => {
            "the terms of Customer Match are not accepted; a person accepts them in Google Ads (Tools, Audience \
             manager, Customer list)"
        }
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
            "the token lacks the scope https://www.googleapis.com/auth/datamanager; sign in again and leave it ticked"
        }
        "SERVICE_DISABLED" => {
            "the Data Manager API is not enabled in the Google Cloud project of the credentials; enable it there"
        }
        "NOT_ALLOWLISTED" | "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA" => {
            "Google does not let this account use Customer Match; see the policy of Customer Match, and ask Google"
        }
        "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH" => {
            "`login_account` is no manager of `account`; correct it, or leave it out if access is direct"
        }
        "DESTINATION_ACCOUNT_TYPE_MISMATCH" | "INVALID_DESTINATION" | "MISMATCHED_ACCOUNT_TYPE" => {
            "`account` is no account of Google Ads that can hold lists"
        }
        "INVALID_USER_LIST_ID" => "there is no such list in the account; check `list` and `account`",
        "INVALID_USER_LIST_TYPE" | "USER_LIST_MUTATION_NOT_SUPPORTED" => {
            "the list takes no contacts; create a customer list of e-mail addresses, and enter its number in `list`"
        }
        "SENSITIVE_USER_LIST_IMMUTABLE" => "Google locked the list for its content; create another",
        "OWNERSHIP_REQUIRED_FOR_UPDATE" => {
            "the list belongs to another account; use the account that owns it"
        }
        "REQUIRED_PREREQUISITE_LINK_MISSING" => "the account lacks a link that Google requires for this list",
        _ => return None,
    };
    Some(what)
}

/// The response that Google documents for success.
pub(super) fn expected(step: &Step, tasks: usize) -> Answer {
    let body = match step {
        Step::Look(ticket) | Step::After(ticket) => {
            let counts =
                json!({ "recordCount": tasks.to_string(), "userIdentifierCount": tasks.to_string() });
            let details = if ticket.adds {
                json!({ "audienceMembersIngestionStatus": { "userDataIngestionStatus": counts } })
            } else {
                json!({ "audienceMembersRemovalStatus": { "userDataRemovalStatus": counts } })
            };
            let mut status = json!({ "requestStatus": "SUCCESS" });
            if let (Some(status), Some(details)) = (status.as_object_mut(), details.as_object()) {
                status.extend(details.clone());
            }
            json!({ "requestStatusPerDestination": [status] })
        }
        _ => json!({ "requestId": "1" }),
    };
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
