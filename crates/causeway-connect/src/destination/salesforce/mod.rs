//! Salesforce: contacts or leads by an external id, with consent, bounces, campaign members and records of actions.
//!
//! Invariant: nobody is written before a query showed who is there already, and whether they opted out.

mod answer;
mod bulk;
mod config;
mod consent;
mod error;
mod find;
mod probe;
mod request;
mod search;
mod settings;
mod step;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    contact::{Identity, normal_email},
    delivery::{Delivery, Kind as DeliveryKind},
    destination::{AttemptResult, Outcome},
    envelope::digest,
    mapping::{
        ConsentShown, Scope,
        omission::{Omissions, Reads},
    },
    record::Record,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::{
    bulk::{Ahead, Ticket},
    find::Found,
    settings::Settings,
    step::Step,
};
use super::{BatchNeed, Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task, Version},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "salesforce",
    summary: "contacts or leads, campaign members and actions in Salesforce",
    sample: include_str!("../../../../../samples/destinations/salesforce.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // Two calls that write one parent wait for each other's lock.
    concurrency: 1,
    // Triggers of the org run for each record, and the call of a batch must end within `timeout_s`.
    batch: 100,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            batch: settings.bulk.map(|above| BatchNeed {
                key: "bulk",
                more_than: u32::try_from(above).unwrap_or(u32::MAX),
            }),
            ..settings.fields.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, headers) = (Client::new(settings.options)?, settings.headers(context)?);
        let access = settings.access(context, &client)?;
        let salesforce = Salesforce { settings, headers };
        let http = Http::new(salesforce, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &Salesforce { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: Some(|context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        Ok((settings.sign_in(context)?, Client::new(settings.options)?))
    }),
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

/// Rows in one call of a collection.
const MOST_ROWS: usize = 200;
/// People in one query. Its address has at most 16,384 bytes.
const MOST_SOUGHT: usize = 100;
/// Queries in one composite call.
const MOST_QUERIES: usize = 5;
/// Ids and addresses of one person that are sought.
const MOST_KEYS: usize = 10;

pub(super) struct Salesforce {
    settings: Settings,
    headers: HeaderMap,
}

/// A record that is marked.
pub(super) struct Mark {
    object: &'static str,
    id: String,
    values: Map<String, Value>,
    /// Whether it opts out somebody who had not opted out.
    opts_out: bool,
}

impl Mark {
    /// Whether it blanks the record.
    fn is_erasure(&self) -> bool {
        self.values.contains_key("Email")
    }
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    /// What the record of this person may have in the field `key`; a new one gets the first.
    keys: Vec<String>,
    /// The person's addresses.
    addresses: Vec<String>,
    /// The values of the mapping.
    values: Map<String, Value>,
    /// What is written: `values` with what belongs to consent.
    body: Map<String, Value>,
    marks: VecDeque<Mark>,
    deletes: VecDeque<String>,
    /// What became of a record that could not be marked or deleted. The others come first.
    left: Option<AttemptResult>,
    /// The record's id at Salesforce.
    id: Option<String>,
    /// Whether the body opts out somebody who had not opted out.
    opts_out: bool,
    /// Records that Causeway opted out, by id.
    opted_out: Vec<String>,
    /// The value of the campaign's key.
    campaign: Option<String>,
    campaign_is_made: bool,
    action: Map<String, Value>,
    /// Records of earlier pages of the query, and where the next page is.
    pages: Vec<Found>,
    next_page: Option<String>,
    /// Whether a job may have this person.
    may_join: bool,
    ticket: Option<Ticket>,
    /// The job that may write this person later.
    ahead: Option<Ahead>,
}

/// Supported for at least three years.
const KNOWN_VERSIONS: &[(&str, [i16; 3])] = &[
    ("v66.0", [2029, 2, 14]),
    ("v67.0", [2029, 6, 13]),
    ("v68.0", [2029, 10, 10]),
];

impl Connector for Salesforce {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record.email().and_then(normal_email);
        let email = email.ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let keys = match &self.settings.key_value {
            Some(value) => {
                let value = value.text(&scope, &mut omissions).map_err(reject)?;
                value.into_iter().collect()
            }
            None => keys(record, &email),
        };
        let mut memo = Memo {
            addresses: addresses(record),
            opted_out: remembered(delivery),
            keys,
            email,
            ..Memo::default()
        };
        let mut steps = bulk::first_steps(self, delivery, &mut memo);
        if writes_data(record) {
            if memo.keys.is_empty() {
                let reason = "`key_value` is empty for this contact".to_owned();
                return Err(reject(reason));
            }
            memo.values = values(&self.settings.fields, &scope, &mut omissions).map_err(reject)?;
            // A known action that arrives again is a `contact`.
            if record.kind == DeliveryKind::Record && record.action.is_some() {
                if let Some(campaigns) = &self.settings.campaigns {
                    memo.campaign = campaigns.value.text(&scope, &mut omissions).map_err(reject)?;
                    steps.extend(memo.campaign.as_ref().map(|_| Step::AddMember));
                }
                if let Some(actions) = &self.settings.actions {
                    memo.action = values(&actions.fields, &scope, &mut omissions).map_err(reject)?;
                    steps.push(Step::AddAction);
                }
            }
        }
        let notes = omissions.finish().map_err(reject)?;
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Find if self.settings.bulk.is_some() => MOST_SOUGHT * MOST_QUERIES,
            Step::Find => MOST_SOUGHT,
            Step::FindMore | Step::MarkMany => 1,
            step if step.is_of_job() => usize::MAX,
            _ => MOST_ROWS,
        }
    }

    fn order(&self, step: &Step) -> u8 {
        step.order()
    }

    fn regroup(&self, tasks: &mut [Task<'_, Self>]) {
        bulk::regroup(self, tasks);
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        let memo = &task.memo;
        let text = match task.step() {
            Some(Step::Mark) => memo.marks.front().map(|mark| mark.id.clone()),
            Some(Step::Delete) => memo.deletes.front().cloned(),
            Some(Step::Update) => memo.id.clone(),
            Some(Step::Upsert) => memo.keys.first().map(|key| key.to_lowercase()),
            Some(Step::AddMember) => memo
                .id
                .as_ref()
                .map(|id| format!("{id} {}", memo.campaign.as_deref().unwrap_or_default())),
            _ => None,
        };
        text.unwrap_or_else(|| task.delivery.key.0.clone())
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, *step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(self, *step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, *step, tasks)
    }

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let (memo, settings) = (&task.memo, &self.settings);
        let (object, key) = (settings.object.as_str(), &settings.key);
        let consent = [&settings.opt_in, &settings.opt_in_date, &settings.opt_out_date];
        let values = json!([object, key, memo.keys, memo.addresses, memo.values, consent]);
        let adds = task.has_step(&Step::AddMember) || task.has_step(&Step::AddAction);
        (!adds).then_some(values)
    }

    fn version(&self) -> Option<Version<'_>> {
        Some(Version {
            used: &self.settings.version,
            known: KNOWN_VERSIONS,
        })
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

/// Whether the delivery carries data of the person, and does not only take consent away.
fn writes_data(record: &Record) -> bool {
    record.kind != DeliveryKind::Withdrawal && record.change != Change::Remove
}

/// An opaque value of 27 characters. Proca's `contactRef` opens links for confirmation, and an address is personal data:
/// neither belongs into a field that many people see.
fn opaque(parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let hex = data_encoding::HEXLOWER.encode(&digest(&parts));
    format!("cw_{}", hex.get(..24).unwrap_or_default())
}

/// What the field `key` may hold for this person, best first. Ids stay when the address changes. A record that was made
/// by a former address, before there was an id, is found by that address.
fn keys(record: &Record, email: &str) -> Vec<String> {
    let id = |identity: &Identity| opaque(&[identity.kind(), identity.namespace(), identity.value()]);
    let ids = record
        .identities
        .iter()
        .filter(|identity| identity.is_of_contact());
    let addresses = addresses(record).into_iter();
    let others = addresses.filter(|address| address != email);
    let addresses = std::iter::once(email.to_owned()).chain(others);
    let by_address = addresses.map(|address| opaque(&["email", "", &address]));
    ids.map(id).chain(by_address).take(MOST_KEYS).collect()
}

fn addresses(record: &Record) -> Vec<String> {
    let emails = record.identities.iter();
    emails
        .filter_map(|identity| match identity {
            Identity::Email { address } => Some(address.clone()),
            _ => None,
        })
        .collect()
}

/// The records that Causeway opted out, and nobody else.
fn remembered(delivery: &Delivery) -> Vec<String> {
    let memory = delivery.memory.as_ref();
    let ids = memory.and_then(|memory| memory.get("opted_out")?.as_array());
    let ids = ids.into_iter().flatten().filter_map(Value::as_str);
    ids.map(str::to_owned).collect()
}

/// The values of a mapping. A value that is not known is left out, so that it clears nothing.
fn values(fields: &Fields, scope: &Scope, omissions: &mut Omissions) -> Result<Map<String, Value>, String> {
    let values = fields.apply(scope, omissions);
    let values = values.map_err(|error| error.to_string())?.into_iter();
    let known = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(Value::from(text.trim())).filter(|text| *text != ""),
        Value::Array(items) => {
            let items = items.iter().filter(|item| !item.is_null());
            let items = items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
            Some(items.collect::<Vec<_>>().join(";"))
                .filter(|text| !text.is_empty())
                .map(Value::from)
        }
        Value::Object(members) => Some(Value::Object(members).to_string().into()),
        other => Some(other),
    };
    Ok(values
        .filter_map(|(name, value)| Some((name, known(value)?)))
        .collect())
}
