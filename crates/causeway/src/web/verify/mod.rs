//! Checks the signature of a request over its raw bytes, by a configured scheme. Invariant: comparing a secret takes the same
//! time whether it is right or wrong.

mod build;
mod mac;
mod scheme;
mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use subtle::ConstantTimeEq;

pub use self::scheme::{Encoding, Hash, Name, Scheme, SecretEncoding, Unit};
use self::{
    mac::Key,
    template::{Part, decode_some},
};
use super::secrets::Secrets;

/// The number of signatures of one header that are checked.
const MAX_CANDIDATES: usize = 16;

/// The table `signature` of a listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub scheme: Name,
    /// The secrets. Several may be valid at once, so that you can exchange them without a gap.
    pub secrets: Secrets,
    /// How far a signed time may differ, in seconds. Default 300. Only for schemes that sign a time.
    #[serde(default)]
    pub tolerance_s: Option<u32>,
    /// The maximum number of messages per hour that are stored as dead because their signature is valid but their
    /// time is outside the tolerance; you can replay them. Further ones get 401.
    #[serde(default = "late_per_hour")]
    pub late_per_hour: u32,
    /// The URL under which senders reach the hub, such as `https://hub.example.org`; required if the scheme signs the
    /// URL.
    #[serde(default)]
    pub public_url: Option<String>,
    /// For `scheme = "custom"`.
    #[serde(default)]
    pub custom: Option<Scheme>,
}

fn late_per_hour() -> u32 {
    1_000
}

/// The values that a valid signature proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified<'h> {
    /// The id that was signed, if the scheme has one.
    pub id: Option<&'h str>,
    /// By how many seconds the signed time is before now (after now, if negative), if that is outside the tolerance.
    pub late_s: Option<i64>,
}

/// The parts of a request that a signature may cover.
pub(crate) struct Request<'h, 'a> {
    pub method: &'a str,
    pub path_and_query: &'a str,
    pub headers: &'h HeaderMap,
    pub body: &'a [u8],
    pub now: Timestamp,
}

/// Why a signature is invalid; a word for the log.
pub(crate) type Reason = &'static str;

pub(crate) struct Verifier {
    header: HeaderName,
    template: Vec<Part>,
    encoding: Encoding,
    prefix: String,
    separator: Option<char>,
    timestamp: Option<TimestampIn>,
    unit: Unit,
    id_header: Option<HeaderName>,
    decode_uri: bool,
    public_url: String,
    tolerance_ms: i128,
    keys: Vec<Key>,
}

enum TimestampIn {
    Header(HeaderName),
    /// In the `key=value` pairs of the signature's header.
    Key(String),
}

impl Verifier {
    /// Checks that one of the secrets signed the request, at whatever time.
    pub(crate) fn verify<'h>(&self, request: &Request<'h, '_>) -> Result<Verified<'h>, Reason> {
        let timestamp = match &self.timestamp {
            None => "",
            Some(TimestampIn::Header(name)) => single(request.headers, name).ok_or("signature_missing")?,
            Some(TimestampIn::Key(key)) => self.in_pairs(request.headers, key).ok_or("signature_missing")?,
        };
        let late_s = match &self.timestamp {
            None => None,
            Some(_) => self.late_s(timestamp, request.now)?,
        };
        let id = match &self.id_header {
            None => None,
            Some(name) => Some(single(request.headers, name).ok_or("signature_missing")?),
        };
        let candidates = self.candidates(request.headers);
        if candidates.is_empty() {
            return Err("signature_missing");
        }
        let uri = self.uri(request.path_and_query);
        let mut matched = subtle::Choice::from(0);
        for key in &self.keys {
            let signed = key.sign(self.template.iter().map(|part| match part {
                Part::Text(text) => text.as_bytes(),
                Part::Method => request.method.as_bytes(),
                Part::Uri => uri.as_bytes(),
                Part::Id => id.unwrap_or_default().as_bytes(),
                Part::Timestamp => timestamp.as_bytes(),
                Part::Body => request.body,
            }));
            for candidate in &candidates {
                matched |= signed.ct_eq(candidate);
            }
        }
        if matched.into() {
            Ok(Verified { id, late_s })
        } else {
            Err("signature_wrong")
        }
    }

    /// Whether the signature covers a time, so that a request cannot be replayed later.
    pub(crate) fn signs_time(&self) -> bool {
        self.timestamp.is_some()
    }

    /// For how many milliseconds a request is accepted at most, as its time may be early or late.
    pub(crate) fn valid_ms(&self) -> i64 {
        i64::try_from(self.tolerance_ms.saturating_mul(2)).unwrap_or(i64::MAX - 1)
    }

    /// Whether the signature covers the URL, and so the query.
    pub(crate) fn signs_address(&self) -> bool {
        self.template.iter().any(|part| matches!(part, Part::Uri))
    }

    /// By how many seconds a signed time is before now, if it is outside the tolerance. Fails if it is not a number.
    fn late_s(&self, timestamp: &str, now: Timestamp) -> Result<Option<i64>, Reason> {
        let value: i64 = timestamp.parse().map_err(|_| "signature_stale")?;
        let signed_ms = match self.unit {
            Unit::Seconds => i128::from(value) * 1000,
            Unit::Milliseconds => i128::from(value),
        };
        let off_ms = i128::from(now.as_millisecond()) - signed_ms;
        let late_s = i64::try_from(off_ms / 1000).unwrap_or(i64::MAX);
        Ok((off_ms.abs() > self.tolerance_ms).then_some(late_s))
    }

    /// The decoded signatures of the header, without invalid ones.
    fn candidates(&self, headers: &HeaderMap) -> Vec<Vec<u8>> {
        self.pieces(headers)
            .filter_map(|piece| piece.strip_prefix(self.prefix.as_str()))
            .filter_map(|text| match self.encoding {
                Encoding::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
                Encoding::Base64 => BASE64.decode(text.as_bytes()).ok(),
            })
            .take(MAX_CANDIDATES)
            .collect()
    }

    /// The value of the only `key=value` with this key.
    fn in_pairs<'a>(&self, headers: &'a HeaderMap, key: &str) -> Option<&'a str> {
        let mut values = self
            .pieces(headers)
            .filter_map(|piece| piece.split_once('='))
            .filter_map(|(found, value)| (found == key).then_some(value));
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    fn pieces<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let separator = self.separator;
        headers
            .get_all(&self.header)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(move |value| {
                // Without a separator the header is one piece: no header can contain a NUL.
                value.split(separator.unwrap_or('\0'))
            })
            .map(str::trim)
    }

    fn uri(&self, path_and_query: &str) -> String {
        let path_and_query = if self.decode_uri {
            decode_some(path_and_query)
        } else {
            Cow::Borrowed(path_and_query)
        };
        format!("{}{path_and_query}", self.public_url)
    }
}

/// The value of a header that appears exactly once. With two, it is unknown which one the sender signed.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}
