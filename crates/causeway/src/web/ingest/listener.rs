//! One listener, ready to check requests. It is built from its configuration; the only I/O is reading secrets.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use causeway_connect::config::ConfigError;
use causeway_core::{decode::body::Spelling, id::Name, mapping::Tables};
use data_encoding::BASE64;
use ipnet::IpNet;

use super::{
    answering::Answering,
    config::{Config, Limits, Preset},
    late::LateLimit,
};
use crate::web::{
    error::Refusal,
    intake::{Gate, HasTokens, read_tokens},
    secrets::{Fingerprint, fingerprint, is_one_of},
    verify::{self, Verifier},
};

/// A configured source of kind `listener`.
pub struct Listener {
    pub(super) name: Name,
    pub(super) preset: Preset,
    tokens: Vec<Fingerprint>,
    basic: Vec<Fingerprint>,
    header_secret: Option<(HeaderName, Vec<Fingerprint>)>,
    pub(super) verifier: Option<Verifier>,
    allow: Vec<IpNet>,
    trust_forwarded_for: bool,
    pub(super) probes: bool,
    pub(super) limits: Limits,
    pub(super) spelling: Spelling,
    pub(super) gate: Gate,
    pub(super) dedup_window_ms: i64,
    pub(super) late: LateLimit,
    pub(super) answering: Option<Answering>,
}

impl HasTokens for Listener {
    const KEY: &str = "token";

    fn name(&self) -> &Name {
        &self.name
    }

    fn tokens(&self) -> &[Fingerprint] {
        &self.tokens
    }
}

impl Listener {
    /// Reads the secrets; relative paths of secret files start at `dir`. `tables` are the lookup tables of the configuration.
    pub fn new(name: Name, config: &Config, dir: &Path, tables: &Tables) -> Result<Self, ConfigError> {
        config.limits.check()?;
        config.check_reading()?;
        let allow = config
            .allow_ips
            .iter()
            .map(|text| network(text))
            .collect::<Result<_, _>>()?;
        let answering = config
            .answer
            .as_ref()
            .map(|answer| answer.read(tables))
            .transpose()?;
        let (tokens, basic) = (tokens(config, dir), basic(config, dir));
        let header_secret = header_secret(config, dir);
        let verifier = config
            .signature
            .as_ref()
            .map(|signature| Verifier::new(signature, dir));
        // A secret that is missing on this machine must not hide errors that exist on every machine.
        let errors = [
            tokens.as_ref().err(),
            basic.as_ref().err(),
            header_secret.as_ref().err(),
            verifier.as_ref().and_then(|made| made.as_ref().err()),
        ];
        if let Some(error) = errors.into_iter().flatten().find(|error| !error.absent) {
            return Err(error.clone());
        }
        Ok(Self {
            name,
            preset: config.preset,
            tokens: tokens?,
            basic: basic?,
            header_secret: header_secret?,
            verifier: verifier.transpose()?,
            allow,
            trust_forwarded_for: config.trust_forwarded_for,
            probes: config.probes,
            limits: config.limits,
            spelling: config.spelling()?,
            gate: Gate::new(
                config.limits.body_kb,
                config.limits.body_timeout_s,
                config.limits.concurrency,
                busy_status(config),
            ),
            dedup_window_ms: i64::from(config.dedup_window_s()) * 1000,
            late: LateLimit::new(
                config
                    .signature
                    .as_ref()
                    .map_or(0, |signature| signature.late_per_hour),
            ),
            answering,
        })
    }

    /// Checks the caller's IP address.
    pub(super) fn check_address(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.allow.is_empty() {
            return Ok(());
        }
        let caller = if self.trust_forwarded_for {
            forwarded_for(headers, peer).ok_or(Refusal::Address)?
        } else {
            peer
        }
        .to_canonical();
        if self.allow.iter().any(|net| net.contains(&caller)) {
            Ok(())
        } else {
            Err(Refusal::Address)
        }
    }

    /// Checks the credentials that need no body: Basic and the secret header. All configured ones must be right. If a header
    /// appears more than once, one value must be right: a proxy may have added its own.
    pub(super) fn check_credentials(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.basic.is_empty() {
            let shown = headers.get_all(header::AUTHORIZATION).into_iter();
            let shown: Vec<Vec<u8>> = shown.filter_map(basic_shown).collect();
            if shown.is_empty() {
                return Err(self.unauthorized("basic_missing"));
            }
            if !is_any(shown.iter().map(Vec::as_slice), &self.basic) {
                return Err(self.unauthorized("basic_wrong"));
            }
        }
        if let Some((name, valid)) = &self.header_secret {
            let lines: Vec<&[u8]> = headers
                .get_all(name)
                .into_iter()
                .map(HeaderValue::as_bytes)
                .collect();
            if lines.is_empty() {
                return Err(self.unauthorized("header_missing"));
            }
            // Proxies join two header lines of one name with a comma.
            let parts = lines.iter().filter(|line| line.contains(&b','));
            let parts = parts
                .flat_map(|line| line.split(|byte| *byte == b','))
                .map(<[u8]>::trim_ascii);
            if !is_any(lines.iter().copied().chain(parts), valid) {
                return Err(self.unauthorized("header_wrong"));
            }
        }
        Ok(())
    }

    pub(super) fn unauthorized(&self, reason: &'static str) -> Refusal {
        Refusal::Unauthorized {
            reason,
            basic: !self.basic.is_empty(),
        }
    }
}

fn tokens(config: &Config, dir: &Path) -> Result<Vec<Fingerprint>, ConfigError> {
    match &config.token {
        Some(token) => read_tokens(Listener::KEY, token, dir, config.insecure_token),
        None => Ok(Vec::new()),
    }
}

fn basic(config: &Config, dir: &Path) -> Result<Vec<Fingerprint>, ConfigError> {
    let Some(basic) = &config.basic else {
        return Ok(Vec::new());
    };
    if basic.user.contains(':') {
        return Err(ConfigError::new("basic.user", "must not contain a colon"));
    }
    Ok(basic
        .passwords
        .resolve("basic.passwords", dir)?
        .iter()
        .map(|password| fingerprint(format!("{}:{}", basic.user, password.reveal()).as_bytes()))
        .collect())
}

fn header_secret(config: &Config, dir: &Path) -> Result<Option<(HeaderName, Vec<Fingerprint>)>, ConfigError> {
    let Some(header) = &config.header_secret else {
        return Ok(None);
    };
    let name = HeaderName::try_from(&header.name)
        .map_err(|_| ConfigError::new("header_secret.name", "not a header name"))?;
    if name == header::AUTHORIZATION && config.basic.is_some() {
        return Err(ConfigError::new(
            "header_secret.name",
            "`basic` already uses this header",
        ));
    }
    let valid = header
        .secrets
        .resolve("header_secret.secrets", dir)?
        .iter()
        .map(|secret| fingerprint(secret.reveal().as_bytes()))
        .collect();
    Ok(Some((name, valid)))
}

fn network(text: &str) -> Result<IpNet, ConfigError> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            ConfigError::new(
                "allow_ips",
                format!("`{text}` is neither an address nor a network"),
            )
            .hint("192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
        })
}

/// HubSpot reads `Retry-After` after a 429 as milliseconds; after a 503 it keeps its own schedule.
fn busy_status(config: &Config) -> StatusCode {
    match &config.signature {
        Some(signature) if signature.scheme == verify::Name::HubspotV3 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    }
}

/// Whether one of the shown secrets is valid. Compares all of them, so that the time shows nothing.
fn is_any<'a>(shown: impl Iterator<Item = &'a [u8]>, valid: &[Fingerprint]) -> bool {
    shown.fold(false, |found, shown| is_one_of(shown, valid) | found)
}

/// The caller's address: the last entry, which the proxy in front of the hub wrote. The caller can forge all entries before
/// it. Without the header it is `peer`; `None` for an invalid entry such as `unknown`.
fn forwarded_for(headers: &HeaderMap, peer: IpAddr) -> Option<IpAddr> {
    let Some(last) = headers.get_all("x-forwarded-for").into_iter().next_back() else {
        return Some(peer);
    };
    address(last.to_str().ok()?.rsplit(',').next()?.trim())
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`, perhaps in quotes.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches('"');
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let with_port = || entry.parse::<SocketAddr>().ok().map(|both| both.ip());
    bare.unwrap_or(entry).parse().ok().or_else(with_port)
}

/// `user:password` from the header.
fn basic_shown(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    BASE64.decode(rest.trim().as_bytes()).ok()
}
