//! The response to a refused request: a status and a short text. The log and the metrics
//! get [`Refusal::reason`].

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such page, or no source with that token.
    NotFound,
    /// The caller's IP address is not in the source's list.
    Address,
    /// Credentials or signature missing, wrong or too old. The word is for the log only, so that the caller does not learn which.
    Unauthorized {
        reason: &'static str,
        basic: bool,
    },
    /// No `Authorization: Bearer`, or a token that no source has. The word is for the log only.
    Token {
        reason: &'static str,
    },
    Method,
    /// A URL that accepts only POST.
    PostOnly,
    /// Neither query nor body.
    NoData,
    /// The body is incomplete.
    Broken,
    /// The body did not arrive in time.
    Slow,
    /// The request exceeds one of the source's limits; the word names it.
    TooLarge(&'static str),
    /// A body that is not text: a picture, or compressed data.
    Unsupported,
    /// The maximum number of concurrent requests of this source is reached. The status is 429, or 503 for senders that misread
    /// `Retry-After` after a 429.
    Busy {
        status: StatusCode,
    },
    /// The store failed, or did not answer in time.
    Unavailable,
}

/// `Retry-After` in seconds, if a source has too many concurrent requests.
const RETRY_BUSY: &str = "1";
/// `Retry-After` in seconds, if the store is unavailable.
const RETRY_STORE: &str = "5";

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Address => StatusCode::FORBIDDEN,
            Self::Unauthorized { .. } | Self::Token { .. } => StatusCode::UNAUTHORIZED,
            Self::Method | Self::PostOnly => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoData | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy { status } => status,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Address => "address",
            Self::Unauthorized { reason, .. } | Self::Token { reason } => reason,
            Self::Method | Self::PostOnly => "method",
            Self::NoData => "no_data",
            Self::Broken => "broken_body",
            Self::Slow => "slow_body",
            Self::TooLarge(limit) => limit,
            Self::Unsupported => "unsupported_media",
            Self::Busy { .. } => "busy",
            Self::Unavailable => "unavailable",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Address => "this IP address may not send here",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Token { .. } => "send a valid token: Authorization: Bearer TOKEN",
            Self::Method => "use GET or POST",
            Self::PostOnly => "use POST",
            Self::NoData => "no data",
            Self::Broken => "the body is incomplete",
            Self::Slow => "the body did not arrive in time",
            Self::TooLarge("pairs") => "too many fields",
            Self::TooLarge("depth") => "nested too deep",
            Self::TooLarge("items") => "too many events in one request",
            Self::TooLarge(_) => "too large",
            Self::Unsupported => "send a form, multipart, JSON or text, not compressed",
            Self::Busy { .. } => "too many requests at once",
            Self::Unavailable => "not stored, send it again",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // The texts contain no characters that JSON escapes.
        let body = format!(r#"{{"status":"error","error":"{}"}}"#, self.text());
        let mut response = json(self.status(), body);
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized { basic: true, .. } => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Basic realm="causeway""#),
                );
            }
            Self::Token { .. } => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(r#"Bearer realm="causeway""#),
                );
            }
            Self::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            }
            Self::PostOnly => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Unsupported => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            Self::Busy { .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_BUSY));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_STORE));
            }
            _ => {}
        }
        response
    }
}

/// A response with a JSON body that no proxy may cache.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
