//! Mailjet: contacts, their properties, and whether they are on one list.
//!
//! Invariant: nobody is put on the list whose consent state for the destination's purpose is not subscribed, and nobody
//! who unsubscribed at Mailjet after they agreed here. `addforce` would do the latter, so it is sent only for a newer
//! opt-in.

mod answer;
mod config;
mod probe;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    contact::normal_email,
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::{
        ConsentShown, Scope,
        omission::{Omissions, Reads},
    },
    record::Record,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::config::Settings;
use super::{Kind, Needs};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "mailjet",
    summary: "contacts, properties and one list in Mailjet",
    sample: include_str!("../../../../../samples/destinations/mailjet.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // A delivery needs two or three calls, and the calls of a batch must end within `timeout_s`.
    batch: 10,
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
        let connector = Mailjet { settings, headers };
        Ok(Box::new(Http::new(connector, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &Mailjet { settings, headers },
            batch,
            &context.clock,
        ))
    },
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
    sign_in: None,
};

pub(super) struct Mailjet {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Finds the contact by the address, without creating it.
    Find,
    /// Excludes the contact from all campaigns.
    Exclude,
    Delete,
    /// Reads whether the person is on the list, or left it.
    ReadList,
    /// Writes the contact and puts them on the list, or takes them off.
    Manage(Action),
    /// Creates the contact without any list.
    Create,
    WriteName,
    WriteProperties,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// Keeps an unsubscribe that is there.
    AddNoForce,
    /// Puts back whoever unsubscribed.
    AddForce,
    Unsubscribe,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    name: String,
    properties: Map<String, Value>,
    /// The id of the contact at Mailjet.
    id: Option<String>,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
}

impl Connector for Mailjet {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let state = record.consent_state_for(&record.purpose);
        let is_withdrawal = record.kind == DeliveryKind::Withdrawal;
        let mut memo = Memo {
            email,
            since: state.since(),
            ..Memo::default()
        };
        let mut notes = Vec::new();
        let steps = match record.change {
            Change::Remove => vec![Step::Find, Step::Delete],
            Change::Unsubscribe | Change::Suppress => vec![Step::Find],
            _ if is_withdrawal => vec![Step::Find],
            Change::Subscribe | Change::None => {
                notes = self.map(record, &mut memo).map_err(reject)?;
                let agreed = record.change == Change::Subscribe && state.is_subscribed();
                match self.settings.list {
                    Some(_) if agreed => vec![Step::ReadList],
                    _ => {
                        let mut steps = vec![Step::Create];
                        steps.extend(Some(Step::WriteProperties).filter(|_| !memo.properties.is_empty()));
                        steps
                    }
                }
            }
        };
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _: &Step) -> usize {
        1
    }

    /// Opt-outs and removals come first.
    fn order(&self, step: &Step) -> u8 {
        let is_first = matches!(
            step,
            Step::Find | Step::Exclude | Step::Delete | Step::Manage(Action::Unsubscribe)
        );
        u8::from(!is_first)
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.clone()
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
        match tasks {
            [task] => answer::read(self, *step, answer, task, now),
            _ => Reading::Split,
        }
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, *step, tasks)
    }

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        Some(json!([
            self.settings.list,
            memo.email,
            memo.name,
            memo.properties
        ]))
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

impl Mailjet {
    /// Fills in the name and the properties. Returns notes.
    fn map(&self, record: &Record, memo: &mut Memo) -> Result<Vec<String>, String> {
        let mut omissions = Omissions::of(record);
        // The calls always name the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let values = self.settings.fields.apply(&Scope::new(record), &mut omissions);
        for (name, value) in values.map_err(|error| error.to_string())? {
            memo.properties
                .extend(property(&value).map(|value| (name, value)));
        }
        let names = ["firstName", "lastName"].map(|name| record.contact.text(name).unwrap_or_default());
        names.join(" ").trim().clone_into(&mut memo.name);
        omissions.finish()
    }
}

/// A value as Mailjet takes it: null would clear the property, so a value that is not known is left out.
fn property(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) => {
            let plain = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let items: Vec<String> = items.iter().filter(|item| !item.is_null()).map(plain).collect();
            (!items.is_empty()).then(|| items.join(", ").into())
        }
        Value::Object(_) => Some(value.to_string().into()),
        other => Some(other.clone()),
    }
}
