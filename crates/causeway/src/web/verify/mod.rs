//! Checks who sent a request, over the bytes as they came: signatures by a described scheme. Every comparison of
//! a secret takes the same time, right or wrong.

mod mac;
mod scheme;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, path::Path};

use axum::http::{HeaderMap, HeaderName};
use causeway_connect::config::ConfigError;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use self::mac::Key;
pub use self::scheme::{Encoding, Hash, Name, Scheme, SecretEncoding, Unit};
use super::secrets::Secrets;

/// How far a signed time may be off, either way, unless the configuration says otherwise.
const TOLERANCE_S: u32 = 300;
/// So many signatures of one header are looked at.
const MAX_CANDIDATES: usize = 16;

/// The table `signature` of a listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub scheme: Name,
    /// One or several that are valid at once, so that they can be exchanged without a gap.
    pub secrets: Secrets,
    /// How old (or early) a signed time may be, in seconds. Default 300. Only for schemes that sign a time.
    #[serde(default)]
    pub tolerance_s: Option<u32>,
    /// How senders reach this program, as `https://hub.example.org`; needed where the address is signed.
    #[serde(default)]
    pub public_url: Option<String>,
    /// For `scheme = "custom"`.
    #[serde(default)]
    pub custom: Option<Scheme>,
}

/// What a request is checked by.
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub now: Timestamp,
}

/// Why a signature does not hold; the word for the log.
pub(crate) type Fault = &'static str;

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
    /// Among the `key=value` pairs of the signature's header.
    Key(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Method,
    Uri,
    Id,
    Timestamp,
    Body,
}

impl Verifier {
    pub(crate) fn new(config: &Config, dir: &Path) -> Result<Self, ConfigError> {
        let scheme = match (scheme::named(config.scheme), &config.custom) {
            (Some(named), None) => named,
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "signature.custom",
                    "only for scheme = \"custom\"",
                ));
            }
            (None, Some(custom)) => custom.clone(),
            (None, None) => {
                return Err(ConfigError::new(
                    "signature.custom",
                    "scheme = \"custom\" needs this table",
                ));
            }
        };
        let template = parse_template(&scheme.template)?;
        let timestamp = match (scheme.timestamp_key, &scheme.timestamp_header) {
            (Some(key), None) => Some(TimestampIn::Key(key)),
            (None, Some(name)) => Some(TimestampIn::Header(header("timestamp_header", name)?)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "signature.custom",
                    "give one of timestamp_key and timestamp_header",
                ));
            }
        };
        let needs = |part: &Part, there: bool, key: &str, message: &str| {
            if template.contains(part) == there {
                Ok(())
            } else {
                Err(ConfigError::new(key, message))
            }
        };
        // A time that is not signed proves nothing, and a time that is signed has to come from somewhere.
        needs(
            &Part::Timestamp,
            timestamp.is_some(),
            "signature.custom.template",
            "{timestamp} needs timestamp_key or timestamp_header, and the other way round",
        )?;
        needs(
            &Part::Id,
            scheme.id_header.is_some(),
            "signature.custom.template",
            "{id} needs id_header, and the other way round",
        )?;
        if !template.contains(&Part::Body) {
            return Err(ConfigError::new("signature.custom.template", "{body} is missing"));
        }
        if template.contains(&Part::Uri) && config.public_url.is_none() {
            return Err(
                ConfigError::new("signature.public_url", "this scheme signs the address")
                    .hint("public_url = \"https://hub.example.org\", as senders reach this program"),
            );
        }
        if config.tolerance_s.is_some() && timestamp.is_none() {
            return Err(ConfigError::new(
                "signature.tolerance_s",
                "this scheme signs no time",
            ));
        }
        let keys = config
            .secrets
            .resolve("signature.secrets", dir)?
            .iter()
            .map(|secret| {
                key(
                    secret.reveal(),
                    &scheme.secret_prefix,
                    scheme.secret_encoding,
                    scheme.hash,
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        let id_header = match &scheme.id_header {
            Some(name) => Some(header("id_header", name)?),
            None => None,
        };
        Ok(Self {
            header: header("header", &scheme.header)?,
            template,
            encoding: scheme.encoding,
            prefix: scheme.prefix,
            separator: scheme.separator,
            timestamp,
            unit: scheme.timestamp_unit,
            id_header,
            decode_uri: scheme.decode_uri,
            public_url: config
                .public_url
                .as_deref()
                .unwrap_or_default()
                .trim_end_matches('/')
                .to_owned(),
            tolerance_ms: i128::from(config.tolerance_s.unwrap_or(TOLERANCE_S)) * 1000,
            keys,
        })
    }

    /// Whether one of the secrets signed this. Gives the id that was signed, if the scheme has one.
    pub(crate) fn verify<'a>(&self, request: &Request<'a>) -> Result<Option<&'a str>, Fault> {
        let timestamp = match &self.timestamp {
            None => "",
            Some(TimestampIn::Header(name)) => single(request.headers, name).ok_or("signature_missing")?,
            Some(TimestampIn::Key(key)) => self.in_pairs(request.headers, key).ok_or("signature_missing")?,
        };
        if self.timestamp.is_some() && !self.is_fresh(timestamp, request.now) {
            return Err("signature_stale");
        }
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
            Ok(id)
        } else {
            Err("signature_wrong")
        }
    }

    fn is_fresh(&self, timestamp: &str, now: Timestamp) -> bool {
        let Ok(value) = timestamp.parse::<i64>() else {
            return false;
        };
        let signed_ms = match self.unit {
            Unit::Seconds => i128::from(value) * 1000,
            Unit::Milliseconds => i128::from(value),
        };
        (signed_ms - i128::from(now.as_millisecond())).abs() <= self.tolerance_ms
    }

    /// The signatures that the header offers, decoded; what does not decode is none.
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
                // A header without separator is one piece: nothing splits at a NUL, which no header can hold.
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

/// The value of a header that stands there exactly once: of two, nobody knows which the sender signed.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn header(key: &str, name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name)
        .map_err(|_| ConfigError::new(&format!("signature.custom.{key}"), "not a header name"))
}

fn key(secret: &str, prefix: &str, encoding: SecretEncoding, hash: Hash) -> Result<Key, ConfigError> {
    let wrong = |what: &str| {
        ConfigError::new("signature.secrets", format!("a secret is not {what}"))
            .hint("copy it again from the sender's settings")
    };
    let text = secret.strip_prefix(prefix).unwrap_or(secret);
    let bytes = match encoding {
        SecretEncoding::Text => text.as_bytes().to_vec(),
        SecretEncoding::Hex => HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| wrong("hex"))?,
        SecretEncoding::Base64 => BASE64.decode(text.as_bytes()).map_err(|_| wrong("base64"))?,
    };
    // An empty key would let everybody sign.
    if bytes.is_empty() {
        return Err(ConfigError::new("signature.secrets", "a secret is empty"));
    }
    Key::new(hash, &bytes).ok_or_else(|| wrong("usable as a key"))
}

fn parse_template(text: &str) -> Result<Vec<Part>, ConfigError> {
    let wrong = |message: String| ConfigError::new("signature.custom.template", message);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((before, after)) = rest.split_once('{') else {
            parts.push(Part::Text(rest.to_owned()));
            break;
        };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| wrong("a { is not closed".to_owned()))?;
        parts.push(match name {
            "method" => Part::Method,
            "uri" => Part::Uri,
            "id" => Part::Id,
            "timestamp" => Part::Timestamp,
            "body" => Part::Body,
            _ => {
                return Err(
                    wrong(format!("{{{name}}} is not known")).hint("method, uri, id, timestamp and body are")
                );
            }
        });
        rest = behind;
    }
    Ok(parts)
}

/// The escapes that HubSpot undoes before it signs an address.
const UNDONE: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

fn decode_some(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let escape = rest.get(before.len()..before.len() + 3).unwrap_or_default();
        match UNDONE.iter().find(|(from, _)| from.eq_ignore_ascii_case(escape)) {
            Some((_, to)) => {
                out.push_str(to);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
