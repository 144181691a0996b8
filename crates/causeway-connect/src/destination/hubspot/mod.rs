//! HubSpot: contacts by batch upsert, subscriptions with their legal basis, lists, and custom events for actions.

mod answer;
mod config;
mod probe;
mod request;
mod statuses;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::{
        ConsentShown, Scope,
        omission::{Omissions, Reads},
    },
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::config::Settings;
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task, Version},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "hubspot",
    summary: "contacts, subscriptions, lists and events in HubSpot",
    sample: include_str!("../../../../../samples/destinations/hubspot.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // A delivery may need two calls of its own, and the call of a batch must end within `timeout_s`.
    batch: 25,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            ..settings.fields.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, headers) = (Client::new(settings.options)?, settings.headers(context)?);
        let access = settings
            .credential
            .access(context, &client, settings.options.allow_private)?;
        let hubspot = HubSpot { settings, headers };
        let http = Http::new(hubspot, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &HubSpot { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: Some(|context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let allow_private = settings.options.allow_private;
        let sign_in = settings.credential.sign_in(context, allow_private)?;
        Ok((sign_in, Client::new(settings.options)?))
    }),
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct HubSpot {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Writes the contact, found by the address or by the property of `key`.
    Upsert {
        by_key: bool,
    },
    /// Reads a contact that has the address already, to see whether it has another key.
    ReadOwner,
    /// Gives this contact the key and writes it.
    Adopt,
    Unsubscribe,
    /// Reads whether the person unsubscribed at HubSpot.
    ReadStatus,
    Subscribe,
    AddToList(String),
    SendEvent,
    /// Deletes the contact for good.
    Delete,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    properties: Map<String, Value>,
    /// The value of the property of `key`.
    key: Option<String>,
    event: Map<String, Value>,
    /// The id of the contact at HubSpot.
    id: Option<String>,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
}

/// The last day on which HubSpot supports the version: 18 months after its release.
const KNOWN_VERSIONS: &[(&str, [i16; 3])] = &[("2026-03", [2027, 9, 30]), ("2026-09", [2028, 3, 8])];

impl Connector for HubSpot {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(causeway_core::contact::normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let mut memo = Memo {
            email,
            since: record.consent_state_for(&record.purpose).since(),
            ..Memo::default()
        };
        let mut steps = match record.change {
            Change::Remove => vec![Step::Delete],
            Change::Unsubscribe | Change::Suppress => vec![Step::Unsubscribe],
            Change::Subscribe | Change::None => Vec::new(),
        };
        let mut notes = Vec::new();
        if record.kind != DeliveryKind::Withdrawal && record.change != Change::Remove {
            let scope = Scope::new(record);
            let mut omissions = Omissions::of(record);
            // The request always names the person and what becomes of their consent.
            omissions.keep(Reads::EVERYTHING);
            let mut make = |fields: &Fields| properties(fields, &scope, &mut omissions).map_err(reject);
            memo.properties = make(&self.settings.fields)?;
            if let Some((property, value)) = &self.settings.key {
                let mut value = make(value)?;
                memo.key = value.remove(property).and_then(|value| match value {
                    Value::String(text) if !text.is_empty() => Some(text),
                    _ => None,
                });
            }
            // A known action that arrives again is a `contact`.
            let is_action = record.kind == DeliveryKind::Record && record.action.is_some();
            let with_event = self.settings.event.as_ref().filter(|_| is_action);
            if let Some((_, fields)) = with_event {
                memo.event = make(fields)?;
            }
            notes = omissions.finish().map_err(reject)?;
            let by_key = memo.key.is_some();
            steps.push(Step::Upsert { by_key });
            if record.change == Change::Subscribe && self.settings.subscription.is_some() {
                steps.push(Step::ReadStatus);
            }
            // A list may be mailed, so only people who agreed are on it.
            let agreed = record.change == Change::Subscribe;
            let lists = self.settings.lists.iter().filter(|_| agreed);
            steps.extend(lists.map(|list| Step::AddToList(list.clone())));
            steps.extend(with_event.map(|_| Step::SendEvent));
        }
        if steps.is_empty() {
            return Err(Outcome::Skip {
                reason: "there is nothing to do at HubSpot".to_owned(),
            });
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Upsert { .. } | Step::AddToList(_) | Step::SendEvent => 100,
            Step::ReadStatus | Step::Subscribe | Step::Unsubscribe if self.settings.batch_statuses => 100,
            _ => 1,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        match task.step() {
            // Each action is an event of its own.
            Some(Step::SendEvent) => task.delivery.key.0.clone(),
            Some(Step::Upsert { by_key: true }) => task.memo.key.clone().unwrap_or_default(),
            _ => task.memo.email.clone(),
        }
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(self, step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, step, tasks)
    }

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        let values = json!([self.settings.subscription, memo.email, memo.key, memo.properties]);
        (!task.has_step(&Step::SendEvent)).then_some(values)
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn version(&self) -> Option<Version<'_>> {
        Some(Version {
            used: &self.settings.version,
            known: KNOWN_VERSIONS,
        })
    }

    fn probes(&self, _now: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

/// The values of a mapping as HubSpot takes them: all are texts, and several are separated by semicolons. A value that is
/// not known is left out, so that it clears nothing.
fn properties(
    fields: &Fields,
    scope: &Scope,
    omissions: &mut Omissions,
) -> Result<Map<String, Value>, String> {
    let values = fields
        .apply(scope, omissions)
        .map_err(|error| error.to_string())?;
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .filter(|item| !item.is_null())
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            Some(items.join(";"))
        }
        other => Some(other.to_string()),
    };
    let named = values.into_iter();
    Ok(named
        .filter_map(|(name, value)| Some((name, text(&value).filter(|text| !text.is_empty())?.into())))
        .collect())
}
