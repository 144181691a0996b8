//! Builds a verifier from its configuration, and refuses configurations that would prove nothing.

use std::path::Path;

use axum::http::HeaderName;
use causeway_connect::config::ConfigError;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::{
    Config, Name, Scheme, SecretEncoding, TimestampIn, Verifier,
    mac::Key,
    scheme,
    template::{Part, parse_template},
};

/// The specification says 24 to 64 bytes; some senders use slightly shorter secrets.
const STANDARD_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// How far a signed time may differ from now by default, in seconds.
const TOLERANCE_S: u32 = 300;

impl Verifier {
    pub(crate) fn new(config: &Config, dir: &Path) -> Result<Self, ConfigError> {
        let scheme = described(config)?;
        let template = parse_template(&scheme.template)?;
        let timestamp = timestamp_in(&scheme)?;
        check(config, &scheme, &template, timestamp.is_some())?;
        let signed_in = header("header", &scheme.header)?;
        let id_header = match &scheme.id_header {
            Some(name) => Some(header("id_header", name)?),
            None => None,
        };
        let keys = config
            .secrets
            .resolve("signature.secrets", dir)?
            .iter()
            .map(|secret| key(secret.reveal(), config.scheme, &scheme))
            .collect::<Result<Vec<_>, _>>()?;
        let public_url = config.public_url.as_deref().unwrap_or_default();
        Ok(Self {
            header: signed_in,
            template,
            encoding: scheme.encoding,
            prefix: scheme.prefix,
            separator: scheme.separator,
            timestamp,
            unit: scheme.timestamp_unit,
            id_header,
            decode_uri: scheme.decode_uri,
            public_url: public_url.trim_end_matches('/').to_owned(),
            tolerance_ms: i128::from(config.tolerance_s.unwrap_or(TOLERANCE_S)) * 1000,
            keys,
        })
    }
}

fn described(config: &Config) -> Result<Scheme, ConfigError> {
    let wrong = |message: &str| Err(ConfigError::new("signature.custom", message));
    match (scheme::named(config.scheme), &config.custom) {
        (Some(named), None) => Ok(named),
        (None, Some(custom)) => Ok(custom.clone()),
        (Some(_), Some(_)) => wrong("only allowed with scheme = \"custom\""),
        (None, None) => wrong("scheme = \"custom\" needs this table"),
    }
}

fn timestamp_in(scheme: &Scheme) -> Result<Option<TimestampIn>, ConfigError> {
    match (&scheme.timestamp_key, &scheme.timestamp_header) {
        (Some(key), None) => Ok(Some(TimestampIn::Key(key.clone()))),
        (None, Some(name)) => Ok(Some(TimestampIn::Header(header("timestamp_header", name)?))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ConfigError::new(
            "signature.custom",
            "give one of timestamp_key and timestamp_header",
        )),
    }
}

/// Checks that a time or id that is read is also signed, and the other way round: an unsigned one proves nothing.
fn check(config: &Config, scheme: &Scheme, template: &[Part], has_time: bool) -> Result<(), ConfigError> {
    let wrong = |message: &str| Err(ConfigError::new("signature.custom.template", message));
    if template.contains(&Part::Timestamp) != has_time {
        return wrong("{timestamp} needs timestamp_key or timestamp_header, and the other way round");
    }
    if template.contains(&Part::Id) != scheme.id_header.is_some() {
        return wrong("{id} needs id_header, and the other way round");
    }
    if !template.contains(&Part::Body) {
        return wrong("{body} is missing");
    }
    if template.contains(&Part::Uri) && config.public_url.is_none() {
        return Err(
            ConfigError::new("signature.public_url", "missing, and this scheme signs the URL").hint(
                "set the URL under which senders reach the hub: public_url = \"https://hub.example.org\"",
            ),
        );
    }
    if config.tolerance_s.is_some() && !has_time {
        return Err(ConfigError::new(
            "signature.tolerance_s",
            "this scheme signs no time",
        ));
    }
    Ok(())
}

fn header(key: &str, name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name)
        .map_err(|_| ConfigError::new(&format!("signature.custom.{key}"), "not a header name"))
}

fn key(secret: &str, name: Name, scheme: &Scheme) -> Result<Key, ConfigError> {
    let wrong = |what: &str| {
        ConfigError::new("signature.secrets", format!("a secret is not {what}"))
            .hint("copy it again from the sender's settings")
    };
    let text = secret.strip_prefix(&scheme.secret_prefix).unwrap_or(secret);
    let bytes = match scheme.secret_encoding {
        SecretEncoding::Text => text.as_bytes().to_vec(),
        SecretEncoding::Hex => HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| wrong("hex"))?,
        SecretEncoding::Base64 => BASE64.decode(text.as_bytes()).map_err(|_| wrong("base64"))?,
    };
    // With an empty key, everybody could sign.
    if bytes.is_empty() {
        return Err(ConfigError::new("signature.secrets", "a secret is empty"));
    }
    if name == Name::StandardWebhooks && !STANDARD_BYTES.contains(&bytes.len()) {
        let says = format!(
            "a secret has {} bytes; Standard Webhooks have 24 to 64",
            bytes.len()
        );
        return Err(
            ConfigError::new("signature.secrets", says).hint("copy it again from the sender's settings")
        );
    }
    Key::new(scheme.hash, &bytes).ok_or_else(|| wrong("usable as a key"))
}
