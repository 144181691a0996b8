//! The headers of a web hook: fixed ones, and those with shortcodes.

use causeway_core::{
    mapping::omission::Reads,
    shortcode::{self, Names, Piece, Place, Report, Rules},
};
use data_encoding::BASE64;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    body::Content,
    config::{Config, Sign, Verb},
    plan::Resolve,
};
use crate::{
    config::{ConfigError, SecretRef},
    http::read_header,
    signature::SigningKey,
};

/// Lists the hubs that a record passed through, so that no hub forwards it in a loop.
pub(super) const VIA: HeaderName = HeaderName::from_static("causeway-via");

/// The headers, read and checked.
pub(super) struct Headers {
    fixed: HeaderMap,
    templates: Vec<(HeaderName, Vec<Piece>)>,
}

impl Headers {
    /// Adds a warning for each shortcode that looks like an accident.
    pub fn read(
        config: &Config,
        resolve: Resolve<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut headers = Self {
            fixed: HeaderMap::new(),
            templates: Vec::new(),
        };
        if let Some(content_type) = config.content().media_type() {
            headers
                .fixed
                .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let accept = HeaderValue::from_static("application/json, */*;q=0.5");
        headers.fixed.insert(ACCEPT, accept);
        for (name, value) in &config.headers {
            let key = format!("headers.{name}");
            let text = resolve(&key, value, "stand-in")?;
            let secret = matches!(value, SecretRef::From(_));
            let pieces = shortcode::parse(text.reveal());
            if !secret && text.reveal().contains("{{") {
                warnings.push(format!(
                    "`{key}`: {{{{ … }}}} is sent as it is: headers take shortcodes, as [#EMAIL#]"
                ));
            }
            if !secret && shortcode::has_codes(&pieces) {
                let (name, _) = read_header(&key, name, "", false)?;
                let found = shortcode::lint(text.reveal());
                warnings.extend(found.into_iter().map(|what| format!("`{key}`: {what}")));
                headers.templates.push((name, pieces));
                continue;
            }
            let (name, mut value) = read_header(&key, name, text.reveal(), secret)?;
            if name == AUTHORIZATION {
                value.set_sensitive(true);
            }
            headers.fixed.insert(name, value);
        }
        Ok(headers)
    }

    /// What the headers depend on.
    pub fn reads(&self, rules: &Rules) -> Reads {
        let mut reads = Reads::NOTHING;
        for (_, pieces) in &self.templates {
            reads.add(shortcode::reads(pieces, rules));
        }
        reads
    }

    pub fn need_names(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The headers for one record. `names` are present if [`Headers::need_names`] returned true.
    pub fn fill(&self, names: Option<&Names<'_>>, report: &mut Report<'_>) -> Result<HeaderMap, String> {
        let mut headers = self.fixed.clone();
        for ((name, pieces), names) in self.templates.iter().zip(std::iter::repeat(names)) {
            let Some(names) = names else { continue };
            let text = shortcode::expand(pieces, names, Place::Header, report)
                .map_err(|error| format!("the header {name}: {error}"))?;
            let value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| format!("the header {name} cannot carry its value"))?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}

pub(super) fn method(verb: Option<Verb>, content: Content) -> Result<Method, ConfigError> {
    Ok(match (verb, content) {
        (None | Some(Verb::Get), Content::Query) | (Some(Verb::Get), Content::None) => Method::GET,
        (Some(Verb::Get), _) => {
            return Err(ConfigError::new("method", "GET sends no body").hint("add content = \"query\""));
        }
        (Some(Verb::Delete), _) => Method::DELETE,
        (Some(_), Content::Query) => {
            return Err(ConfigError::new(
                "content",
                "\"query\" works with the methods GET and DELETE only",
            ));
        }
        (None | Some(Verb::Post), _) => Method::POST,
        (Some(Verb::Put), _) => Method::PUT,
        (Some(Verb::Patch), _) => Method::PATCH,
    })
}

pub(super) fn header_name(key: &str, name: &str) -> Result<Option<HeaderName>, ConfigError> {
    if name.is_empty() {
        return Ok(None);
    }
    read_header(key, name, "", false).map(|(name, _)| Some(name))
}

pub(super) fn signing_keys(
    sign: Option<&Sign>,
    resolve: Resolve<'_>,
) -> Result<Vec<SigningKey>, ConfigError> {
    let Some(sign) = sign else {
        return Ok(Vec::new());
    };
    if sign.secrets.is_empty() {
        return Err(ConfigError::new("sign.secrets", "names no secret"));
    }
    let placeholder = format!("whsec_{}", BASE64.encode(&[0; 24]));
    let keys = sign.secrets.iter().map(|secret| {
        let secret = resolve("sign.secrets", secret, &placeholder)?;
        SigningKey::new(&secret).map_err(|error| ConfigError::new("sign.secrets", error.to_string()))
    });
    keys.collect()
}
