//! ActiveCampaign: contacts by sync, the status on one list, tags, and custom objects for actions.
//!
//! Invariant: nobody is set to subscribed whose consent state for the destination's purpose is not subscribed, and
//! nobody who unsubscribed at ActiveCampaign after they agreed here. Its API would do both without a question.

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
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "activecampaign",
    summary: "contacts, list status, tags and custom objects in ActiveCampaign",
    sample: include_str!("../../../../../samples/destinations/activecampaign.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // A delivery needs about four calls, and the calls of a batch must end within `timeout_s`.
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
        let connector = ActiveCampaign { settings, headers };
        Ok(Box::new(Http::new(connector, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &ActiveCampaign { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct ActiveCampaign {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Finds the contact by the address, without creating it.
    Find,
    Delete,
    /// Creates or updates the contact, found by the address.
    Sync,
    /// Reads on which lists the contact is, and whether they unsubscribed there.
    ReadStatus,
    SetStatus(u64, Status),
    AddTag(u64),
    /// Writes the action as a record of a custom object.
    WriteRecord,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Status {
    Subscribed,
    /// The person unsubscribed there once, and agreed later.
    SubscribedAgain,
    Unsubscribed,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    /// `firstName`, `lastName` and `phone`.
    members: Map<String, Value>,
    /// Number of the field → its text.
    fields: Map<String, Value>,
    /// The fields of the custom object.
    record: Map<String, Value>,
    /// The id of the contact at ActiveCampaign.
    id: Option<String>,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    /// The delivery takes consent away.
    is_leaving: bool,
}

impl Connector for ActiveCampaign {
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
        let is_leaving = match record.change {
            Change::Remove => false,
            Change::Unsubscribe | Change::Suppress => true,
            Change::Subscribe | Change::None => is_withdrawal,
        };
        let mut memo = Memo {
            email,
            since: state.since(),
            is_leaving,
            ..Memo::default()
        };
        if record.change == Change::Remove {
            let steps = vec![Step::Find, Step::Delete];
            let notes = Vec::new();
            return Ok(Plan { steps, memo, notes });
        }
        let mut steps = Vec::new();
        let mut notes = Vec::new();
        if is_leaving {
            steps.push(Step::Find);
        }
        if !is_withdrawal {
            let (more, tags) = self.map(record, &mut memo).map_err(reject)?;
            notes = more;
            steps.push(Step::Sync);
            let agreed = record.change == Change::Subscribe && state.is_subscribed();
            if agreed && self.settings.list.is_some() {
                steps.push(Step::ReadStatus);
            }
            steps.extend(tags.into_iter().map(Step::AddTag));
            if self.is_recorded(record) {
                steps.push(Step::WriteRecord);
            }
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _: &Step) -> usize {
        1
    }

    /// Opt-outs and removals come first.
    fn order(&self, step: &Step) -> u8 {
        let is_first = matches!(
            step,
            Step::Find | Step::Delete | Step::SetStatus(_, Status::Unsubscribed)
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
        let values = json!([self.settings.list, memo.email, memo.members, memo.fields]);
        (!task.has_step(&Step::WriteRecord)).then_some(values)
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

impl ActiveCampaign {
    /// Whether the delivery is about a new action, and the account keeps actions. A known action that arrives again is
    /// a `contact`.
    fn is_recorded(&self, record: &Record) -> bool {
        let is_action = record.kind == DeliveryKind::Record && record.action.is_some();
        self.settings.record.is_some() && is_action
    }

    /// Fills in the values of the mappings. Returns notes, and the tags of the contact.
    fn map(&self, record: &Record, memo: &mut Memo) -> Result<(Vec<String>, Vec<u64>), String> {
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The calls always name the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut values = |fields: &Fields| {
            let values = fields.apply(&scope, &mut omissions);
            values.map_err(|error| error.to_string())
        };
        for (name, value) in values(&self.settings.fields)? {
            let Some(text) = text(&value) else { continue };
            let place = if config::MEMBERS.contains(&name.as_str()) {
                &mut memo.members
            } else {
                &mut memo.fields
            };
            place.insert(name, text.into());
        }
        let mut tags = Vec::new();
        let mut wrong = 0;
        for (_, value) in self
            .settings
            .tags
            .as_ref()
            .map(&mut values)
            .transpose()?
            .unwrap_or_default()
        {
            wrong += add_tags(&value, &mut tags);
        }
        if let Some((_, fields)) = self.settings.record.as_ref().filter(|_| self.is_recorded(record)) {
            let known = values(fields)?.into_iter().filter(|(_, value)| !value.is_null());
            memo.record = known.collect();
        }
        let mut notes = omissions.finish()?;
        if wrong > 0 {
            notes.push(format!(
                "{wrong} of the `tags` are not numbers of tags, and were left out"
            ));
        }
        Ok((notes, tags))
    }
}

/// Adds the numbers of tags that a value has, each once. Returns how many values are none.
fn add_tags(value: &Value, tags: &mut Vec<u64>) -> usize {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    match (value, number.filter(|number| *number > 0)) {
        (Value::Array(items), _) => items.iter().map(|item| add_tags(item, tags)).sum(),
        (Value::Null, _) => 0,
        (_, Some(number)) => {
            if !tags.contains(&number) {
                tags.push(number);
            }
            0
        }
        _ => 1,
    }
}

/// A value as ActiveCampaign takes it: all are texts, and several choices of one field stand between pairs of bars. A
/// value that is not known is left out, so that it clears nothing.
fn text(value: &Value) -> Option<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = match value {
        Value::Null => return None,
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter(|item| !item.is_null()).map(plain).collect();
            if items.is_empty() {
                return None;
            }
            format!("||{}||", items.join("||"))
        }
        other => plain(other),
    };
    (!text.is_empty()).then_some(text)
}
