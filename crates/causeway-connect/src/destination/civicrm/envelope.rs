//! The results of the calls of one request, and what an error means. Almost every error has status 500, and its text is
//! hidden from users without the right to see it.

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use serde_json::{Map, Value};

use crate::http::Answer;

/// What became of the request as a whole.
pub(super) enum Envelope {
    /// Each call has its own result.
    Results(Map<String, Value>),
    /// The request was refused, perhaps because of what is in it or because it took too long.
    Spoiled(AttemptResult),
    All(AttemptResult),
}

/// The attempt after which an error whose text is hidden counts as final.
const HIDDEN_ATTEMPTS: u32 = 3;

pub(super) fn open(answer: &Answer, attempt: u32, now: Timestamp) -> Envelope {
    let body = answer.json().filter(|_| answer.complete);
    let retry = |reason: String| answer.result_with(Outcome::Retry { reason, after: None });
    let halt = |reason: String| answer.result_with(Outcome::Halt { reason });
    let status = answer.status;
    match (status, body) {
        (401, _) => Envelope::All(halt(
            "answered 401: CiviCRM does not accept the API key; check `api_key`, `site_key` and the contact's permission to \
             use API keys"
                .to_owned(),
        )),
        (200..=299 | 403 | 500, Some(Value::Object(results))) if is_results(&results) => {
            let all_forbidden = results.values().all(|result| number(result, "status") == 403);
            if status == 403 && all_forbidden {
                return Envelope::All(halt(
                    "answered 403: the API user lacks a permission; see the list in the documentation".to_owned(),
                ));
            }
            Envelope::Results(results)
        }
        (200..=299, _) => Envelope::All(retry(format!("answered {status} without results"))),
        // A page for people: the host's firewall, which may dislike one record, or a proxy.
        (403, None) => Envelope::Spoiled(retry("answered 403 with a page: a firewall refused the request".to_owned())),
        (403, Some(_)) => Envelope::All(halt("answered 403: the API user lacks a permission".to_owned())),
        (400, Some(body)) if text(&body).contains("SECURITY ALERT") => Envelope::All(halt(
            "answered 400: something in front of CiviCRM removes the header X-Civi-Auth or X-Requested-With".to_owned(),
        )),
        (404 | 405 | 410, _) => {
            Envelope::All(halt(format!("answered {status}: there is no APIv4; check `base_url`")))
        }
        (400 | 413 | 422 | 502 | 504, _) | (500, None) => Envelope::Spoiled(answer.attempt_result(now)),
        (500, Some(body)) => match answer.result_with(outcome(&body, attempt, "the request")) {
            refused @ AttemptResult {
                outcome: Outcome::Reject { .. },
                ..
            } => Envelope::Spoiled(refused),
            other => Envelope::All(other),
        },
        _ => Envelope::All(answer.attempt_result(now)),
    }
}

/// Whether the body has one result or error for each call.
fn is_results(body: &Map<String, Value>) -> bool {
    let is_result = |value: &Value| value.get("values").is_some() || is_error(value);
    !body.is_empty() && body.values().all(is_result)
}

fn is_error(result: &Value) -> bool {
    result.get("error_message").is_some() || result.get("error_code").is_some()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text(error: &Value) -> &str {
    error
        .get("error_message")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The rows of one call. `Err` has what the error means; a missing result means that nothing is known.
pub(super) fn rows(
    answer: &Answer,
    results: &Map<String, Value>,
    key: &str,
    what: &str,
    attempt: u32,
) -> Result<Vec<Value>, Box<AttemptResult>> {
    match results.get(key) {
        Some(result) if is_error(result) => {
            let mut refused = answer.result_with(outcome(result, attempt, what));
            let mut excerpt = result.to_string();
            let mut end = excerpt.len().min(AttemptResult::EXCERPT_BYTES);
            while !excerpt.is_char_boundary(end) {
                end -= 1;
            }
            excerpt.truncate(end);
            refused.excerpt = Some(excerpt);
            Err(Box::new(refused))
        }
        Some(result) => match result.get("values") {
            Some(Value::Array(rows)) => Ok(rows.clone()),
            Some(Value::Object(rows)) => Ok(rows.values().cloned().collect()),
            _ => Err(unknown(answer, what)),
        },
        None => Err(unknown(answer, what)),
    }
}

fn unknown(answer: &Answer, what: &str) -> Box<AttemptResult> {
    Box::new(answer.result_with(Outcome::Retry {
        reason: format!("CiviCRM said nothing about {what}"),
        after: None,
    }))
}

/// What an error of one call means. The reason names entities and fields, never values.
fn outcome(error: &Value, attempt: u32, what: &str) -> Outcome {
    let message = text(error);
    let lower = message.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let reason = |text: String| format!("CiviCRM refused {what}: {text}");
    let is_locked = has("deadlock") || has("lock wait timeout") || has("1213") || has("1205");
    if is_locked {
        return Outcome::Retry {
            reason: reason("the database was locked".to_owned()),
            after: None,
        };
    }
    if number(error, "status") == 403 || has("acl check failed") || has("authorization failed") {
        return Outcome::Reject {
            reason: reason("the API user lacks a permission".to_owned()),
        };
    }
    if has("no such field") || has("no such table") || has("syntax error") {
        return Outcome::Halt {
            reason: reason(
                "the database of the site lacks a field or table; upgrade CiviCRM's database".to_owned(),
            ),
        };
    }
    if has("is not available for entity") || has("version 4 does not exist") {
        return Outcome::Halt {
            reason: reason("an entity is missing; a component or extension is not enabled".to_owned()),
        };
    }
    if let Some((_, fields)) = message.split_once("Mandatory values missing from ") {
        return Outcome::Reject {
            reason: reason(format!("values are missing: {}", names(fields))),
        };
    }
    if has("already exists") {
        return Outcome::Reject {
            reason: reason("a value that must be unique belongs to another row".to_owned()),
        };
    }
    if has("sorry an error occurred") || message.is_empty() {
        let text = "an error whose text is hidden; give the API user the permission \"view debug output\"";
        return if attempt < HIDDEN_ATTEMPTS {
            Outcome::Retry {
                reason: reason(text.to_owned()),
                after: None,
            }
        } else {
            Outcome::Reject {
                reason: reason(text.to_owned()),
            }
        };
    }
    Outcome::Reject {
        reason: reason("see the response in the trace".to_owned()),
    }
}

/// Names of entities and fields, without anything that may be a value.
fn names(text: &str) -> String {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || " _:.,".contains(*c);
    text.chars().take_while(is_name).take(200).collect()
}
