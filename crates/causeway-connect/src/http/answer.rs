//! The response of a receiver, and what it means for a record.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{AttemptResult, Outcome},
};
use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

/// A response, as far as it was read.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most [`super::Options::answer_bytes`].
    pub body: Vec<u8>,
    /// Whether `body` is complete: neither cut here nor broken off by the receiver.
    pub complete: bool,
}

impl Answer {
    /// Bytes of a response that are read, unless a destination needs more.
    pub const BODY_BYTES: usize = 64 * 1_024;

    /// Reads the response. A body that breaks off does not invalidate the status: the part is kept and marked
    /// as incomplete.
    pub(super) async fn read(mut response: reqwest::Response, options: super::Options) -> Self {
        let mut answer = Self {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
            complete: true,
        };
        loop {
            // The status decides once it is there. A body that stalls must not make the hub send everything again.
            match tokio::time::timeout(options.stalled, response.chunk()).await {
                Ok(Ok(None)) => return answer,
                Ok(Ok(Some(chunk))) => {
                    let room = options.answer_bytes.saturating_sub(answer.body.len());
                    answer.body.extend(chunk.iter().take(room));
                    if chunk.len() > room {
                        answer.complete = false;
                        return answer;
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    answer.complete = false;
                    return answer;
                }
            }
        }
    }

    /// The body as JSON, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The start of the body for [`AttemptResult::excerpt`]; `None` if it is empty.
    pub fn excerpt(&self) -> Option<String> {
        Self::excerpt_of(&self.body)
    }

    /// The start of a part of the body.
    pub fn excerpt_of(bytes: &[u8]) -> Option<String> {
        // Replacing invalid bytes can make the text longer, so the text is cut and not the bytes.
        let start = bytes.get(..AttemptResult::EXCERPT_BYTES).unwrap_or(bytes);
        let mut text = String::from_utf8_lossy(start).into_owned();
        let mut end = text.len().min(AttemptResult::EXCERPT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        (!text.is_empty()).then_some(text)
    }

    /// The result by [`classify`], with status and excerpt.
    pub fn attempt_result(&self, now: Timestamp) -> AttemptResult {
        let outcome = classify(self.status, &self.headers, now);
        let mut result = self.result_with(outcome);
        if matches!(result.outcome, Outcome::Retry { .. } | Outcome::Busy { .. }) {
            result.notes.extend(retry_after(&self.headers, now).err());
        }
        result
    }

    /// A result whose outcome the destination decided, with status and excerpt.
    pub fn result_with(&self, outcome: Outcome) -> AttemptResult {
        AttemptResult {
            status: Some(self.status),
            excerpt: self.excerpt(),
            ..outcome.into()
        }
    }
}

/// What a status means at most APIs. Destinations that know better decide before they call this. `now` is
/// needed for a `Retry-After` with a date. The reason never quotes the body.
pub fn classify(status: u16, headers: &HeaderMap, now: Timestamp) -> Outcome {
    let reason = answered(status);
    match status {
        200..=299 => Outcome::Delivered { remote_id: None },
        300..=399 => Outcome::Halt {
            reason: redirect_reason(&reason, headers),
        },
        401 | 403 => Outcome::Halt {
            reason: format!("{reason}: check the credentials and their permissions"),
        },
        402 | 407 | 426 => Outcome::Halt {
            reason: format!("{reason}: fix the account or the connection first"),
        },
        429 => Outcome::Busy {
            reason,
            after: retry_after(headers, now).ok().flatten(),
        },
        // 421 and 423 are temporary, like 408 and 425.
        408 | 421 | 423 | 425 | 500..=599 => Outcome::Retry {
            reason,
            after: retry_after(headers, now).ok().flatten(),
        },
        // 1xx never gets here, and nothing above 599 is defined.
        400..=499 => Outcome::Reject { reason },
        _ => Outcome::Retry { reason, after: None },
    }
}

fn answered(status: u16) -> String {
    let words = StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason());
    match words {
        Some(words) => format!("answered {status} {words}"),
        None => format!("answered {status}"),
    }
}

/// Names the host only, because the rest of a `Location` often repeats the query.
fn redirect_reason(reason: &str, headers: &HeaderMap) -> String {
    let target = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| Url::parse(text).ok())
        .and_then(|url| Some(format!(" to {}://{}", url.scheme(), url.host_str()?)))
        .unwrap_or_default();
    format!("{reason}{target}: redirects are not followed; configure the final URL")
}

/// How long the receiver asks to wait: seconds, or a time as an HTTP date or as Unix time. A time that has
/// just passed means now. The error says why the header is ignored.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Result<Option<Duration>, String> {
    let Some(value) = headers.get(RETRY_AFTER) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    wait(text, now).map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!("ignored Retry-After {shown:?}: neither seconds nor a time within a year")
    })
}

/// Longer waits and later times are implausible.
const PLAUSIBLE: Duration = Duration::from_hours(365 * 24);

fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let Some(number) = number(text) else {
        return until(
            Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?,
            now,
        );
    };
    let seconds = Duration::try_from_secs_f64(number).ok()?;
    if seconds <= PLAUSIBLE {
        return Some(seconds);
    }
    // Unix time in seconds or in milliseconds: they differ by a factor of 1000, so at most one is plausible.
    [1.0, 1_000.0].into_iter().find_map(|unit| {
        let since_1970 = Duration::try_from_secs_f64(number / unit).ok()?;
        until(Timestamp::UNIX_EPOCH.checked_add(since_1970).ok()?, now)
    })
}

/// Digits, with or without decimals. No sign, and no other notation of floats.
fn number(text: &str) -> Option<f64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    (digits(whole) && digits(decimals))
        .then(|| text.parse().ok())
        .flatten()
}

fn until(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    let wait = moment.duration_since(now);
    (wait.unsigned_abs() <= PLAUSIBLE).then(|| Duration::try_from(wait).unwrap_or_default())
}
