//! What a token endpoint answers.

use std::time::Duration;

use causeway_core::{clock::Timestamp, destination::Outcome, secret::Secret};
use serde_json::Value;

use super::Failure;
use crate::http::{Answer, classify};

#[derive(Debug)]
pub(super) struct Granted {
    pub access_token: Secret,
    pub refresh_token: Option<String>,
    pub life: Option<Duration>,
}

/// The longest life that is believed: a wrong number must not keep a dead token for years.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

pub(super) fn read(answer: &Answer, now: Timestamp, name: &str) -> Result<Granted, Failure> {
    let content = answer.json().unwrap_or_default();
    let text = |member: &str| content.get(member).and_then(Value::as_str);
    if (200..300).contains(&answer.status) {
        let Some(token) = text("access_token").filter(|token| !token.is_empty()) else {
            return Err(Failure::Later(
                format!("the token endpoint answered {} without a token", answer.status),
                None,
            ));
        };
        return Ok(Granted {
            access_token: Secret::new(token),
            refresh_token: text("refresh_token")
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
            life: content.get("expires_in").and_then(seconds),
        });
    }
    // RFC 6749, 5.2. `error_description` may quote what was sent, so only the error's name is shown.
    // Supabase Auth and Mautic have it in other places.
    let in_list = || content.pointer("/errors/0/type").and_then(Value::as_str);
    let error = text("error").or_else(|| text("error_code")).or_else(in_list);
    let error = error.filter(|error| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
        error.len() <= 64 && error.bytes().all(is_name)
    });
    // A vendor that rotates tokens says so while it handles another renewal with the same token.
    let is_busy = text("error_description").is_some_and(|text| text.contains("already being processed"));
    match (answer.status, error) {
        (400..=403, Some(_)) if is_busy => Err(Failure::Later(
            "the token endpoint handles another renewal".to_owned(),
            Some(Duration::from_secs(2)),
        )),
        (400..=403, Some("invalid_grant")) => Err(Failure::Refused(format!(
            "the sign-in has ended or was withdrawn (invalid_grant): run `causeway connect {name}`, or make new credentials"
        ))),
        (400..=403, Some(error)) if error != "temporarily_unavailable" && error != "server_error" => {
            Err(Failure::Refused(format!(
                "the token endpoint refused the credentials ({error}): check the app's id, its secret and its rights"
            )))
        }
        (401, None) => Err(Failure::Refused(
            "the token endpoint answered 401: check the app's id and secret".to_owned(),
        )),
        (status, _) => {
            let after = match classify(status, &answer.headers, now) {
                Outcome::Busy { after, .. } | Outcome::Retry { after, .. } => after,
                _ => None,
            };
            Err(Failure::Later(
                format!("the token endpoint answered {status}"),
                after,
            ))
        }
    }
}

/// Some vendors send the number as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_life = seconds.is_finite() && seconds > 0.0;
    is_life.then(|| Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64())))
}
