//! Meta Custom Audiences: people who agreed are added by their hashed identifiers, and all others are removed.
//!
//! Invariant: nobody is added whose consent state for the destination's purpose is not subscribed, whatever the policy
//! allows. In a batch, removals come before additions.

mod answer;
mod config;
mod normal;
mod probe;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::{ConsentShown, Scope, omission::Omissions},
};
use schemars::schema_for;
use serde_json::{Value, json};

use self::config::{Access, Settings};
use super::{Kind, Needs, Resource};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task, Version},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "meta",
    summary: "custom audiences of Meta (Facebook, Instagram)",
    sample: include_str!("../../../../../samples/destinations/meta.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // One call at a time: an addition and a removal of one person must not run in parallel.
    concurrency: 1,
    batch: 100,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            warnings: settings.warnings(),
            ..Needs::default()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, access) = (Client::new(settings.options)?, settings.access(context)?);
        let meta = Meta { settings, access };
        Ok(Box::new(Http::new(meta, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let mut access = settings.access(context)?;
        access.proof = access.proof.map(|_| "***".to_owned());
        Ok(super::previews(&Meta { settings, access }, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    // One destination would remove whom another one added.
    exclusive: Some(|_, table| {
        Some(Resource {
            key: "audience",
            what: "audience",
            id: table.get("audience")?.to_string(),
        })
    }),
    dummy_url: "https://HOST/",
    remains: None,
};

/// Rows in one call.
const MOST_ROWS: usize = 10_000;

pub(super) struct Meta {
    settings: Settings,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    Add,
    Remove,
}

#[derive(Default)]
pub(super) struct Memo {
    /// The address, hashed.
    person: String,
    /// The cells of the schema: hashes, or empty.
    row: Vec<String>,
}

/// Whether the person is added or removed.
fn step(delivery: &Delivery) -> Result<Step, Outcome> {
    let record = &delivery.record;
    let state = record.consent_state_for(&record.purpose);
    let skip = |what: &str| {
        let reason = format!(
            "{what}: their consent for `{}` is {}",
            record.purpose,
            state.as_str()
        );
        Err(Outcome::Skip { reason })
    };
    match record.change {
        Change::Unsubscribe | Change::Suppress | Change::Remove => Ok(Step::Remove),
        _ if record.kind == DeliveryKind::Withdrawal => Ok(Step::Remove),
        // Who is in the audience already is added again, so that a changed address arrives.
        Change::Subscribe | Change::None if state.is_subscribed() => Ok(Step::Add),
        Change::Subscribe => skip("the person is not added"),
        Change::None => skip("the person's consent did not change"),
    }
}

/// The last day on which the version works: about a year after its release.
const KNOWN_VERSIONS: &[(&str, [i16; 3])] = &[("v25.0", [2027, 2, 18]), ("v26.0", [2027, 7, 29])];

impl Connector for Meta {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let step = step(delivery)?;
        let scope = Scope::new(&delivery.record);
        let mut omissions = Omissions::of(&delivery.record);
        let country = self.settings.country.text(&scope, &mut omissions);
        let (mut memo, mut notes) = (Memo::default(), Vec::new());
        for (key, column) in &self.settings.columns {
            let value = column.text(&scope, &mut omissions);
            let cell = normal::hashed(*key, &value, &country);
            if key.is_lasting() && memo.person.is_empty() {
                memo.person.clone_from(&cell);
            }
            if cell.is_empty() && !value.is_empty() {
                notes.push(format!(
                    "{} is left blank: nothing of it can be sent",
                    key.as_str()
                ));
            }
            memo.row.push(cell);
        }
        if memo.person.is_empty() {
            let keys = self.settings.columns.iter().map(|(key, _)| *key);
            let strong: Vec<_> = keys
                .filter(|key| key.is_lasting())
                .map(config::Key::as_str)
                .collect();
            return Err(Outcome::Reject {
                reason: format!(
                    "the contact has no usable {}, so Meta cannot find the person",
                    strong.join(" or ")
                ),
            });
        }
        let steps = vec![step];
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _: &Step) -> usize {
        MOST_ROWS
    }

    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Remove => 0,
            Step::Add => 1,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.person.clone()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::users(self, *step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(*step, answer, tasks, now)
    }

    fn expected(&self, _: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, tasks.len())
    }

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        Some(json!([self.settings.audience, task.memo.row]))
    }

    fn version(&self) -> Option<Version<'_>> {
        Some(Version {
            used: &self.settings.version,
            known: KNOWN_VERSIONS,
        })
    }

    fn probes(&self, now: Timestamp) -> Vec<Probe> {
        probe::probes(self, now)
    }
}
