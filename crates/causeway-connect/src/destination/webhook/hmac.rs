//! `auth.hmac`: a digest of the request or the time, in a header.

use ::hmac::{Hmac, KeyInit, Mac};
use causeway_core::clock::Timestamp;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Sha256, Sha512};

use super::plan::Resolve;
use crate::{
    config::{ConfigError, SecretRef},
    http::{HttpRequest, read_header},
};

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "{ secret = { env = … }, header = …, message = … }"
)]
pub(super) struct HmacConfig {
    pub secret: SecretRef,
    /// How the secret is written.
    #[serde(default)]
    pub secret_is: Written,
    #[serde(default)]
    pub algorithm: Algorithm,
    /// What is signed: text with `{body}`, `{timestamp}`, `{timestamp_ms}`, `{period}`, `{method}`, `{path}`,
    /// `{query}` and `{key}`.
    #[serde(default = "body")]
    pub message: String,
    /// Seconds of a `{period}`, which is the Unix time divided by them.
    #[serde(default = "half_a_minute")]
    pub period_s: u32,
    #[serde(default)]
    pub digest: Digest,
    /// The header with the digest.
    #[serde(default = "signature")]
    pub header: String,
    /// Its value, with `{digest}` and the names that `message` may have, except `{body}`.
    #[serde(default = "digest")]
    pub value: String,
    /// A header for the Unix time in seconds. Default: none.
    pub timestamp_header: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Written {
    #[default]
    Text,
    Hex,
    Base64,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Digest {
    #[default]
    Hex,
    Base64,
    /// Base64 for URLs, without `=`.
    Base64url,
}

fn body() -> String {
    "{body}".to_owned()
}

fn half_a_minute() -> u32 {
    30
}

fn signature() -> String {
    "X-Signature".to_owned()
}

fn digest() -> String {
    "{digest}".to_owned()
}

/// Makes the digest of each request.
pub(super) struct Signer {
    key: Key,
    message: Vec<Part>,
    value: Vec<Part>,
    period_s: i64,
    digest: Digest,
    header: HeaderName,
    timestamp_header: Option<HeaderName>,
}

enum Key {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Body,
    Timestamp,
    TimestampMs,
    Period,
    Method,
    Path,
    Query,
    Key,
    Digest,
}

impl Signer {
    pub fn read(config: &HmacConfig, resolve: Resolve<'_>) -> Result<Self, ConfigError> {
        let placeholder = match config.secret_is {
            Written::Text => "stand-in",
            Written::Hex => "00",
            Written::Base64 => "AA==",
        };
        let secret = resolve("auth.hmac.secret", &config.secret, placeholder)?;
        let bytes = match config.secret_is {
            Written::Text => Some(secret.reveal().as_bytes().to_vec()),
            Written::Hex => HEXLOWER_PERMISSIVE.decode(secret.reveal().as_bytes()).ok(),
            Written::Base64 => BASE64.decode(secret.reveal().as_bytes()).ok(),
        };
        let wrong = || ConfigError::new("auth.hmac.secret", "is empty, or not written as `secret_is` says");
        let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(wrong)?;
        let key = match config.algorithm {
            Algorithm::Sha256 => Hmac::new_from_slice(&bytes).ok().map(Key::Sha256),
            Algorithm::Sha512 => Hmac::new_from_slice(&bytes).ok().map(Key::Sha512),
        };
        if config.period_s == 0 {
            return Err(ConfigError::new("auth.hmac.period_s", "must be at least 1"));
        }
        let message = parts("auth.hmac.message", &config.message)?;
        let value = parts("auth.hmac.value", &config.value)?;
        if message.contains(&Part::Digest) {
            return Err(ConfigError::new(
                "auth.hmac.message",
                "the digest cannot be a part of what it is made from",
            ));
        }
        if !value.contains(&Part::Digest) || value.contains(&Part::Body) {
            return Err(ConfigError::new(
                "auth.hmac.value",
                "needs {digest}, and cannot have {body}",
            ));
        }
        let name = |key: &str, name: &str| read_header(key, name, "", false).map(|(name, _)| name);
        Ok(Self {
            key: key.ok_or_else(wrong)?,
            message,
            value,
            period_s: config.period_s.into(),
            digest: config.digest,
            header: name("auth.hmac.header", &config.header)?,
            timestamp_header: config
                .timestamp_header
                .as_deref()
                .map(|text| name("auth.hmac.timestamp_header", text))
                .transpose()?,
        })
    }

    pub fn sign(&self, request: &mut HttpRequest, key: &str, now: Timestamp) -> Result<(), String> {
        let message = self.print(&self.message, request, key, now, "");
        let made = match &self.key {
            Key::Sha256(mac) => mac
                .clone()
                .chain_update(&message)
                .finalize()
                .into_bytes()
                .to_vec(),
            Key::Sha512(mac) => mac
                .clone()
                .chain_update(&message)
                .finalize()
                .into_bytes()
                .to_vec(),
        };
        let digest = match self.digest {
            Digest::Hex => HEXLOWER.encode(&made),
            Digest::Base64 => BASE64.encode(&made),
            Digest::Base64url => BASE64URL_NOPAD.encode(&made),
        };
        let value = self.print(&self.value, request, key, now, &digest);
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| "`auth.hmac.value`: is not fit for a header".to_owned())?;
        value.set_sensitive(true);
        request.headers.insert(self.header.clone(), value);
        if let Some(name) = &self.timestamp_header {
            request.headers.insert(name.clone(), now.as_second().into());
        }
        Ok(())
    }

    fn print(
        &self,
        parts: &[Part],
        request: &HttpRequest,
        key: &str,
        now: Timestamp,
        digest: &str,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => out.extend(text.bytes()),
                Part::Body => out.extend(&request.body),
                Part::Timestamp => out.extend(now.as_second().to_string().bytes()),
                Part::TimestampMs => out.extend(now.as_millisecond().to_string().bytes()),
                Part::Period => out.extend(now.as_second().div_euclid(self.period_s).to_string().bytes()),
                Part::Method => out.extend(request.method.as_str().bytes()),
                Part::Path => out.extend(request.url.path().bytes()),
                Part::Query => out.extend(request.url.query().unwrap_or_default().bytes()),
                Part::Key => out.extend(key.bytes()),
                Part::Digest => out.extend(digest.bytes()),
            }
        }
        out
    }
}

/// Text with names in braces. `\n` in TOML is a line break.
fn parts(key: &str, text: &str) -> Result<Vec<Part>, ConfigError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return Err(ConfigError::new(key, "has a { that is not closed"));
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "timestamp_ms" => Part::TimestampMs,
            "period" => Part::Period,
            "method" => Part::Method,
            "path" => Part::Path,
            "query" => Part::Query,
            "key" => Part::Key,
            "digest" => Part::Digest,
            _ => {
                return Err(ConfigError::new(key, format!("unknown name {{{name}}}")).hint(
                    "one of {body}, {timestamp}, {timestamp_ms}, {period}, {method}, {path}, {query}, {key}, {digest}",
                ));
            }
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}
