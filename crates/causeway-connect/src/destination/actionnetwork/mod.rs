//! Action Network: people with their status, tags, and what they did on forms, petitions, letters and events.
//!
//! Invariant: a person is looked up before each write. A new person would be subscribed by default, and a known person
//! who unsubscribed would be subscribed again, so the status is always decided from what is there.

mod answer;
mod config;
mod person;
mod probe;
mod request;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

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
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value};

use self::config::Settings;
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "actionnetwork",
    summary: "people, tags and actions in Action Network",
    sample: include_str!("../../../../../samples/destinations/actionnetwork.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // The limit of calls is one for all.
    concurrency: 1,
    // Four calls for each person, at 3.5 calls a second, within `timeout_s`.
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
        let network = ActionNetwork::new(settings, headers);
        Ok(Box::new(Http::new(network, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        let network = ActionNetwork::new(settings, headers);
        Ok(super::previews(&network, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct ActionNetwork {
    settings: Settings,
    headers: HeaderMap,
    /// Tags that exist. A tag that does not exist is ignored by the API, so each is created once in the life of the process.
    tags: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Find,
    /// Sets a known person's status to unsubscribed.
    Unsubscribe,
    /// Empties what an update can empty.
    Blank,
    CreateTag(String),
    /// Creates or changes the person.
    SignUp,
    /// Looks for the action, because nothing makes it unique.
    FindAction,
    Act,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    fields: Map<String, Value>,
    tags: Vec<String>,
    /// The id of the page.
    page: String,
    /// The identifier of the action.
    identifier: String,
    comment: Option<String>,
    /// The id of the person.
    id: Option<String>,
    /// What is written as the status of the address; `None` leaves it as it is.
    status: Option<&'static str>,
}

impl ActionNetwork {
    fn new(settings: Settings, headers: HeaderMap) -> Self {
        Self {
            settings,
            headers,
            tags: Mutex::default(),
        }
    }

    fn knows_tag(&self, tag: &str) -> bool {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.contains(tag)
    }

    fn learn_tag(&self, tag: &str) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.insert(tag.to_owned());
    }

    fn memo(&self, delivery: &Delivery, email: String) -> Result<(Memo, Vec<String>), String> {
        let record = &delivery.record;
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| {
            let values = fields
                .apply(&scope, &mut omissions)
                .map_err(|error| error.to_string())?;
            let is_known = |value: &Value| !value.is_null() && *value != "";
            let known = values.into_iter().filter(|(_, value)| is_known(value));
            Ok::<Map<String, Value>, String>(known.collect())
        };
        let mut memo = Memo {
            email,
            fields: make(&self.settings.fields)?,
            ..Memo::default()
        };
        if let Some(tags) = &self.settings.tags {
            let tags = make(tags)?.into_iter().map(|(_, value)| person::text(&value));
            memo.tags = tags.collect();
        }
        let action = record
            .action
            .as_ref()
            .filter(|_| record.kind == DeliveryKind::Record);
        if let (Some(settings), Some(action)) = (&self.settings.action, action) {
            let id = make(&settings.id)?.shift_remove("id").map(|id| person::text(&id));
            memo.page = id.ok_or("`action.id` has no value")?;
            memo.identifier = format!(
                "{}:{}-{}",
                self.settings.system, record.source, action.external_id
            );
            let comment = action.custom_fields.get("comment").and_then(Value::as_str);
            memo.comment = comment.filter(|text| !text.is_empty()).map(str::to_owned);
        }
        let mut notes = omissions.finish()?;
        notes.extend(person::check_address(&mut memo.fields));
        Ok((memo, notes))
    }
}

impl Connector for ActionNetwork {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        if record.change == Change::Remove || record.kind == DeliveryKind::Withdrawal {
            let last = match record.change {
                Change::Remove => Step::Blank,
                _ => Step::Unsubscribe,
            };
            let memo = Memo {
                email,
                ..Memo::default()
            };
            return Ok(Plan {
                steps: vec![Step::Find, last],
                memo,
                notes: Vec::new(),
            });
        }
        let (memo, notes) = self.memo(delivery, email).map_err(reject)?;
        let mut steps = vec![Step::Find];
        if matches!(record.change, Change::Unsubscribe | Change::Suppress) {
            steps.push(Step::Unsubscribe);
        }
        let new = memo.tags.iter().filter(|tag| !self.knows_tag(tag));
        steps.extend(new.map(|tag| Step::CreateTag(tag.clone())));
        steps.push(Step::SignUp);
        if !memo.page.is_empty() {
            steps.extend([Step::FindAction, Step::Act]);
        }
        Ok(Plan { steps, memo, notes })
    }

    /// There are no batches. A tag is created once for all.
    fn most(&self, step: &Step) -> usize {
        match step {
            Step::CreateTag(_) => usize::MAX,
            _ => 1,
        }
    }

    /// One person after the other, opt-outs first: two deliveries about one address never overtake each other.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Unsubscribe | Step::Blank => 0,
            Step::Find => 2,
            _ => 1,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.delivery.key.0.clone()
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
        answer::expected(step, tasks)
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
