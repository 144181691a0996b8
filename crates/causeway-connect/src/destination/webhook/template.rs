//! One sort of request: address, method, headers and mapping, and how a record is put into it.

use std::collections::BTreeSet;

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
    record::Record,
    shortcode::{self, Names, Report},
};
use jiff::tz::TimeZone;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};
use url::Url;

use super::{
    address::{Address, FOUND_ID},
    auth::Credentials,
    body::{self, Content},
    config::{Config, Verb},
    each::Each,
    headers::{Headers, VIA, header_name, method, signing_keys},
    payload,
    plan::Resolve,
    shorten::{MAX_HEADER, MAX_URL, shorter},
    templates::Templates,
};
use crate::{
    config::{ConfigError, SecretRef, json_members},
    destination::{
        Needs,
        fields::{Fields, nest},
    },
    http::HttpRequest,
    signature::{SigningKey, sign_standard_webhooks},
};

/// A request, read and checked.
pub(super) struct Template {
    pub address: Address,
    /// The request itself takes people off or deletes them, whatever it holds.
    withdraws: bool,
    method: Method,
    content: Content,
    emit: EmitOptions,
    url_is_secret: bool,
    headers: Headers,
    credentials: Credentials,
    idempotency_header: Option<HeaderName>,
    fields: Option<Fields>,
    /// The fields whose value is the id that `find` found.
    id_fields: Vec<String>,
    templates: Templates,
    sync: Option<sync::Options>,
    omit_null: bool,
    /// Members beside the list of records, in a request about many.
    beside: Map<String, Value>,
    rules: shortcode::Rules,
    signing_keys: Vec<SigningKey>,
}

/// What a record contributes to a request.
pub(super) struct Part {
    pub members: Map<String, Value>,
    url: Url,
    headers: HeaderMap,
    via: Vec<String>,
    /// The shortcodes that named nothing.
    pub unknown: BTreeSet<String>,
    pub notes: Vec<String>,
}

/// A request, and notes about values that it cannot express.
pub(super) struct Built {
    pub request: HttpRequest,
    pub notes: Vec<String>,
}

/// When and for what a request is made.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    /// The idempotency key.
    pub key: &'a str,
    pub now: Timestamp,
    /// For a preview: secrets in the address are replaced.
    pub masked: bool,
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

impl Template {
    pub fn read(
        config: &Config,
        tables: &Tables,
        resolve: Resolve<'_>,
        withdraws: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let content = config.content();
        let url = resolve("url", &config.url, "https://stand-in.example.org")?;
        let mut address = Address::read(url.reveal(), config.allow_private, config.allow_http)?;
        if withdraws || config.method == Some(Verb::Delete) {
            address.name_somebody();
        }
        let doubts = shortcode::lint_url(&url.reveal().replace(FOUND_ID, "id")).into_iter();
        warnings.extend(doubts.map(|what| format!("`url`: {what}")));
        let zone = config.zone()?;
        let rules = config.rules(&zone);
        let sync = groups(config, content, &zone, &rules, warnings)?;
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
        if content == Content::None && config.fields.is_some() {
            return Err(ConfigError::new("fields", "are not sent with content = \"none\""));
        }
        let (fields, templates) = fields(config, tables, sync.as_ref(), emit, &address, warnings)?;
        let constants = config.fields.iter().flatten();
        let id_fields = constants.filter(|(_, value)| value.as_str() == Some(&format!("={FOUND_ID}")));
        Ok(Self {
            withdraws,
            method: method(config.method, content)?,
            headers: Headers::read(config, resolve, warnings)?,
            credentials: Credentials::read(config.auth.as_ref(), resolve)?,
            idempotency_header: header_name("idempotency_header", &config.idempotency_header)?,
            signing_keys: signing_keys(config.sign.as_ref(), resolve)?,
            url_is_secret: matches!(config.url, SecretRef::From(_)),
            id_fields: id_fields.map(|(name, _)| name.clone()).collect(),
            omit_null: config.omit_null,
            beside: config
                .each
                .as_ref()
                .map(|each| json_members(each.members.clone()))
                .unwrap_or_default(),
            content,
            rules,
            emit,
            address,
            fields,
            templates,
            sync,
        })
    }

    /// What the mapping means for the rest of the program.
    pub fn needs(&self) -> Needs {
        let mut needs = self.fields.as_ref().map(Fields::needs).unwrap_or_default();
        needs.history |= self.sync.as_ref().is_some_and(sync::Options::needs_history);
        needs
    }

    pub fn has_fields(&self) -> bool {
        self.fields.is_some()
    }

    pub fn reads_phone(&self) -> bool {
        self.fields.as_ref().is_some_and(Fields::read_phone)
    }

    /// Whether it needs the id that `find` found.
    pub fn needs_id(&self) -> bool {
        self.address.needs_id() || !self.id_fields.is_empty()
    }

    /// Whether the address is another one for each person.
    pub fn names_person(&self) -> bool {
        self.address.need_names() || self.address.needs_id() || self.content == Content::Query
    }

    /// Whether one request can be about several records.
    pub fn takes_many(&self) -> bool {
        !self.names_person() && !self.headers.need_names() && self.content.has_body()
    }

    /// What all parts of a request depend on.
    pub fn reads(&self) -> Reads {
        let mut reads = match &self.fields {
            Some(fields) => fields.reads(),
            None if self.sends_whole_record() => Reads::EVERYTHING,
            // A newsletter tool would take the groups of a person who opted out for a subscription.
            None => Reads::NOTHING,
        };
        reads.add(self.address.reads(&self.rules));
        reads.add(self.headers.reads(&self.rules));
        reads.add(self.templates.reads(&self.rules));
        if self.withdraws {
            reads.add(Reads::of_consent(ConsentShown::All));
        }
        if self.needs_id() {
            reads.add(Reads::of_person(Person::Identity));
        }
        reads
    }

    fn sends_whole_record(&self) -> bool {
        let address_says_it = self.content == Content::Query && self.address.need_names();
        let has_content = self.content != Content::None;
        self.fields.is_none() && self.sync.is_none() && !address_says_it && has_content
    }

    /// What the delivery contributes to a request; or its outcome if there is no request. `found` is the person's
    /// id, if the request needs one.
    pub fn part(&self, delivery: &Delivery, found: Option<&str>) -> Result<Part, Outcome> {
        let record = &delivery.record;
        let mut made = self.make(delivery, record, found);
        if record.is_withdrawal() {
            for (shorter, note) in shorter(record) {
                if !is_too_much(&made) {
                    break;
                }
                made = self.make(delivery, &shorter, found).map(|mut part| {
                    part.notes.push(note.to_owned());
                    part
                });
            }
        }
        made.map_err(|(Failure::TooMuch(reason) | Failure::Other(reason))| Outcome::Reject { reason })
    }

    /// `record` is the delivery's record, or a shortened one.
    fn make(&self, delivery: &Delivery, record: &Record, found: Option<&str>) -> Result<Part, Failure> {
        let mut omissions = Omissions::of(record);
        if self.withdraws {
            omissions.keep(Reads::of_consent(ConsentShown::All));
        }
        if found.is_some() && self.needs_id() {
            omissions.keep(Reads::of_person(Person::Identity));
        }
        let mut report = Report::new(&mut omissions);
        let need_names =
            self.address.need_names() || self.headers.need_names() || self.templates.need_names();
        let names = need_names.then(|| Names::new(record, &self.rules));
        let mut url = self.address.fill(names.as_ref(), found, &mut report)?;
        let mut members = self.members(delivery, record, names.as_ref(), found, &mut report)?;
        if self.omit_null {
            leave_out_nulls(&mut members);
        }
        let headers = self.headers.fill(names.as_ref(), &mut report)?;
        let unknown = report.unknown;
        if self.content == Content::Query {
            // Names from the configuration were checked when it was read. These problems come from a contact's
            // data.
            let mut problems = Vec::new();
            body::fill(self.content, &members, self.emit, &mut url, &mut problems)?;
            for problem in problems {
                omissions.note(format!("left out: {problem}"));
            }
        }
        let hubs = record.via.iter();
        Ok(Part {
            members,
            url,
            headers,
            via: hubs
                .filter(|hub| HeaderValue::from_str(hub).is_ok())
                .cloned()
                .collect(),
            unknown,
            notes: omissions.finish()?,
        })
    }

    /// The request about one record.
    pub fn request(&self, part: Part, making: Making<'_>) -> Result<Built, String> {
        let mut problems = Vec::new();
        let mut url = part.url;
        let body = match self.content {
            Content::Query => bytes::Bytes::new(),
            _ => body::fill(self.content, &part.members, self.emit, &mut url, &mut problems)?,
        };
        let request = HttpRequest {
            method: self.method.clone(),
            url,
            url_is_secret: self.url_is_secret,
            headers: part.headers,
            body,
        };
        let mut notes = Vec::new();
        for note in problems.iter().map(|problem| format!("left out: {problem}")) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        self.complete(request, &part.via, making)
            .map(|request| Built { request, notes })
    }

    /// The request about several records. They have the same address and headers.
    pub fn request_of_many(
        &self,
        each: &Each,
        parts: &[(Value, &Part)],
        making: Making<'_>,
    ) -> Result<Built, String> {
        let mut problems = Vec::new();
        let records = parts.iter().map(|(record, _)| record.clone()).collect();
        let body = each.body(records, &self.beside, self.content, self.emit, &mut problems)?;
        let mut via: Vec<String> = Vec::new();
        for hub in parts.iter().flat_map(|(_, part)| &part.via) {
            if !via.contains(hub) {
                via.push(hub.clone());
            }
        }
        let request = HttpRequest {
            method: self.method.clone(),
            url: self.address.sample.clone(),
            url_is_secret: self.url_is_secret,
            headers: parts
                .first()
                .map(|(_, part)| part.headers.clone())
                .unwrap_or_default(),
            body,
        };
        let notes = problems
            .iter()
            .map(|problem| format!("left out: {problem}"))
            .collect();
        self.complete(request, &via, making)
            .map(|request| Built { request, notes })
    }

    /// The request as an attempt keeps it, without secrets.
    pub fn kept(&self, request: &HttpRequest) -> String {
        self.credentials.mask(request.kept())
    }

    /// Adds the headers that depend on the whole request.
    fn complete(
        &self,
        mut request: HttpRequest,
        via: &[String],
        making: Making<'_>,
    ) -> Result<HttpRequest, String> {
        let key = HeaderValue::from_str(making.key)
            .map_err(|_| "the delivery's key does not fit into a header".to_owned())?;
        self.credentials
            .apply(&mut request, making.key, making.now, making.masked)?;
        let headers = &mut request.headers;
        if let Some(name) = &self.idempotency_header {
            headers.insert(name.clone(), key.clone());
        }
        if !via.is_empty()
            && let Ok(via) = HeaderValue::from_str(&via.join(", "))
        {
            headers.insert(VIA, via);
        }
        if !self.signing_keys.is_empty() {
            let signature = sign_standard_webhooks(&self.signing_keys, making.key, making.now, &request.body);
            let mut signature = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
            signature.set_sensitive(true);
            headers.insert("webhook-id", key);
            headers.insert("webhook-timestamp", making.now.as_second().into());
            headers.insert("webhook-signature", signature);
        }
        Ok(request)
    }

    /// The members to send: the groups, then the fields. Without both it is the whole record, unless the
    /// address carries everything.
    fn members(
        &self,
        delivery: &Delivery,
        record: &Record,
        names: Option<&Names<'_>>,
        found: Option<&str>,
        report: &mut Report<'_>,
    ) -> Result<Map<String, Value>, Failure> {
        let more = match &self.fields {
            Some(fields) => {
                let mut values = fields
                    .apply(&Scope::new(record), report.omissions)
                    .map_err(|error| error.to_string())?;
                self.templates.fill(names, &mut values, report)?;
                for (_, value) in values
                    .iter_mut()
                    .filter(|(name, _)| self.id_fields.contains(name))
                {
                    *value = found.into();
                }
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

fn leave_out_nulls(members: &mut Map<String, Value>) {
    members.retain(|_, value| !value.is_null());
    for value in members.values_mut() {
        match value {
            Value::Object(inner) => leave_out_nulls(inner),
            // The place of an item in a list may have a meaning, so it stays.
            Value::Array(items) => items
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(leave_out_nulls),
            _ => {}
        }
    }
}

/// Whether the request is longer than receivers accept.
fn is_too_much(made: &Result<Part, Failure>) -> bool {
    match made {
        Ok(part) => {
            let mut headers = part.headers.values();
            part.url.as_str().len() > MAX_URL || headers.any(|value| value.len() > MAX_HEADER)
        }
        Err(Failure::TooMuch(_)) => true,
        Err(Failure::Other(_)) => false,
    }
}

fn groups(
    config: &Config,
    content: Content,
    zone: &TimeZone,
    rules: &shortcode::Rules,
    warnings: &mut Vec<String>,
) -> Result<Option<sync::Options>, ConfigError> {
    let common = payload::Common {
        content,
        zone,
        field_ids: &rules.field_ids,
        field_names: &config.field_names,
    };
    payload::options(config.sync.as_ref(), config.payload.as_ref(), &common, warnings)
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
        config.content(),
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
