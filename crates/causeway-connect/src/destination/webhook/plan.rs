//! Reads the configuration of a web hook, and makes the request for a delivery.

use std::{collections::BTreeSet, time::Duration};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    destination::Outcome,
    encode::sync::{self, Empty, Group, TooMany},
    form::{EmitOptions, EmptyGroups},
    mapping::{
        ConsentShown, Scope, Tables,
        omission::{Omissions, Person, Reads},
    },
    path::Path,
    record::Record,
    response::Row,
    secret::Secret,
    shortcode::{self, Names, Report},
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
    shorten::{MAX_HEADER, MAX_URL, shorter},
    templates::Templates,
    update,
};
use crate::{
    config::{ConfigError, SecretRef, read},
    destination::{
        Needs,
        fields::{Fields, nest},
    },
    http::{self, HttpRequest},
    signature::{SigningKey, sign_standard_webhooks},
};

/// The configuration, read and checked.
pub(super) struct Plan {
    pub address: Address,
    pub options: http::Options,
    pub success: Option<Path>,
    pub remote_id: Path,
    /// Values of the response to write into the contact.
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

/// A request, and notes about it.
pub(super) struct Built {
    pub request: HttpRequest,
    /// The shortcodes that named nothing.
    pub unknown: BTreeSet<String>,
    pub notes: Vec<String>,
}

/// Why no request could be made.
enum Failure {
    /// The request is longer than the receiver accepts; a shorter record may fit.
    TooMuch(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// What `config check` reports about groups or an address in which an opt-out looks like an opt-in.
const SHOWS_NO_CONSENT: &str = "neither the groups of `sync` nor a shortcode shows the person's consent, so opt-outs are not sent \
                    there and you have to enter them by hand: add fields = { change = \"change\" }, or [#CHANGE#]";

/// What `config check` reports about requests that name people by telephone number only.
const CHANGEABLE: &str = "the requests name people by their telephone numbers only. An opt-out after a change of number carries \
                          the new one, and the receiver keeps the old one: add `contact.email` or an id";

/// Why a withdrawal is not sent.
const CANNOT_EXPRESS: &str = "consent: the payload of this destination does not show consent, so you have to enter the \
                           opt-out by hand; add fields = { change = \"change\" }, or [#CHANGE#]";

/// Takes the key, the secret, and a text that stands for the secret if it must not be read.
pub(super) type Resolve<'a> = &'a dyn Fn(&str, &SecretRef, &str) -> Result<Secret, ConfigError>;

impl Plan {
    /// Like [`Plan::parse`], and reads the secrets.
    pub fn read(dir: &std::path::Path, table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        Self::new(&read(table)?, tables, &|key, secret, _| secret.resolve(key, dir))
    }

    /// Checks everything but the secrets, without I/O.
    pub fn parse(table: &toml::Table, tables: &Tables) -> Result<Self, ConfigError> {
        Self::new(&read(table)?, tables, &|_, secret, placeholder| {
            Ok(match secret {
                SecretRef::Text(text) => Secret::new(text),
                SecretRef::From(_) => Secret::new(placeholder),
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
        let success = config.success_path.as_deref();
        let success = success
            .map(|text| to_one_value("success_path", text))
            .transpose()?;
        let update = update::rows(&config.update)?;
        Ok(Self {
            options: http::Options {
                allow_private: config.allow_private,
                connect_timeout: Duration::from_secs(config.connect_timeout_s.max(1).into()),
                answer_bytes: update::answer_bytes(&update),
            },
            success,
            remote_id: to_one_value("remote_id_path", &config.remote_id_path)?,
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

    /// What the rest of the program must know.
    pub fn needs(self) -> Needs {
        let mut needs = self.fields.as_ref().map(Fields::needs).unwrap_or_default();
        if self.fields.is_none() {
            needs.shows_no_consent = SHOWS_NO_CONSENT;
        }
        let reads = self.reads();
        let has_phone = self.fields.as_ref().is_some_and(Fields::read_phone);
        if has_phone && reads.person == Person::Data && reads.consent != ConsentShown::NOTHING {
            needs.warnings.push(CHANGEABLE.to_owned());
        }
        needs.consent_shown = reads.consent;
        needs.history |= self.sync.is_some_and(|options| options.needs_history());
        needs.warnings.extend(self.warnings);
        needs
    }

    /// The purposes for which a request differs between opt-out and opt-in.
    fn consent_shown(&self) -> ConsentShown {
        self.reads().consent
    }

    /// What all parts of a request depend on.
    fn reads(&self) -> Reads {
        let mut reads = match &self.fields {
            Some(fields) => fields.reads(),
            None if self.sends_whole_record() => Reads::EVERYTHING,
            // A newsletter tool would take the groups of a person who opted out for a subscription.
            None => Reads::NOTHING,
        };
        reads.add(self.address.reads(&self.rules));
        reads.add(self.headers.reads(&self.rules));
        reads.add(self.templates.reads(&self.rules));
        reads
    }

    fn sends_whole_record(&self) -> bool {
        let address_says_it = self.content == Content::Query && self.address.need_names();
        self.fields.is_none() && self.sync.is_none() && !address_says_it
    }

    /// The request for one delivery, signed for `now`; or the delivery's outcome if there is no request.
    pub fn build_request(&self, delivery: &Delivery, now: Timestamp) -> Result<Built, Outcome> {
        let record = &delivery.record;
        // Checked again here, because the content of a secret address is known only now.
        if record.is_withdrawal() && self.consent_shown() == ConsentShown::NOTHING {
            return Err(Outcome::Skip {
                reason: CANNOT_EXPRESS.to_owned(),
            });
        }
        let mut made = self.make(delivery, record, now);
        if record.is_withdrawal() {
            for (shorter, note) in shorter(record) {
                if !is_too_much(&made) {
                    break;
                }
                made = self.make(delivery, &shorter, now).map(|mut built| {
                    built.notes.push(note.to_owned());
                    built
                });
            }
        }
        made.map_err(|(Failure::TooMuch(reason) | Failure::Other(reason))| Outcome::Reject { reason })
    }

    /// Makes the request. `record` is the delivery's record, or a shortened one.
    fn make(&self, delivery: &Delivery, record: &Record, now: Timestamp) -> Result<Built, Failure> {
        let mut omissions = Omissions::of(record);
        let mut report = Report::new(&mut omissions);
        let need_names =
            self.address.need_names() || self.headers.need_names() || self.templates.need_names();
        let names = need_names.then(|| Names::new(record, &self.rules));
        let mut url = self.address.fill(names.as_ref(), &mut report)?;
        let members = self.members(delivery, record, names.as_ref(), &mut report)?;
        let mut headers = self.headers.fill(names.as_ref(), &mut report)?;
        let unknown = report.unknown;
        let mut problems = Vec::new();
        let body = body::fill(self.content, &members, self.emit, &mut url, &mut problems)?;
        // Names from the configuration were checked when it was read. These problems come from a contact's
        // data.
        for problem in problems {
            omissions.note(format!("left out: {problem}"));
        }
        let key = delivery.key.0.as_str();
        let key_value = HeaderValue::from_str(key)
            .map_err(|_| "the delivery's key does not fit into a header".to_owned())?;
        if let Some(name) = &self.idempotency_header {
            headers.insert(name.clone(), key_value.clone());
        }
        let hubs = record.via.iter().map(String::as_str);
        let hubs: Vec<&str> = hubs.filter(|hub| HeaderValue::from_str(hub).is_ok()).collect();
        if !hubs.is_empty()
            && let Ok(via) = HeaderValue::from_str(&hubs.join(", "))
        {
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
        Ok(Built {
            request: HttpRequest {
                method: self.method.clone(),
                url,
                url_is_secret: self.url_is_secret,
                headers,
                body,
            },
            unknown,
            notes: omissions.finish()?,
        })
    }

    /// The members to send: the groups, then the fields. Without both it is the whole record, unless the
    /// address carries everything.
    fn members(
        &self,
        delivery: &Delivery,
        record: &Record,
        names: Option<&Names<'_>>,
        report: &mut Report<'_>,
    ) -> Result<Map<String, Value>, Failure> {
        let more = match &self.fields {
            Some(fields) => {
                let mut values = fields
                    .apply(&Scope::new(record), report.omissions)
                    .map_err(|error| error.to_string())?;
                self.templates.fill(names, &mut values, report)?;
                nest(values).map_err(|error| error.to_string())?
            }
            None if self.sends_whole_record() => {
                report.omissions.keep(Reads::EVERYTHING);
                record.to_json()
            }
            None => Value::Null,
        };
        let mut members = match &self.sync {
            Some(options) => {
                if options.sends(Group::Contact) {
                    report.omissions.keep(Reads::of_person(Person::Identity));
                }
                self.groups(delivery, record, options, &more)
                    .map_err(|error| Failure::TooMuch(format!("`sync`: {error}")))?
            }
            None => Map::new(),
        };
        if let Value::Object(more) = more {
            members.extend(more);
        }
        Ok(members)
    }

    /// The groups leave room for `fields`, which come last, because a receiver in PHP drops variables after
    /// its limit.
    fn groups(
        &self,
        delivery: &Delivery,
        record: &Record,
        options: &sync::Options,
        fields: &Value,
    ) -> Result<Map<String, Value>, TooMany> {
        let taken = if self.fields.is_some() {
            sync::leaves(fields)
        } else {
            0
        };
        let most = options.max_variables.map(|most| most.saturating_sub(taken));
        let options = sync::Options {
            max_variables: most,
            ..options.clone()
        };
        sync::members(&sync::model(record, &delivery.key, &options), &options)
    }
}

/// Whether the request is longer than receivers accept.
fn is_too_much(made: &Result<Built, Failure>) -> bool {
    match made {
        Ok(built) => {
            let mut headers = built.request.headers.values();
            built.request.url.as_str().len() > MAX_URL || headers.any(|value| value.len() > MAX_HEADER)
        }
        Err(Failure::TooMuch(_)) => true,
        Err(Failure::Other(_)) => false,
    }
}

/// A path to at most one value of the response.
fn to_one_value(key: &str, text: &str) -> Result<Path, ConfigError> {
    let hint = "write it like data.id or people[0].id";
    match Path::parse(text) {
        Ok(path) if path.is_for_every() => {
            Err(ConfigError::new(key, format!("{text:?} may lead to several values")).hint(hint))
        }
        Ok(path) => Ok(path),
        Err(error) => Err(ConfigError::new(key, format!("{text:?} {error}")).hint(hint)),
    }
}

/// The mapping and its shortcodes. Names that cannot be sent fail for every record, so they are rejected
/// here.
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
                .hint("fields follow the groups: give it another name"),
        );
    }
    let mut problems = Vec::new();
    body::fill(
        config.content,
        &outline,
        emit,
        &mut address.sample.clone(),
        &mut problems,
    )
    .map_err(|why| ConfigError::new("fields", why))?;
    if let Some(problem) = problems.first() {
        return Err(ConfigError::new("fields", problem.to_string()));
    }
    Ok((Some(fields), templates))
}
