//! What came back, and what it means for a record.

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    destination::{Ending, Outcome},
};
use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

/// An answer, read as far as we read any.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most [`super::Options::answer_bytes`].
    pub body: Vec<u8>,
    /// Whether `body` is all of it: neither cut here nor broken off by the other side.
    pub complete: bool,
}

impl Answer {
    /// What is read of an answer unless a destination needs more.
    pub const BODY_BYTES: usize = 64 * 1_024;

    /// A body that breaks off does not make the status unsaid: it is kept, and marked.
    pub(super) async fn read(mut response: reqwest::Response, most: usize) -> Self {
        let mut answer = Self {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
            complete: true,
        };
        loop {
            match response.chunk().await {
                Ok(None) => return answer,
                Ok(Some(chunk)) => {
                    let room = most.saturating_sub(answer.body.len());
                    answer.body.extend(chunk.iter().take(room));
                    if chunk.len() > room {
                        answer.complete = false;
                        return answer;
                    }
                }
                Err(_) => {
                    answer.complete = false;
                    return answer;
                }
            }
        }
    }

    /// The body as JSON, if it is that.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The start of the body for [`Ending::excerpt`]; `None` when it is empty.
    pub fn excerpt(&self) -> Option<String> {
        // Replacing invalid bytes can make it longer, so the text is cut and not the bytes.
        let start = self.body.get(..Ending::EXCERPT_BYTES).unwrap_or(&self.body);
        let mut text = String::from_utf8_lossy(start).into_owned();
        let mut end = text.len().min(Ending::EXCERPT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        (!text.is_empty()).then_some(text)
    }

    /// What [`classify`] says, with status and excerpt.
    pub fn ending(&self, now: Timestamp) -> Ending {
        self.ending_as(classify(self.status, &self.headers, now))
    }

    /// An outcome that the destination found out itself, with status and excerpt.
    pub fn ending_as(&self, outcome: Outcome) -> Ending {
        Ending {
            status: Some(self.status),
            excerpt: self.excerpt(),
            ..outcome.into()
        }
    }
}

/// What a status means at most APIs; destinations that know better decide before they ask. `now` is needed for a
/// `Retry-After` that names a date. The reason never quotes the body.
pub fn classify(status: u16, headers: &HeaderMap, now: Timestamp) -> Outcome {
    let reason = answered(status);
    match status {
        200..=299 => Outcome::Delivered { remote_id: None },
        300..=399 => Outcome::Halt {
            reason: redirect_reason(&reason, headers),
        },
        401 | 403 => Outcome::Halt {
            reason: format!("{reason}: check the credentials and their rights"),
        },
        402 | 407 | 426 => Outcome::Halt {
            reason: format!("{reason}: the account or the connection has to be set right first"),
        },
        // 421 and 423 concern the moment, as 408, 425 and 429 do.
        408 | 421 | 423 | 425 | 429 | 500..=599 => Outcome::Retry {
            reason,
            after: retry_after(headers, now),
        },
        // 1xx never gets here; what is above 599 nobody has defined.
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

/// The host only: the rest of a `Location` often repeats the query.
fn redirect_reason(reason: &str, headers: &HeaderMap) -> String {
    let target = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| Url::parse(text).ok())
        .and_then(|url| Some(format!(" to {}://{}", url.scheme(), url.host_str()?)))
        .unwrap_or_default();
    format!("{reason}{target}: redirects are not followed, put the final address into the configuration")
}

/// How long the other side asks us to wait: seconds, or a date.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    // A date that has passed means "now".
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}
