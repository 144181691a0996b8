//! What Meta's responses mean. The code and subcode of the error decide. The HTTP status does not: it is 400 for most
//! errors.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{Meta, Step};
use crate::{
    connector::{Reading, Task},
    http::{Answer, classify},
};

/// What a response means for a call as a whole.
pub(super) enum Verdict {
    /// Success, with the body.
    Done(Value),
    All(Outcome),
    /// The call was refused, probably because of one row.
    Spoiled(String),
}

pub(super) fn read(
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Meta>],
    now: Timestamp,
) -> Reading {
    match verdict(answer, now) {
        // Meta does not say which row it could not read, and an opt-out must not be confirmed without proof.
        Verdict::Done(body) if step == Step::Remove && invalid(&body, tasks.len()).is_some() => {
            if tasks.len() > 1 {
                Reading::Split
            } else {
                Reading::All(answer.result_with(Outcome::Reject {
                    reason:
                        "Meta could not read the row; remove the person from the audience by hand".to_owned(),
                }))
            }
        }
        Verdict::Done(body) if is_receipt(&body, tasks.len()) => {
            let note = invalid(&body, tasks.len());
            for task in tasks.iter_mut() {
                task.notes.extend(note.clone());
            }
            if let Some(first) = tasks.first_mut() {
                first.rest = first.rest.max(rest(answer));
            }
            Reading::Read
        }
        Verdict::Done(_) => Reading::All(answer.result_with(Outcome::Retry {
            reason: format!("answered {} without a receipt", answer.status),
            after: None,
        })),
        Verdict::All(outcome) => Reading::All(answer.result_with(outcome)),
        Verdict::Spoiled(_) if tasks.len() > 1 => Reading::Split,
        Verdict::Spoiled(reason) => Reading::All(answer.result_with(Outcome::Reject {
            reason: match step {
                Step::Add => reason,
                Step::Remove => format!("{reason}; remove the person from the audience by hand"),
            },
        })),
    }
}

/// Whether Meta received all rows of the call.
fn is_receipt(body: &Value, rows: usize) -> bool {
    let received = body.get("num_received").and_then(number);
    received.is_some_and(|received| received >= rows as u64)
}

/// The warning about entries that Meta could not read. Meta's samples are left out, because they may be personal data.
fn invalid(body: &Value, rows: usize) -> Option<String> {
    let number = body.get("num_invalid_entries").and_then(number)?;
    (number > 0).then(|| format!("Meta could not read {number} of the {rows} rows of this call"))
}

/// Meta writes some numbers as texts.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
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
        Some(error) => refused(answer, error),
        None => match outcome {
            Outcome::Delivered { .. } => Verdict::Done(body),
            // Not Meta's own error: something else answers at this address.
            Outcome::Reject { reason } if matches!(answer.status, 404 | 405 | 410) => {
                Verdict::All(Outcome::Halt {
                    reason: format!("{reason}, not as Meta does: check `base_url` and `api_version`"),
                })
            }
            Outcome::Reject { reason } => Verdict::Spoiled(reason),
            other => Verdict::All(other),
        },
    }
}

/// The error object of the API.
fn refused(answer: &Answer, error: &Value) -> Verdict {
    let member = |name: &str| error.get(name).and_then(number).unwrap_or_default();
    let (code, subcode) = (member("code"), member("error_subcode"));
    let named = match subcode {
        0 => format!("answered {}: error {code}", answer.status),
        _ => format!("answered {}: error {code}/{subcode}", answer.status),
    };
    if let Some((what, wait)) = busy(code, subcode) {
        return Verdict::All(Outcome::Busy {
            reason: format!("{named}: {what}"),
            after: Some(regain(answer).unwrap_or(wait)),
        });
    }
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    if let Some(what) = blocked(code, subcode, message) {
        let reason = format!("{named}: {what}");
        return Verdict::All(Outcome::Halt { reason });
    }
    let is_transient = error.get("is_transient").and_then(Value::as_bool) == Some(true);
    // 803: an audience takes nobody in the first minutes after it was created.
    if is_transient || answer.status >= 500 || matches!(code, 1 | 2 | 803 | 5_000 | 21_009) {
        return Verdict::All(Outcome::Retry {
            reason: named,
            after: None,
        });
    }
    match code {
        // The rows or their form.
        100 | 105 | 194 => Verdict::Spoiled(format!("{named}: Meta refused the request")),
        _ if matches!(answer.status, 401 | 403) => Verdict::All(Outcome::Halt {
            reason: format!("{named}: Meta refuses the token or the app"),
        }),
        // An error that is not known says nothing about a row.
        _ => Verdict::All(Outcome::Retry {
            reason: named,
            after: None,
        }),
    }
}

/// Limits, and how long to wait if the headers do not say it.
fn busy(code: u64, subcode: u64) -> Option<(&'static str, Duration)> {
    let minutes = Duration::from_mins;
    match (code, subcode) {
        (80_003, _) => Some(("too many changes of audiences of this ad account", minutes(5))),
        (4 | 17 | 32 | 341 | 613 | 80_000..=80_014, _) => Some(("too many calls", minutes(5))),
        (2_650, 1_870_145) => Some(("another update of the audience is in progress", minutes(2))),
        (368, _) => Some(("Meta blocks the account for a while", minutes(120))),
        _ => None,
    }
}

/// What a person has to do before any call can succeed.
fn blocked(code: u64, subcode: u64, message: &str) -> Option<&'static str> {
    let what = match (code, subcode) {
        (102 | 104 | 190, _) => {
            "Meta does not accept the token any more; make a new token of the system user and enter it in `token`"
        }
        (200, 1_870_034 | 1_870_090) | (2_655 | 2_663, _) => {
            "the terms of Custom Audiences are not accepted; a person of your business accepts them at \
             https://business.facebook.com/ads/manage/customaudiences/tos/?act=NUMBER_OF_THE_AD_ACCOUNT"
        }
        (200, 1_870_050) => "the ad account is not in the token's business; assign it to the system user",
        (200, 1_870_047) => {
            "Meta removes nobody while too few people would be left for running ads; stop these ads, or take the \
             audience out of them"
        }
        (3 | 10 | 200..=299, _) => {
            "the token lacks a permission; give the system user the ad account with full control, and the token \
             `ads_management`"
        }
        (100, 33) => {
            "there is no such audience, or the token may not see it; check `audience`, and assign the ad account to \
             the system user"
        }
        (1_487_301 | 1_487_366, _) | (_, 1_487_301 | 1_487_366) => {
            "the audience was deleted or is no longer shared; delete it in Ads Manager, create another and enter its number \
             in `audience`"
        }
        (100, 1_713_230) => {
            "Meta flagged the audience; resolve that in Ads Manager, or create another with a neutral name and \
             description"
        }
        (2_635, _) => "Meta retired this version of its API; update Causeway, or set a newer `api_version`",
        (2_500, _) => "Meta does not know this version of its API; correct `api_version`",
        (2_650, _) => {
            "the audience was filled in another way; create one that only Causeway fills, and enter its number in \
             `audience`"
        }
        (2_654, _) => "this sort of audience cannot be changed; create one of a customer list",
        (100, _) if message.contains("appsecret_proof") => {
            "the proof of the app's secret is missing or wrong; enter the secret of the token's app in `app_secret`"
        }
        _ => return None,
    };
    Some(what)
}

/// How much of a limit is used.
struct Usage {
    /// `custom_audience` for changes of audiences.
    kind: String,
    percent: f64,
    regain: Duration,
}

/// From this percentage on, the hub rests.
const NEARLY_USED: f64 = 95.0;
/// How long, if Meta does not say it. The limit counts the calls of a rolling hour.
const REST: Duration = Duration::from_mins(5);

/// All limits in the header, which has a list for each ad account or business.
fn usage(headers: &HeaderMap) -> Vec<Usage> {
    let text = headers
        .get("x-business-use-case-usage")
        .map(HeaderValue::as_bytes);
    let all: Option<Value> = text.and_then(|text| serde_json::from_slice(text).ok());
    let lists = all.as_ref().and_then(Value::as_object).into_iter().flatten();
    let entries = lists.filter_map(|(_, list)| list.as_array()).flatten();
    let read = |entry: &Value| {
        let percent = |name: &str| entry.get(name).and_then(Value::as_f64).unwrap_or_default();
        let minutes = entry.get("estimated_time_to_regain_access").and_then(number);
        Usage {
            kind: entry
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            percent: percent("call_count")
                .max(percent("total_cputime"))
                .max(percent("total_time")),
            // A wait of more than a day is implausible.
            regain: Duration::from_mins(minutes.unwrap_or_default().min(24 * 60)),
        }
    };
    entries.map(read).collect()
}

/// How long Meta takes no calls, if the header says it.
fn regain(answer: &Answer) -> Option<Duration> {
    let longest = usage(&answer.headers).into_iter().map(|usage| usage.regain).max();
    longest.filter(|wait| !wait.is_zero())
}

/// The rest after a call that nearly used up the limit. A call above the limit starts a block.
fn rest(answer: &Answer) -> Option<Duration> {
    let all = usage(&answer.headers).into_iter();
    let reached = all.filter(|usage| usage.kind == "custom_audience" && usage.percent >= NEARLY_USED);
    reached
        .map(|usage| {
            if usage.regain.is_zero() {
                REST
            } else {
                usage.regain
            }
        })
        .max()
}

/// The response that Meta documents for success.
pub(super) fn expected(meta: &Meta, rows: usize) -> Answer {
    let body = json!({
        "audience_id": meta.settings.audience.to_string(), "session_id": "1", "num_received": rows,
        "num_invalid_entries": 0, "invalid_entry_samples": [],
    });
    Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    }
}
