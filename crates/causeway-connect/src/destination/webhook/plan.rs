//! Reads the configuration of a web hook, and makes the request for a delivery.

use std::{collections::BTreeSet, path::Path as FilePath, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    encode::sync::{self, Empty, Group},
    form::{EmitOptions, EmptyGroups},
    mapping::{Scope, Tables, Tells},
    response::Row,
    secret::Secret,
    shortcode::{self, Names},
};
use jiff::tz::TimeZone;
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value};

use super::{
    address::Address,
    body::{self, Content},
    config::Config,
    headers::{Headers, VIA, header_name, method, signing_keys},
    payload,
    templates::Templates,
    update,
};
use crate::{
    config::{ConfigError, SecretRef, read},
    destination::{
        Needs,
        fields::{Fields, Path},
    },
    http::{self, HttpRequest},
    signature::{SigningKey, sign_standard_webhooks},
};

/// The configuration, read and checked.
pub(super) struct Plan {
    pub address: Address,
    pub options: http::Options,
    /// Path and how it was written.
    pub success: Option<(Path, String)>,
    pub remote_id: Path,
    /// What of the answer is written into the contact.
    pub update: Vec<Row>,
    pub zone: TimeZone,
    method: Method,
    content: Content,
    emit: EmitOptions,
    url_is_secret: bool,
    headers: Headers,
    idempotency_header: Option<HeaderName>,
    fields: Option<Fields>,
    templates: Templates,
    sync: Option<sync::Options>,
    rules: shortcode::Rules,
    signing_keys: Vec<SigningKey>,
    warnings: Vec<String>,
}

/// What `config check` says of groups or an address that do not tell a no from a yes.
const MUTE: &str = "neither the groups of `sync` nor a shortcode says that somebody said no, so a no is not sent here: add \
                    fields = { change = \"change\" }, or [#CHANGE#]";

/// Takes the key, the secret, and what stands for it where it is not to be read.
pub(super) type Resolve<'a> = &'a dyn Fn(&str, &SecretRef, &str) -> Result<Secret, ConfigError>;

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
        let mut warnings = Vec::new();
        let url = resolve("url", &config.url, "https://stand-in.example.org")?;
        let address = Address::read(url.reveal(), config.allow_private, config.allow_http)?;
        warnings.extend(
            shortcode::lint_url(url.reveal())
                .into_iter()
                .map(|what| format!("`url`: {what}")),
        );
        let zone = config.zone()?;
        let rules = config.rules(&zone);
        let common = payload::Common {
            content: config.content,
            zone: &zone,
            field_ids: &rules.field_ids,
            field_names: &config.field_names,
        };
        let sync = payload::options(
            config.sync.as_ref(),
            config.payload.as_ref(),
            &common,
            &mut warnings,
        )?;
        let emit = EmitOptions {
            raw_brackets: config
                .payload
                .as_ref()
                .is_some_and(|payload| payload.raw_brackets),
            empty_groups: match &sync {
                Some(options) if options.empty == Empty::Send => EmptyGroups::Blank,
                _ => EmptyGroups::Omit,
            },
            ..EmitOptions::default()
        };
        let (fields, templates) = fields(config, tables, sync.as_ref(), emit, &address, &mut warnings)?;
        let success = match &config.success_path {
            Some(text) => Some((Path::read("success_path", text)?, text.clone())),
            None => None,
        };
        let update = update::rows(&config.update)?;
        Ok(Self {
            options: http::Options {
                allow_private: config.allow_private,
                connect_timeout: Duration::from_secs(config.connect_timeout_s.max(1).into()),
                answer_bytes: update::answer_bytes(&update),
            },
            success,
            remote_id: Path::read("remote_id_path", &config.remote_id_path)?,
            headers: Headers::read(config, resolve, &mut warnings)?,
            idempotency_header: header_name("idempotency_header", &config.idempotency_header)?,
            signing_keys: signing_keys(config.sign.as_ref(), resolve)?,
            url_is_secret: matches!(config.url, SecretRef::From(_)),
            content: config.content,
            rules,
            update,
            zone,
            method,
            emit,
            address,
            fields,
            templates,
            sync,
            warnings,
        })
    }

    /// What the rest of the program has to know.
    pub fn needs(self) -> Needs {
        let mut needs = self.fields.as_ref().map(Fields::needs).unwrap_or_default();
        let by_code = self.address.says_change() || self.headers.say_change() || self.templates.say_change();
        if by_code {
            needs.tells = Tells::All;
        } else if self.fields.is_none() && !self.sends_whole_record() {
            // To a newsletter tool the groups of somebody who said no would be a subscription.
            needs.tells = Tells::Only(BTreeSet::new());
            needs.mute = MUTE;
        }
        needs.history |= self.sync.is_some_and(|options| options.needs_history());
        needs.warnings.extend(self.warnings);
        needs
    }

    fn sends_whole_record(&self) -> bool {
        let address_says_it = self.content == Content::Query && self.address.need_names();
        self.fields.is_none() && self.sync.is_none() && !address_says_it
    }

    /// The request for one delivery, signed for `now`; or the reason why there can be none. Adds to `unknown` the
    /// shortcodes that named nothing.
    pub fn build_request(
        &self,
        delivery: &Delivery,
        now: Timestamp,
        unknown: &mut BTreeSet<String>,
    ) -> Result<HttpRequest, String> {
        let record = &delivery.record;
        let need_names =
            self.address.need_names() || self.headers.need_names() || self.templates.need_names();
        let names = need_names.then(|| Names::new(record, &self.rules));
        let mut url = self.address.fill(names.as_ref(), unknown)?;
        let members = self.members(delivery, names.as_ref(), unknown)?;
        let body = body::fill(self.content, &members, self.emit, &mut url)?;
        let mut headers = self.headers.fill(names.as_ref(), unknown)?;
        let key = delivery.key.0.as_str();
        let key_value =
            HeaderValue::from_str(key).map_err(|_| "the delivery's key does not fit into a header")?;
        if let Some(name) = &self.idempotency_header {
            headers.insert(name.clone(), key_value.clone());
        }
        if !record.via.is_empty() {
            let via = HeaderValue::from_str(&record.via.join(", "))
                .map_err(|_| "the name of a hub that this came through does not fit into a header")?;
            headers.insert(VIA, via);
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

    /// What is sent: the groups, then the fields; without both the whole record, unless the address says it all.
    fn members(
        &self,
        delivery: &Delivery,
        names: Option<&Names<'_>>,
        unknown: &mut BTreeSet<String>,
    ) -> Result<Map<String, Value>, String> {
        let record = &delivery.record;
        let mut members = match &self.sync {
            Some(options) => {
                let model = sync::model(record, &delivery.key, options);
                sync::members(&model, options).map_err(|error| format!("`sync`: {error}"))?
            }
            None => Map::new(),
        };
        let more = match &self.fields {
            Some(fields) => {
                let mut mapped = fields
                    .nest(&Scope::new(record))
                    .map_err(|error| error.to_string())?;
                self.templates.fill(names, &mut mapped, unknown)?;
                mapped
            }
            None if self.sends_whole_record() => record.to_json(),
            None => Value::Null,
        };
        if let Value::Object(more) = more {
            members.extend(more);
        }
        Ok(members)
    }
}

/// The mapping, and the shortcodes in it. Names that cannot be sent cannot be for any record, so they are refused here.
fn fields(
    config: &Config,
    tables: &Tables,
    sync: Option<&sync::Options>,
    emit: EmitOptions,
    address: &Address,
    warnings: &mut Vec<String>,
) -> Result<(Option<Fields>, Templates), ConfigError> {
    let Some(table) = &config.fields else {
        return Ok((None, Templates::default()));
    };
    let mut table = table.clone();
    let templates = Templates::take(&mut table, warnings)?;
    let fields = Fields::read("fields", &table, tables)?;
    let outline = fields.outline()?.as_object().cloned().unwrap_or_default();
    if let Some(group) = sync.and_then(|_| outline.keys().find(|name| Group::parse(name).is_some())) {
        return Err(
            ConfigError::new(&format!("fields.{group}"), "is the name of a group of `sync`")
                .hint("fields come behind the groups: give it another name"),
        );
    }
    body::fill(config.content, &outline, emit, &mut address.sample.clone())
        .map_err(|why| ConfigError::new("fields", why))?;
    Ok((Some(fields), templates))
}
