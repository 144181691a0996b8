//! listmonk: subscribers with their attributes, lists, and the block list.
//!
//! Invariant: a subscriber is never replaced (PUT), because that drops subscriptions. Whoever unsubscribed or was blocked
//! in listmonk stays so, unless the opt-in is newer.

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
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::config::{OptOut, Settings};
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "listmonk",
    summary: "subscribers, lists and opt-outs in listmonk",
    sample: include_str!("../../../../../samples/destinations/listmonk.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    batch: 50,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        let needs = settings.fields.as_ref().map(Fields::needs).unwrap_or_default();
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            ..needs
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, headers) = (Client::new(settings.options)?, settings.headers(context)?);
        let listmonk = Listmonk { settings, headers };
        Ok(Box::new(Http::new(listmonk, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &Listmonk { settings, headers },
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

/// Addresses in one look-up: the query is a part of the URL, which proxies limit to 8 kB.
const MOST_ADDRESSES: usize = 50;
/// Subscribers in one call about lists.
const MOST_IDS: usize = 500;

pub(super) struct Listmonk {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Find,
    /// Takes people off the lists.
    Leave,
    /// Blocks people from all mail.
    Block,
    /// Puts people who are known on these lists.
    Join(Vec<u64>),
    /// Creates a subscriber, or changes what is new.
    Write,
    Delete,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    name: String,
    attribs: Map<String, Value>,
    /// The number of the subscriber, if they are known.
    id: Option<u64>,
    /// What is new for a known subscriber.
    news: Map<String, Value>,
    /// Another program created the subscriber between the look-up and the write.
    had_conflict: bool,
}

/// Since when the person has agreed, if the delivery brings an opt-in. Nobody is subscribed whose consent state is not
/// subscribed.
pub(super) fn opt_in(delivery: &Delivery) -> Option<Timestamp> {
    let record = &delivery.record;
    let state = record.consent_state_for(&record.purpose);
    state
        .since()
        .filter(|_| record.change == Change::Subscribe && state.is_subscribed())
}

impl Listmonk {
    /// The step of an opt-out.
    fn opt_out(&self, change: Change) -> Option<Step> {
        match (change, self.settings.opt_out) {
            (Change::Unsubscribe, OptOut::Lists) => Some(Step::Leave),
            (Change::Unsubscribe, OptOut::Blocklist) | (Change::Suppress, _) => Some(Step::Block),
            _ => None,
        }
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
            let known = values
                .into_iter()
                .filter(|(_, value)| !value.is_null() && *value != "");
            Ok::<Map<String, Value>, String>(known.collect())
        };
        let name = make(&self.settings.name)?
            .shift_remove("name")
            .unwrap_or_default();
        let name = name
            .as_str()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let attribs = self
            .settings
            .fields
            .as_ref()
            .map(make)
            .transpose()?
            .unwrap_or_default();
        let memo = Memo {
            email,
            name,
            attribs,
            ..Memo::default()
        };
        Ok((memo, omissions.finish()?))
    }
}

impl Connector for Listmonk {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let opt_out = self.opt_out(record.change);
        if record.change == Change::Remove || record.kind == DeliveryKind::Withdrawal {
            // A withdrawal takes consent away, whatever word it has.
            let last = match record.change {
                Change::Remove => Some(Step::Delete),
                _ => opt_out.or(self.opt_out(Change::Unsubscribe)),
            };
            let memo = Memo {
                email,
                ..Memo::default()
            };
            return Ok(Plan {
                steps: [Some(Step::Find), last].into_iter().flatten().collect(),
                memo,
                notes: Vec::new(),
            });
        }
        let (memo, notes) = self.memo(delivery, email).map_err(reject)?;
        let steps = [Some(Step::Find), opt_out, Some(Step::Write)];
        Ok(Plan {
            steps: steps.into_iter().flatten().collect(),
            memo,
            notes,
        })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Find => MOST_ADDRESSES,
            Step::Write => 1,
            _ => MOST_IDS,
        }
    }

    /// Opt-outs come first. The next people are looked up when those before are written: an address that two deliveries of
    /// a batch have becomes one subscriber.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Leave | Step::Block | Step::Delete => 0,
            Step::Join(_) => 1,
            Step::Write => 2,
            Step::Find => 3,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.clone()
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

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        Some(json!([self.settings.lists, memo.email, memo.name, memo.attribs]))
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
