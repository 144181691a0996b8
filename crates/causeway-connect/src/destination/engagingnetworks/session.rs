//! The session: Engaging Networks gives a token for that of an API user.

use std::time::Duration;

use bytes::Bytes;
use causeway_core::{clock::Timestamp, secret::Secret};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{EngagingNetworks, request};
use crate::{
    connector::{Granted, Login, Refusal},
    http::{Answer, HttpRequest, classify, retry_after},
    oauth::Failure,
};

/// The header of the session's token, and its name in the response.
pub(super) const TOKEN: &str = "ens-auth-token";
/// A refused API user may try again after this time, if its calls of the hour are used up.
pub(super) const HOUR_IS_USED: Duration = Duration::from_mins(10);
/// Numbers above this are times and not lives, in milliseconds.
const ARE_TIMES: f64 = 1e11;

pub(super) struct ApiUser {
    /// In the order in which they are tried: the documents have both forms.
    requests: Vec<HttpRequest>,
}

impl ApiUser {
    pub fn new(networks: &EngagingNetworks, token: &Secret) -> Self {
        let with = |body: Bytes| {
            let mut request = request::post(networks, &["authenticate"], body);
            request.headers.remove(TOKEN);
            request
        };
        let raw = Bytes::from(token.reveal().to_owned());
        let object = Bytes::from(json!({ TOKEN: token.reveal() }).to_string());
        Self {
            requests: vec![with(raw), with(object)],
        }
    }
}

impl Login for ApiUser {
    fn requests(&self) -> Vec<HttpRequest> {
        self.requests.clone()
    }

    fn read(&self, answer: &Answer, now: Timestamp) -> Result<Granted, Refusal> {
        let body = answer.json().filter(|_| answer.complete).unwrap_or_default();
        let status = answer.status;
        let message = message(&body);
        let failed = |failure: Failure| Err(Refusal::Failed(failure));
        let refused = |reason: String| Failure::Refused(format!("answered {status} to the log-in: {reason}"));
        let later =
            |after: Option<Duration>| Failure::Later(format!("answered {status} to the log-in"), after);
        match status {
            200..=299 => match body.get(TOKEN).and_then(Value::as_str) {
                Some(token) if !token.is_empty() => Ok(Granted {
                    token: Secret::new(token),
                    life: body.get("expires").and_then(|expires| life(expires, now)),
                }),
                _ => failed(Failure::Later(
                    format!("answered {status} to the log-in, without a session"),
                    None,
                )),
            },
            _ if is_used_up(message) => failed(Failure::Later(
                "the API user has used up its calls of this hour".to_owned(),
                Some(HOUR_IS_USED),
            )),
            401 | 403 if message.contains("unregistered source address") => failed(refused(
                "the API user does not allow the address of this machine; add it to the user's addresses at \
                 Engaging Networks"
                    .to_owned(),
            )),
            401 | 403 if message.contains("is not active") || message.contains("user was not found") => {
                failed(refused("the API user of `token` is not active, or was deleted".to_owned()))
            }
            400 | 401 | 403 if body.is_object() || answer.body.is_empty() => Err(Refusal::Unrecognised(refused(
                "Engaging Networks does not accept `token`, or the account is in another data centre; check `token`, \
                 `base_url` and the addresses that the API user allows"
                    .to_owned(),
            ))),
            404 | 405 | 410 | 300..=399 => failed(refused("check `base_url`".to_owned())),
            _ => failed(later(match classify(status, &answer.headers, now) {
                causeway_core::destination::Outcome::Busy { after, .. } => after,
                _ => retry_after(&answer.headers, now).ok().flatten(),
            })),
        }
    }

    fn authorize(&self, headers: &mut HeaderMap, token: &Secret) -> Result<(), Failure> {
        let value = HeaderValue::from_str(token.reveal());
        let mut value = value
            .map_err(|_| Failure::Refused("the session's token does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(TOKEN, value);
        Ok(())
    }

    /// The limit of calls is a 401, too. A new session would only cost one more call.
    fn is_rejected(&self, answer: &Answer) -> bool {
        answer.status == 401 && !is_used_up(message(&answer.json().unwrap_or_default()))
    }
}

/// The text of an error.
pub(super) fn message(body: &Value) -> &str {
    body.get("message").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the calls of the hour are used up.
pub(super) fn is_used_up(message: &str) -> bool {
    message.contains("exceeded its api limit")
}

/// How long the session lasts: milliseconds. Some documents show the time of its end instead.
fn life(expires: &Value, now: Timestamp) -> Option<Duration> {
    let until = |end: Timestamp| Duration::try_from(end.duration_since(now)).ok();
    let number = match expires {
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => number,
            Err(_) => return until(text.trim().parse().ok()?),
        },
        other => other.as_f64()?,
    };
    let millis = Duration::try_from_secs_f64(number / 1_000.0)
        .ok()
        .filter(|life| !life.is_zero())?;
    if number < ARE_TIMES {
        return Some(millis);
    }
    until(Timestamp::UNIX_EPOCH.checked_add(millis).ok()?)
}
