//! Reads the configuration of a web hook, and makes the request for a delivery.

use std::{collections::BTreeMap, path::Path as FilePath, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    mapping::{Scope, Tables},
    secret::Secret,
};
use data_encoding::BASE64;
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::body::{self, Content};
use crate::{
    config::{ConfigError, SecretRef, read},
    destination::{
        Needs,
        fields::{Fields, Path},
    },
    http::{self, HttpRequest, read_header, read_url},
    signature::{SigningKey, sign_standard_webhooks},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where to. Written as a secret, only its host is ever shown.
    url: SecretRef,
    /// `POST`, unless `content` is `query`.
    method: Option<Verb>,
    #[serde(default)]
    content: Content,
    /// Further headers; those given as secrets are never shown.
    #[serde(default)]
    headers: BTreeMap<String, SecretRef>,
    auth: Option<Auth>,
    /// Signs as Standard Webhooks 1.0 says.
    sign: Option<Sign>,
    /// The header that carries the delivery's key, by which the receiver knows a repeat; empty for none.
    #[serde(default = "idempotency_key")]
    idempotency_header: String,
    /// Name over there = expression (`contact.email`), template (`{{ … }}`), or "=text". The whole record if not given.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Where the JSON answer says whether it went well, for APIs that answer 200 to everything.
    success_path: Option<String>,
    /// Where the JSON answer has the id that the record got over there.
    #[serde(default = "id")]
    remote_id_path: String,
    /// Allows addresses that only machines around us can reach, and http://.
    #[serde(default)]
    allow_private: bool,
    /// Allows http://, and with it that everybody on the way can read.
    #[serde(default)]
    allow_http: bool,
    /// Seconds until an attempt to connect is given up.
    #[serde(default = "ten")]
    connect_timeout_s: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Post,
    Put,
    Patch,
    Get,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Auth {
    basic: Option<Basic>,
    bearer: Option<SecretRef>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Basic {
    user: String,
    password: SecretRef,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sign {
    /// Each `whsec_…`. More than one while the receiver changes over.
    secrets: Vec<SecretRef>,
}

fn idempotency_key() -> String {
    "Idempotency-Key".to_owned()
}

fn id() -> String {
    "id".to_owned()
}

fn ten() -> u16 {
    10
}

/// The configuration, read and checked.
pub(super) struct Plan {
    pub url: Url,
    pub options: http::Options,
    /// Path and how it was written.
    pub success: Option<(Path, String)>,
    pub remote_id: Path,
    method: Method,
    content: Content,
    url_is_secret: bool,
    /// Those that do not change.
    headers: HeaderMap,
    idempotency_header: Option<HeaderName>,
    fields: Option<Fields>,
    signing_keys: Vec<SigningKey>,
}

/// Takes the key, the secret, and what stands for it where it is not to be read.
type Resolve<'a> = &'a dyn Fn(&str, &SecretRef, &str) -> Result<Secret, ConfigError>;

impl Plan {
    /// Reads the secrets too.
    pub fn read(dir: &FilePath, table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        Self::new(&read(table)?, tables, &|key, secret, _| secret.resolve(key, dir))
    }

    /// Checks all but the secrets, without I/O.
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        Self::new(&read(table)?, tables, &|_, secret, stand_in| {
            Ok(match secret {
                SecretRef::Text(text) => Secret::new(text),
                SecretRef::From(_) => Secret::new(stand_in),
            })
        })
    }

    fn new(config: &Config, tables: &Tables, resolve: Resolve<'_>) -> Result<Self, ConfigError> {
        let method = method(config.method, config.content)?;
        let url = resolve("url", &config.url, "https://stand-in.example.org")?;
        let url = read_url("url", url.reveal(), config.allow_private, config.allow_http)?;
        let fields = config
            .fields
            .as_ref()
            .map(|table| Fields::read("fields", table, tables))
            .transpose()?;
        if let Some(fields) = &fields {
            // Names that cannot be sent cannot be for any record.
            let outline = fields.outline()?;
            body::fill(config.content, &outline, &mut url.clone())
                .map_err(|why| ConfigError::new("fields", why))?;
        }
        let success = match &config.success_path {
            Some(text) => Some((Path::read("success_path", text)?, text.clone())),
            None => None,
        };
        Ok(Self {
            options: http::Options {
                allow_private: config.allow_private,
                connect_timeout: Duration::from_secs(config.connect_timeout_s.max(1).into()),
            },
            success,
            remote_id: Path::read("remote_id_path", &config.remote_id_path)?,
            headers: headers(config, resolve)?,
            idempotency_header: header_name("idempotency_header", &config.idempotency_header)?,
            signing_keys: signing_keys(config.sign.as_ref(), resolve)?,
            url_is_secret: matches!(config.url, SecretRef::From(_)),
            content: config.content,
            method,
            url,
            fields,
        })
    }

    pub fn needs(&self) -> Needs {
        self.fields.as_ref().map(Fields::needs).unwrap_or_default()
    }

    /// The request for one delivery, signed for `now`; or the reason why there can be none.
    pub fn build_request(&self, delivery: &Delivery, now: Timestamp) -> Result<HttpRequest, String> {
        let record = match &self.fields {
            Some(fields) => fields
                .nest(&Scope::new(&delivery.record))
                .map_err(|error| error.to_string())?,
            None => delivery.record.to_json(),
        };
        let mut url = self.url.clone();
        let body = body::fill(self.content, &record, &mut url)?;
        let mut headers = self.headers.clone();
        let key = delivery.key.0.as_str();
        let key_value =
            HeaderValue::from_str(key).map_err(|_| "the delivery's key does not fit into a header")?;
        if let Some(name) = &self.idempotency_header {
            headers.insert(name.clone(), key_value.clone());
        }
        if !self.signing_keys.is_empty() {
            let signature = sign_standard_webhooks(&self.signing_keys, key, now, &body);
            let mut signature = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
            signature.set_sensitive(true);
            headers.insert("webhook-id", key_value);
            headers.insert("webhook-timestamp", now.as_second().into());
            headers.insert("webhook-signature", signature);
        }
        Ok(HttpRequest {
            method: self.method.clone(),
            url,
            url_is_secret: self.url_is_secret,
            headers,
            body,
        })
    }
}

fn method(verb: Option<Verb>, content: Content) -> Result<Method, ConfigError> {
    Ok(match (verb, content) {
        (None | Some(Verb::Get), Content::Query) => Method::GET,
        (Some(Verb::Get), _) => {
            return Err(ConfigError::new("method", "GET sends no body").hint("add content = \"query\""));
        }
        (Some(_), Content::Query) => {
            return Err(ConfigError::new(
                "content",
                "\"query\" goes with the method GET only",
            ));
        }
        (None | Some(Verb::Post), _) => Method::POST,
        (Some(Verb::Put), _) => Method::PUT,
        (Some(Verb::Patch), _) => Method::PATCH,
    })
}

fn headers(config: &Config, resolve: Resolve<'_>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = config.content.media_type() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    for (name, value) in &config.headers {
        let key = format!("headers.{name}");
        let text = resolve(&key, value, "stand-in")?;
        let (name, mut value) = read_header(&key, name, text.reveal(), matches!(value, SecretRef::From(_)))?;
        if name == AUTHORIZATION {
            value.set_sensitive(true);
        }
        headers.insert(name, value);
    }
    let Some(auth) = &config.auth else {
        return Ok(headers);
    };
    let (key, text) = match (&auth.basic, &auth.bearer) {
        (Some(basic), None) => {
            let password = resolve("auth.basic.password", &basic.password, "stand-in")?;
            if basic.user.contains(':') {
                return Err(ConfigError::new(
                    "auth.basic.user",
                    "a user name may not contain a colon",
                ));
            }
            let pair = format!("{}:{}", basic.user, password.reveal());
            ("auth.basic", format!("Basic {}", BASE64.encode(pair.as_bytes())))
        }
        (None, Some(bearer)) => {
            let token = resolve("auth.bearer", bearer, "stand-in")?;
            ("auth.bearer", format!("Bearer {}", token.reveal()))
        }
        _ => {
            return Err(ConfigError::new(
                "auth",
                "needs exactly one of `basic` and `bearer`",
            ));
        }
    };
    let (name, value) = read_header(key, AUTHORIZATION.as_str(), &text, true)?;
    headers.insert(name, value);
    Ok(headers)
}

fn header_name(key: &str, name: &str) -> Result<Option<HeaderName>, ConfigError> {
    if name.is_empty() {
        return Ok(None);
    }
    read_header(key, name, "", false).map(|(name, _)| Some(name))
}

fn signing_keys(sign: Option<&Sign>, resolve: Resolve<'_>) -> Result<Vec<SigningKey>, ConfigError> {
    let Some(sign) = sign else {
        return Ok(Vec::new());
    };
    if sign.secrets.is_empty() {
        return Err(ConfigError::new("sign.secrets", "names no secret"));
    }
    let stand_in = format!("whsec_{}", BASE64.encode(&[0; 24]));
    let keys = sign.secrets.iter().map(|secret| {
        let secret = resolve("sign.secrets", secret, &stand_in)?;
        SigningKey::new(&secret).map_err(|error| ConfigError::new("sign.secrets", error.to_string()))
    });
    keys.collect()
}
