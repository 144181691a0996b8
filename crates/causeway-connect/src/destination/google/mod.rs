//! Google Customer Match by the Data Manager API: people who agreed are added to a list by their hashed identifiers,
//! and all others are removed.
//!
//! Invariants: nobody is added whose consent state for the destination's purpose is not subscribed, whatever the policy
//! allows. A delivery ends as delivered only after Google reported that it processed the request. A removal names
//! everything that was ever put into the list about the person, and is repeated if an addition may come after it.

mod answer;
mod config;
mod memory;
mod normal;
mod probe;
mod request;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::{ConsentShown, Scope, omission::Omissions},
};
use reqwest::header::HeaderMap;
use schemars::schema_for;

use self::{
    config::Settings,
    memory::{Identifier, Memory, Ticket},
};
use super::{Kind, Needs, Resource};
use crate::{
    config::{ConfigError, Context},
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
    oauth::Access,
};

pub const KIND: Kind = Kind {
    name: "google",
    summary: "Customer Match lists of Google Ads",
    sample: include_str!("../../../../../samples/destinations/google.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // One call at a time: an addition and a removal of one person must not run in parallel.
    concurrency: 1,
    // Google counts calls, not people, so calls should be full.
    batch: 1_000,
    parse: |tables, table| {
        Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            ..Needs::default()
        })
    },
    connect: |context, table| {
        let google = Google::new(context, table)?;
        let client = Client::new(google.settings.options)?;
        let tokens = google.settings.tokens(context)?;
        let access = tokens.map(|settings| {
            let (clock, vault) = (Arc::clone(&context.clock), Arc::clone(&context.vault));
            Access::new(Arc::clone(&context.name), settings, client.clone(), clock, vault)
        });
        let http = Http::new(google, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let google = Google::new(context, table)?;
        Ok(super::previews(&google, batch, &context.clock))
    },
    sign_in: Some(|context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let sign_in = settings.sign_in(context)?;
        Ok((sign_in, Client::new(settings.options)?))
    }),
    create: None,
    // One destination would remove whom another one added.
    exclusive: Some(|_, table| {
        let account = table.get("account")?.as_str()?.replace('-', "");
        let list = table.get("list")?;
        Some(Resource {
            key: "list",
            what: "list",
            id: format!("{account}/{list}"),
        })
    }),
    dummy_url: "https://HOST/",
    remains: None,
};

/// Members in one call.
const MOST_MEMBERS: usize = 10_000;
/// People in one removal: all that is remembered about a person fits into five members.
const MOST_REMOVED: usize = MOST_MEMBERS / 5;

pub(super) struct Google {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Asks how the processing of a request went: one call for all deliveries of the request.
    Look(Ticket),
    /// Asks whether an earlier addition was processed. If so, a removal that was processed, too, is repeated: nobody knows
    /// which of both was first.
    After(Ticket),
    Remove {
        most: usize,
    },
    Add {
        most: usize,
    },
}

#[derive(Default)]
pub(super) struct Memo {
    /// What is sent.
    ids: Vec<Identifier>,
    memory: Memory,
}

impl Google {
    fn new(context: &Context, table: &toml::Table) -> Result<Self, ConfigError> {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(Self { settings, headers })
    }

    /// What is sent about a person, and how it is called in reasons.
    fn first_step(&self, delivery: &Delivery, memo: &Memo) -> Result<Step, Outcome> {
        if !is_added(delivery)? {
            return Ok(removal(&memo.memory));
        }
        let most = memo.memory.most.unwrap_or(usize::MAX);
        let is_known = self.settings.renew_after.is_some_and(|age| {
            let since = delivery.planned_at.as_second().saturating_sub(age);
            memo.memory.has(&memo.ids, since)
        });
        if is_known && delivery.record.change == Change::None {
            let reason = "the person is in the list already, with the same identifiers".to_owned();
            return Err(Outcome::Skip { reason });
        }
        Ok(Step::Add {
            most: most.min(MOST_MEMBERS),
        })
    }
}

fn removal(memory: &Memory) -> Step {
    Step::Remove {
        most: memory.most.unwrap_or(usize::MAX).min(MOST_REMOVED),
    }
}

/// Whether the person is added. All others are removed.
fn is_added(delivery: &Delivery) -> Result<bool, Outcome> {
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
        Change::Unsubscribe | Change::Suppress | Change::Remove => Ok(false),
        _ if record.kind == DeliveryKind::Withdrawal => Ok(false),
        Change::Subscribe | Change::None if state.is_subscribed() => Ok(true),
        Change::Subscribe => skip("the person is not added"),
        Change::None => skip("the person's consent did not change"),
    }
}

impl Connector for Google {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let memory = Memory::read(delivery.memory.as_ref(), &self.settings.list_name());
        let scope = Scope::new(&delivery.record);
        let mut omissions = Omissions::of(&delivery.record);
        let (ids, notes) = self.settings.identifiers(&scope, &mut omissions);
        let mut memo = Memo { ids, memory };
        // A person who agreed when they were sent may have opted out since, and the other way round. What Google did then
        // is no answer to this.
        let removes = is_added(delivery) == Ok(false);
        let ticket = delivery.ticket.as_deref().and_then(Ticket::read);
        if let Some(ticket) = ticket.filter(|ticket| ticket.adds != removes) {
            memo.ids = memo.memory.and(&memo.ids);
            return Ok(Plan {
                steps: vec![Step::Look(ticket)],
                memo,
                notes: Vec::new(),
            });
        }
        let step = self.first_step(delivery, &memo)?;
        if matches!(step, Step::Remove { .. }) {
            memo.ids = memo.memory.and(&memo.ids);
        }
        if memo.ids.is_empty() {
            let reason = "the contact has nothing by which Google could find the person".to_owned();
            return Err(Outcome::Reject { reason });
        }
        Ok(Plan {
            steps: vec![step],
            memo,
            notes,
        })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Look(_) | Step::After(_) => usize::MAX,
            Step::Remove { most } | Step::Add { most } => *most,
        }
    }

    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Look(_) => 0,
            Step::After(_) => 1,
            Step::Remove { .. } => 2,
            Step::Add { .. } => 3,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        match (task.step(), task.memo.ids.first()) {
            (Some(Step::Look(_) | Step::After(_)), _) | (_, None) => task.delivery.id.0.to_string(),
            (_, Some(Identifier::Email(hash) | Identifier::Phone(hash) | Identifier::Address(hash, ..))) => {
                hash.clone()
            }
        }
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        match step {
            Step::Look(ticket) | Step::After(ticket) => request::status(self, &ticket.request),
            Step::Remove { .. } => request::remove(self, tasks),
            Step::Add { .. } => request::add(self, tasks),
        }
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        match step {
            Step::Look(ticket) => status::read(ticket, answer, tasks, now),
            Step::After(addition) => status::after(addition, answer, tasks, now),
            step => answer::accepted(step, answer, tasks, now),
        }
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(step, tasks.len())
    }

    fn limit(&self) -> Option<Limit> {
        Some(Limit {
            calls: self.settings.calls_per_minute,
            per: Duration::from_mins(1),
        })
    }

    fn probes(&self, now: Timestamp) -> Vec<Probe> {
        probe::probes(self, now)
    }
}
